//! The verbs beyond insert, get and remove, each family in a file of its own.

mod alter;
mod compute;
mod conditional;
mod drain;
mod entry;
mod expire;
mod whole;

pub use compute::{Computed, Operation};
pub use conditional::NotInserted;
pub use drain::{Drain, PinnedDrain};
pub use entry::{MapEntry, OccupiedEntry, VacantEntry};
pub use expire::{Condition, Retimed};
