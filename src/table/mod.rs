//! The concurrent hash table: bins under one header each, in arrays that grow and shrink a few bins at a time.
//!
//! ```text
//!            current ──▶ array ──next──▶ array (while a resize is under way)
//!                          │ bins
//!   ┌──────────────────────▼───────────────────────────────┐
//!   │ header │ due, overflow │ six slot words               │  a bin: one cache line
//!   └────────────────────┬─────────────────────────────────┘
//!                        ▼
//!   ┌──────────────────────────────────────────────────────┐
//!   │ seven slot words                              │ tail ─┼─▶ keys that found no slot
//!   └──────────────────────────────────────────────────────┘
//! ```
//!
//! The table knows hashes, words and places. It knows nothing of time, and of an entry only what its caller's
//! closures say: which key it has ([`Table::find`]'s `is`) and how it hashes ([`Host::hash_of`]).

mod array;
mod bin;
mod grow;
mod header;
mod insert;
mod moving;
mod preview;
mod standing;
mod tags;
mod tail;
mod walk;
mod word;

use crate::garbage::Guard;
use crate::sync::{AtomicPtr, AtomicUsize, Ordering, Pages, Place, prefetch};

pub(crate) use array::Array;
use array::{MAX_BITS, bin_at, place};
use bin::Find;
pub(crate) use bin::{BinRef, Glance, Occupant, Occupied};
use grow::out_of_memory;
pub(crate) use header::Slots;
use insert::{Insert, Pressure};
pub(crate) use preview::Preview;
#[cfg(all(test, ttl_loom))]
pub(crate) use tags::Wide;
pub(crate) use tail::Tail;
pub(crate) use walk::Bins;
pub(crate) use word::{KeptHash, fits};

/// What the table needs of whoever owns it.
pub(crate) trait Host<E> {
    /// The hash of an entry's key, as it was given to [`Table::insert`]. Where words have no tags it must not change,
    /// whatever the user's hasher does.
    fn hash_of(&self, entry: &E) -> u64;
    /// When a bin is to be looked at that is put together of several: in time for all. Nobody's time, if that can be, as each
    /// has been reminded of.
    fn common_due(&self, dues: impl Iterator<Item = u32>) -> u32;
    /// Sees to it that a bin, put together of several, is looked at when it is due: so far only one of them was to be.
    fn remind_of(&self, bin: (usize, u32), due: u32);
    /// Whether all that has lapsed was swept, about.
    fn is_swept(&self) -> bool;
    /// Takes a tail that nobody who pins from now on can reach.
    fn retire_tail(&self, tail: *mut Tail<E>);
    /// Takes an array that nobody who pins from now on can reach.
    fn retire_array(&self, array: *mut Array<E>);
}

pub(crate) struct Table<E> {
    /// The array where every operation starts; written when a resize ends.
    current: AtomicPtr<Array<E>>,
    /// Where its bins are, and the bits of their indices: for [`Table::prefetch_unpinned`], which reaches nothing through it.
    hint: (AtomicPtr<bin::Bin<E>>, AtomicUsize),
    /// The table doesn't shrink below 2^this bins.
    min_bits: u32,
}

/// Entries a bin when the table is given a capacity.
const LOAD: usize = 4;

impl<E> Table<E> {
    /// A table with room for about `capacity` entries before it grows; smaller where the memory can't be had.
    pub(crate) fn with_capacity(capacity: usize, pages: Pages) -> Self {
        let bins = capacity.div_ceil(LOAD).max(1);
        let mut bits = bins.checked_next_power_of_two().map_or(MAX_BITS, usize::ilog2).min(MAX_BITS);
        let array = loop {
            match Array::new(bits, Place::new(pages)) {
                Some(array) => break array,
                None if bits == 0 => out_of_memory(),
                None => bits -= 1,
            }
        };
        let (first, places) = array.hint();
        let hint = (AtomicPtr::new(first), AtomicUsize::new(places));
        Table { current: AtomicPtr::new(Box::into_raw(array)), hint, min_bits: bits }
    }

    /// As [`Table::prefetch`], for a caller who is not pinned yet.
    ///
    /// A pin's fence lets no load overtake it, but this. The bins may be gone by now: they are not looked at.
    #[inline]
    pub(crate) fn prefetch_unpinned(&self, hash: u64) {
        // Relaxed, both: a guess, and wrong while they are being changed.
        let (first, places) = (self.hint.0.load(Ordering::Relaxed), self.hint.1.load(Ordering::Relaxed));
        prefetch(bin_at(first, hash as usize & places));
    }

    #[inline]
    fn current<'g>(&self, guard: &'g Guard) -> &'g Array<E> {
        let _ = guard;
        // Acquire: the array's fields; pairs with the CAS in `step` (O2).
        let current = self.current.load(Ordering::Acquire);
        // SAFETY: never null; retired only after another took its place, which the guard outlasts.
        unsafe { &*current }
    }

    /// Has the line fetched where a key of this hash is looked for first.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64, guard: &Guard) {
        prefetch(self.current(guard).bin_of(hash).bin);
    }

    /// Has the entry fetched that a key of this hash is compared with first, once its bin is there; to be judged later.
    #[inline]
    pub(crate) fn preview<'g>(&self, hash: u64, guard: &'g Guard) -> Option<Preview<'g, E>> {
        let array = self.current(guard);
        array.bin_of(hash).preview(array.tag(hash))
    }

    /// Has the line fetched of the bin that has this number, in a table of whatever size: the first that came of it, or what
    /// it was put together to.
    #[inline]
    pub(crate) fn prefetch_bin(&self, index: usize, guard: &Guard) {
        prefetch(self.current(guard).bin(index).bin);
    }

    /// Has its entries fetched, once the line is there.
    #[inline]
    pub(crate) fn prefetch_entries(&self, index: usize, guard: &Guard) {
        self.current(guard).bin(index).prefetch_entries();
    }

    /// Finds the entry of this hash that `is` says yes to, if that is plain at the first look.
    #[inline(always)]
    pub(crate) fn glance<'g>(&self, hash: u64, is: impl FnOnce(&E) -> bool, guard: &'g Guard) -> Glance<'g, E> {
        let array = self.current(guard);
        array.bin_of(hash).glance(array.tag(hash), is)
    }

    /// What a glance that was unclear may go on with.
    #[inline]
    pub(crate) fn glance_further<'g>(&self, hash: u64, is: impl FnOnce(&E) -> bool, guard: &'g Guard) -> Glance<'g, E> {
        let array = self.current(guard);
        array.bin_of(hash).glance_further(array.tag(hash), is)
    }

    /// Finds the entry of this hash that `is` says yes to. Writes nothing, helps nobody.
    #[inline]
    pub(crate) fn find<'g>(
        &self,
        hash: u64,
        mut is: impl FnMut(&E) -> bool,
        guard: &'g Guard,
    ) -> Option<Occupied<'g, E>> {
        let mut array = self.current(guard);
        loop {
            match array.bin_of(hash).find(array.tag(hash), &mut is) {
                Find::Found(occupied) => return Some(occupied),
                Find::Absent => return None,
                Find::Moved => array = array.next()?,
            }
        }
    }

    /// As [`Table::find`], for a caller who means to change what it finds: an entry that is being moved is moved first.
    pub(crate) fn find_mut<'g>(
        &self,
        hash: u64,
        mut is: impl FnMut(&E) -> bool,
        host: &impl Host<E>,
        guard: &'g Guard,
    ) -> Option<Occupied<'g, E>> {
        let mut array = self.current(guard);
        loop {
            let bin = array.bin_of(hash);
            match bin.find(array.tag(hash), &mut is) {
                Find::Found(occupied) if !occupied.is_frozen() => return Some(occupied),
                Find::Absent => return None,
                Find::Found(_) if !bin.header().is_frozen() => bin.help_tail(&mut |tail| host.retire_tail(tail)),
                Find::Found(_) | Find::Moved => {
                    let next = array.next()?;
                    array.finish_unit(bin.index, next, host);
                    array = next;
                }
            }
        }
    }

    /// Inserts `new` unless an entry that `is` says yes to is there; then returns that one.
    pub(crate) fn insert<'g>(
        &self,
        hash: u64,
        new: *mut E,
        mut is: impl FnMut(&E) -> bool,
        host: &impl Host<E>,
        guard: &'g Guard,
    ) -> Option<Occupant<'g, E>> {
        let mut array = self.current(guard);
        loop {
            let bin = array.bin_of(hash);
            match bin.insert(new, array.tag(hash), &mut is, &mut |tail| host.retire_tail(tail)) {
                Insert::Inserted(Pressure::None) => return None,
                Insert::Inserted(pressure) => {
                    // One that is still being filled looks emptier than it is.
                    if std::ptr::eq(array, self.current(guard)) {
                        array.resize_if_due(bin.index, pressure, self.min_bits, || false);
                    }
                    return None;
                }
                Insert::Found(occupant) => return Some(occupant),
                Insert::NoMemory => out_of_memory(),
                Insert::Frozen => {
                    // A bin is frozen only when there is a next array.
                    let Some(next) = array.next() else { continue };
                    array.finish_unit(bin.index, next, host);
                    array = next;
                }
            }
        }
    }

    /// The bin in which keys of this hash stand, or stood before it was moved.
    #[inline]
    pub(crate) fn first_bin<'g>(&self, hash: u64, guard: &'g Guard) -> BinRef<'g, E> {
        self.current(guard).bin_of(hash)
    }

    /// The bin in which keys of this hash stand, not being moved.
    pub(crate) fn locate<'g>(&self, hash: u64, host: &impl Host<E>, guard: &'g Guard) -> BinRef<'g, E> {
        let mut array = self.current(guard);
        loop {
            let bin = array.bin_of(hash);
            match array.next() {
                Some(next) if bin.is_frozen() => {
                    array.finish_unit(bin.index, next, host);
                    array = next;
                }
                _ => return bin,
            }
        }
    }

    /// The table has 2^this bins.
    pub(crate) fn bits(&self, guard: &Guard) -> u32 {
        self.current(guard).bits()
    }

    /// The bin that has this number in a table of 2^`bits` bins, or what it was put together to; None if it was split.
    pub(crate) fn locate_bin<'g>(
        &self,
        (index, bits): (usize, u32),
        host: &impl Host<E>,
        guard: &'g Guard,
    ) -> Option<BinRef<'g, E>> {
        let mut array = self.current(guard);
        while array.bits() <= bits {
            let bin = array.bin(index);
            match array.next() {
                Some(next) if bin.is_frozen() => {
                    array.finish_unit(bin.index, next, host);
                    array = next;
                }
                _ => return Some(bin),
            }
        }
        None
    }

    /// The number of the bin where keys of this hash stand, or stood until it was moved.
    pub(crate) fn number_of(&self, hash: u64, guard: &Guard) -> (usize, u32) {
        self.current(guard).bin_of(hash).number()
    }

    /// Starts to shrink if the bins around this hash are nearly empty; by more than a half where all that has lapsed was swept.
    pub(crate) fn shrink_if_due(&self, hash: u64, is_swept: impl FnOnce() -> bool, guard: &Guard) {
        self.current(guard).resize_if_due(place(hash) as usize, Pressure::Freed, self.min_bits, is_swept);
    }

    /// Moves a few bins, if a resize is under way: a constant number a call.
    #[inline]
    pub(crate) fn step(&self, host: &impl Host<E>, guard: &Guard) {
        let array = self.current(guard);
        if let Some(next) = array.next() {
            self.step_to(array, next, host);
        }
    }

    #[cold]
    fn step_to(&self, array: &Array<E>, next: &Array<E>, host: &impl Host<E>) {
        if !array.step(next, host) {
            return;
        }
        next.arena.set_limit(next.len());
        // Relaxed: compared, and then swung by CAS; what is retired must be the pointer that was allocated.
        let (from, to) = (self.current.load(Ordering::Relaxed), array.next_ptr());
        if !std::ptr::eq(from, array) {
            return;
        }
        // Release: publishes the next array with all that was moved to it (O2).
        if self.current.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            // Relaxed: a guess.
            let (first, places) = next.hint();
            self.hint.0.store(first, Ordering::Relaxed);
            self.hint.1.store(places, Ordering::Relaxed);
            host.retire_array(from);
            // One resize may not be enough, where many left, or memory for the last few could not be had.
            next.resize_if_due(0, Pressure::Sealed, self.min_bits, || host.is_swept());
        }
    }

    pub(crate) fn is_resizing(&self, guard: &Guard) -> bool {
        self.current(guard).next().is_some()
    }

    /// Entries for which there is room before the table grows, about.
    pub(crate) fn capacity(&self, guard: &Guard) -> usize {
        let array = self.current(guard);
        array.next().unwrap_or(array).len() * LOAD
    }

    /// The memory of bins and their lines, without the tails of equal hashes.
    #[cfg(any(test, feature = "stats"))]
    pub(crate) fn bytes(&self, guard: &Guard) -> usize {
        let array = self.current(guard);
        array.bytes() + array.next().map_or(0, Array::bytes)
    }

    /// A walk over all bins, of the array that is current now.
    pub(crate) fn bins<'g>(&self, guard: &'g Guard) -> Bins<'g, E> {
        Bins { array: self.current(guard), index: 0 }
    }

    /// Hands each entry to `free`, which must not unwind. The table is good for nothing but its drop then.
    pub(crate) fn drain(&mut self, free: &mut dyn FnMut(*mut E)) {
        // Relaxed: `&mut self`: all that others did happened before.
        let current = self.current.load(Ordering::Relaxed);
        // SAFETY: never null, and nobody else uses it any more; likewise below.
        let array = unsafe { &*current };
        for index in 0..array.len() {
            let bin = array.bin(index);
            if !bin.header().is_moved() {
                bin.frozen_words(bin.header(), &mut |word| free(word.entry()));
                // SAFETY: `&mut self`, and each bin is visited once.
                unsafe { bin.free_tail() };
                // A move that ended in a panic may have filled a tail whose bin was never opened.
                for child in array.next().into_iter().flat_map(|next| children_of(array, index, next)) {
                    // SAFETY: likewise.
                    unsafe { child.free_tail() };
                }
            } else if let Some(next) = array.next() {
                for child in children_of(array, index, next) {
                    child.frozen_words(child.header(), &mut |word| free(word.entry()));
                    // SAFETY: likewise.
                    unsafe { child.free_tail() };
                }
            }
        }
    }
}

/// The children that bin `index` answers for: each bin of `next` is that of one bin only, though several are put together.
fn children_of<'g, E>(
    array: &'g Array<E>,
    index: usize,
    next: &'g Array<E>,
) -> impl Iterator<Item = BinRef<'g, E>> + use<'g, E> {
    let len = array.len();
    array.children(index, next).filter(move |&child| child == index || child >= len).map(|child| next.bin(child))
}

impl<E> Drop for Table<E> {
    fn drop(&mut self) {
        // Relaxed: `&mut self`.
        let mut array = self.current.load(Ordering::Relaxed);
        while !array.is_null() {
            // SAFETY: arrays are made from boxes, and nobody uses this one any more, nor those after it, which nothing
            // else owns before they are current. Entries and tails were drained.
            let dropped = unsafe { Box::from_raw(array) };
            array = dropped.next_ptr();
        }
    }
}

#[cfg(test)]
impl<E> Table<E> {
    /// All bins that have not moved.
    pub(crate) fn present_bins<'g>(&self, guard: &'g Guard) -> Vec<BinRef<'g, E>> {
        let array = self.current(guard);
        let next = array.next().map(|next| (0..array.len()).flat_map(move |n| children_of(array, n, next)));
        let children = next.into_iter().flatten().filter(|child| child.header().version() != 0);
        (0..array.len()).map(|n| array.bin(n)).chain(children).filter(|bin| !bin.header().is_moved()).collect()
    }
}

#[cfg(all(test, ttl_loom))]
impl<E> Table<E> {
    /// Begins a resize, as a full bin would.
    pub(crate) fn start_resize(&self, bits: u32) {
        let guard = crate::garbage::pin();
        drop(self.current(&guard).start_moving_to(Array::new(bits, self.current(&guard).place).expect("memory")));
    }

    /// Moves every unit, as if each had been met frozen.
    pub(crate) fn move_all(&self, host: &impl Host<E>) {
        let guard = crate::garbage::pin();
        let array = self.current(&guard);
        let Some(next) = array.next() else { return };
        (0..array.len().min(next.len())).for_each(|unit| array.move_unit(unit, next, host));
    }
}
