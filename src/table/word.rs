//! The slot word: the one place that knows that an entry is a pointer.
//!
//! ```text
//!  63 62       48 47                             3   2     1      0
//! ┌──┬───────────┬────────────────────────────────┬─────┬──────┬──────┐
//! │ 0│tag of hash│ entry address                  │DRAFT│FROZEN│ DEAD │
//! └──┴───────────┴────────────────────────────────┴─────┴──────┴──────┘
//! ```
//!
//! A word's life in one tenancy of its slot: an entry, a DRAFT until it was published, other entries that replace it, then
//! DEAD for good. FROZEN is set on what stands there when the slot's bin is copied; nothing changes a frozen word. VIRGIN
//! (zero) is the word of a slot that never held anything.
//!
//! So a word without a flag that is not VIRGIN is that of a published entry, whatever the bin's header says. Of a draft the
//! header knows: whoever publishes the entry clears the flag a moment later.
//!
//! The tag is a window of 15 bits of the hash, on targets whose user addresses fit in 48 bits. It answers nearly all
//! misses from the bin's own line, and says to which child an entry goes when its bin is split, so that growth need
//! not look at the entries. Elsewhere tags are all equal and the entry is asked.

use crate::sync::{AtomicPtr, Ordering, prefetch};

const DEAD: usize = 1;
const FROZEN: usize = 2;
const DRAFT: usize = 4;
pub(super) const FLAGS: usize = DEAD | FROZEN | DRAFT;

// Android has its own tags in the pointers of its heap.
#[cfg(all(
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64", target_arch = "loongarch64"),
    not(target_os = "android")
))]
mod tagging {
    /// Whether words carry tags here.
    pub(crate) const TAGGED: bool = true;

    /// What an entry keeps of its hash: nothing, where tags say enough.
    pub(crate) struct KeptHash;

    impl KeptHash {
        pub(crate) fn new(_: u64) -> Self {
            KeptHash
        }

        pub(crate) fn get(&self, again: impl FnOnce() -> u64) -> u64 {
            again()
        }
    }
}

#[cfg(not(all(
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64", target_arch = "loongarch64"),
    not(target_os = "android")
)))]
mod tagging {
    pub(crate) const TAGGED: bool = false;

    pub(crate) struct KeptHash(u64);

    impl KeptHash {
        pub(crate) fn new(hash: u64) -> Self {
            KeptHash(hash)
        }

        pub(crate) fn get(&self, _: impl FnOnce() -> u64) -> u64 {
            self.0
        }
    }
}

pub(crate) use tagging::{KeptHash, TAGGED};

pub(super) const TAG_SHIFT: u32 = 48;
const ADDRESS: usize = if TAGGED { ((1u64 << 48) - 1) as usize & !FLAGS } else { !FLAGS };

/// A window of the hash, of [`TAG_BITS`], where it stands in a word; see [`super::array::window`] for which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(u64);

/// One less than there is room for, so that tags are compared by a subtraction ([`Word::difference`]).
pub(crate) const TAG_BITS: u32 = 15;

impl Tag {
    const MASK: u64 = if TAGGED { ((1 << TAG_BITS) - 1) << TAG_SHIFT } else { 0 };

    /// The tag among these bits, which are where it stands in a word.
    #[inline]
    pub(crate) fn in_place(bits: u64) -> Self {
        Tag(bits & Self::MASK)
    }

    /// The tag in the lowest of these bits.
    #[inline]
    pub(crate) fn of(bits: u64) -> Self {
        Self::in_place(bits << TAG_SHIFT)
    }

    /// Those bits.
    #[inline]
    pub(crate) fn bits(self) -> u64 {
        self.0 >> TAG_SHIFT
    }

    /// The bits of a word of which all others are zero.
    #[inline]
    pub(super) fn as_word(self) -> u64 {
        self.0
    }
}

/// What a slot holds.
pub(crate) struct Word<E>(*mut E);

impl<E> Clone for Word<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Word<E> {}

impl<E> PartialEq for Word<E> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<E> Word<E> {
    pub(crate) const VIRGIN: Self = Word(std::ptr::null_mut());
    pub(crate) const DEAD: Self = Word(std::ptr::without_provenance_mut(DEAD));

    /// On tagged targets the entry's address must fit (see [`fits`]).
    #[inline]
    pub(crate) fn new(entry: *mut E, tag: Tag) -> Self {
        const { assert!(align_of::<E>() > FLAGS, "no room for the flags") };
        Word(entry).with_tag(tag)
    }

    #[inline]
    pub(crate) fn entry(self) -> *mut E {
        self.0.map_addr(|bits| bits & ADDRESS)
    }

    #[inline]
    pub(crate) fn tag(self) -> Tag {
        Tag::in_place(self.0.addr() as u64)
    }

    #[inline]
    pub(crate) fn has_tag(self, tag: Tag) -> bool {
        self.difference(tag) >> 63 != 0
    }

    /// A number whose highest bit is set if the word has this tag.
    #[inline]
    pub(super) fn difference(self, tag: Tag) -> u64 {
        if !TAGGED {
            return u64::MAX;
        }
        // Tags have 15 bits: without the flags' and the address's part the difference of two is below 2^63, and zero
        // minus one has the highest bit set.
        let differs = self.0.addr() as u64 ^ tag.as_word();
        differs.wrapping_sub(1 << TAG_SHIFT)
    }

    #[inline]
    pub(crate) fn with_tag(self, tag: Tag) -> Self {
        if TAGGED { Word(self.0.map_addr(|bits| bits & (ADDRESS | FLAGS) | tag.as_word() as usize)) } else { self }
    }

    #[inline]
    pub(crate) fn is_virgin(self) -> bool {
        self.0.is_null()
    }

    /// No entry stands here: never one, no longer one, or a closed slot of a tail.
    #[inline]
    pub(crate) fn is_vacant(self) -> bool {
        self.0.addr() & DEAD != 0 || self.is_virgin()
    }

    /// An entry stood here, and was unlinked.
    #[inline]
    pub(crate) fn is_dead(self) -> bool {
        self.0.addr() & DEAD != 0
    }

    /// DEAD, FROZEN or DRAFT.
    #[inline]
    pub(crate) fn is_flagged(self) -> bool {
        self.0.addr() & FLAGS != 0
    }

    #[inline]
    pub(crate) fn is_frozen(self) -> bool {
        self.0.addr() & FROZEN != 0
    }

    /// A frozen VIRGIN is also DEAD: a slot that was never used and never will be. A draft that is frozen was published.
    #[inline]
    pub(crate) fn frozen(self) -> Self {
        let flags = if self.is_virgin() { DEAD | FROZEN } else { FROZEN };
        Word(self.0.map_addr(|bits| bits & !DRAFT | flags))
    }

    /// The word of an entry that may not be published yet.
    #[inline]
    pub(crate) fn draft(self) -> Self {
        Word(self.0.map_addr(|bits| bits | DRAFT))
    }

    #[inline]
    pub(crate) fn is_draft(self) -> bool {
        self.0.addr() & DRAFT != 0
    }

    /// The same, once it is known to be published.
    #[inline]
    pub(crate) fn published(self) -> Self {
        Word(self.0.map_addr(|bits| bits & !DRAFT))
    }

    #[inline]
    pub(crate) fn thawed(self) -> Self {
        Word(self.0.map_addr(|bits| bits & !FROZEN))
    }
}

/// Whether an entry at this address can be told from its tag and flags.
#[inline]
pub(crate) fn fits<E>(entry: *mut E) -> bool {
    entry.addr() & !ADDRESS == 0
}

/// A slot's word. Stores are Release and loads Acquire: a word that is seen brings the entry's fields with it (O1).
pub(crate) struct Slot<E>(AtomicPtr<E>);

impl<E> Default for Slot<E> {
    fn default() -> Self {
        Slot(AtomicPtr::new(std::ptr::null_mut()))
    }
}

impl<E> Slot<E> {
    pub(crate) fn holding(word: Word<E>) -> Self {
        Slot(AtomicPtr::new(word.0))
    }

    #[inline]
    pub(crate) fn load(&self) -> Word<E> {
        // Acquire: the entry's fields; pairs with the Release of `store` and `swing` (O1).
        Word(self.0.load(Ordering::Acquire))
    }

    /// A word that only says where to look.
    #[inline]
    pub(super) fn hint(&self) -> Word<E> {
        // Relaxed: what follows from a match is loaded again. A mismatch is right for a key that was live under the
        // header read before: all words in its slot since then have its tag.
        Word(self.0.load(Ordering::Relaxed))
    }

    /// Has whatever stands here fetched; nothing is read through it.
    #[inline]
    pub(crate) fn prefetch_entry(&self) {
        prefetch(self.hint().entry());
    }

    /// For the owner of a claim only.
    #[inline]
    pub(crate) fn store(&self, word: Word<E>) {
        // Release: publishes the entry's fields with its address (O1).
        self.0.store(word.0, Ordering::Release);
    }

    /// Changes `from` into `to`; false if something else stood there.
    #[inline]
    pub(crate) fn swing(&self, from: Word<E>, to: Word<E>) -> bool {
        // Release: publishes the new entry (O1). Acquire: a belt; `from` came by an Acquire load. Failure: the caller
        // loads again.
        self.0.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Freezes whatever stands here, in at most as many steps as others change it; returns it frozen. What is DEAD
    /// stays as it is.
    #[inline]
    pub(crate) fn freeze(&self) -> Word<E> {
        loop {
            let word = self.load();
            if word.is_frozen() || (word.is_vacant() && !word.is_virgin()) {
                return word;
            }
            if self.swing(word, word.frozen()) {
                return word.frozen();
            }
        }
    }
}

#[cfg(all(test, not(ttl_loom)))]
mod tests {
    use super::*;
    use crate::sync::AtomicU64;

    #[test]
    fn word_keeps_address_tag_and_flags_apart() {
        let mut value = AtomicU64::new(7);
        let entry: *mut AtomicU64 = &mut value;
        assert!(fits(entry));
        let word = Word::new(entry, Tag::of(0x7BCD));
        assert_eq!(word.entry(), entry);
        assert_eq!(word.tag().bits(), if TAGGED { 0x7BCD } else { 0 });
        for bits in [0, 1, 0x7BCC, 0x7BCD, 0x3BCD, 0x7FFF] {
            assert_eq!(word.has_tag(Tag::of(bits)), bits == 0x7BCD || !TAGGED);
            assert_eq!(Word::<AtomicU64>::DEAD.has_tag(Tag::of(bits)), bits == 0 || !TAGGED);
        }
        assert_eq!((Tag::of(0xFFFF), Tag::of(u64::MAX)), (Tag::of(0x7FFF), Tag::of(0x7FFF)));
        assert!(!word.is_vacant() && !word.is_frozen());
        let frozen = word.frozen();
        assert!(frozen.is_frozen() && !frozen.is_vacant());
        assert_eq!(frozen.entry(), entry);
        assert!(frozen.thawed() == word);
        assert_eq!(frozen.with_tag(Tag::of(1)).entry(), entry);
        assert!(frozen.with_tag(Tag::of(1)).is_frozen());
        let draft = word.draft();
        assert!(draft.is_flagged() && !draft.is_vacant() && !draft.is_frozen());
        assert_eq!((draft.entry(), draft.tag()), (entry, word.tag()));
        assert!(draft.is_draft() && !word.is_draft());
        assert!(draft.published() == word && draft.frozen() == frozen);
    }

    #[test]
    fn vacant_words_hold_nothing() {
        assert!(Word::<AtomicU64>::VIRGIN.is_vacant() && Word::<AtomicU64>::DEAD.is_vacant());
        assert!(!Word::<AtomicU64>::DEAD.is_virgin());
        assert!(Word::<AtomicU64>::VIRGIN.frozen().is_vacant());
        let slot: Slot<AtomicU64> = Slot::default();
        assert!(slot.freeze().is_frozen());
        slot.store(Word::DEAD);
        assert!(!slot.freeze().is_frozen());
    }
}
