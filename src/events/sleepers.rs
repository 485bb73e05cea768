//! Those who sleep until there is something to receive, and how one of them is found without a lock.
//!
//! Who wants to sleep has a *seat*, of which there are as many as have ever slept at once. He leaves his waker in it (arms it),
//! says so by a bit, and looks for events once more. Who brings an event looks at the bits behind it: with a SeqCst fence
//! on both sides one of the two sees the other (E3). A waker belongs to whoever swaps it out of its seat: a waking thread, by
//! which the sleeper is *chosen*, or the sleeper himself, who disarms the seat. So nobody waits for a look at a waker to end.
//!
//! The bit only says where to look. It is set after the waker is there, and taken back before the waker is: in that order a
//! waker without its bit belongs to somebody who is about to wake it.
//!
//! One event wakes one sleeper. Who was chosen and then leaves, because he was cancelled or his time is over, has to pass
//! that on; that is `channel.rs`'s business.

use std::ptr;
use std::task::Waker;

use crate::sync::{AtomicPtr, AtomicU64, Ordering, Witness, fence};
use crate::unwind::contain;

/// Seats of a group: a word's bits. In models two, so that there are more groups than one.
const SEATS: usize = if cfg!(ttl_loom) { 2 } else { 64 };

const ALL: u64 = u64::MAX >> (64 - SEATS);

/// A seat, by its number; for its owner alone, who took it and gives it back.
pub(super) struct Seat(usize);

#[derive(Default)]
pub(super) struct Sleepers {
    first: Group,
}

struct Group {
    /// Seats with a waker, about. Set by the owner, taken back by who is about to take the waker.
    asleep: AtomicU64,
    /// Seats with an owner.
    taken: AtomicU64,
    /// A waker, or null. Filled by the owner, emptied by anyone.
    seats: [AtomicPtr<Sleeper>; SEATS],
    /// Null until there are more who sleep. Set once, freed by `drop`.
    next: AtomicPtr<Group>,
}

impl Default for Group {
    fn default() -> Self {
        let seats = std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut()));
        Group { asleep: AtomicU64::new(0), taken: AtomicU64::new(0), seats, next: AtomicPtr::new(ptr::null_mut()) }
    }
}

struct Sleeper {
    waker: Waker,
    owned: Witness,
}

impl Sleepers {
    /// Takes a seat for one who wants to sleep.
    pub(super) fn take_seat(&self) -> Seat {
        let (mut group, mut before) = (&self.first, 0);
        loop {
            if let Some(n) = group.take_seat() {
                return Seat(before + n);
            }
            // Only those who want to sleep come here.
            (group, before) = (group.next_for_good(), before + SEATS);
        }
    }

    /// Gives a seat back, which is disarmed.
    pub(super) fn give_back(&self, seat: Seat) {
        let (group, n) = self.place(&seat);
        // Release: it is empty; pairs with the CAS in `take_seat` (E6).
        group.taken.fetch_and(!(1 << n), Ordering::Release);
    }

    /// Leaves a waker in a seat that has none. The caller looks for events behind this.
    pub(super) fn arm(&self, seat: &Seat, waker: Waker) {
        let (group, n) = self.place(seat);
        let sleeper = Box::into_raw(Box::new(Sleeper { waker, owned: Witness::default() }));
        // Release: the waker; pairs with the swap in `take` (E4). A store would do; but loom takes a store that comes after
        // a swap for one that may have come before it.
        let before = group.seats[n].swap(sleeper, Ordering::Release);
        debug_assert!(before.is_null(), "a seat has one owner, who has disarmed it");
        // Release: the waker is there before the bit; pairs with the `fetch_and` in `take` (E5).
        group.asleep.fetch_or(1 << n, Ordering::Release);
        // SeqCst fence: the bit before the last look; pairs with the one in `each` (E3):
        // - if ours comes first, who brings an event sees the bit;
        // - if theirs comes first, we see the event.
        fence(Ordering::SeqCst);
    }

    /// Takes the waker back; false if somebody else has: the sleeper was chosen, and is awake, or about to be woken.
    pub(super) fn disarm(&self, seat: &Seat) -> bool {
        let (group, n) = self.place(seat);
        match group.take(n) {
            None => false,
            Some(sleeper) => {
                contain(|| drop(sleeper));
                true
            }
        }
    }

    /// Wakes one who sleeps, if any does. What he is to find is there before the call.
    ///
    /// Who was asleep before the call and is passed over was woken by others, or woke up by himself, and looks again or
    /// passes it on; who falls asleep during it sees what is there (E3). So one look at the bits is enough.
    #[inline]
    pub(super) fn wake_one(&self) {
        self.each(|sleeper| {
            contain(|| sleeper.waker.wake());
            false
        });
    }

    /// Wakes all who sleep.
    pub(super) fn wake_all(&self) {
        self.each(|sleeper| {
            contain(|| sleeper.waker.wake());
            true
        });
    }

    /// Takes sleepers out of their seats, as long as `go_on` says so.
    #[inline]
    fn each(&self, mut go_on: impl FnMut(Box<Sleeper>) -> bool) {
        // SeqCst fence: the event before the look at who sleeps; pairs with the one in `arm` (E3).
        fence(Ordering::SeqCst);
        let mut next = Some(&self.first);
        while let Some(group) = next {
            // Relaxed: behind the fence.
            let mut asleep = group.asleep.load(Ordering::Relaxed);
            while asleep != 0 {
                let n = asleep.trailing_zeros() as usize;
                asleep &= asleep - 1;
                if group.take(n).is_some_and(|sleeper| !go_on(sleeper)) {
                    return;
                }
            }
            next = group.next();
        }
    }

    fn place(&self, seat: &Seat) -> (&Group, usize) {
        let mut group = &self.first;
        for _ in 0..seat.0 / SEATS {
            group = group.next_for_good();
        }
        (group, seat.0 % SEATS)
    }
}

impl Group {
    fn next(&self) -> Option<&Group> {
        // Acquire: its fields; pairs with the CAS in `next_for_good` (E9).
        let next = self.next.load(Ordering::Acquire);
        // SAFETY: null, or from a box that only `drop` frees.
        unsafe { next.as_ref() }
    }

    fn next_for_good(&self) -> &Group {
        if let Some(next) = self.next() {
            return next;
        }
        let new = Box::into_raw(Box::<Group>::default());
        // Release: publishes its fields (E9). Acquire: those of another's, if that came first.
        match self.next.compare_exchange(ptr::null_mut(), new, Ordering::Release, Ordering::Acquire) {
            // SAFETY: published just now, and only `drop` frees it.
            Ok(_) => unsafe { &*new },
            Err(theirs) => {
                // SAFETY: `new` was not published; only `drop` frees theirs.
                unsafe {
                    drop(Box::from_raw(new));
                    &*theirs
                }
            }
        }
    }

    fn take_seat(&self) -> Option<usize> {
        // Relaxed: the CAS decides.
        let mut taken = self.taken.load(Ordering::Relaxed);
        while taken != ALL {
            let n = taken.trailing_ones() as usize;
            // Acquire: the last owner has emptied it; pairs with `give_back` (E6).
            match self.taken.compare_exchange(taken, taken | 1 << n, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(n),
                Err(seen) => taken = seen,
            }
        }
        None
    }

    /// Takes the waker out of a seat.
    fn take(&self, n: usize) -> Option<Box<Sleeper>> {
        // The bit first: else it might be that of the next waker, which would have none then.
        // Acquire: the waker that came before the bit; pairs with `arm` (E5).
        self.asleep.fetch_and(!(1 << n), Ordering::Acquire);
        // Acquire: the waker; pairs with `arm` (E4). Release: the event, for a sleeper who finds that he was chosen, and
        // passes it on; pairs with this very swap (E7).
        let sleeper = self.seats[n].swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: from a box in `arm`; the swap hands it to one.
        let sleeper = (!sleeper.is_null()).then(|| unsafe { Box::from_raw(sleeper) })?;
        sleeper.owned.touch();
        Some(sleeper)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Relaxed: `&mut self`; all that others did happened before. The seats are empty: who has one keeps the channel.
        let next = self.next.swap(ptr::null_mut(), Ordering::Relaxed);
        if !next.is_null() {
            // SAFETY: from a box, and taken out just now.
            drop(unsafe { Box::from_raw(next) });
        }
    }
}
