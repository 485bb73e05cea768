//! Panics at the n-th call of a user's method, on the thread that armed the fuse.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Where a fuse may be put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    Hash,
    Eq,
    Clone,
    Drop,
}

/// When an armed fuse goes off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At the n-th call, counted from 1, and then no more.
    At(u64),
    /// At each n-th call.
    Every(u64),
}

/// The payload of an injected panic.
#[derive(Debug)]
pub struct Injected;

thread_local! {
    static ARMED: Cell<Option<(Site, When)>> = const { Cell::new(None) };
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// Called at each site; panics, without the hook's noise, when the fuse says so.
pub fn spark(site: Site) {
    let Some((armed, when)) = ARMED.get() else { return };
    if armed != site {
        return;
    }
    CALLS.set(CALLS.get() + 1);
    let fires = match when {
        When::At(n) => CALLS.get() == n,
        When::Every(n) => CALLS.get() % n == 0,
    };
    if fires {
        resume_unwind(Box::new(Injected));
    }
}

/// Runs `work` with a fuse at `site`; `Err` when a panic came out of it. Other panics than the injected one go on.
pub fn with_fuse<R>(site: Site, when: When, work: impl FnOnce() -> R) -> Result<R, Injected> {
    CALLS.set(0);
    ARMED.set(Some((site, when)));
    let result = catch_unwind(AssertUnwindSafe(work));
    ARMED.set(None);
    result.map_err(|payload| *payload.downcast::<Injected>().unwrap_or_else(|other| resume_unwind(other)))
}

/// How many calls the last armed site has seen.
pub fn calls() -> u64 {
    CALLS.get()
}
