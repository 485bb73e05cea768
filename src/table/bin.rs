//! One bin: a cache line of six slots, and at need a second of seven, under one header.
//!
//! The protocol, after DLHT (Zhang et al., HPDC'24) and CLHT: the header alone arbitrates *new keys*, the slot word
//! alone decides the *fate of an entry*.
//!
//! - insert: scan under a header, claim a free slot by CAS, store the word as a draft, publish by CAS only while the version
//!   is that of the scan; else scan again, the claim stays ours. Then clear the draft by CAS.
//! - replace: CAS of the word to another entry. Remove: CAS of the word to DEAD. The winner, and only it, retires the
//!   old entry. Then anyone may free the slot in the header.
//! - a word without a flag is a published entry's, and followed at once. Of drafts, and of what is frozen, the header
//!   knows: who means those, too, reads header, word, header before following one.
//!
//! A bin whose slots are all taken is *sealed* for good: new keys go to its [tail](super::tail), until a resize gives
//! the bin's entries another home. A *frozen* bin doesn't change any more; a *moved* one is history.

use std::num::NonZero;
use std::ops::Deref;
use std::ptr::NonNull;

use super::array::Array;
use super::header::{Header, MAIN, OVER};
use super::tags::{first_entry, main_with_tag, with_tag};
use super::tail::TailCell;
use super::word::{Slot, Tag, Word};
use crate::sync::{AtomicU32, AtomicU64, Ordering, Zeroable};

/// A bin's own cache line.
#[repr(C, align(64))]
pub(crate) struct Bin<E> {
    pub(super) header: AtomicU64,
    /// Kept for the table's owner: when the bin is to be looked at. Zero until it is set or inherited.
    due: AtomicU32,
    /// The number of the bin's overflow line, 0 for none. Set once, by CAS.
    pub(super) overflow: AtomicU32,
    pub(super) slots: [Slot<E>; MAIN],
}

/// An overflow line: more slots under the same header, and the tail of a sealed bin.
#[repr(C, align(64))]
pub(crate) struct Line<E> {
    pub(super) slots: [Slot<E>; OVER],
    pub(super) tail: TailCell<E>,
}

impl<E> Default for Bin<E> {
    fn default() -> Self {
        Bin {
            header: AtomicU64::new(0),
            due: AtomicU32::new(0),
            overflow: AtomicU32::new(0),
            slots: Default::default(),
        }
    }
}

impl<E> Default for Line<E> {
    fn default() -> Self {
        Line { slots: Default::default(), tail: TailCell::default() }
    }
}

// SAFETY: atomics and null pointers, for which zeroes are the default value.
unsafe impl<E> Zeroable for Bin<E> {}
// SAFETY: likewise.
unsafe impl<E> Zeroable for Line<E> {}

/// A bin with the array that it belongs to.
pub(crate) struct BinRef<'g, E> {
    pub(super) array: &'g Array<E>,
    pub(super) bin: &'g Bin<E>,
    pub(super) index: usize,
}

impl<E> Clone for BinRef<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for BinRef<'_, E> {}

/// An entry found in its place: what another needs to take that. The reference outlives the entry's unlinking: the finder is
/// pinned.
pub(crate) struct Occupant<'g, E> {
    slot: &'g Slot<E>,
    word: Word<E>,
}

/// The same, and what it takes to free the place.
pub(crate) struct Occupied<'g, E> {
    occupant: Occupant<'g, E>,
    /// The bin that must free the slot, and its number there; None in a tail.
    home: Option<(&'g Bin<E>, usize)>,
}

impl<'g, E> Occupant<'g, E> {
    #[inline]
    pub(super) fn new(slot: &'g Slot<E>, word: Word<E>) -> Self {
        Occupant { slot, word }
    }

    #[inline]
    pub(crate) fn entry(&self) -> &'g E {
        // SAFETY: a word read between two equal headers, or out of a tail, is that of a published entry; entries are
        // retired only after they were unlinked, and whoever made this was pinned before it read the word.
        unsafe { &*self.word.entry() }
    }

    pub(crate) fn as_ptr(&self) -> *mut E {
        self.word.entry()
    }

    #[inline]
    pub(super) fn is_frozen(&self) -> bool {
        self.word.is_frozen()
    }

    /// Puts `new` in the entry's place; false if it no longer stands there (or is being moved). On true the old
    /// entry is the caller's to retire.
    pub(crate) fn replace(&self, new: *mut E) -> bool {
        self.swing(Word::new(new, self.word.tag()))
    }

    #[inline]
    fn swing(&self, to: Word<E>) -> bool {
        if self.word.is_frozen() {
            return false;
        }
        // A draft may have been cleared since; that happens once, and the entry is the same: the finder is pinned.
        self.slot.swing(self.word, to) || (self.word.is_draft() && self.slot.swing(self.word.published(), to))
    }
}

impl<'g, E> Deref for Occupied<'g, E> {
    type Target = Occupant<'g, E>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.occupant
    }
}

impl<'g, E> Occupied<'g, E> {
    pub(super) fn in_tail(occupant: Occupant<'g, E>) -> Self {
        Occupied { occupant, home: None }
    }

    pub(super) fn in_slot(bin: BinRef<'g, E>, number: usize, word: Word<E>) -> Self {
        Occupied { occupant: Occupant::new(bin.slot(number), word), home: Some((bin.bin, number)) }
    }

    /// Unlinks the entry; false if it no longer stands there (or is being moved). On true it is the caller's to retire.
    pub(crate) fn unlink(&self) -> bool {
        if !self.empty() {
            return false;
        }
        if let Some((bin, number)) = self.home {
            bin.free(number, self.slot);
        }
        true
    }

    /// The same, but for the slot, which is left to [`BinRef::free_all`].
    pub(crate) fn empty(&self) -> bool {
        self.swing(Word::DEAD)
    }
}

/// What a lookup ends with.
pub(super) enum Find<'g, E> {
    Found(Occupied<'g, E>),
    Absent,
    Moved,
}

/// What a glance ends with.
pub(crate) enum Glance<'g, E> {
    Found(&'g E),
    Absent,
    /// Look again, thoroughly.
    Unclear,
}

/// What a look among slots ends with. In few words, of which the caller makes what it returns: what is copied from memory to
/// memory just after it was written a processor waits for.
pub(super) enum Probe<'g, E> {
    /// What stands in the slot of a number.
    Match(Occupant<'g, E>, usize),
    Other,
    Changed,
}

impl<'g, E> BinRef<'g, E> {
    /// As [`BinRef::find`] where that ends at the first slot of the bin's own line with the tag, or for want of one.
    ///
    /// Nearly every lookup does. How many of them a processor has under way while they wait for memory goes by their
    /// instructions, so there are few, and nothing is kept for what comes after. A word without a flag says it all: the header is
    /// asked only where the key seems absent.
    #[inline(always)]
    pub(super) fn glance(self, tag: Tag, is: impl FnOnce(&E) -> bool) -> Glance<'g, E> {
        let wide = self.array.wide;
        if wide.is_so() {
            if let Some(entry) = first_entry(self.bin, tag, &self.array.wide) {
                // SAFETY: of a word without a flag, see `glance_at`.
                return judge(unsafe { entry.as_ref() }, is);
            }
            let header = self.bin.load();
            let matches = header.live_among(main_with_tag(self.bin, tag, wide));
            // Those there are have a flag, but for those that came just now.
            return if matches != 0 || header.has_more_or_moved() { Glance::Unclear } else { Glance::Absent };
        }
        let header = self.bin.load();
        let matches = header.live_among(main_with_tag(self.bin, tag, wide));
        let Some(matches) = NonZero::new(matches) else {
            return if header.has_more_or_moved() { Glance::Unclear } else { Glance::Absent };
        };
        // SAFETY: of the bits of `main_with_tag` each is that of a slot.
        let slot = unsafe { self.bin.slots.get_unchecked(matches.trailing_zeros() as usize) };
        glance_at(slot, is)
    }

    /// The same among the slots of the overflow line, for a bin whose own have not the tag. What a glance that was unclear goes on
    /// with: kept apart from it, lest all that this needs be made room for before each.
    #[inline]
    pub(super) fn glance_further(self, tag: Tag, is: impl FnOnce(&E) -> bool) -> Glance<'g, E> {
        let header = self.bin.load();
        if header.is_moved() || header.live_among(self.main_with_tag(tag)) != 0 {
            return Glance::Unclear;
        }
        let Some(line) = self.line() else { return Glance::Unclear };
        let number = header.live_among(with_tag(&line.slots, tag) << MAIN).trailing_zeros() as usize;
        match number.checked_sub(MAIN).and_then(|more| line.slots.get(more)) {
            Some(slot) => glance_at(slot, is),
            None if header.is_sealed() => Glance::Unclear,
            None => Glance::Absent,
        }
    }

    /// Looks for the entry with this tag that `is` says yes to.
    ///
    /// A miss needs no second look at the header: a key that was there all the time has stood in one slot, which the
    /// first header showed live, and there the scan found it; a key that wasn't was absent at some moment of the scan.
    #[inline]
    pub(super) fn find(self, tag: Tag, is: &mut impl FnMut(&E) -> bool) -> Find<'g, E> {
        'again: loop {
            let header = self.bin.load();
            if header.is_moved() {
                return Find::Moved;
            }
            match self.probe_all(&self.bin.slots, 0, self.main_with_tag(tag), header, is) {
                Probe::Match(occupant, number) => return Find::Found(self.occupied(occupant, number)),
                Probe::Changed => continue 'again,
                Probe::Other => {}
            }
            let Some(line) = header.has_more().then(|| self.line()).flatten() else { return Find::Absent };
            match self.probe_all(&line.slots, MAIN, with_tag(&line.slots, tag), header, is) {
                Probe::Match(occupant, number) => return Find::Found(self.occupied(occupant, number)),
                Probe::Changed => continue 'again,
                Probe::Other => {}
            }
            return match header.is_sealed().then(|| line.tail.find(tag, is)).flatten() {
                Some(occupant) => Find::Found(Occupied::in_tail(occupant)),
                None => Find::Absent,
            };
        }
    }

    /// Looks for the key among the `slots` that match its tag, of which the first has this number in the bin.
    #[inline]
    pub(super) fn probe_all(
        self,
        slots: &'g [Slot<E>],
        first: usize,
        mut matches: u64,
        header: Header,
        is: &mut impl FnMut(&E) -> bool,
    ) -> Probe<'g, E> {
        while matches != 0 {
            let n = matches.trailing_zeros() as usize;
            matches &= matches - 1;
            match self.probe(header, first + n, &slots[n], is) {
                Probe::Other => {}
                found => return found,
            }
        }
        Probe::Other
    }

    /// Judges one word by header, word, header.
    #[inline]
    fn probe(self, header: Header, number: usize, slot: &'g Slot<E>, is: &mut impl FnMut(&E) -> bool) -> Probe<'g, E> {
        let word = slot.load();
        // A slot that was ever live is not VIRGIN.
        if !header.is_live(number) || word.is_dead() {
            return Probe::Other;
        }
        // The version counts publishes and frees: while it stands, the slot had one tenant, and the word is its.
        if self.bin.load().version() != header.version() {
            return Probe::Changed;
        }
        let occupant = Occupant::new(slot, word);
        if is(occupant.entry()) { Probe::Match(occupant, number) } else { Probe::Other }
    }

    #[inline]
    fn occupied(self, occupant: Occupant<'g, E>, number: usize) -> Occupied<'g, E> {
        Occupied { occupant, home: Some((self.bin, number)) }
    }

    /// Which slots of the bin's own line have a word with this tag: slot n is bit n.
    #[inline]
    pub(super) fn main_with_tag(self, tag: Tag) -> u64 {
        main_with_tag(self.bin, tag, self.array.wide)
    }

    /// The overflow line, if the bin has one.
    pub(super) fn line(self) -> Option<&'g Line<E>> {
        // Acquire: pairs with the CAS in `add_line` (O3).
        match self.bin.overflow.load(Ordering::Acquire) {
            0 => None,
            number => Some(self.array.arena.line(number)),
        }
    }

    /// The slot of this number; numbers from `MAIN` on are the overflow line's, which must be there.
    pub(super) fn slot(self, number: usize) -> &'g Slot<E> {
        match number.checked_sub(MAIN) {
            None => &self.bin.slots[number],
            Some(more) => &self.array.arena.line(self.bin.overflow.load(Ordering::Acquire)).slots[more],
        }
    }

    pub(super) fn header(self) -> Header {
        self.bin.load()
    }

    /// The bin's number, and how many bits number the bins of its table.
    pub(crate) fn number(self) -> (usize, u32) {
        (self.index, self.array.bits())
    }

    /// Whether the bin is being moved, or was.
    pub(crate) fn is_frozen(self) -> bool {
        self.header().is_frozen()
    }

    #[inline]
    pub(crate) fn due(self) -> u32 {
        // Acquire: the round that was seen by whoever changed it, also if a mover hands it on to the children (W8). For what
        // was linked before, or after, there are fences.
        self.bin.due.load(Ordering::Acquire)
    }

    pub(crate) fn change_due(self, from: u32, to: u32) -> Result<(), u32> {
        // Release, Acquire: likewise.
        self.bin.due.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).map(|_| ())
    }

    /// The tail of a sealed bin: null before its first key, or in a bin that is not sealed.
    pub(super) fn tail(self) -> Option<&'g TailCell<E>> {
        self.line().map(|line| &line.tail)
    }
}

/// The end of a glance: the one slot to look at, which is or was live.
#[inline(always)]
fn glance_at<E>(slot: &Slot<E>, is: impl FnOnce(&E) -> bool) -> Glance<'_, E> {
    let word = slot.load();
    // What has moved is frozen.
    if word.is_flagged() {
        return Glance::Unclear;
    }
    // SAFETY: not VIRGIN, as the slot was live, and without a flag: so it is that of a published entry, which is retired only
    // after it was unlinked, and the caller was pinned before that. (That it is not null is said once more for the compiler.)
    judge(unsafe { NonNull::new(word.entry()).unwrap_unchecked().as_ref() }, is)
}

#[inline(always)]
fn judge<E>(entry: &E, is: impl FnOnce(&E) -> bool) -> Glance<'_, E> {
    if is(entry) { Glance::Found(entry) } else { Glance::Unclear }
}

impl<E> Bin<E> {
    #[inline]
    pub(super) fn load(&self) -> Header {
        // Acquire: a slot that is live here had its word stored before (O5); what MOVED points to is there (O4).
        Header(self.header.load(Ordering::Acquire))
    }

    pub(super) fn try_change(&self, from: Header, to: Header) -> Result<(), Header> {
        // Release: publishes the word of a slot that goes live (O5). Acquire: a failed change is followed by reads
        // that must be as new as the header seen (O5).
        self.header.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Acquire).map(|_| ()).map_err(Header)
    }

    pub(super) fn change(&self, from: Header, to: Header) -> bool {
        self.try_change(from, to).is_ok()
    }

    /// Frees a slot whose word is DEAD. Frozen bins are left as they are; so is a slot that another freed first.
    fn free(&self, number: usize, slot: &Slot<E>) {
        let mut header = self.load();
        // The word is read under each header anew: only a slot that this very header shows live and whose word is
        // DEAD is this tenancy's to free.
        while !header.is_frozen() && header.is_live(number) {
            let word = slot.load();
            if !word.is_dead() {
                return;
            }
            match self.try_change(header, header.freed(number)) {
                Ok(()) => return,
                Err(seen) => header = seen,
            }
        }
    }
}
