//! Epochs: who is pinned, and when all who might hold a reference have let go.
//!
//! Epoch-based reclamation (Fraser, 2004) in the form of crossbeam's: a thread that pins writes the global epoch down
//! in a record of its own. The epoch moves on when each record was seen either unpinned or at the present epoch. What
//! was out of reach at epoch `e` may be freed at `e + 2`.
//!
//! What it does not do: run anything, keep garbage, allocate (but for records: one a thread, and one a guard in a thread that
//! is at its end), or wait for another thread's next step. Who retires asks for a [`Grace`], which is a number, and pays for
//! a few steps of a scan of the records. Whoever scans is pinned (but for models), so that the epoch moves at most once
//! under a scan, wherever it is stopped.
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
//!
//! # Why a pin has no fence
//!
//! A record stays pinned when its owner lets go, so the next pin at the same epoch has nothing to write but that it is
//! there: to everybody else it is one long pin, and the argument above holds. What ends it, if the owner doesn't come
//! back, is whoever wants the epoch to move on from `e`, and finds the record at an earlier one: it has a heavy fence,
//! and if nobody is there then, unpins the record. The owner's light fence stands between saying that it is there and
//! its look at the epoch. If the light one comes first, the owner is seen, until it has let go. If the heavy one comes
//! first, the owner sees `e`, or later, and pins anew, by a swap, before or after which the other's CAS changes nothing.
//! (Asymmetric fences as in folly and seize; where there are none, each pin has a SeqCst fence.)

use std::cell::Cell;
use std::{iter, ptr};

use crossbeam_utils::CachePadded;

use super::asymmetric::Asymmetric;
use crate::sync::{AtomicPtr, AtomicUsize, Count, Ordering, Witness, fence, fence_after_rmw};

/// Records looked at by one call of [`Collector::grace`] or [`Collector::advance`].
const SCANNED_A_STEP: usize = if cfg!(ttl_loom) { 1 } else { 64 };

/// How often a scan comes to a stand at records of an earlier epoch before it pays for a heavy fence, which may take as
/// long as a hundred writes.
const PATIENCE: usize = if cfg!(ttl_loom) { 0 } else { 8 };

/// The state of a record whose owner is not pinned; epochs are odd, so that none of them is this, and a pin is the epoch itself.
const UNPINNED: usize = 0;
const FIRST_EPOCH: usize = 1;
const EPOCH: usize = 2;

/// What a guard adds to a record's depth.
const GUARD: usize = 2;
/// What stands beside the guards where nothing is to be done once the last one goes: the record stays pinned.
const STAYS: usize = 1;
/// So many were forgotten, as with `Rc`: one more, and nobody would seem to be there.
const TOO_DEEP: usize = usize::MAX / 2;

const FREE: usize = 0;
const CLAIMED: usize = 1;

/// The global epoch, and the records of all threads that ever pinned. Records are claimed, given up and claimed again,
/// and never freed while the collector lives.
pub(crate) struct Collector {
    epoch: CachePadded<AtomicUsize>,
    first: AtomicPtr<Record>,
    made: Count,
}

/// What a thread says of itself.
#[repr(align(128))]
pub(crate) struct Record {
    /// The epoch at which the owner is pinned, or was last; or UNPINNED. Written by the owner, and by who revokes its pin.
    state: AtomicUsize,
    /// How many guards the owner holds, and whether the record [stays](STAYS). The owner's alone to write.
    depth: AtomicUsize,
    fence: Asymmetric,
    /// Whether it has an owner.
    owner: AtomicUsize,
    /// Set before the record is published.
    next: *const Record,
    /// How many were made before it.
    number: usize,
    /// Whether it is to be given up when the last guard goes. The owner's alone, as is what follows.
    leaving: Cell<bool>,
    owned: Witness,
}

// SAFETY: `leaving` and `owned` are used by the owner only; there is one at a time, and what one did comes
// before what the next one does (O13).
unsafe impl Sync for Record {}

/// How far a scan of the records has come. Whoever holds it goes on where it stands.
pub(crate) struct Scan {
    epoch: usize,
    /// Null if none is under way.
    next: *const Record,
    /// How often it has come to a stand.
    stands: usize,
}

impl Default for Scan {
    fn default() -> Self {
        Scan { epoch: 0, next: ptr::null(), stands: 0 }
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
        Collector {
            epoch: CachePadded::new(AtomicUsize::new(FIRST_EPOCH)),
            first: AtomicPtr::new(ptr::null_mut()),
            made: Count::new(0),
        }
    }

    #[cfg(ttl_loom)]
    pub(crate) fn new() -> Self {
        Collector {
            epoch: CachePadded::new(AtomicUsize::new(FIRST_EPOCH)),
            first: AtomicPtr::new(ptr::null_mut()),
            made: Count::new(0),
        }
    }

    /// Claims a record that nobody has, or makes one; it `stays` pinned between guards, which takes asymmetric fences. Once
    /// in a thread's life; in proportion to the number of records.
    #[cold]
    pub(crate) fn claim(&self, stays: bool) -> &Record {
        let record = self.claim_any();
        // Release: as in `unpin`, for who sees this in its place (O7): what earlier owners did is known here (O13).
        record.depth.store(if stays { STAYS } else { 0 }, Ordering::Release);
        record
    }

    fn claim_any(&self) -> &Record {
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
            // Relaxed: a number, and nothing else.
            number: self.made.fetch_add(1, Ordering::Relaxed) as usize,
            depth: AtomicUsize::new(0),
            fence: Asymmetric::default(),
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
        Grace(self.look(scan, PATIENCE))
    }

    /// Helps the epoch on: looks at a few records, and if they were the last, moves it.
    pub(crate) fn advance(&self, scan: &mut Scan) {
        self.look(scan, PATIENCE);
    }

    /// Looks at all records, and moves the epoch if it may move. In proportion to the number of records.
    pub(crate) fn flush(&self) {
        let mut scan = Scan::default();
        let epoch = self.look(&mut scan, 0);
        let mut from = ptr::null();
        // To the end, or to where somebody is pinned, or until another has moved the epoch.
        while scan.next != from && !scan.next.is_null() && scan.epoch == epoch {
            from = scan.next;
            self.look(&mut scan, 0);
        }
    }

    /// Goes on with a scan, or starts one; returns the epoch.
    fn look(&self, scan: &mut Scan, patience: usize) -> usize {
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
            *scan = Scan { epoch, next, stands: 0 };
        }
        for _ in 0..SCANNED_A_STEP {
            // SAFETY: null or published, and records are freed with the collector.
            let Some(record) = (unsafe { scan.next.as_ref() }) else { break };
            if record.is_behind(epoch) && !(scan.may_revoke(patience) && self.revoke(record, epoch)) {
                // Here the scan stands until it lets go.
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

    /// Unpins a record that is behind, and a few that follow, if their owners have let go; false if the first one still is
    /// behind. The caller has read the epoch.
    #[cold]
    fn revoke(&self, first: &Record, epoch: usize) -> bool {
        // SAFETY: null or published, and records are freed with the collector.
        let some = || iter::successors(Some(first), |at| unsafe { at.next.as_ref() }).take(SCANNED_A_STEP);
        // Heavy fence: the epoch before the look who is there; pairs with the light one in `pin` (O15).
        if some().any(|record| record.seems_left(epoch)) && Asymmetric::heavy(some().map(|record| &record.fence)) {
            some().for_each(|record| record.unpin_if_left(epoch));
        }
        !first.is_behind(epoch)
    }

    /// Revokes as one would who has read the epoch a while ago, when it had moved so often.
    #[cfg(all(test, ttl_loom))]
    pub(crate) fn revoke_behind(&self, moves: usize) {
        // SAFETY: null or published, and records are freed with the collector.
        if let Some(first) = unsafe { self.first.load(Ordering::Acquire).as_ref() } {
            self.revoke(first, FIRST_EPOCH + moves * EPOCH);
        }
    }

    /// Whether nobody can hold any more what was out of reach then.
    #[inline]
    pub(crate) fn is_over(&self, grace: Grace) -> bool {
        // Acquire: all that was done under the pins that were waited for; pairs with the CAS in `look` (O7). Each change
        // of the epoch is such a CAS, so one that has moved it further hands on the same.
        self.epoch.load(Ordering::Acquire).wrapping_sub(grace.0) >= 2 * EPOCH
    }
}

impl Scan {
    /// Whether it has stood for long enough.
    fn may_revoke(&mut self, patience: usize) -> bool {
        self.stands += 1;
        let may = self.stands > patience;
        if may {
            self.stands = 0;
        }
        may
    }
}

impl Record {
    /// What a thread has that has none: no owner, and deeper than any other.
    #[cfg(not(ttl_loom))]
    pub(crate) const fn nobodys() -> Self {
        Record {
            state: AtomicUsize::new(UNPINNED),
            depth: AtomicUsize::new(usize::MAX),
            fence: Asymmetric {},
            owner: AtomicUsize::new(FREE),
            next: ptr::null(),
            number: 0,
            leaving: Cell::new(false),
            owned: Witness {},
        }
    }

    /// Pins the owner, if it is not pinned yet; false if there is none.
    ///
    /// Nearly always the depth is what is expected, here and in [`unpin`](Self::unpin), and what is written does not depend on what
    /// was read: else each pin of a thread would wait for the one before it.
    #[inline]
    pub(crate) fn pin(&self, collector: &Collector) -> bool {
        self.owned.touch();
        // Relaxed: the owner's alone to write.
        if self.depth.load(Ordering::Relaxed) != STAYS {
            return self.pin_otherwise(collector);
        }
        self.depth.store(STAYS + GUARD, Ordering::Relaxed);
        self.pin_now(collector);
        true
    }

    /// The same where the record does not stay, or there are guards already, or no owner.
    #[inline(never)]
    fn pin_otherwise(&self, collector: &Collector) -> bool {
        // Relaxed: as above.
        let depth = self.depth.load(Ordering::Relaxed);
        if depth >= TOO_DEEP {
            return if depth == usize::MAX { false } else { std::process::abort() };
        }
        self.depth.store(depth + GUARD, Ordering::Relaxed);
        if depth < GUARD {
            self.pin_now(collector);
        }
        true
    }

    /// Pins the owner, who has just said that it is there.
    #[inline]
    fn pin_now(&self, collector: &Collector) {
        // Light fence: "there" before the look at the epoch; pairs with the heavy one in `revoke` (O15).
        self.fence.light();
        // Relaxed: an epoch that is long past only holds the present one up.
        let epoch = collector.epoch.load(Ordering::Relaxed);
        // Relaxed: our own; or one that was revoked, and then the epoch is another, too.
        if self.state.load(Ordering::Relaxed) != epoch {
            self.pin_at(epoch);
        }
    }

    #[cold]
    fn pin_at(&self, epoch: usize) {
        // Release: what was done under earlier pins, for a scan that sees this one in their place (O7). A swap, lest
        // one who revokes the earlier pin gets between; SeqCst, as on x86-64 it is the fence, too, and stays one.
        self.state.swap(epoch, Ordering::SeqCst);
        // SeqCst fence: the pin before all that is read under it; pairs with the fence in `look` (O14).
        fence_after_rmw();
    }

    /// How many records were there before this one: those that are claimed at a time have numbers of their own.
    #[inline]
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Ends one pin.
    #[inline]
    pub(crate) fn unpin(&self) {
        self.owned.touch();
        // Relaxed: the owner's alone to write.
        if self.depth.load(Ordering::Relaxed) != STAYS + GUARD {
            return self.unpin_otherwise();
        }
        // Release: all that was read under the pin comes before what the next epochs allow (O7).
        self.depth.store(STAYS, Ordering::Release);
    }

    /// The same where the record does not stay, or there are other guards.
    #[inline(never)]
    fn unpin_otherwise(&self) {
        // Relaxed: as above.
        let depth = self.depth.load(Ordering::Relaxed) - GUARD;
        // Release: likewise (O7).
        self.depth.store(depth, Ordering::Release);
        if depth == 0 {
            // Release: likewise (O7).
            self.state.store(UNPINNED, Ordering::Release);
            if self.leaving.get() {
                self.give_up();
            }
        }
    }

    /// Whether it is pinned, and not at this epoch.
    fn is_behind(&self, epoch: usize) -> bool {
        // Acquire: what the owner did under pins that are over; pairs with the Releases in `pin_at`, `unpin`, `leave`
        // and `unpin_if_left` (O7).
        let state = self.state.load(Ordering::Acquire);
        state != UNPINNED && state != epoch
    }

    /// Whether it is worth a fence to find out that the owner of a record that is behind has let go.
    fn seems_left(&self, epoch: usize) -> bool {
        // Relaxed, both: a guess.
        is_earlier(self.state.load(Ordering::Relaxed), epoch) && self.depth.load(Ordering::Relaxed) < GUARD
    }

    /// Unpins a record that is behind, if its owner has let go; after a heavy fence.
    fn unpin_if_left(&self, epoch: usize) {
        // Acquire: what the owner did under pins that are over; pairs with the Release in `unpin` (O7).
        if self.depth.load(Ordering::Acquire) < GUARD {
            // Relaxed: the CAS decides.
            let state = self.state.load(Ordering::Relaxed);
            if is_earlier(state, epoch) {
                // Release: hands on what the owner did (O7). Failure: it is back.
                let _ = self.state.compare_exchange(state, UNPINNED, Ordering::Release, Ordering::Relaxed);
            }
        }
    }

    /// Gives the record up for another to claim: now, or with the last guard, if any is held. A guard that was
    /// forgotten keeps it, pinned, for ever.
    pub(crate) fn leave(&self) {
        self.owned.touch();
        self.leave_later();
        // Relaxed: the owner's alone to write.
        if self.depth.load(Ordering::Relaxed) == 0 {
            // Release: what was done under the last pin (O7). A swap for the models' sake, as in `pin_at`.
            self.state.swap(UNPINNED, Ordering::Release);
            self.give_up();
        }
    }

    /// Has the record given up with the last guard.
    pub(crate) fn leave_later(&self) {
        self.leaving.set(true);
        // Relaxed: the owner's alone to write. Release: as in `unpin`, for who sees this in its place (O7).
        self.depth.store(self.depth.load(Ordering::Relaxed) & !STAYS, Ordering::Release);
    }

    #[cold]
    fn give_up(&self) {
        self.leaving.set(false);
        // Release: what this owner did to the record (O13).
        self.owner.store(FREE, Ordering::Release);
    }
}

/// Whether a record's state is that of a pin at an epoch before this one: a later one its owner may still go on with.
fn is_earlier(state: usize, epoch: usize) -> bool {
    state != UNPINNED && (epoch.wrapping_sub(state) as isize) > 0
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

#[cfg(all(test, not(ttl_loom)))]
mod tests {
    use super::*;

    #[test]
    fn records_in_use_have_numbers_of_their_own_and_no_gaps() {
        for stays in [false, true] {
            let collector = Collector::new();
            let [first, second] = [(); 2].map(|()| collector.claim(stays));
            assert_eq!((first.number(), second.number()), (0, 1));
            first.leave();
            // One that was given up is claimed again with its number: threads that come and go don't run into others' shards.
            let again = collector.claim(stays);
            assert_eq!(again.number(), 0);
            assert_eq!(collector.claim(stays).number(), 2);
            // One that is left while a guard is held is given up with the last guard.
            assert!(again.pin(&collector) && again.pin(&collector));
            again.leave();
            again.unpin();
            assert_eq!(collector.claim(stays).number(), 3);
            again.unpin();
            assert_eq!(collector.claim(stays).number(), 0);
        }
    }

    #[test]
    fn nobodys_record_pins_nobody() {
        let (collector, nobodys) = (Collector::new(), Record::nobodys());
        assert!(!nobodys.pin(&collector) && !nobodys.pin(&collector));
    }
}
