//! A look into a bin whose end is put off until the entry has come from memory: for batches of gets.

use super::bin::BinRef;
use super::word::{Slot, Tag, Word};
use crate::sync::prefetch;

/// Where an entry stood that has a key's tag, and no other in its bin's own line before it.
pub(crate) struct Preview<'g, E> {
    slot: &'g Slot<E>,
    word: Word<E>,
}

impl<'g, E> BinRef<'g, E> {
    /// Finds the first entry with this tag in the bin's own line, and has it fetched. None: look again, thoroughly; if the overflow
    /// line is where it may be, that is fetched.
    #[inline]
    pub(super) fn preview(self, tag: Tag) -> Option<Preview<'g, E>> {
        let header = self.bin.load();
        let matches = header.live_among(self.main_with_tag(tag));
        let Some(slot) = self.bin.slots.get(matches.trailing_zeros() as usize) else {
            if header.has_more() {
                self.line().into_iter().for_each(|line| prefetch(line));
            }
            return None;
        };
        let word = slot.load();
        // Also where it is frozen or a draft, and the entry found by another way.
        prefetch(word.entry());
        // As in `glance_at`. A frozen word stays as it is though the entry is replaced where the bin has moved.
        if word.is_flagged() {
            return None;
        }
        Some(Preview { slot, word })
    }
}

impl<'g, E> Preview<'g, E> {
    /// The entry, if it still stands there: whatever removes, replaces or moves it changes the word, and the finder is pinned, so
    /// that no other entry gets its address.
    #[inline]
    pub(crate) fn entry(&self) -> Option<&'g E> {
        // SAFETY: a published entry's word, read by one who was pinned before that; entries are retired only after they were
        // unlinked.
        (self.slot.load() == self.word).then(|| unsafe { &*self.word.entry() })
    }
}
