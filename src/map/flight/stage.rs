//! What a thread is at, as far as loads go: who computes for others must not wait for others, lest they wait for each
//! other.

use std::cell::Cell;

use crate::sync::flag;

flag!(COMPUTING);
flag!(BOARDING);

/// What a thread does that others may wait for.
///
/// A load that is started meanwhile, by code of the user's that this runs, never waits: whoever waits leads no flight, so
/// no circle of those who wait can close, whatever keys, maps and threads are in it. (Looking for the circles instead
/// would take a graph of all threads, and can't see what a closure waits for by other means.)
#[derive(Clone, Copy)]
pub(crate) enum Stage {
    /// Runs a closure, polls a future, or puts what came of it into the map.
    Computing,
    /// Looks for a flight, under the lock of a list: a load takes no lock, either.
    Boarding,
}

impl Stage {
    /// Is at this stage until what is returned is dropped.
    #[must_use]
    pub(crate) fn enter(self) -> Entered {
        Entered { stage: self, before: self.replace(true) }
    }

    /// Is at this stage while something runs.
    pub(crate) fn within<T>(self, run: impl FnOnce() -> T) -> T {
        let _stage = self.enter();
        run()
    }

    /// Whether the thread is at this stage.
    pub(crate) fn is_under_way(self) -> bool {
        match self {
            Stage::Computing => COMPUTING.with(Cell::get),
            Stage::Boarding => BOARDING.with(Cell::get),
        }
    }

    fn replace(self, flag: bool) -> bool {
        match self {
            Stage::Computing => COMPUTING.with(|computing| computing.replace(flag)),
            Stage::Boarding => BOARDING.with(|boarding| boarding.replace(flag)),
        }
    }
}

/// See [`Stage::enter`].
pub(crate) struct Entered {
    stage: Stage,
    before: bool,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.stage.replace(self.before);
    }
}
