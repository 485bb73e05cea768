//! The time that the map's verbs judge by.

use std::cell::Cell;

use crate::clock::{Clock, EXPIRED, Reading, Stamp, Verdict};
use crate::entry::Entry;

/// The time that a pin judges by: one reading, made exact when a deadline is too near for it.
pub(super) struct Now<'m> {
    clock: &'m Clock,
    pub(super) reading: Cell<Reading>,
}

impl<'m> Now<'m> {
    #[inline(always)]
    pub(super) fn new(clock: &'m Clock) -> Self {
        Now { clock, reading: Cell::new(clock.read()) }
    }

    /// For a write, which reads the clock itself.
    #[inline]
    pub(super) fn unread(clock: &'m Clock) -> Self {
        Now { clock, reading: Cell::new(Reading::UNREAD) }
    }

    /// For what judges many entries as of one instant.
    pub(super) fn exact(clock: &'m Clock) -> Self {
        let now = Now::unread(clock);
        now.exactly();
        now
    }

    /// What nearly every read ends with, by one comparison.
    #[inline]
    pub(super) fn is_surely_live(&self, stamp: Stamp) -> bool {
        self.reading.get().is_surely_before(stamp)
    }

    #[inline]
    pub(super) fn is_live(&self, deadline: u64) -> bool {
        match self.reading.get().judge(deadline) {
            Verdict::Live => true,
            Verdict::Lapsed => false,
            Verdict::Near => self.is_live_exactly(deadline),
        }
    }

    #[cold]
    fn is_live_exactly(&self, deadline: u64) -> bool {
        self.exactly().judge(deadline) == Verdict::Live
    }

    /// The time that has surely come.
    pub(super) fn floor(&self) -> u64 {
        self.reading.get().floor()
    }

    /// Reads the clock anew, as for a read.
    #[inline]
    pub(super) fn again(&self) -> Reading {
        self.reading.set(self.clock.read().after(self.reading.get()));
        self.reading.get()
    }

    /// Reads the exact time, by which the pin judges from now on.
    #[inline]
    pub(super) fn exactly(&self) -> Reading {
        self.reading.set(self.clock.read_exact());
        self.reading.get()
    }
}

/// The deadline of a live entry; if it isn't live, nobody will say otherwise any more.
#[inline]
pub(super) fn judge<K, V>(entry: &Entry<K, V>, now: &Now<'_>) -> Option<u64> {
    let stamp = entry.stamp();
    if now.is_surely_live(stamp) { Some(stamp.last()) } else { judge_closely(entry, now) }
}

#[cold]
fn judge_closely<K, V>(entry: &Entry<K, V>, now: &Now<'_>) -> Option<u64> {
    loop {
        let deadline = entry.deadline();
        if now.is_live(deadline) {
            return Some(deadline);
        }
        if deadline == EXPIRED || entry.lapse(deadline) {
            return None;
        }
    }
}
