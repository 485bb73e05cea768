//! Tickets, lists of them, and a level's slots: lock-free stacks, of which one pushes one ticket and another takes all.
//!
//! Both by read-modify-write of the slot's head (Treiber's stack, without its pop, and so without its ABA problem).

use std::ptr;

use super::geometry::{Due, SLOTS, slot_of};
use crate::sync::{AtomicPtr, AtomicU64, Ordering, Witness, prefetch};

/// A reminder to look at a bucket. It is no promise that there is something to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reminder {
    pub(crate) bucket: Bucket,
    /// What the bucket's due was made when this was filed: while it is still so, this is its earliest reminder. UNSET
    /// means: whatever it is.
    pub(crate) due: Due,
    /// The due that this one superseded: its reminder is in the wheel, too, if this one's round is still the wheel's.
    pub(crate) superseded: Due,
}

/// A bucket's number, in a table of 2^`bits` buckets. In a larger table it stands for all that came of it.
///
/// With it the round in which the reminder was filed ([`super::Wheel::scrub`]), for want of room elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket(u64);

impl Bucket {
    pub(crate) fn new((index, bits): (usize, u32), round: u16) -> Self {
        Bucket((index as u64) << 24 | u64::from(round) << 8 | u64::from(bits))
    }

    pub(crate) fn number(self) -> (usize, u32) {
        ((self.0 >> 24) as usize, (self.0 & 0xFF) as u32)
    }

    pub(crate) fn round(self) -> u16 {
        (self.0 >> 8) as u16
    }

    /// One of those that came of it when the table was doubled so many times.
    #[inline]
    pub(crate) fn part(self, number: usize, doublings: u32) -> Self {
        let (index, bits) = self.number();
        Bucket::new((index | number << bits, bits + doublings), self.round())
    }
}

/// A reminder in a list.
pub(super) struct Ticket {
    pub(super) next: *mut Ticket,
    pub(super) reminder: Reminder,
    owned: Witness,
}

impl Ticket {
    pub(super) fn new(reminder: Reminder) -> Box<Self> {
        Box::new(Ticket { next: ptr::null_mut(), reminder, owned: Witness::default() })
    }
}

/// A list of tickets and its one owner.
pub(super) struct List {
    first: *mut Ticket,
    /// Whether they may have been taken before their time.
    is_early: bool,
}

impl Default for List {
    fn default() -> Self {
        List { first: ptr::null_mut(), is_early: false }
    }
}

/// The mark of an early list, in the address of its first ticket.
const EARLY: usize = 2;

impl List {
    /// # Safety
    ///
    /// `first` must come from [`List::into_raw`], or be the first of tickets, made from boxes, that are the caller's alone.
    pub(super) unsafe fn from_raw(first: *mut Ticket) -> Self {
        List { first: first.map_addr(|bits| bits & !EARLY), is_early: first.addr() & EARLY != 0 }
    }

    /// Gives the list away; null if it is empty.
    pub(super) fn into_raw(mut self) -> *mut Ticket {
        let early = if self.is_early && !self.is_empty() { EARLY } else { 0 };
        std::mem::replace(&mut self.first, ptr::null_mut()).map_addr(|bits| bits | early)
    }

    pub(super) fn taken_early(mut self) -> Self {
        self.is_early = true;
        self
    }

    pub(super) fn is_early(&self) -> bool {
        self.is_early
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Box<Ticket>> {
        if self.is_empty() {
            return None;
        }
        // SAFETY: the list owns its tickets, each of which was a box.
        let ticket = unsafe { Box::from_raw(self.first) };
        ticket.owned.touch();
        self.first = ticket.next;
        Some(ticket)
    }

    /// The buckets of the first two, as far as there are; has the third ticket fetched.
    #[inline]
    pub(super) fn ahead(&self) -> [Option<Bucket>; 2] {
        // SAFETY: the list owns its tickets; likewise below.
        let Some(first) = (unsafe { self.first.as_ref() }) else { return [None; 2] };
        // SAFETY: likewise.
        let second = unsafe { first.next.as_ref() };
        if let Some(second) = second {
            prefetch(second.next);
        }
        [Some(first.reminder.bucket), second.map(|second| second.reminder.bucket)]
    }

    pub(super) fn push(&mut self, mut ticket: Box<Ticket>) {
        ticket.next = self.first;
        self.first = Box::into_raw(ticket);
    }
}

impl Drop for List {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

/// Slots that are made together.
const IN_GROUP: usize = if cfg!(ttl_loom) { 4 } else { 32 };
const GROUPS: usize = SLOTS / IN_GROUP;

/// One level of the wheel. Its slots are made in groups, when first used, so that a small map's wheel is small.
pub(super) struct Level {
    /// Up to this position no slot has tickets from before the cursor came there.
    swept: AtomicU64,
    groups: [AtomicPtr<Group>; GROUPS],
}

struct Group {
    /// Which slots may have tickets: set after a push, cleared before a take.
    occupied: AtomicU64,
    slots: [Slot; IN_GROUP],
}

/// What is taken at one tick.
struct Slot {
    first: AtomicPtr<Ticket>,
    /// The earliest tick among the tickets, subtracted from the largest number; zero for none. A hint.
    earliest: AtomicU64,
}

impl Default for Group {
    fn default() -> Self {
        let slot = |_| Slot { first: AtomicPtr::default(), earliest: AtomicU64::new(0) };
        Group { occupied: AtomicU64::new(0), slots: std::array::from_fn(slot) }
    }
}

/// The thing of this address, made now if there is none.
pub(super) fn get_or_make<T>(place: &AtomicPtr<T>, new: impl FnOnce() -> T) -> &T {
    match existing(place) {
        Some(thing) => thing,
        None => make(place, new()),
    }
}

/// The thing of this address, if there is one. It is made once, and freed by the drop of whatever has the address.
#[inline]
pub(super) fn existing<T>(place: &AtomicPtr<T>) -> Option<&T> {
    // Acquire: the thing's fields; pairs with the CAS in `make` (W4).
    let thing = place.load(Ordering::Acquire);
    // SAFETY: set once, to a box, freed with `place`.
    unsafe { thing.as_ref() }
}

#[cold]
fn make<T>(place: &AtomicPtr<T>, new: T) -> &T {
    let new = Box::into_raw(Box::new(new));
    // Release: publishes the thing (W4). Acquire: that of another, if it came first.
    match place.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: as in `existing`.
        Ok(_) => unsafe { &*new },
        Err(theirs) => {
            // SAFETY: `new` was not published; `theirs` as in `existing`.
            unsafe {
                drop(Box::from_raw(new));
                &*theirs
            }
        }
    }
}

/// Frees the thing of this address, of which nobody has a reference any more.
///
/// # Safety
///
/// Only from the drop of whatever has the address.
pub(super) unsafe fn free<T>(place: &AtomicPtr<T>) {
    // Relaxed: `&mut self`, of the caller.
    let thing = place.load(Ordering::Relaxed);
    if !thing.is_null() {
        // SAFETY: from a box; the caller vouches for the rest.
        drop(unsafe { Box::from_raw(thing) });
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        // SAFETY: this is the drop.
        self.groups.iter().for_each(|group| unsafe { free(group) });
    }
}

impl Drop for Group {
    /// Drops all tickets. Each has its bit, as nobody is between push and bit any more.
    fn drop(&mut self) {
        // Relaxed: `&mut self`.
        let mut occupied = self.occupied.load(Ordering::Relaxed);
        while occupied != 0 {
            drop(self.take(occupied.trailing_zeros() as usize));
            occupied &= occupied - 1;
        }
    }
}

impl Level {
    /// A level of which all up to this position counts as swept.
    pub(super) fn new(swept: u64) -> Self {
        Level { swept: AtomicU64::new(swept), groups: std::array::from_fn(|_| AtomicPtr::default()) }
    }

    /// The memory of the slots.
    #[cfg(any(test, feature = "stats"))]
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.groups.iter().filter_map(existing).count() * size_of::<Group>()
    }

    /// The first position that may have tickets, among those not swept up to `to`.
    pub(super) fn first_unswept(&self, to: u64) -> Option<u64> {
        // Relaxed: nothing is read on the word of `swept`.
        let swept = self.swept.load(Ordering::Relaxed);
        // Of a wheel that lags by more than a turn every slot is looked at once.
        self.first_occupied((swept + 1).max((to + 1).saturating_sub(SLOTS as u64)), to)
    }

    /// Says that all up to this position was taken, or seen empty, after the cursor had come there.
    ///
    /// Position by position: a slot holds what was filed for the next time round, too, which is taken with the rest, and filed
    /// there again. It must not be met a second time.
    pub(super) fn set_swept(&self, to: u64) {
        self.swept.fetch_max(to, Ordering::Relaxed);
    }

    /// The first position, swept or not, that may have tickets.
    pub(super) fn first(&self, cursor: u64) -> Option<u64> {
        self.first_unswept(cursor).or_else(|| self.first_occupied(cursor + 1, u64::MAX))
    }

    pub(super) fn push(&self, position: u64, tick: u64, ticket: Box<Ticket>) {
        let (group, slot) = place_of(position);
        get_or_make(&self.groups[group], Group::default).push(slot, tick, ticket);
    }

    /// Takes all tickets of a position.
    pub(super) fn take(&self, position: u64) -> List {
        let (group, slot) = place_of(position);
        existing(&self.groups[group]).map(|group| group.take(slot)).unwrap_or_default()
    }

    /// Whether some ticket at this position, by the hint, is due at `tick`.
    pub(super) fn has_due(&self, position: u64, tick: u64) -> bool {
        let (group, slot) = place_of(position);
        // Relaxed: a hint.
        existing(&self.groups[group])
            .is_some_and(|group| group.slots[slot].earliest.load(Ordering::Relaxed) >= u64::MAX - tick)
    }

    /// The first position from `from` to `to` that may have tickets.
    pub(super) fn first_occupied(&self, from: u64, to: u64) -> Option<u64> {
        let (mut at, to) = (from, to.min(from + (SLOTS as u64 - 1)));
        while at <= to {
            let (group, slot) = place_of(at);
            // Relaxed: the fence before it in `Wheel::claim` orders it (W3).
            let occupied = existing(&self.groups[group]).map_or(0, |group| group.occupied.load(Ordering::Relaxed));
            match occupied >> slot {
                0 => at += (IN_GROUP - slot) as u64,
                rest => return Some(at + u64::from(rest.trailing_zeros())).filter(|&found| found <= to),
            }
        }
        None
    }

    /// The heads of all lists.
    #[cfg(test)]
    pub(super) fn lists(&self) -> impl Iterator<Item = *mut Ticket> {
        let groups = self.groups.iter().filter_map(existing);
        groups.flat_map(|group| group.slots.iter().map(|slot| slot.first.load(Ordering::Relaxed)))
    }
}

/// The group of a position, and the slot in it.
fn place_of(position: u64) -> (usize, usize) {
    let slot = slot_of(position);
    (slot / IN_GROUP, slot % IN_GROUP)
}

impl Group {
    fn push(&self, number: usize, tick: u64, ticket: Box<Ticket>) {
        let slot = &self.slots[number];
        let ticket = Box::into_raw(ticket);
        // Relaxed: the CAS decides.
        let mut first = slot.first.load(Ordering::Relaxed);
        loop {
            // SAFETY: not published yet.
            unsafe { (*ticket).next = first };
            // Release: publishes the ticket (W1). Acquire: that the hint was reset, if the list was taken (W9).
            match slot.first.compare_exchange_weak(first, ticket, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => break,
                Err(seen) => first = seen,
            }
        }
        let earliest = u64::MAX - tick;
        // Relaxed, both: a hint, after the push, so that one who resets it finds the ticket.
        if slot.earliest.load(Ordering::Relaxed) < earliest {
            slot.earliest.fetch_max(earliest, Ordering::Relaxed);
        }
        // Release: whoever clears the bit finds the ticket (W2).
        self.occupied.fetch_or(1 << number, Ordering::Release);
    }

    fn take(&self, number: usize) -> List {
        let slot = &self.slots[number];
        // Cleared first: who pushes after the swap sets it again. Acquire: the push of whoever set it (W2).
        self.occupied.fetch_and(!(1 << number), Ordering::Acquire);
        slot.earliest.store(0, Ordering::Relaxed);
        // Acquire: the tickets; pairs with the CAS in `push` (W1). Release: the hint, reset (W9).
        let first = slot.first.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: pushed from boxes, and the swap made them ours alone.
        unsafe { List::from_raw(first) }
    }
}

#[cfg(all(test, not(ttl_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn level(positions: &[u64]) -> Level {
        let level = Level::new(0);
        let reminder = Reminder { bucket: Bucket::new((0, 0), 0), due: Due::NONE, superseded: Due::NONE };
        positions.iter().for_each(|&at| level.push(at, at, Ticket::new(reminder)));
        level
    }

    #[test]
    fn bucket_tells_its_number_and_its_table() {
        let bucket = Bucket::new(((1 << 40) - 1, 40), 0xABCD);
        assert_eq!((bucket.number(), bucket.round()), (((1 << 40) - 1, 40), 0xABCD));
        let parts =
            |doublings: u32| (0usize..1 << doublings).map(move |number| Bucket::new((5, 3), 7).part(number, doublings));
        assert!(parts(1).eq([Bucket::new((5, 4), 7), Bucket::new((13, 4), 7)]));
        assert!(parts(2).eq([5, 13, 21, 29].map(|index| Bucket::new((index, 5), 7))));
    }

    proptest! {
        #[test]
        fn first_occupied_is_what_a_search_finds(
            base in 0u64..10_000,
            ahead in prop::collection::vec(0..SLOTS as u64, 0..6),
            (skip, len) in (0..SLOTS as u64, 0..400u64),
        ) {
            let positions: Vec<u64> = ahead.iter().map(|ahead| base + ahead).collect();
            let level = level(&positions);
            let from = base + skip;
            let to = (from + len).min(base + SLOTS as u64 - 1);
            let expected = (from..=to).find(|at| positions.contains(at));
            prop_assert_eq!(level.first_occupied(from, to), expected);
        }
    }

    #[test]
    fn take_takes_all_of_a_position() {
        let level = level(&[3, 5, 3]);
        let mut list = level.take(3);
        assert!(list.pop().is_some() && list.pop().is_some() && list.pop().is_none());
        assert_eq!(level.first_occupied(0, 10), Some(5));
        assert!(level.has_due(5, 5) && !level.has_due(5, 4));
        drop(level.take(5));
        assert_eq!(level.first_occupied(0, 10), None);
    }
}
