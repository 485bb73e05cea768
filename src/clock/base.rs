//! The origin that the hybrid clocks of a process share, so that making one reads no clock at all.

use std::ptr;

use super::{COARSE_LAG, Clock, Kind};
use crate::sync::{AtomicPtr, Ordering};

/// The first hybrid clock of the process; null before it is made. Never freed.
static FIRST: AtomicPtr<Clock> = AtomicPtr::new(ptr::null_mut());

/// Its making may have taken so long, in nanoseconds; a clock that took longer, as its thread was stopped, lags by that
/// much, and is not for others.
const PROMPT: u64 = 1_000_000;

/// A hybrid clock: the process's, or one of its own where that is being made. Never waits for another thread.
pub(super) fn hybrid() -> Clock {
    // Acquire: the clock's fields; pairs with the Release below. No model: there is nothing to it but this.
    // SAFETY: null, or from a box that is never freed.
    match unsafe { FIRST.load(Ordering::Acquire).as_ref() } {
        Some(first) => first.clone(),
        None => make(),
    }
}

#[cold]
fn make() -> Clock {
    let clock = Clock::new_hybrid();
    if matches!(clock.kind, Kind::Hybrid { lag, .. } if lag <= COARSE_LAG + PROMPT) {
        let first = Box::into_raw(Box::new(clock.clone()));
        // Release: publishes the fields. Failure: another was faster, and is as good.
        if FIRST.compare_exchange(ptr::null_mut(), first, Ordering::Release, Ordering::Relaxed).is_err() {
            // SAFETY: from a box, and not published.
            drop(unsafe { Box::from_raw(first) });
        }
    }
    clock
}
