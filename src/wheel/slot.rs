//! Tickets, lists of them, and a level's slots: lock-free stacks, of which one pushes one ticket and another takes all.
//!
//! Both by read-modify-write of the slot's head (Treiber's stack, without its pop, and so without its ABA problem).

use std::ptr;

use super::geometry::{Due, SLOTS, slot_of};
use crate::sync::{AtomicPtr, AtomicU64, Lines, Ordering, Witness, Zeroable};

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

    /// The two that came of it when the table was doubled.
    pub(crate) fn halves(self) -> [Self; 2] {
        let (index, bits) = self.number();
        [index, index | 1 << bits].map(|index| Bucket::new((index, bits + 1), self.round()))
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
#[derive(Default)]
pub(super) struct List {
    first: *mut Ticket,
    /// Whether they may have been taken before their time.
    is_early: bool,
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

/// Words of a level's bitmap.
const WORDS: usize = SLOTS.div_ceil(64);

/// One level of the wheel.
#[repr(align(64))]
pub(super) struct Level {
    /// Which slots may have tickets: set after a push, cleared before a take.
    occupied: [AtomicU64; WORDS],
    slots: [Slot; SLOTS],
}

/// What is taken at one tick.
struct Slot {
    first: AtomicPtr<Ticket>,
    /// The earliest tick among the tickets, subtracted from the largest number; zero for none. A hint.
    earliest: AtomicU64,
}

impl Default for Level {
    fn default() -> Self {
        Level {
            occupied: std::array::from_fn(|_| AtomicU64::new(0)),
            slots: std::array::from_fn(|_| Slot { first: AtomicPtr::default(), earliest: AtomicU64::new(0) }),
        }
    }
}

// SAFETY: atomics and null pointers, for which zeroes are the default value.
unsafe impl Zeroable for Level {}

impl Level {
    /// None where the memory can't be had.
    pub(super) fn new() -> Option<Lines<Level>> {
        Lines::new(1)
    }

    pub(super) fn push(&self, position: u64, tick: u64, ticket: Box<Ticket>) {
        let slot = &self.slots[slot_of(position)];
        let ticket = Box::into_raw(ticket);
        // Relaxed: the CAS decides.
        let mut first = slot.first.load(Ordering::Relaxed);
        loop {
            // SAFETY: not published yet.
            unsafe { (*ticket).next = first };
            // Release: publishes the ticket (W1).
            match slot.first.compare_exchange_weak(first, ticket, Ordering::Release, Ordering::Relaxed) {
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
        self.occupied[slot_of(position) / 64].fetch_or(bit_of(position), Ordering::Release);
    }

    /// Takes all tickets of a position.
    pub(super) fn take(&self, position: u64) -> List {
        let slot = &self.slots[slot_of(position)];
        // Cleared first: who pushes after the swap sets it again. Acquire: the push of whoever set it (W2).
        self.occupied[slot_of(position) / 64].fetch_and(!bit_of(position), Ordering::Acquire);
        slot.earliest.store(0, Ordering::Relaxed);
        // Acquire: the tickets; pairs with the CAS in `push` (W1).
        let first = slot.first.swap(ptr::null_mut(), Ordering::Acquire);
        // SAFETY: pushed from boxes, and the swap made them ours alone.
        unsafe { List::from_raw(first) }
    }

    /// Whether some ticket at this position, by the hint, is due at `tick`.
    pub(super) fn has_due(&self, position: u64, tick: u64) -> bool {
        // Relaxed: a hint.
        self.slots[slot_of(position)].earliest.load(Ordering::Relaxed) >= u64::MAX - tick
    }

    /// The first position from `from` to `to` that may have tickets.
    pub(super) fn first_occupied(&self, from: u64, to: u64) -> Option<u64> {
        let (mut at, to) = (from, to.min(from + (SLOTS as u64 - 1)));
        while at <= to {
            let slot = slot_of(at);
            // Relaxed: the fence before it in `Wheel::claim` orders it (W3).
            let rest = self.occupied[slot / 64].load(Ordering::Relaxed) >> (slot % 64);
            let left_in_word = 64.min(SLOTS - slot / 64 * 64) - slot % 64;
            match rest {
                0 => at += left_in_word as u64,
                _ => return Some(at + u64::from(rest.trailing_zeros())).filter(|&found| found <= to),
            }
        }
        None
    }

    /// The heads of all lists.
    #[cfg(test)]
    pub(super) fn lists(&self) -> impl Iterator<Item = *mut Ticket> {
        self.slots.iter().map(|slot| slot.first.load(Ordering::Relaxed))
    }

    /// Drops all tickets. Nobody else may use the level any more: every ticket has its bit then.
    pub(super) fn clear(&self) {
        while let Some(position) = self.first_occupied(0, SLOTS as u64 - 1) {
            drop(self.take(position));
        }
    }
}

fn bit_of(position: u64) -> u64 {
    1 << (slot_of(position) % 64)
}

#[cfg(all(test, not(ttl_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn level(positions: &[u64]) -> Level {
        let level = Level::default();
        let reminder = Reminder { bucket: Bucket::new((0, 0), 0), due: Due::NONE, superseded: Due::NONE };
        positions.iter().for_each(|&at| level.push(at, at, Ticket::new(reminder)));
        level
    }

    #[test]
    fn bucket_tells_its_number_and_its_table() {
        let bucket = Bucket::new(((1 << 40) - 1, 40), 0xABCD);
        assert_eq!((bucket.number(), bucket.round()), (((1 << 40) - 1, 40), 0xABCD));
        assert_eq!(Bucket::new((5, 3), 7).halves(), [Bucket::new((5, 4), 7), Bucket::new((13, 4), 7)]);
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
            level.clear();
        }
    }

    #[test]
    fn take_takes_all_of_a_position() {
        let level = level(&[3, 5, 3]);
        let mut list = level.take(3);
        assert!(list.pop().is_some() && list.pop().is_some() && list.pop().is_none());
        assert_eq!(level.first_occupied(0, 10), Some(5));
        assert!(level.has_due(5, 5) && !level.has_due(5, 4));
        level.clear();
        assert_eq!(level.first_occupied(0, 10), None);
    }
}
