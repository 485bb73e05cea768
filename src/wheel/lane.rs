//! Lanes: lists of tickets that were taken and not worked off, each in the hands of one thread at a time.
//!
//! Whoever sweeps takes a lane by a swap, works on its list alone, and leaves the rest there. No step waits: a lane that is taken is
//! passed over, and where all are, others do this very work. A thread that stops with a lane in hand keeps its reminders
//! from the others, and nothing else.

use std::ptr;

use super::Wheel;
use super::slot::{Bucket, List, Reminder, Ticket};
use crate::sync::{AtomicPtr, Ordering, fence_after_rmw, thread_number};

pub(super) const LANES: usize = if cfg!(ttl_loom) { 2 } else { 8 };

/// What a lane holds while it is in somebody's hands.
pub(super) const TAKEN: *mut Ticket = ptr::without_provenance_mut(1);

/// Whether a lane has tickets that nobody is at work on.
#[inline]
pub(super) fn has_list(lane: &AtomicPtr<Ticket>) -> bool {
    // Relaxed: a hint.
    let list = lane.load(Ordering::Relaxed);
    !list.is_null() && list != TAKEN
}

/// The same of several, by one comparison: every write asks.
#[inline]
pub(super) fn has_lists(lanes: &[AtomicPtr<Ticket>]) -> bool {
    // Relaxed: a hint. Null and TAKEN have no more than the lowest bit.
    lanes.iter().fold(0, |bits, lane| bits | lane.load(Ordering::Relaxed).addr()) > TAKEN.addr()
}

/// Takes what is in a lane, and leaves `instead`; None if somebody has it.
fn take(lane: &AtomicPtr<Ticket>, instead: *mut Ticket) -> Option<List> {
    // Relaxed: the CAS decides.
    let list = lane.load(Ordering::Relaxed);
    if list == TAKEN {
        return None;
    }
    // Acquire: the tickets; pairs with the Release in the drop of a `Sweep` (W5). A list of which the first ticket was worked
    // off and came back to the same address is as good.
    lane.compare_exchange(list, instead, Ordering::Acquire, Ordering::Relaxed).ok()?;
    // SAFETY: whoever takes a list out of a lane owns it.
    Some(unsafe { List::from_raw(list) })
}

impl Wheel {
    /// A place to work at; none where all are taken, by threads that do this very work.
    pub(crate) fn sweep(&self) -> Option<Sweep<'_>> {
        let home = thread_number();
        (0..LANES).find_map(|n| {
            let lane = &self.count.lanes[home.wrapping_add(n) % LANES];
            let list = take(lane, TAKEN)?;
            // The cursor before the look at dues; pairs with the fence in `file_again` (W8): whoever relies on a reminder
            // that is found stale here sees that its time has come.
            fence_after_rmw();
            Some(Sweep { wheel: self, lane, list, parts: Parts::default(), gone: 0 })
        })
    }
}

/// One thread's work on what is due; what it leaves goes back to the lane when this is dropped.
pub(crate) struct Sweep<'w> {
    wheel: &'w Wheel,
    lane: &'w AtomicPtr<Ticket>,
    list: List,
    /// What comes before the list.
    parts: Parts,
    /// How many reminders fewer there are than the wheel has counted; see [`Sweep::settle`].
    gone: usize,
}

/// So many reminders are taken between two changes of the wheel's count of them.
const COUNTED_AT_ONCE: isize = 256;

/// What is left of a reminder of a smaller table, bucket by bucket: no memory is asked for while it is worked off, but when a sweep
/// ends in the midst of it.
#[derive(Default)]
struct Parts {
    of: Option<Reminder>,
    doublings: u32,
    next: usize,
}

impl Parts {
    /// The reminder of the part that comes so many after the next, if there are so many.
    #[inline]
    fn peek(&self, after: usize) -> Option<Reminder> {
        let (of, number) = (self.of?, self.next + after);
        (number < 1 << self.doublings).then(|| Reminder { bucket: of.bucket.part(number, self.doublings), ..of })
    }

    #[inline]
    fn pop(&mut self) -> Option<Reminder> {
        let part = self.peek(0);
        self.next += usize::from(part.is_some());
        part
    }
}

impl Sweep<'_> {
    /// The next reminder of which the time has come; `exactly` at a time, also one whose slot is not yet due.
    #[inline]
    pub(crate) fn next(&mut self, exactly: Option<u64>) -> Option<Reminder> {
        if let Some(part) = self.parts.pop() {
            return Some(part);
        }
        if self.list.is_empty() {
            self.list = self.refill(exactly);
        }
        Some(self.take()?.reminder)
    }

    /// Takes the list's first ticket.
    #[inline]
    fn take(&mut self) -> Option<Box<Ticket>> {
        let ticket = self.list.pop()?;
        self.gone = self.gone.wrapping_add(1);
        if self.gone as isize >= COUNTED_AT_ONCE {
            self.settle();
        }
        Some(ticket)
    }

    /// Has the wheel count what is gone: it judges by that whether there are too many.
    fn settle(&mut self) {
        // Relaxed: a statistic. It wraps where there are more than the wheel has counted.
        self.wheel.count.len.fetch_sub(std::mem::take(&mut self.gone), Ordering::Relaxed);
    }

    #[cold]
    fn refill(&mut self, exactly: Option<u64>) -> List {
        self.settle();
        // What others have left comes before what nobody has claimed.
        for lane in self.wheel.count.lanes.iter().filter(|lane| has_list(lane)) {
            if let Some(list) = take(lane, ptr::null_mut()).filter(|list| !list.is_empty()) {
                return list;
            }
        }
        let mut list = self.wheel.claim();
        if let Some(nanos) = exactly.filter(|_| list.is_empty()) {
            list = self.wheel.claim_early(nanos);
        }
        if list.is_empty() { self.wheel.claim_stale() } else { list }
    }

    /// The buckets of the next two reminders, as far as is known.
    #[inline]
    pub(crate) fn ahead(&self) -> [Option<Bucket>; 2] {
        let of_parts = [0, 1].map(|after| self.parts.peek(after).map(|part| part.bucket));
        if of_parts[1].is_some() {
            return of_parts;
        }
        let [first, second] = self.list.ahead();
        if of_parts[0].is_some() { [of_parts[0], first] } else { [first, second] }
    }

    /// The buckets of a reminder's parts that are left.
    #[inline]
    pub(crate) fn parts_ahead(&self) -> impl Iterator<Item = Bucket> {
        (0..).map_while(|after| self.parts.peek(after)).map(|part| part.bucket)
    }

    /// Whether the last reminder may have been taken before its time.
    pub(crate) fn is_early(&self) -> bool {
        self.list.is_early()
    }

    /// Adds a reminder to what is to be worked off.
    pub(crate) fn push(&mut self, reminder: Reminder) {
        self.gone = self.gone.wrapping_sub(1);
        self.list.push(Ticket::new(reminder));
    }

    /// Adds the same reminder of all buckets that came of its own when the table was doubled so many times.
    pub(crate) fn push_parts(&mut self, of: Reminder, doublings: u32) {
        self.leave_parts();
        self.parts = Parts { of: Some(of), doublings, next: 0 };
    }

    /// The bucket of the next reminder, if that is the list's first and its time has surely come.
    #[inline]
    pub(crate) fn next_in_list(&self) -> Option<Bucket> {
        let is_next = self.parts.peek(0).is_none() && !self.is_early();
        if is_next { self.list.ahead()[0] } else { None }
    }

    /// Has the list's first reminder come part by part. Only after [`Sweep::next_in_list`].
    pub(crate) fn split_next(&mut self, doublings: u32) {
        if let Some(ticket) = self.take() {
            self.push_parts(ticket.reminder, doublings);
        }
    }

    /// Adds what is left of a reminder's parts to the list.
    #[inline]
    fn leave_parts(&mut self) {
        while let Some(part) = self.parts.pop() {
            self.push(part);
        }
    }
}

impl Drop for Sweep<'_> {
    fn drop(&mut self) {
        self.leave_parts();
        self.settle();
        let list = std::mem::take(&mut self.list).into_raw();
        // Release: the tickets (W5).
        self.lane.store(list, Ordering::Release);
    }
}
