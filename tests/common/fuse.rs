//! Panics at the n-th call of a user's method, on the thread that armed the fuse.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread::panicking;

/// Where a fuse may be put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    Hash,
    Eq,
    Clone,
    Drop,
}

/// When a fuse goes off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At the n-th call, counted from 1, and then no more.
    At(u64),
    /// At each n-th call, but never while a panic unwinds: two at once abort the process.
    Every(u64),
}

/// The payload of an injected panic.
#[derive(Debug)]
pub struct Injected;

/// Counts the calls at one site while [`Fuse::run`] runs, and panics as told.
#[derive(Debug)]
pub struct Fuse {
    site: Site,
    when: When,
    calls: u64,
}

thread_local! {
    static ARMED: Cell<Option<(Site, When)>> = const { Cell::new(None) };
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// To be called at each site.
pub fn spark(site: Site) {
    let Some((armed, when)) = ARMED.get() else { return };
    if armed != site {
        return;
    }
    CALLS.set(CALLS.get() + 1);
    let fires = match when {
        When::At(n) => CALLS.get() == n,
        When::Every(n) => CALLS.get() % n == 0 && !panicking(),
    };
    if fires {
        // Unlike `panic!`, this does not call the hook: no noise.
        resume_unwind(Box::new(Injected));
    }
}

impl Fuse {
    pub fn new(site: Site, when: When) -> Self {
        Fuse { site, when, calls: 0 }
    }

    /// Runs `work` with this fuse armed; `Err` when an injected panic came out of it. Others go on.
    pub fn run<R>(&mut self, work: impl FnOnce() -> R) -> Result<R, Injected> {
        CALLS.set(self.calls);
        ARMED.set(Some((self.site, self.when)));
        let result = catch_unwind(AssertUnwindSafe(work));
        ARMED.set(None);
        self.calls = CALLS.get();
        result.map_err(|payload| *payload.downcast().unwrap_or_else(|other| resume_unwind(other)))
    }

    /// How many calls it has seen.
    pub fn calls(&self) -> u64 {
        self.calls
    }
}
