//! Inserting in one bin: scan, claim, store a draft, publish, clear the draft.

use super::bin::{Bin, BinRef, Occupant, Probe};
use super::header::{Header, MAIN, SLOTS};
use super::tags::with_tag;
use super::tail::Tail;
use super::word::{Slot, Tag, Word};
use crate::sync::Ordering;

/// What became of an attempt to insert.
pub(super) enum Insert<'g, E> {
    /// The new entry is in; the bin may have needed more room than it had.
    Inserted(Pressure),
    Found(Occupant<'g, E>),
    /// The bin is being moved, or was.
    Frozen,
    /// No slot is free, no overflow line can be had.
    NoMemory,
}

/// What may call for a resize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pressure {
    None,
    /// A bin took an overflow line.
    Line,
    /// A bin was sealed.
    Sealed,
    /// Entries left.
    Freed,
}

impl<'g, E> BinRef<'g, E> {
    /// Inserts `new` unless the key is there.
    ///
    /// `rebuilt` gets each tail that was replaced by another, to be retired.
    #[inline(always)]
    pub(super) fn insert(
        self,
        new: *mut E,
        tag: Tag,
        is: &mut impl FnMut(&E) -> bool,
        rebuilt: &mut dyn FnMut(*mut Tail<E>),
    ) -> Insert<'g, E> {
        let word = Word::new(new, tag);
        let mut claim: Option<Claim<'g, E>> = None;
        let mut pressure = Pressure::None;
        loop {
            let mut header = self.bin.load();
            if header.is_frozen() {
                return Insert::Frozen;
            }
            match self.scan(header, tag, is) {
                Probe::Match(occupant, _) => return Insert::Found(occupant),
                Probe::Changed => continue,
                Probe::Other => {}
            }
            if header.is_sealed() {
                drop(claim.take());
                let Some(line) = self.line() else { return Insert::NoMemory };
                return line.tail.insert(word, is, rebuilt, pressure);
            }
            let scanned = header.version();
            let slot = match &claim {
                Some(claim) => claim.number,
                None => match header.first_free(self.limit()) {
                    Some(number) => {
                        if !self.bin.change(header, header.claimed(number)) {
                            continue;
                        }
                        header = header.claimed(number);
                        let slot = self.slot(number);
                        slot.store(word.draft());
                        claim = Some(Claim { bin: self.bin, number, slot });
                        number
                    }
                    None if self.line().is_none() => {
                        if !self.add_line() {
                            return Insert::NoMemory;
                        }
                        pressure = Pressure::Line;
                        continue;
                    }
                    None => {
                        self.bin.change(header, header.sealed());
                        pressure = Pressure::Sealed;
                        continue;
                    }
                },
            };
            // Publish, whatever claims come and go meanwhile, while the keys are those of the scan.
            while header.version() == scanned && !header.is_frozen() && !header.is_sealed() {
                match self.bin.try_change(header, header.published(slot)) {
                    Ok(()) => {
                        claim.into_iter().for_each(|claim| claim.clear_draft(word));
                        return Insert::Inserted(pressure);
                    }
                    Err(seen) => header = seen,
                }
            }
        }
    }

    /// Gives the bin an overflow line; false where the memory can't be had.
    #[cold]
    pub(super) fn add_line(self) -> bool {
        let Some(number) = self.array.arena.hand_out() else { return false };
        self.array.arena.line(number).tail.touch();
        // Release: the line's chunk was published before (O3). A line that comes second stays unused until the
        // next resize.
        let _ = self.bin.overflow.compare_exchange(0, number, Ordering::AcqRel, Ordering::Relaxed);
        true
    }

    /// Looks for the key among all slots under `header`, the tail excepted.
    #[inline]
    fn scan(self, header: Header, tag: Tag, is: &mut impl FnMut(&E) -> bool) -> Probe<'g, E> {
        match self.probe_all(&self.bin.slots, 0, self.main_with_tag(tag), header, is) {
            Probe::Other => {}
            found => return found,
        }
        let Some(line) = self.line() else { return Probe::Other };
        self.probe_all(&line.slots, MAIN, with_tag(&line.slots, tag), header, is)
    }

    fn limit(self) -> usize {
        if self.line().is_some() { SLOTS } else { MAIN }
    }
}

/// A claimed slot, given back unless it was published.
struct Claim<'g, E> {
    bin: &'g Bin<E>,
    number: usize,
    slot: &'g Slot<E>,
}

impl<E> Claim<'_, E> {
    /// The end of a claim whose entry was published.
    fn clear_draft(self, word: Word<E>) {
        // Fails where others have replaced, removed or frozen the entry meanwhile, who needed no clear word for that. Nobody else
        // stores this draft: we are pinned, and so the entry's address is not used again.
        self.slot.swing(word.draft(), word);
        std::mem::forget(self);
    }
}

impl<E> Drop for Claim<'_, E> {
    fn drop(&mut self) {
        // Nobody else writes the word of a claimed slot. Free leaves DEAD standing; VIRGIN is never written again.
        self.slot.store(Word::DEAD);
        let mut header = self.bin.load();
        // A frozen bin's claims are abandoned with it.
        while !header.is_frozen() {
            match self.bin.try_change(header, header.unclaimed(self.number)) {
                Ok(()) => return,
                Err(seen) => header = seen,
            }
        }
    }
}
