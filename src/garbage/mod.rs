//! What was unlinked and not yet freed: a map keeps its own, so that nothing outlives it.
//!
//! A collector that keeps garbage itself, as `crossbeam-epoch` does, would run foreign destructors inside a reader's pin,
//! keep a dropped map's garbage in other threads' bags, and lose the rest of a bag to one panicking destructor. Here full batches wait in the map for
//! their grace period, whoever writes frees a few, and the map's drop frees all that is left.
//!
//! The batches are in shards, a [`Bag`] each. Who retires takes a shard's bag by a swap, works on it alone, and puts it
//! back; a bag that is taken is passed over for the next one. So no step waits for another's, and a thread that stops with a bag in
//! hand keeps from others what is in it, as any stopped reader does, and nothing else.
//!
//! No destructor runs while a bag is taken: what may be freed is handed out first. A destructor that uses the map
//! finds it as it would anywhere else.

#[cfg(any(test, not(ttl_loom)))]
mod asymmetric;
mod batch;
#[cfg(any(test, not(ttl_loom)))]
pub(crate) mod epoch;
#[cfg_attr(ttl_loom, path = "spec.rs")]
mod pin;

use std::ptr;

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicPtr, AtomicUsize, Ordering, Witness, shard_count};
#[cfg(any(test, feature = "stats"))]
pub(crate) use batch::LISTED;
pub(crate) use batch::{BATCH, Retired};
use batch::{Bag, Things};
pub(crate) use pin::{Grace, Guard, Scan, pin};

/// Things freed by a write that retires one, or by one of four that retire none.
pub(crate) const FREED_A_STEP: usize = 4;

/// While a shard has no more things than this whose grace period has started, a write frees one, on average.
const PACED: usize = 4 * BATCH;

/// Writes of a thread between two looks at another shard, and how many times as much as in a step is freed then.
const TURNS_A_VISIT: usize = 16;
pub(crate) const STEPS_A_VISIT: usize = 8;

pub(crate) struct Garbage {
    /// Made when the first thing is retired.
    shards: AtomicPtr<Box<[CachePadded<Shard>]>>,
    /// Bags of one thing each, retired while every shard was taken.
    spill: AtomicPtr<Spilt>,
}

#[derive(Default)]
struct Shard {
    /// Null before first use, TAKEN while somebody works on it.
    bag: AtomicPtr<Bag>,
    /// How many things are in the bag, and in its sealed batches; written by whoever has it.
    len: AtomicUsize,
    sealed: AtomicUsize,
    /// Counts what the shard's own threads write, about; and the count when another last looked.
    turns: AtomicUsize,
    turns_seen: AtomicUsize,
    /// Counts those that retire nothing, about. A count of its own: writes that take turns with others would always come at the same of four.
    idle_turns: AtomicUsize,
}

struct Spilt {
    thing: Retired,
    next: *mut Spilt,
    owned: Witness,
}

/// What a step may free, to be freed when no bag is held.
pub(crate) struct Free {
    /// The first so many count.
    things: [Retired; FREED_A_STEP],
    len: usize,
}

impl Default for Free {
    #[inline]
    fn default() -> Self {
        Free { things: [ptr::null_mut(); FREED_A_STEP], len: 0 }
    }
}

impl Free {
    #[inline]
    fn push(&mut self, thing: Retired) {
        self.things[self.len] = thing;
        self.len += 1;
    }
}

impl Iterator for Free {
    type Item = Retired;

    #[inline]
    fn next(&mut self) -> Option<Retired> {
        self.len = self.len.checked_sub(1)?;
        Some(self.things[self.len])
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len, Some(self.len))
    }
}

impl ExactSizeIterator for Free {}

impl Garbage {
    pub(crate) fn new() -> Self {
        pin::prepare();
        Garbage { shards: AtomicPtr::new(ptr::null_mut()), spill: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Takes a thing that nobody who pins from now on can reach; hands out a few that nobody can reach any more, and says
    /// whether nothing else waited where it is kept.
    #[inline]
    pub(crate) fn exchange(&self, thing: Retired, guard: &Guard, is_first: &mut bool) -> Free {
        self.retire_then(thing, guard, is_first, |taken| taken.hand_out(guard))
    }

    /// Takes a thing that nobody who pins from now on can reach; says whether nothing else waited where it is kept.
    pub(crate) fn retire(&self, thing: Retired, guard: &Guard) -> bool {
        self.retire_all([thing].into_iter(), guard)
    }

    /// The same for several at once.
    #[inline]
    pub(crate) fn retire_all(&self, mut things: impl Iterator<Item = Retired>, guard: &Guard) -> bool {
        let mut is_first = false;
        let Some(first) = things.next() else { return false };
        let rest = |mut taken: Taken<'_>| {
            things.by_ref().for_each(|thing| taken.bag().push(thing, guard));
        };
        self.retire_then(first, guard, &mut is_first, rest);
        // Of the rest, if no shard was free.
        things.for_each(|thing| self.spill(thing));
        is_first
    }

    /// As [`Garbage::retire`], for something so large that it must not wait for a batch to be full.
    pub(crate) fn retire_large(&self, thing: Retired, guard: &Guard) -> bool {
        let mut is_first = false;
        self.retire_then(thing, guard, &mut is_first, |mut taken| taken.bag().seal(guard));
        is_first
    }

    #[inline]
    fn retire_then<R: Default>(
        &self,
        thing: Retired,
        guard: &Guard,
        is_first: &mut bool,
        then: impl FnOnce(Taken<'_>) -> R,
    ) -> R {
        let shards = self.shards();
        let taken = shard_of(shards, guard.thread_number()).take().or_else(|| Self::take_another(shards, guard));
        let Some(mut taken) = taken else {
            *is_first = true;
            self.spill(thing);
            return R::default();
        };
        *is_first = taken.bag().lens().1 == 0;
        taken.bag().push(thing, guard);
        then(taken)
    }

    /// Takes a bag that isn't taken: each shard is looked at once, and passed over, not waited for.
    #[cold]
    fn take_another<'s>(shards: &'s [CachePadded<Shard>], guard: &Guard) -> Option<Taken<'s>> {
        (1..shards.len()).find_map(|n| shard_of(shards, guard.thread_number() + n).take())
    }

    /// Hands out a few things that nobody can reach any more, from the thread's own shard.
    #[inline]
    pub(crate) fn collect(&self, guard: &Guard) -> Free {
        let Some(shards) = self.existing() else { return Free::default() };
        self.take_to_collect(shards, guard).map_or_else(Free::default, |taken| taken.hand_out(guard))
    }

    /// The same for a write that retires nothing: as much, but while there is little, one of four such writes does it for all.
    #[inline]
    pub(crate) fn collect_in_turn(&self, guard: &Guard) -> Free {
        let Some(shards) = self.existing() else { return Free::default() };
        let shard = shard_of(shards, guard.thread_number());
        // Relaxed, all: as in `turn`, and a hint.
        let turns = shard.idle_turns.load(Ordering::Relaxed).wrapping_add(1);
        shard.idle_turns.store(turns, Ordering::Relaxed);
        let is_much = shard.sealed.load(Ordering::Relaxed) > PACED;
        if is_much || turns % FREED_A_STEP == 0 { self.collect_all(shards, guard) } else { Free::default() }
    }

    fn collect_all(&self, shards: &[CachePadded<Shard>], guard: &Guard) -> Free {
        let mut free = Free::default();
        if let Some(mut taken) = self.take_to_collect(shards, guard) {
            // Each asks, also where nothing is ready: asking helps grace periods on.
            (0..FREED_A_STEP).filter_map(|_| taken.bag().pop(guard)).for_each(|thing| free.push(thing));
        }
        free
    }

    /// Takes the thread's own shard, if there may be something to free.
    #[inline]
    fn take_to_collect<'s>(&self, shards: &'s [CachePadded<Shard>], guard: &Guard) -> Option<Taken<'s>> {
        let shard = shard_of(shards, guard.thread_number());
        // Relaxed: a hint; the bag decides.
        if shard.sealed.load(Ordering::Relaxed) == 0 && self.spill.load(Ordering::Relaxed).is_null() {
            return None;
        }
        let mut taken = shard.take()?;
        self.unspill(taken.bag(), guard);
        Some(taken)
    }

    /// Counts a write of this thread. Now and then it names another shard, whose threads may be gone, to be looked
    /// after by [`Garbage::flush`].
    #[inline]
    pub(crate) fn turn(&self, guard: &Guard) -> Option<usize> {
        let shards = self.existing()?;
        let own = shard_of(shards, guard.thread_number());
        // Relaxed, all: what is lost of a count makes a visit come later, or to a shard that could do without.
        let turns = own.turns.load(Ordering::Relaxed).wrapping_add(1);
        own.turns.store(turns, Ordering::Relaxed);
        if turns % TURNS_A_VISIT == 0 { Self::visit(shards, turns / TURNS_A_VISIT) } else { None }
    }

    #[cold]
    fn visit(shards: &[CachePadded<Shard>], other: usize) -> Option<usize> {
        let shard = shard_of(shards, other);
        // Relaxed, all: as in `turn`.
        let turns = shard.turns.load(Ordering::Relaxed);
        let idle = shard.turns_seen.swap(turns, Ordering::Relaxed) == turns;
        (idle && shard.len.load(Ordering::Relaxed) > 0).then_some(other)
    }

    /// Starts the grace period of all that is in a shard, and hands out a few things.
    pub(crate) fn flush(&self, n: usize, guard: &Guard) -> Free {
        self.sealed(n, guard).map_or_else(Free::default, |taken| taken.hand_out(guard))
    }

    /// Starts the grace period of all that is in a shard.
    pub(crate) fn seal(&self, n: usize, guard: &Guard) {
        drop(self.sealed(n, guard));
    }

    /// As [`Garbage::flush`], but hands out all that is left of a batch.
    pub(crate) fn flush_batch(&self, n: usize, guard: &Guard) -> Things {
        self.sealed(n, guard).map_or_else(Things::default, |mut taken| taken.bag().pop_batch(guard))
    }

    /// Takes a shard's bag, if nobody has it, and starts the grace period of all that is in it.
    fn sealed(&self, n: usize, guard: &Guard) -> Option<Taken<'_>> {
        let mut taken = shard_of(self.existing()?, n).take()?;
        self.unspill(taken.bag(), guard);
        taken.bag().seal(guard);
        Some(taken)
    }

    /// How many shards there are.
    pub(crate) fn shard_count(&self) -> usize {
        self.existing().map_or(0, |shards| shards.len())
    }

    /// How many things are retired and not freed, about.
    pub(crate) fn len(&self) -> usize {
        // Relaxed: a statistic.
        self.existing().map_or(0, |shards| shards.iter().map(|shard| shard.len.load(Ordering::Relaxed)).sum())
    }

    /// Whether nothing waits to be freed. What was retired before a SeqCst fence is seen behind another that follows it.
    pub(crate) fn is_empty(&self) -> bool {
        // Relaxed: behind fences, where it matters (R4).
        self.spill.load(Ordering::Relaxed).is_null() && self.len() == 0
    }

    /// Hands all that is left to `free`, which must not unwind.
    pub(crate) fn drain(&mut self, free: &mut dyn FnMut(Retired)) {
        // Relaxed, here and below: `&mut self`; all that others did happened before.
        let shards = self.shards.swap(ptr::null_mut(), Ordering::Relaxed);
        if !shards.is_null() {
            // SAFETY: made from a box in `shards()`, and taken out just now.
            for shard in unsafe { Box::from_raw(shards) }.iter() {
                let bag = shard.bag.swap(ptr::null_mut(), Ordering::Relaxed);
                if !bag.is_null() {
                    // SAFETY: bags are made from boxes, and nobody has this one taken.
                    unsafe { Box::from_raw(bag) }.drain().for_each(&mut *free);
                }
            }
        }
        let spill = self.spill.swap(ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: the list was taken out just now.
        unsafe { unlist(spill, free) };
    }

    #[inline]
    fn existing(&self) -> Option<&[CachePadded<Shard>]> {
        // Acquire: the shards' fields; pairs with the CAS in `make_shards` (O8).
        let shards = self.shards.load(Ordering::Acquire);
        // SAFETY: set once, freed by `drain` only.
        unsafe { shards.as_ref() }.map(|shards| &shards[..])
    }

    #[inline]
    fn shards(&self) -> &[CachePadded<Shard>] {
        match self.existing() {
            Some(shards) => shards,
            None => self.make_shards(),
        }
    }

    #[cold]
    fn make_shards(&self) -> &[CachePadded<Shard>] {
        let new = Box::into_raw(Box::new((0..shard_count()).map(|_| CachePadded::default()).collect::<Box<_>>()));
        // Release: publishes the shards (O8). Acquire: those of another, if they came first.
        match self.shards.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: published just now, freed by `drain` only.
            Ok(_) => unsafe { &*new },
            Err(theirs) => {
                // SAFETY: `new` was not published; `theirs` is freed by `drain` only.
                unsafe {
                    drop(Box::from_raw(new));
                    &*theirs
                }
            }
        }
    }

    #[cold]
    fn spill(&self, thing: Retired) {
        let node = Box::into_raw(Box::new(Spilt { thing, next: ptr::null_mut(), owned: Witness::default() }));
        // Relaxed: the CAS decides.
        let mut head = self.spill.load(Ordering::Relaxed);
        loop {
            // SAFETY: not published yet.
            unsafe { (*node).next = head };
            // Release: publishes the node (O9).
            match self.spill.compare_exchange_weak(head, node, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(seen) => head = seen,
            }
        }
    }

    /// Puts what was spilt in a bag.
    fn unspill(&self, bag: &mut Bag, guard: &Guard) {
        // Relaxed: a hint.
        if self.spill.load(Ordering::Relaxed).is_null() {
            return;
        }
        // Acquire: the nodes; pairs with the CAS in `spill` (O9). A swap takes all, so no node is seen twice.
        let list = self.spill.swap(ptr::null_mut(), Ordering::Acquire);
        // SAFETY: the list was taken out just now.
        unsafe { unlist(list, &mut |thing| bag.push(thing, guard)) };
    }
}

/// # Safety
///
/// The list must be the caller's alone.
unsafe fn unlist(mut list: *mut Spilt, each: &mut dyn FnMut(Retired)) {
    while !list.is_null() {
        // SAFETY: nodes are made from boxes, and the list is the caller's.
        let node = unsafe { Box::from_raw(list) };
        node.owned.touch();
        list = node.next;
        each(node.thing);
    }
}

/// The shard of this number, modulo how many there are.
#[inline]
fn shard_of(shards: &[CachePadded<Shard>], number: usize) -> &Shard {
    // A power of two.
    &shards[number & (shards.len() - 1)]
}

const TAKEN: *mut Bag = ptr::without_provenance_mut(1);

impl Shard {
    #[inline]
    fn take(&self) -> Option<Taken<'_>> {
        // Relaxed: the CAS decides.
        let bag = self.bag.load(Ordering::Relaxed);
        if bag == TAKEN {
            return None;
        }
        // Acquire: what the last owner did to the bag; pairs with the Release in `Taken::drop` (O10). A bag taken and
        // given back in between is the same bag.
        self.bag.compare_exchange(bag, TAKEN, Ordering::Acquire, Ordering::Relaxed).ok()?;
        Some(Taken { shard: self, bag: if bag.is_null() { Box::into_raw(Box::default()) } else { bag } })
    }
}

/// A shard's bag in the hands of its one owner; goes back when dropped.
struct Taken<'a> {
    shard: &'a Shard,
    bag: *mut Bag,
}

impl Taken<'_> {
    #[inline]
    fn bag(&mut self) -> &mut Bag {
        // SAFETY: from a box; between the swap that took it and the store that gives it back nobody else has it.
        unsafe { &mut *self.bag }
    }

    #[inline]
    fn hand_out(mut self, guard: &Guard) -> Free {
        let mut free = Free::default();
        let bag = self.bag();
        if let Some(thing) = bag.pop(guard) {
            free.push(thing);
            // One for one while there is little: allocators keep a few blocks at hand, and what comes in bursts overflows that.
            if bag.lens().0 > PACED {
                bag.pop_more(&mut free, guard);
            }
        }
        free
    }
}

impl Drop for Taken<'_> {
    #[inline]
    fn drop(&mut self) {
        let (sealed, len) = self.bag().lens();
        // Relaxed: a hint and a statistic.
        self.shard.sealed.store(sealed, Ordering::Relaxed);
        self.shard.len.store(len, Ordering::Relaxed);
        // Release: what was done to the bag (O10).
        self.shard.bag.store(self.bag, Ordering::Release);
    }
}
