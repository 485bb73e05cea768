//! The tail of a sealed bin: where keys go that no growth can part, or that came before growth could.
//!
//! An append-only array of words. A new key is linked by CAS into the first VIRGIN word, after a scan of all words
//! before it; as that is the only place where it can go, no key is published twice. Replace and remove work on the
//! word, as in a bin. A full array is rebuilt: freeze every word, copy what is left into a new array, swing the
//! cell to it. Anyone may do so, and whoever meets a frozen word does. Dead words go in a rebuild, and as a rebuild
//! leaves at least as much room as it copied, churn costs a constant per key and never grows the tail for ever.
//!
//! Lookups take time in proportion to the tail. That is what equal hashes cost.

use std::ptr;

use super::bin::Occupant;
use super::insert::{Insert, Pressure};
use super::word::{Slot, Tag, Word};
use crate::sync::{AtomicPtr, Ordering};

/// Words in the smallest tail.
const SMALLEST: usize = if cfg!(ttl_loom) { 2 } else { 8 };

pub(crate) struct Tail<E> {
    words: Box<[Slot<E>]>,
}

impl<E> Tail<E> {
    /// A tail of these words, and as many VIRGIN ones again.
    fn new(words: &[Word<E>]) -> Box<Self> {
        let room = words.len().max(SMALLEST - words.len().min(SMALLEST)).max(1);
        let virgin = std::iter::repeat_n(Word::VIRGIN, room);
        Box::new(Tail { words: words.iter().copied().chain(virgin).map(Slot::holding).collect() })
    }
}

/// The way to a bin's tail: null before the first key, then the present one. CLOSED is set when the bin is moved;
/// nothing changes a closed cell.
pub(crate) struct TailCell<E>(AtomicPtr<Tail<E>>);

const CLOSED: usize = 1;

impl<E> Default for TailCell<E> {
    fn default() -> Self {
        TailCell(AtomicPtr::new(ptr::null_mut()))
    }
}

impl<E> TailCell<E> {
    /// The cell's content and the tail that it means.
    fn load(&self) -> (*mut Tail<E>, Option<&Tail<E>>) {
        // Acquire: the tail's words; pairs with the CAS in `swing` (O6).
        let content = self.0.load(Ordering::Acquire);
        // SAFETY: a tail is retired only after the cell was swung away from it, or its bin moved; whoever reads the
        // cell was pinned before.
        (content, unsafe { content.map_addr(|bits| bits & !CLOSED).as_ref() })
    }

    /// Writes to a cell that nobody else knows of, what is there. A fresh page that is read first is mapped to the system's page of
    /// zeroes, and when it is written to then, all processors of the program are interrupted.
    pub(super) fn touch(&self) {
        // Relaxed: published later (O3).
        self.0.store(ptr::null_mut(), Ordering::Relaxed);
    }

    fn swing(&self, from: *mut Tail<E>, to: *mut Tail<E>) -> bool {
        // Release: publishes the new tail's words (O6). Acquire: a belt; `from` came by an Acquire load.
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    pub(super) fn find<'g>(&'g self, tag: Tag, is: &mut impl FnMut(&E) -> bool) -> Option<Occupant<'g, E>> {
        self.words().find_map(|(slot, word)| holds(slot, word, tag, is))
    }

    /// The words up to the first one that was never used.
    pub(super) fn words<'g>(&'g self) -> impl Iterator<Item = (&'g Slot<E>, Word<E>)> + use<'g, E> {
        let slots = self.load().1.map_or(&[][..], |tail| &tail.words[..]);
        slots.iter().map(|slot| (slot, slot.load())).take_while(|(_, word)| !word.is_virgin())
    }

    /// Links `new` unless the key is there already. The caller has seen the bin sealed, and then that the key is not
    /// among its slots.
    pub(super) fn insert<'g>(
        &'g self,
        new: Word<E>,
        is: &mut impl FnMut(&E) -> bool,
        rebuilt: &mut dyn FnMut(*mut Tail<E>),
        mut pressure: Pressure,
    ) -> Insert<'g, E> {
        loop {
            let (content, tail) = self.load();
            if is_closed(content) {
                return Insert::Frozen;
            }
            let Some(tail) = tail else {
                self.install(content, Tail::new(&[]));
                pressure = Pressure::Sealed;
                continue;
            };
            match append(tail, new, is) {
                Append::Inserted => return Insert::Inserted(pressure),
                Append::Found(occupant) if !occupant.is_frozen() => return Insert::Found(occupant),
                Append::Found(_) | Append::Full => {
                    self.rebuild(content, tail, rebuilt);
                    // Again, as whoever sealed the bin may not have come to say so.
                    pressure = Pressure::Sealed;
                }
            }
        }
    }

    /// Installs a first tail, or one made of copied words; does nothing where there is one.
    pub(super) fn install(&self, from: *mut Tail<E>, tail: Box<Tail<E>>) {
        let tail = Box::into_raw(tail);
        if !self.swing(from, tail) {
            // SAFETY: made from a box just now, and not published.
            drop(unsafe { Box::from_raw(tail) });
        }
    }

    /// As [`TailCell::install`], for the tail of a bin that is being filled.
    pub(super) fn fill(&self, words: &[Word<E>]) {
        self.install(ptr::null_mut(), Tail::new(words));
    }

    /// Rebuilds the tail, if it is in need of it.
    pub(super) fn help(&self, rebuilt: &mut dyn FnMut(*mut Tail<E>)) {
        let (content, tail) = self.load();
        if let Some(tail) = tail.filter(|_| !is_closed(content)) {
            if tail.words.iter().any(|slot| slot.load().is_frozen()) {
                self.rebuild(content, tail, rebuilt);
            }
        }
    }

    #[cold]
    fn rebuild(&self, content: *mut Tail<E>, tail: &Tail<E>, rebuilt: &mut dyn FnMut(*mut Tail<E>)) {
        let left: Vec<_> =
            tail.words.iter().map(Slot::freeze).filter(|word| !word.is_vacant()).map(Word::thawed).collect();
        let new = Box::into_raw(Tail::new(&left));
        if self.swing(content, new) {
            rebuilt(content);
        } else {
            // SAFETY: made from a box above, and not published.
            drop(unsafe { Box::from_raw(new) });
        }
    }

    /// Closes the cell and freezes the words of the tail, which is the last one then.
    pub(super) fn close(&self) {
        loop {
            let (content, tail) = self.load();
            // A rebuild that comes later finds the cell closed, and its own tail was never seen.
            if is_closed(content) || self.swing(content, content.map_addr(|bits| bits | CLOSED)) {
                tail.into_iter().flat_map(|tail| &tail.words).for_each(|slot| _ = slot.freeze());
                return;
            }
        }
    }

    /// The tail itself, for whoever moved the bin first or drops the table.
    pub(super) fn as_ptr(&self) -> *mut Tail<E> {
        self.load().0.map_addr(|bits| bits & !CLOSED)
    }
}

fn is_closed<E>(content: *mut Tail<E>) -> bool {
    content.addr() & CLOSED != 0
}

enum Append<'g, E> {
    Inserted,
    Found(Occupant<'g, E>),
    Full,
}

fn append<'g, E>(tail: &'g Tail<E>, new: Word<E>, is: &mut impl FnMut(&E) -> bool) -> Append<'g, E> {
    for slot in &tail.words {
        let mut word = slot.load();
        if word.is_virgin() {
            if slot.swing(word, new) {
                return Append::Inserted;
            }
            word = slot.load();
        }
        if let Some(occupant) = holds(slot, word, new.tag(), is) {
            return Append::Found(occupant);
        }
    }
    Append::Full
}

fn holds<'g, E>(
    slot: &'g Slot<E>,
    word: Word<E>,
    tag: Tag,
    is: &mut impl FnMut(&E) -> bool,
) -> Option<Occupant<'g, E>> {
    if word.is_vacant() || !word.has_tag(tag) {
        return None;
    }
    let occupant = Occupant::new(slot, word);
    is(occupant.entry()).then_some(occupant)
}
