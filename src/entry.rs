//! An entry: key, value, and the deadline that alone says whether it is live.

use crate::clock::EXPIRED;
use crate::sync::{AtomicU64, Ordering};
use crate::table::KeptHash;

#[repr(align(8))]
pub(crate) struct Entry<K, V> {
    /// Nanoseconds on the map's clock. Changed while the entry lives, by CAS from what was judged live; written for the
    /// last time, to [`EXPIRED`], by the first who acts on the lapse, or by who has unlinked the entry.
    deadline: AtomicU64,
    pub(crate) kept_hash: KeptHash,
    pub(crate) key: K,
    pub(crate) value: V,
}

impl<K, V> Entry<K, V> {
    pub(crate) fn new(key: K, value: V, hash: u64, deadline: u64) -> Self {
        Entry { deadline: AtomicU64::new(deadline), kept_hash: KeptHash::new(hash), key, value }
    }

    #[inline]
    pub(crate) fn deadline(&self) -> u64 {
        // Relaxed: one word, and nothing is reached through it; its first value came with the entry (O1).
        self.deadline.load(Ordering::Relaxed)
    }

    /// Makes the lapse of this very deadline final; false if the deadline has changed.
    ///
    /// Whoever reports an entry expired does this first, so that nobody who judged an earlier time can bring back
    /// what was reported gone.
    pub(crate) fn lapse(&self, deadline: u64) -> bool {
        // Relaxed: all that matters is the order of changes to this word.
        self.deadline.compare_exchange(deadline, EXPIRED, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Gives the entry another deadline in place of the one that was judged live; false if it has changed.
    pub(crate) fn change_deadline(&self, from: u64, to: u64) -> bool {
        // Relaxed: likewise. What is to see it by the reminders comes after a fence (W7).
        self.deadline.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// The entry's last deadline, for who has unlinked it: nobody changes it any more.
    pub(crate) fn close(&self) -> u64 {
        // Relaxed: likewise.
        self.deadline.swap(EXPIRED, Ordering::Relaxed)
    }
}
