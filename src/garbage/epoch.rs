//! Epochs: who is pinned, and when all who might hold a reference have let go.
//!
//! Epoch-based reclamation (Fraser, 2004) in the form of crossbeam's: a thread that pins writes the global epoch down
//! in a record of its own. The epoch moves on when each record was seen either unpinned or at the present epoch. What
//! was out of reach at epoch `e` may be freed at `e + 2`.
//!
//! What it does not do: run anything, keep garbage, allocate (but for a thread's first record), or wait. Who retires
//! asks for a [`Grace`], which is a number, and pays for a few steps of a scan of the records.
//!
//! # Why two epochs
//!
//! Let `e` be the epoch that [`Collector::grace`] read after its fence G, and R a reader whose pin's fence is P.
//!
//! - If G comes before P, R sees what was unlinked before G, and can't reach it.
//! - If P comes before G, then R read, before P, an epoch that is not after `e`. Whoever moves `e + 1` on to `e + 2` read
//!   `e + 1` before a fence A of its own. A can't come before G, else G's reader would have seen `e + 1` too; so P
//!   comes before A, and the scan after A sees R's record as R wrote it under P, or later. If R is still pinned there, it
//!   stands at `e` or before, and `e + 1` stays. If not, then the record was written since R let go, by a Release
//!   that the scan acquires, and hands on by the CAS to whoever sees `e + 2`.
//!
//! A scan may be made in pieces, by one after another: each piece's loads come after A all the same.

use std::cell::Cell;
use std::ptr;

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicPtr, AtomicUsize, Ordering, Witness, fence};

/// Records looked at by one call of [`Collector::grace`] or [`Collector::advance`].
const SCANNED_A_STEP: usize = if cfg!(ttl_loom) { 1 } else { 64 };

/// The low bit of a record's state; epochs are even.
const PINNED: usize = 1;
const UNPINNED: usize = 0;
const EPOCH: usize = 2;

const FREE: usize = 0;
const CLAIMED: usize = 1;

/// The global epoch, and the records of all threads that ever pinned. Records are claimed, given up and claimed again,
/// and never freed while the collector lives.
pub(crate) struct Collector {
    epoch: CachePadded<AtomicUsize>,
    first: AtomicPtr<Record>,
}

/// What a thread says of itself.
#[repr(align(128))]
pub(crate) struct Record {
    /// The epoch at which the owner is pinned, with PINNED; or UNPINNED.
    state: AtomicUsize,
    /// Whether it has an owner.
    owner: AtomicUsize,
    /// Set before the record is published.
    next: *const Record,
    /// How many guards the owner holds. The owner's alone, as are those below.
    depth: Cell<usize>,
    /// Whether the record is to be given up with the last of them.
    leaving: Cell<bool>,
    owned: Witness,
}

// SAFETY: `depth`, `leaving` and `owned` are used by the owner only; there is one at a time, and what one did comes
// before what the next one does (O13).
unsafe impl Sync for Record {}

/// How far a scan of the records has come. Whoever holds it goes on where it stands.
pub(crate) struct Scan {
    epoch: usize,
    /// Null if none is under way.
    next: *const Record,
}

impl Default for Scan {
    fn default() -> Self {
        Scan { epoch: 0, next: ptr::null() }
    }
}

// SAFETY: a place in a list that is never freed while the collector lives.
unsafe impl Send for Scan {}

/// The epoch at which something was out of reach.
#[derive(Clone, Copy)]
pub(crate) struct Grace(usize);

impl Collector {
    #[cfg(not(ttl_loom))]
    pub(crate) const fn new() -> Self {
        Collector { epoch: CachePadded::new(AtomicUsize::new(0)), first: AtomicPtr::new(ptr::null_mut()) }
    }

    #[cfg(ttl_loom)]
    pub(crate) fn new() -> Self {
        Collector { epoch: CachePadded::new(AtomicUsize::new(0)), first: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Claims a record that nobody has, or makes one. Once in a thread's life; in proportion to the number of records.
    #[cold]
    pub(crate) fn claim(&self) -> &Record {
        // Acquire: the records' fields; pairs with the CAS in `publish` (O12).
        let mut at: *const Record = self.first.load(Ordering::Acquire);
        // SAFETY: null or published, and records are freed with the collector.
        while let Some(record) = unsafe { at.as_ref() } {
            // Acquire: what the last owner did to it; pairs with the Release in `give_up` (O13). Failure: another's.
            if record.owner.compare_exchange(FREE, CLAIMED, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return record;
            }
            at = record.next;
        }
        self.publish(Box::new(Record {
            state: AtomicUsize::new(UNPINNED),
            owner: AtomicUsize::new(CLAIMED),
            next: ptr::null(),
            depth: Cell::new(0),
            leaving: Cell::new(false),
            owned: Witness::default(),
        }))
    }

    fn publish(&self, record: Box<Record>) -> &Record {
        let record = Box::into_raw(record);
        // Relaxed: the CAS decides.
        let mut first = self.first.load(Ordering::Relaxed);
        loop {
            // SAFETY: not published yet.
            unsafe { (*record).next = first };
            // Release: publishes the record (O12), and those before it to whoever follows `next`: all changes of `first`
            // are such CASes, of which each hands on what came by the one before.
            match self.first.compare_exchange_weak(first, record, Ordering::Release, Ordering::Relaxed) {
                // SAFETY: published just now; freed with the collector.
                Ok(_) => return unsafe { &*record },
                Err(seen) => first = seen,
            }
        }
    }

    /// Starts a grace period for what the caller, who is pinned, has put out of reach, or others before it.
    pub(crate) fn grace(&self, scan: &mut Scan) -> Grace {
        Grace(self.look(scan))
    }

    /// Helps the epoch on: looks at a few records, and if they were the last, moves it.
    pub(crate) fn advance(&self, scan: &mut Scan) {
        self.look(scan);
    }

    /// Looks at all records, and moves the epoch if it may move. In proportion to the number of records.
    pub(crate) fn flush(&self) {
        let mut scan = Scan::default();
        let epoch = self.look(&mut scan);
        let mut from = ptr::null();
        // To the end, or to where somebody is pinned, or until another has moved the epoch.
        while scan.next != from && !scan.next.is_null() && scan.epoch == epoch {
            from = scan.next;
            self.look(&mut scan);
        }
    }

    /// Goes on with a scan, or starts one; returns the epoch.
    fn look(&self, scan: &mut Scan) -> usize {
        // Relaxed: read before the fence, as the argument above has it of the one who moves the epoch.
        let before = self.epoch.load(Ordering::Relaxed);
        // SeqCst fence: the unlinking before the epoch, and the epoch before the records; pairs with the fence in `pin`,
        // and with those of others here (O14).
        fence(Ordering::SeqCst);
        // Relaxed: not before `before`, and that is all.
        let epoch = self.epoch.load(Ordering::Relaxed);
        if scan.next.is_null() || scan.epoch != epoch {
            // Acquire: the records' fields (O12). All whose pin's fence came before ours are there.
            let next = if before == epoch { self.first.load(Ordering::Acquire) } else { ptr::null_mut() };
            *scan = Scan { epoch, next };
        }
        for _ in 0..SCANNED_A_STEP {
            // SAFETY: null or published, and records are freed with the collector.
            let Some(record) = (unsafe { scan.next.as_ref() }) else { break };
            // Acquire: what the owner did under pins that are over; pairs with the Releases in `pin` and `unpin` (O7).
            let state = record.state.load(Ordering::Acquire);
            if state & PINNED != 0 && state != epoch | PINNED {
                // Pinned at an earlier epoch: here the scan stands until it lets go.
                break;
            }
            scan.next = record.next;
            if scan.next.is_null() {
                // Release: hands on what the scan has seen (O7). Failure: another was faster.
                let next = epoch.wrapping_add(EPOCH);
                let _ = self.epoch.compare_exchange(epoch, next, Ordering::Release, Ordering::Relaxed);
            }
        }
        epoch
    }

    /// Whether nobody can hold any more what was out of reach then.
    #[inline]
    pub(crate) fn is_over(&self, grace: Grace) -> bool {
        // Acquire: all that was done under the pins that were waited for; pairs with the CAS in `look` (O7). Each change
        // of the epoch is such a CAS, so one that has moved it further hands on the same.
        self.epoch.load(Ordering::Acquire).wrapping_sub(grace.0) >= 2 * EPOCH
    }
}

impl Record {
    /// Pins the owner, if it is not pinned yet.
    #[inline]
    pub(crate) fn pin(&self, collector: &Collector) {
        self.owned.touch();
        let depth = self.depth.get();
        self.depth.set(depth + 1);
        if depth == 0 {
            // Relaxed: an epoch that is long past only holds the present one up.
            let epoch = collector.epoch.load(Ordering::Relaxed);
            // Release: what was done under earlier pins, for a scan that sees this one in their place (O7).
            self.state.store(epoch | PINNED, Ordering::Release);
            // SeqCst fence: the pin before all that is read under it; pairs with the fence in `look` (O14).
            fence(Ordering::SeqCst);
        }
    }

    /// Ends one pin.
    #[inline]
    pub(crate) fn unpin(&self) {
        self.owned.touch();
        let depth = self.depth.get() - 1;
        self.depth.set(depth);
        if depth == 0 {
            // Release: all that was read under the pin comes before what the next epochs allow (O7).
            self.state.store(UNPINNED, Ordering::Release);
            if self.leaving.get() {
                self.give_up();
            }
        }
    }

    /// Gives the record up for another to claim: now, or with the last guard, if any is held. A guard that was
    /// forgotten keeps it, pinned, for ever.
    pub(crate) fn leave(&self) {
        self.owned.touch();
        match self.depth.get() {
            0 => self.give_up(),
            _ => self.leave_later(),
        }
    }

    /// Has the record given up with the last guard.
    pub(crate) fn leave_later(&self) {
        self.leaving.set(true);
    }

    #[cold]
    fn give_up(&self) {
        self.leaving.set(false);
        // Release: what this owner did to the record (O13).
        self.owner.store(FREE, Ordering::Release);
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // Relaxed: `&mut self`: all that others did happened before.
        let mut record = self.first.load(Ordering::Relaxed);
        while !record.is_null() {
            // SAFETY: made from a box in `claim`; nobody uses it any more.
            record = unsafe { Box::from_raw(record) }.next.cast_mut();
        }
    }
}
