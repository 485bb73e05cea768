//! A bounded queue for any number of threads on either side, in which nobody waits for anybody.
//!
//! It is Vyukov's bounded queue (1024cores.net, "Bounded MPMC queue"): a slot carries a stamp that says whose turn it is, and
//! whoever moves the tail (or the head) past a slot owns it until he stamps it anew. Other queues of this kind wait, in a
//! loop, for one who is stopped between the two steps. Here a push that meets a slot that is still owned says that there is
//! no room, and a pop says that there is nothing yet. So a pusher that is stopped keeps back what comes after it, a popper
//! makes the queue look full, and that is all.
//!
//! Position `n` is slot `n % capacity` in lap `n / capacity`. In lap `l` a stamp of `2l` says free, `2l + 1` filled, and
//! `2l + 2` free for the next lap. All zeroes are an empty queue, so that a large one costs nothing until it is filled.

use std::cmp::Ordering::{Equal, Greater, Less};
use std::panic::{RefUnwindSafe, UnwindSafe};

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicU64, Hole, Lines, Ordering, Zeroable};
use crate::unwind::contain;

pub(super) struct Ring<T> {
    /// None where there was no memory for a single one.
    slots: Option<Lines<Slot<T>>>,
    capacity: u64,
    /// The position of the next push; moved by who then owns the slot.
    tail: CachePadded<AtomicU64>,
    /// The position of the next pop, likewise.
    head: CachePadded<AtomicU64>,
}

struct Slot<T> {
    /// Written by the slot's owner, when he is done with it.
    stamp: AtomicU64,
    value: Hole<T>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Slot { stamp: AtomicU64::new(0), value: Hole::default() }
    }
}

// SAFETY: a stamp may be zero and needs no drop; a hole may be anything and needs none.
unsafe impl<T> Zeroable for Slot<T> {}

// SAFETY: the ring owns its values; who sends it sends them.
unsafe impl<T: Send> Send for Ring<T> {}
// SAFETY: a shared ring hands each value to one thread; none is shared. The stamps order the accesses (E1, E2).
unsafe impl<T: Send> Sync for Ring<T> {}

// A value is put in and taken out as a whole, and no code of its own runs meanwhile.
impl<T> UnwindSafe for Ring<T> {}
impl<T> RefUnwindSafe for Ring<T> {}

impl<T> Ring<T> {
    /// A queue for as many values, or for half, a quarter and so on, where memory for more can't be had.
    pub(super) fn new(capacity: usize) -> Self {
        let mut capacity = capacity.max(1);
        let mut slots = Lines::new(capacity);
        while slots.is_none() && capacity > 0 {
            capacity /= 2;
            slots = Lines::new(capacity);
        }
        let zero = || CachePadded::new(AtomicU64::new(0));
        Ring { slots, capacity: capacity as u64, tail: zero(), head: zero() }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// The slot of a position, and the stamp that says it is free then.
    #[inline]
    fn slot(&self, at: u64) -> Option<(&Slot<T>, u64)> {
        let slots = self.slots.as_ref()?;
        let (lap, n) = (at / self.capacity, at % self.capacity);
        // SAFETY: there are `capacity` slots, which live as long as the ring.
        Some((unsafe { &*slots.as_ptr().add(n as usize) }, 2 * lap))
    }

    /// Puts a value at the end, or gives it back: there is no room, or none yet.
    pub(super) fn push(&self, value: T) -> Result<(), T> {
        // Relaxed: the stamp tells whether it is out of date, and the CAS decides.
        let mut at = self.tail.load(Ordering::Relaxed);
        loop {
            let Some((slot, free)) = self.slot(at) else { return Err(value) };
            // Acquire: what was there has been taken out; pairs with the store in `pop` (E1).
            match slot.stamp.load(Ordering::Acquire).cmp(&free) {
                Less => return Err(value),
                // Somebody has had this position: the tail moved before he stamped it.
                Greater => at = self.tail.load(Ordering::Relaxed),
                // Relaxed: the slot is free already, and the stamps order who uses it.
                Equal => match self.tail.compare_exchange(at, at + 1, Ordering::Relaxed, Ordering::Relaxed) {
                    Err(seen) => at = seen,
                    Ok(_) => {
                        // SAFETY: the CAS gave us this position, and the slot is free for it, so it is empty and ours.
                        unsafe { slot.value.put(value) };
                        // Release: the value; pairs with the load in `first` (E2).
                        slot.stamp.store(free + 1, Ordering::Release);
                        return Ok(());
                    }
                },
            }
        }
    }

    /// Takes the first value; None if there is none, or if whoever puts it there isn't done.
    pub(super) fn pop(&self) -> Option<T> {
        loop {
            let (slot, at, free) = self.first()?;
            // Relaxed: the stamps order who uses the slot.
            if self.head.compare_exchange(at, at + 1, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                // SAFETY: the CAS gave us this position, and the slot was filled for it (E2), so the value is ours.
                let value = unsafe { slot.value.take() };
                // Release: it is out; pairs with the load in `push` (E1).
                slot.stamp.store(free + 2, Ordering::Release);
                return Some(value);
            }
        }
    }

    /// Whether the next pop would find a value.
    pub(super) fn is_ready(&self) -> bool {
        self.first().is_some()
    }

    /// The slot of the first value, its position, and its stamp when it was free.
    #[inline]
    fn first(&self) -> Option<(&Slot<T>, u64, u64)> {
        // Relaxed: as in `push`.
        let mut at = self.head.load(Ordering::Relaxed);
        loop {
            let (slot, free) = self.slot(at)?;
            // Acquire: the value; pairs with the store in `push` (E2).
            match slot.stamp.load(Ordering::Acquire).cmp(&(free + 1)) {
                Less => return None,
                Equal => return Some((slot, at, free)),
                // Somebody has had this position: the head moved before he stamped it.
                Greater => at = self.head.load(Ordering::Relaxed),
            }
        }
    }

    /// Whether there is no room, about. A hint, for who would have to make the value first.
    pub(super) fn looks_full(&self) -> bool {
        // Relaxed, both: a hint.
        let at = self.tail.load(Ordering::Relaxed);
        self.slot(at).is_none_or(|(slot, free)| slot.stamp.load(Ordering::Relaxed) < free)
    }

    /// Drops all that is there, whatever the destructors do.
    pub(super) fn drain(&self) {
        while let Some(value) = self.pop() {
            contain(|| drop(value));
        }
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        self.drain();
        if let Some(slots) = &self.slots {
            // SAFETY: freed once, by their owner, who uses them no more.
            unsafe { slots.free() };
        }
    }
}

#[cfg(all(test, not(ttl_loom)))]
mod tests {
    use super::*;

    #[test]
    fn values_come_in_order_lap_after_lap() {
        for capacity in [1, 2, 3, 7, 8] {
            let ring = Ring::new(capacity);
            assert_eq!(ring.capacity(), capacity);
            let (mut pushed, mut popped) = (0, 0);
            for round in 0..5 * capacity as u64 {
                // From empty to as full as this round makes it, and back.
                let many = round % (capacity as u64 + 1);
                for _ in 0..many {
                    assert_eq!(ring.push(pushed), Ok(()));
                    pushed += 1;
                }
                assert_eq!(ring.looks_full(), many == capacity as u64);
                assert_eq!(ring.push(u64::MAX).is_err(), many == capacity as u64);
                if many < capacity as u64 {
                    (0..many).for_each(|n| assert_eq!(ring.pop(), Some(popped + n)));
                    assert_eq!(ring.pop(), Some(u64::MAX));
                } else {
                    (0..many).for_each(|n| assert_eq!(ring.pop(), Some(popped + n)));
                }
                popped += many;
                assert!(!ring.is_ready());
                assert_eq!(ring.pop(), None);
            }
        }
    }

    #[test]
    fn a_capacity_that_can_not_be_had_is_halved() {
        assert_eq!(Ring::<u64>::new(0).capacity(), 1);
        for wanted in [usize::MAX, usize::MAX / 2, usize::MAX / size_of::<Slot<u64>>() + 1] {
            let ring = Ring::new(wanted);
            assert!((1..wanted).contains(&ring.capacity()), "{wanted}");
            assert_eq!((ring.push(7), ring.pop()), (Ok(()), Some(7)));
        }
    }

    #[test]
    fn a_ring_without_memory_has_no_room() {
        let ring = Ring::<u64>::none();
        assert!(ring.looks_full() && !ring.is_ready() && ring.pop().is_none());
        assert_eq!(ring.capacity(), 0);
    }

    impl<T> Ring<T> {
        /// As if there was no memory for a single value.
        fn none() -> Self {
            let zero = || CachePadded::new(AtomicU64::new(0));
            Ring { slots: None, capacity: 0, tail: zero(), head: zero() }
        }
    }

    #[test]
    fn one_who_is_stopped_in_a_push_holds_back_what_comes_after_it_and_nobody() {
        let ring = Ring::new(3);
        assert_eq!(ring.push(0), Ok(()));
        // He owns the slot, and goes no further.
        let at = ring.tail.fetch_add(1, Ordering::Relaxed);
        assert_eq!((ring.push(2), ring.push(3)), (Ok(()), Err(3)));
        assert_eq!((ring.pop(), ring.pop()), (Some(0), None));
        assert_eq!((ring.push(3), ring.push(4)), (Ok(()), Err(4)));
        assert!(!ring.is_ready());
        let (slot, free) = ring.slot(at).unwrap();
        // SAFETY: as in `push`.
        unsafe { slot.value.put(1) };
        slot.stamp.store(free + 1, Ordering::Release);
        assert_eq!([ring.pop(), ring.pop(), ring.pop(), ring.pop()], [Some(1), Some(2), Some(3), None]);
    }

    #[test]
    fn one_who_is_stopped_in_a_pop_makes_the_queue_look_full_and_stops_nobody() {
        let ring = Ring::new(2);
        assert_eq!((ring.push(0), ring.push(1)), (Ok(()), Ok(())));
        let at = ring.head.fetch_add(1, Ordering::Relaxed);
        assert_eq!((ring.pop(), ring.push(2)), (Some(1), Err(2)));
        assert!(ring.looks_full() && ring.pop().is_none());
        let (slot, free) = ring.slot(at).unwrap();
        // SAFETY: as in `pop`.
        assert_eq!(unsafe { slot.value.take() }, 0);
        slot.stamp.store(free + 2, Ordering::Release);
        assert_eq!((ring.push(2), ring.push(3), ring.push(4)), (Ok(()), Ok(()), Err(4)));
        assert_eq!([ring.pop(), ring.pop(), ring.pop()], [Some(2), Some(3), None]);
    }

    #[test]
    fn what_is_left_is_dropped_once() {
        let left = std::sync::Arc::new(());
        let ring = Ring::new(3);
        (0..3).for_each(|_| assert!(ring.push(left.clone()).is_ok()));
        drop(ring.pop());
        assert_eq!(std::sync::Arc::strong_count(&left), 3);
        drop(ring);
        assert_eq!(std::sync::Arc::strong_count(&left), 1);
    }
}
