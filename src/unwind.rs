//! Panics of users' code that end here.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

std::thread_local! {
    static ENDED: Cell<u64> = const { Cell::new(0) };
}

/// Lets a panic of a destructor, or of a hash that upkeep needed, end here.
pub(crate) fn discard(panic: Box<dyn Any + Send>) {
    silence(panic);
    ENDED.with(|ended| ended.set(ended.get() + 1));
}

/// Lets a panic end here that is counted elsewhere, and hinders nobody.
pub(crate) fn silence(panic: Box<dyn Any + Send>) {
    if cfg!(ttl_loom) {
        // A model's own findings are panics, too.
        resume_unwind(panic);
    }
    // The payload's own destructor may panic in turn; what that one throws is leaked.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
}

/// Runs something of the user's; returns how many panics ended in it, or with it.
pub(crate) fn contain(run: impl FnOnce()) -> u64 {
    let before = ENDED.with(Cell::get);
    if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
        discard(panic);
    }
    ENDED.with(Cell::get) - before
}
