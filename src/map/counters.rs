//! What a map counts: there in tests and with the feature `stats`, else nothing at all.

#[cfg(any(test, feature = "stats"))]
mod counting;
#[cfg(any(test, feature = "stats"))]
mod lags;
#[cfg(not(any(test, feature = "stats")))]
mod silent;

#[cfg(any(test, feature = "stats"))]
pub(super) use counting::{Counter, Counters, Miss};
#[cfg(not(any(test, feature = "stats")))]
pub(super) use silent::{Counters, Miss};
