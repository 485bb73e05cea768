//! One generation of the table: a power of two of bins, the overflow lines they share, and the way to the next.

use std::ptr;

use super::bin::{Bin, BinRef, Line};
use super::tags::Wide;
use super::word::{TAG_SHIFT, Tag};
use crate::sync::{Apart, AtomicPtr, AtomicUsize, Lines, Ordering, Place};

/// The largest table has 2^this bins.
pub(crate) const MAX_BITS: u32 = if cfg!(target_pointer_width = "64") { 40 } else { 24 };

/// How many bits of the place a tag's window slides at a time.
const WINDOW_STEP: u32 = if cfg!(ttl_loom) { 1 } else { 8 };

/// A hash has its place from this bit on: so that where its bin is, in bytes from the first one, is masked out of it. An
/// instruction less a read.
const PLACE_AT: u32 = if cfg!(ttl_loom) { 0 } else { 6 };

/// What of a hash numbers bins, and makes tags.
#[inline]
pub(super) fn place(hash: u64) -> u64 {
    hash >> PLACE_AT
}

/// The lowest bit of a place that is in the tags of an array of 2^`bits` bins.
///
/// A bin's index is the low `bits` bits of the place, a tag the 15 bits from here on. So the bit that tells a bin's two
/// children apart is always in the tag, and only when the window slides, every eighth doubling, must growth ask
/// the entries for more of their hashes.
pub(crate) const fn window(bits: u32) -> u32 {
    bits / WINDOW_STEP * WINDOW_STEP
}

/// What each lookup asks comes first, and `wide` is where the array is: instructions less a read.
#[repr(C)]
pub(crate) struct Array<E> {
    pub(super) wide: Wide,
    /// The bits that bins' indices have, as far to the left as a hash has its place.
    places: usize,
    bins: Lines<Bin<E>>,
    /// So many bits to the left a hash has its tag where that stands in a word.
    to_tag: u32,
    bits: u32,
    /// Where those are that take over, and the lines.
    pub(super) place: Place,
    /// The array that takes over; null until a resize starts. Set once, by CAS.
    next: AtomicPtr<Array<E>>,
    pub(super) arena: Arena<E>,
    pub(super) moving: Apart<Moving>,
}

/// How far the bins have moved to `next`; written by all who move some.
#[derive(Default)]
pub(super) struct Moving {
    /// Units up to here were handed out to be moved, each once.
    pub(super) cursor: AtomicUsize,
    /// Units up to here are known to have moved; looked after once the cursor is at the end.
    pub(super) frontier: AtomicUsize,
}

impl<E> Array<E> {
    /// An array of 2^`bits` bins; None where the memory can't be had.
    pub(super) fn new(bits: u32, place: Place) -> Option<Box<Self>> {
        let len = 1usize << bits;
        let bins = Lines::on(place, len)?;
        let place = bins.next_place(place);
        Some(Box::new(Array {
            wide: Wide::detect(),
            places: (len - 1) << PLACE_AT,
            bins,
            to_tag: TAG_SHIFT - PLACE_AT - window(bits),
            bits,
            place,
            next: AtomicPtr::new(ptr::null_mut()),
            arena: Arena::new(len, place),
            moving: Apart::default(),
        }))
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        (self.places >> PLACE_AT) + 1
    }

    /// The memory of the bins, and of the lines that were handed out.
    #[cfg(any(test, feature = "stats"))]
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.len() * size_of::<Bin<E>>() + self.arena.bytes()
    }

    /// Where the bins are, for a guess where one is: see [`bin_at`].
    pub(super) fn hint(&self) -> (*mut Bin<E>, usize) {
        (self.bins.as_ptr(), self.places)
    }

    #[inline]
    pub(super) fn bits(&self) -> u32 {
        self.bits
    }

    /// The lowest bit of the place that is in its tags.
    #[inline]
    pub(super) fn window(&self) -> u32 {
        TAG_SHIFT - PLACE_AT - self.to_tag
    }

    #[inline]
    pub(super) fn tag(&self, hash: u64) -> Tag {
        Tag::in_place(hash << self.to_tag)
    }

    /// The bin in which a key of this hash stands.
    #[inline]
    pub(super) fn bin_of(&self, hash: u64) -> BinRef<'_, E> {
        let place = hash as usize & self.places;
        // SAFETY: masked, so below the number of bins; the lines live as long as the array.
        BinRef { array: self, bin: unsafe { &*bin_at(self.bins.as_ptr(), place) }, index: place >> PLACE_AT }
    }

    /// The bin at this index, modulo their number.
    #[inline]
    pub(super) fn bin(&self, index: usize) -> BinRef<'_, E> {
        self.bin_of((index as u64) << PLACE_AT)
    }

    /// The array that this one moves to, if a resize has started.
    #[inline]
    pub(super) fn next(&self) -> Option<&Array<E>> {
        // Acquire: the array's own fields; pairs with the CAS in `start_moving_to` (O2).
        let next = self.next.load(Ordering::Acquire);
        // SAFETY: an array is retired only after it has become current and its successor took that place, which
        // whoever could reach it from here is pinned against.
        unsafe { next.as_ref() }
    }

    /// Installs the next array; gives it back where there is one already.
    pub(super) fn start_moving_to(&self, next: Box<Array<E>>) -> Result<(), Box<Array<E>>> {
        let next = Box::into_raw(next);
        // Release: publishes the array's fields (O2). Failure: nothing is read through it.
        match self.next.compare_exchange(ptr::null_mut(), next, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            // SAFETY: made from a box above, and not published.
            Err(_) => Err(unsafe { Box::from_raw(next) }),
        }
    }

    pub(super) fn next_ptr(&self) -> *mut Array<E> {
        // Acquire: as in `next` (O2).
        self.next.load(Ordering::Acquire)
    }
}

/// Where the bin is whose index is this, as far to the left as in a hash.
#[inline]
pub(super) fn bin_at<E>(first: *mut Bin<E>, place: usize) -> *mut Bin<E> {
    const { assert!(PLACE_AT == 0 || size_of::<Bin<E>>() == 1 << PLACE_AT) };
    if PLACE_AT == 0 { first.wrapping_add(place) } else { first.wrapping_byte_add(place) }
}

impl<E> Drop for Array<E> {
    fn drop(&mut self) {
        // SAFETY: `&mut self`: nobody uses the bins any more. Entries and tails are not the array's to free.
        unsafe { self.bins.free() };
    }
}

/// The overflow lines of an array: handed out in order, never returned, in chunks that are allocated when first used.
pub(super) struct Arena<E> {
    place: Place,
    handed_out: Apart<AtomicUsize>,
    /// The first chunk has 2^this lines; each further chunk holds as many as all before it.
    first_bits: u32,
    chunks: [AtomicPtr<Lines<Line<E>>>; CHUNKS],
    /// Lines after which the table is too full, or its bins too uneven. Set anew when all was copied: what the copy
    /// itself took, as it must for equal hashes, calls for nothing.
    limit: AtomicUsize,
}

/// One bin in six may have an overflow line before the array counts as full: that is at 4.5 entries a bin.
fn spare_lines(bins: usize) -> usize {
    bins / 6 + 1
}

const CHUNKS: usize = if cfg!(ttl_loom) { 3 } else { 20 };

impl<E> Arena<E> {
    fn new(bins: usize, place: Place) -> Self {
        Arena {
            place,
            handed_out: Apart::default(),
            first_bits: (bins / 16).max(1).ilog2(),
            chunks: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            limit: AtomicUsize::new(spare_lines(bins)),
        }
    }

    /// Hands out the number of a fresh line (numbers start at 1); None once all 2^19 times the first chunk are gone.
    pub(super) fn hand_out(&self) -> Option<u32> {
        // Relaxed: only the number's uniqueness counts; the line was zero since its chunk was published.
        let line = self.handed_out.fetch_add(1, Ordering::Relaxed);
        let number = u32::try_from(line + 1).ok()?;
        let (chunk, _) = self.place(number);
        if chunk >= CHUNKS {
            return None;
        }
        self.ensure(chunk)?;
        Some(number)
    }

    pub(super) fn is_over_limit(&self) -> bool {
        // Relaxed: a hint that a resize is due.
        self.handed_out.load(Ordering::Relaxed) > self.limit.load(Ordering::Relaxed)
    }

    /// Grants the lines that an array of so many bins may take from now on.
    pub(super) fn set_limit(&self, bins: usize) {
        // Relaxed: as above.
        self.limit.store(self.handed_out.load(Ordering::Relaxed) + spare_lines(bins), Ordering::Relaxed);
    }

    /// The line of a number that was handed out.
    pub(super) fn line(&self, number: u32) -> &Line<E> {
        let (chunk, offset) = self.place(number);
        // Acquire: the chunk's zeroes; pairs with the CAS in `ensure` (O3).
        let lines = self.chunks[chunk].load(Ordering::Acquire);
        // SAFETY: a number is handed out only after its chunk was published, and chunks live as long as the arena;
        // the offset is below the chunk's length.
        unsafe { &*(*lines).as_ptr().add(offset) }
    }

    fn place(&self, number: u32) -> (usize, usize) {
        let line = number as usize - 1;
        match (line >> self.first_bits).checked_ilog2() {
            None => (0, line),
            Some(log) => (log as usize + 1, line - (1 << (self.first_bits + log))),
        }
    }

    /// Lines in a chunk.
    fn len_of(&self, chunk: usize) -> usize {
        1 << (self.first_bits as usize + chunk.saturating_sub(1))
    }

    #[cfg(any(test, feature = "stats"))]
    fn bytes(&self) -> usize {
        // Relaxed: a statistic.
        let is_there = |chunk: &usize| !self.chunks[*chunk].load(Ordering::Relaxed).is_null();
        (0..CHUNKS).filter(is_there).map(|chunk| self.len_of(chunk) * size_of::<Line<E>>()).sum()
    }

    fn ensure(&self, chunk: usize) -> Option<()> {
        // Acquire: as in `line` (O3).
        if !self.chunks[chunk].load(Ordering::Acquire).is_null() {
            return Some(());
        }
        let lines = Box::into_raw(Box::new(Lines::on(self.place, self.len_of(chunk))?));
        // Release: publishes the zeroed lines (O3).
        let set = self.chunks[chunk].compare_exchange(ptr::null_mut(), lines, Ordering::AcqRel, Ordering::Relaxed);
        if set.is_err() {
            // SAFETY: another chunk was installed, so nobody saw this one.
            unsafe { free_chunk(lines) };
        }
        Some(())
    }
}

/// # Safety
///
/// `chunk` is null or comes from [`Arena::ensure`], and nobody uses its lines any more.
unsafe fn free_chunk<E>(chunk: *mut Lines<Line<E>>) {
    if !chunk.is_null() {
        // SAFETY: by the contract.
        unsafe { Box::from_raw(chunk).free() };
    }
}

impl<E> Drop for Arena<E> {
    fn drop(&mut self) {
        for chunk in &self.chunks {
            // SAFETY: `&mut self`: nobody uses the lines any more. Relaxed: likewise.
            unsafe { free_chunk(chunk.load(Ordering::Relaxed)) };
        }
    }
}

#[cfg(all(test, not(ttl_loom)))]
mod tests {
    use super::*;
    use crate::sync::Pages;
    use crate::table::word::TAG_BITS;

    #[test]
    fn arena_hands_out_each_line_once() {
        let arena: Arena<u64> = Arena::new(64, Place::new(Pages::default()));
        let mut seen = std::collections::HashSet::new();
        for n in 1..=5000u32 {
            assert_eq!(arena.hand_out(), Some(n));
            assert!(seen.insert(std::ptr::from_ref(arena.line(n)).addr()));
        }
        assert!(arena.is_over_limit());
    }

    #[test]
    fn split_bit_is_always_in_the_window() {
        for bits in 0..=MAX_BITS {
            assert!(bits >= window(bits) && bits - window(bits) < TAG_BITS);
            assert!(PLACE_AT + window(bits) + TAG_BITS <= 64 && PLACE_AT + window(bits) <= TAG_SHIFT);
        }
    }
}
