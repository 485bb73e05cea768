//! What a move does to one bin: freeze it, read what it holds, fill another and open that, say moved.

use super::bin::BinRef;
use super::header::Header;
use super::tail::{Tail, TailCell};
use super::word::Word;
use crate::sync::Ordering;

impl<E> BinRef<'_, E> {
    /// Freezes the bin, whose header nothing but MOVED can change any more then, and each of its words, with which it
    /// calls `each`: in the order of [`BinRef::frozen_words`].
    #[inline]
    pub(super) fn freeze(self, each: &mut impl FnMut(Word<E>)) {
        let mut header = self.header();
        while !header.is_frozen() {
            match self.bin.try_change(header, header.frozen()) {
                Ok(()) => header = header.frozen(),
                Err(seen) => header = seen,
            }
        }
        for number in header.live_slots() {
            let word = self.slot(number).freeze();
            if !word.is_vacant() {
                each(word);
            }
        }
        if header.is_sealed() {
            if let Some(tail) = self.tail() {
                tail.close();
                tail.words().filter(|(_, word)| !word.is_vacant()).for_each(|(_, word)| each(word));
            }
        }
    }

    /// Calls `each` with the words of the entries of a frozen bin, always in the same order.
    pub(super) fn frozen_words(self, header: Header, each: &mut dyn FnMut(Word<E>)) {
        for number in header.live_slots() {
            let word = self.slot(number).load();
            if !word.is_vacant() {
                each(word);
            }
        }
        if header.is_sealed() {
            if let Some(tail) = self.tail() {
                tail.words().filter(|(_, word)| !word.is_vacant()).for_each(|(_, word)| each(word));
            }
        }
    }

    /// Puts `word` in slot `number` of a bin that was not published yet, unless another helper did.
    #[inline]
    pub(super) fn copy_into(&self, number: usize, word: Word<E>) -> bool {
        let Some(slot) = self.bin.slots.get(number) else { return self.copy_into_line(number, word) };
        // Fails if it was done before, perhaps long before: the slot may have had other tenants since, but was
        // VIRGIN only until the first.
        slot.swing(Word::VIRGIN, word);
        true
    }

    #[cold]
    fn copy_into_line(&self, number: usize, word: Word<E>) -> bool {
        let is_there = self.line().is_some() || self.add_line();
        if is_there {
            // Likewise.
            self.slot(number).swing(Word::VIRGIN, word);
        }
        is_there
    }

    /// Opens a bin to which all was copied; only the first call does.
    pub(super) fn open(self, header: Header) {
        self.bin.change(Header(0), header);
    }

    /// Says that the bin's entries have moved; true for the first who says so.
    pub(super) fn set_moved(self) -> bool {
        // Release: whoever sees MOVED sees the next array's bins published, and all that stood here frozen (O4).
        !Header(self.bin.header.fetch_or(Header::MOVED, Ordering::AcqRel)).is_moved()
    }

    /// Replaces a tail that is being rebuilt, so that a writer who met one of its frozen words can go on.
    pub(super) fn help_tail(self, rebuilt: &mut dyn FnMut(*mut Tail<E>)) {
        if let Some(tail) = self.tail() {
            tail.help(rebuilt);
        }
    }

    /// Frees the tail itself, not the entries that it holds.
    ///
    /// # Safety
    ///
    /// Only once, by whoever owns the table, of a bin that hasn't moved.
    pub(super) unsafe fn free_tail(self) {
        if let Some(tail) = self.tail().map(TailCell::as_ptr).filter(|tail| !tail.is_null()) {
            // SAFETY: tails are made from boxes; this one was not retired, as its bin hasn't moved.
            drop(unsafe { Box::from_raw(tail) });
        }
    }
}
