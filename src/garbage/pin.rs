//! The crate's one collector, a record of it for each thread, and the guard that keeps the thread pinned.
//!
//! A collector of our own, not one that others retire to: nothing of theirs runs inside our pins.

use std::cell::Cell;
use std::ptr::{self, NonNull};

use super::asymmetric;
pub(crate) use super::epoch::Scan;
use super::epoch::{self, Collector, Record};
use crate::sync::numbers;

static COLLECTOR: Collector = Collector::new();
/// In place of that of a thread which has none, so that a pin need not look twice.
static NOBODYS: Record = Record::nobodys();

std::thread_local! {
    /// The thread's record; NOBODYS before its first pin, and again when the thread is at its end.
    static RECORD: Cell<*const Record> = const { Cell::new(&raw const NOBODYS) };
    /// Gives it up at the thread's end.
    static LEAVER: Leaver = const { Leaver };
}

struct Leaver;

impl Drop for Leaver {
    fn drop(&mut self) {
        match RECORD.try_with(|record| record.replace(&raw const NOBODYS)) {
            // SAFETY: a record of the static collector's, which is never freed, and this thread its owner.
            Ok(record) if !ptr::eq(record, &NOBODYS) => unsafe { &*record }.leave(),
            _ => {}
        }
    }
}

/// Keeps what the thread can reach from being freed, in every map of the process.
///
/// Not `Send`: it counts in its thread's record.
pub(crate) struct Guard(NonNull<Record>);

/// Makes ready for pins, so that the first one need not: to be called where a map is made.
#[inline]
pub(super) fn prepare() {
    asymmetric::prepare();
}

/// Pins the thread. Nests; costs a few nanoseconds; never waits.
#[inline]
pub(crate) fn pin() -> Guard {
    // SAFETY: NOBODYS, or as in `Leaver::drop`.
    let record = RECORD.try_with(|record| unsafe { &*record.get() }).unwrap_or(&NOBODYS);
    if record.pin(&COLLECTOR) { Guard(NonNull::from(record)) } else { pin_first() }
}

#[cold]
fn pin_first() -> Guard {
    let record = claim();
    record.pin(&COLLECTOR);
    Guard(NonNull::from(record))
}

/// A record for a thread that has none. Where it is so far at its end that nothing would give the record up, it is good
/// for one guard, and each guard has its own: maps work in destructors of thread-locals.
fn claim() -> &'static Record {
    let record = COLLECTOR.claim(asymmetric::is_available());
    numbers::set(record.number());
    if LEAVER.try_with(|_| ()).and_then(|()| RECORD.try_with(|own| own.set(record))).is_err() {
        record.leave_later();
    }
    record
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: as in `Leaver::drop`; a guard stays on its thread, which owns the record while a guard is held.
        unsafe { self.0.as_ref() }.unpin();
    }
}

impl Guard {
    /// That of the thread, as in [`crate::sync::thread_number`].
    #[inline]
    pub(crate) fn thread_number(&self) -> usize {
        // SAFETY: as in `drop`.
        unsafe { self.0.as_ref() }.number()
    }

    /// Starts a grace period, which ends when every thread that is pinned now has been seen unpinned, or pinned anew.
    pub(crate) fn grace(&self, scan: &mut Scan) -> Grace {
        Grace(COLLECTOR.grace(scan))
    }

    /// Helps grace periods to their end, by a constant number of steps.
    pub(crate) fn advance(&self, scan: &mut Scan) {
        COLLECTOR.advance(scan);
    }

    /// Helps grace periods to their end, by a look at all threads.
    pub(crate) fn flush(&self) {
        COLLECTOR.flush();
    }
}

/// A grace period.
pub(crate) struct Grace(epoch::Grace);

impl Grace {
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        COLLECTOR.is_over(self.0)
    }
}
