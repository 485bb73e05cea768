//! An entry: key, value, and the deadline that alone says whether it is live.
//!
//! Where reads move deadlines an entry has a word more, its *bound*. That word stands behind the entry, in the same piece
//! of memory, so that maps whose reads are silent don't pay for it. It is reached through the pointer that the memory was
//! made with, never through a reference to the entry.

use crate::clock::Stamp;
use crate::sync::{AtomicU64, Ordering};
use crate::table::KeptHash;

#[repr(align(8))]
pub(crate) struct Entry<K, V> {
    /// A [`Stamp`]: nanoseconds on the map's clock. Changed while the entry lives, by CAS from what was judged live; written
    /// for the last time, to be closed, by the first who acts on the lapse, or by who has unlinked the entry.
    stamp: AtomicU64,
    pub(crate) kept_hash: KeptHash,
    pub(crate) key: K,
    pub(crate) value: V,
}

/// An entry with its bound.
#[repr(C)]
struct Bounded<K, V> {
    /// In front: a pointer to all of it is one to the entry.
    entry: Entry<K, V>,
    bound: u64,
}

/// Whether the entries of a map have bounds; the same for all of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    Bounded,
}

impl<K, V> Entry<K, V> {
    #[inline]
    pub(crate) fn new(key: K, value: V, hash: u64, stamp: Stamp) -> Self {
        Entry { stamp: AtomicU64::new(stamp.word()), kept_hash: KeptHash::new(hash), key, value }
    }

    /// Gives the entry memory of its own, with its bound if it has one.
    #[inline]
    pub(crate) fn into_raw(self, bound: Option<u64>) -> *mut Self {
        match bound {
            None => Box::into_raw(Box::new(self)),
            Some(bound) => Box::into_raw(Box::new(Bounded { entry: self, bound })).cast(),
        }
    }

    /// Takes the entry out of its memory, which is freed.
    ///
    /// # Safety
    ///
    /// `entry` comes from [`Entry::into_raw`], with a bound if that is its form, and nobody uses it any more.
    pub(crate) unsafe fn from_raw(entry: *mut Self, form: Form) -> Self {
        // SAFETY: the caller says so.
        unsafe {
            match form {
                Form::Plain => *Box::from_raw(entry),
                Form::Bounded => Box::from_raw(entry.cast::<Bounded<K, V>>()).entry,
            }
        }
    }

    /// The latest deadline to which reads may move this entry's; [`EXPIRED`](crate::clock::EXPIRED) if they may not move it at all.
    ///
    /// # Safety
    ///
    /// `entry` comes from [`Entry::into_raw`] with a bound, itself and not by way of a reference, and is not freed yet.
    pub(crate) unsafe fn bound(entry: *const Self) -> u64 {
        // SAFETY: the caller says so. The bound is written once, before the entry is published.
        unsafe { (*entry.cast::<Bounded<K, V>>()).bound }
    }

    /// The memory of an entry.
    #[cfg(any(test, feature = "stats"))]
    pub(crate) fn bytes(form: Form) -> usize {
        match form {
            Form::Plain => size_of::<Self>(),
            Form::Bounded => size_of::<Bounded<K, V>>(),
        }
    }

    #[inline]
    pub(crate) fn stamp(&self) -> Stamp {
        // Relaxed: one word, and nothing is reached through it; its first value came with the entry (O1).
        Stamp::of_word(self.stamp.load(Ordering::Relaxed))
    }

    /// The entry's deadline; [`EXPIRED`](crate::clock::EXPIRED) if its end is final.
    #[inline]
    pub(crate) fn deadline(&self) -> u64 {
        self.stamp().deadline()
    }

    /// Gives the entry another deadline before it is published.
    pub(crate) fn set_stamp(&self, to: Stamp) {
        // Relaxed: nobody else sees it yet; it comes with the entry (O1).
        self.stamp.store(to.word(), Ordering::Relaxed);
    }

    /// Makes the lapse of this very deadline final; false if the deadline has changed.
    ///
    /// Whoever reports an entry expired does this first, so that nobody who judged an earlier time can bring back
    /// what was reported gone.
    pub(crate) fn lapse(&self, deadline: u64) -> bool {
        // Relaxed: all that matters is the order of changes to this word.
        self.swing(Stamp::open(deadline), Stamp::closed(deadline))
    }

    /// Gives the entry another deadline in place of the one that was judged live; false if it has changed.
    pub(crate) fn change_deadline(&self, from: u64, to: u64) -> bool {
        // Relaxed: likewise. What is to see it by the reminders comes after a fence (W7).
        self.swing(Stamp::open(from), Stamp::open(to))
    }

    fn swing(&self, from: Stamp, to: Stamp) -> bool {
        self.stamp.compare_exchange(from.word(), to.word(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Ends the entry at `at`, for who has unlinked it: nobody changes its deadline any more. Returns the last one; none if
    /// it had ended before, by that one.
    pub(crate) fn close(&self, at: u64) -> Option<u64> {
        let end = |word| Stamp::of_word(word).is_open().then_some(Stamp::closed(at).word());
        // Relaxed: likewise.
        let last = self.stamp.fetch_update(Ordering::Relaxed, Ordering::Relaxed, end);
        last.ok().map(|word| Stamp::of_word(word).deadline())
    }
}
