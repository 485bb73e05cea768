//! What stands in a bin at one moment, for who goes through all of it: walks, and sweeps, which empty several slots at once.

use super::bin::{BinRef, Occupant, Occupied};
use super::header::{SLOTS, Slots};
use super::word::Word;

/// The words of a bin's slots, as they stood together at the last [look](Standing::look); none before. On the stack: sweeps come by often.
pub(crate) struct Standing<'g, E> {
    bin: BinRef<'g, E>,
    words: [Word<E>; SLOTS],
    there: Slots,
    is_sealed: bool,
}

impl<'g, E> BinRef<'g, E> {
    /// What will be seen of it by [`Standing::look`].
    #[inline]
    pub(crate) fn standing(self) -> Standing<'g, E> {
        Standing { bin: self, words: [Word::VIRGIN; SLOTS], there: Slots::default(), is_sealed: false }
    }

    /// Adds the bin's entries, as they stood together at some moment; None if it has moved.
    pub(crate) fn snapshot(self, into: &mut Vec<Occupied<'g, E>>) -> Option<()> {
        let mut standing = self.standing();
        standing.look()?;
        into.extend(standing.in_slots().map(|(_, found)| found).chain(standing.in_tail()));
        Some(())
    }

    /// Has the entries fetched that stand in the bin's own line.
    pub(super) fn prefetch_entries(self) {
        let own = self.header().live_slots().map_while(|number| self.bin.slots.get(number));
        own.for_each(|slot| slot.prefetch_entry());
    }

    /// Frees those of some slots whose word is DEAD, by one change. Frozen bins are left as they are, and so is what others
    /// freed first.
    pub(crate) fn free_all(self, emptied: Slots) {
        let mut header = self.bin.load();
        while !header.is_frozen() {
            // As for a single one: the words are read under each header anew.
            let is_to_free = |&number: &usize| header.is_live(number) && self.slot(number).load().is_dead();
            let freed = emptied.numbers().filter(is_to_free).fold(header, |to, number| to.freed(number));
            if freed == header {
                return;
            }
            match self.bin.try_change(header, freed) {
                Ok(()) => return,
                Err(seen) => header = seen,
            }
        }
    }
}

impl<'g, E> Standing<'g, E> {
    /// Reads the bin's entries as they stood together at some moment (those in a tail later); None if it has moved. To where
    /// they are looked at: copied once more they would be waited for.
    #[inline]
    pub(crate) fn look(&mut self) -> Option<()> {
        loop {
            let header = self.bin.header();
            if header.is_moved() {
                return None;
            }
            (self.there, self.is_sealed) = (Slots::default(), header.is_sealed());
            for number in header.live_slots() {
                let word = self.bin.slot(number).load();
                if !word.is_vacant() {
                    self.words[number] = word;
                    self.there.add(number);
                }
            }
            if self.bin.header().version() == header.version() {
                return Some(());
            }
        }
    }

    /// The entries in the bin's slots, with their numbers.
    #[inline]
    pub(crate) fn in_slots(&self) -> impl Iterator<Item = (usize, Occupied<'g, E>)> {
        self.there.numbers().map(|number| (number, self.occupied(number)))
    }

    /// The entries in the bin's tail.
    pub(crate) fn in_tail(&self) -> impl Iterator<Item = Occupied<'g, E>> {
        let tail = if self.is_sealed { self.bin.tail() } else { None };
        let words = tail.into_iter().flat_map(|tail| tail.words()).filter(|(_, word)| !word.is_vacant());
        words.map(|(slot, word)| Occupied::in_tail(Occupant::new(slot, word)))
    }

    /// The entry in a slot that there was one in.
    #[inline]
    pub(crate) fn occupied(&self, number: usize) -> Occupied<'g, E> {
        Occupied::in_slot(self.bin, number, self.words[number])
    }
}
