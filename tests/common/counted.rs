//! Keys and values whose births and drops are counted.
//!
//! The tallies are statics, not `Arc`s: thread sanitizer must not be told to look away from what an entry owns.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::fuse::{Site, spark};

/// Written into an instance while it lives, mixed with its id.
const ALIVE: u64 = 0x00a1_17e0_a117_e000;
/// Written over the mark by `drop`.
const DEAD: u64 = 0xdead_dead_dead_dead;

/// Counts the instances that it made, and those that are gone.
pub struct Tally {
    born: AtomicU64,
    dropped: AtomicU64,
    /// Sums of ids: equal numbers of births and drops with one dropped twice and one lost still show.
    ids_in: AtomicU64,
    ids_out: AtomicU64,
    /// Drops of what was not alive.
    twice: AtomicU64,
}

impl Tally {
    pub const fn new() -> Self {
        Tally {
            born: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            ids_in: AtomicU64::new(0),
            ids_out: AtomicU64::new(0),
            twice: AtomicU64::new(0),
        }
    }

    /// A counted `value`.
    pub fn count<T>(&'static self, value: T) -> Counted<T> {
        let id = self.born.fetch_add(1, Relaxed) + 1;
        self.ids_in.fetch_add(id, Relaxed);
        Counted { value, id, mark: AtomicU64::new(ALIVE ^ id), tally: self }
    }

    pub fn born(&self) -> u64 {
        self.born.load(Relaxed)
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// How many are alive. Exact when no thread is making or dropping any.
    pub fn live(&self) -> u64 {
        self.born() - self.dropped()
    }

    /// Each instance was dropped once.
    #[track_caller]
    pub fn assert_balanced(&self) {
        assert_eq!(self.twice.load(Relaxed), 0, "dropped twice, or used after drop");
        assert_eq!(self.born(), self.dropped(), "born (left), dropped (right)");
        assert_eq!(self.ids_in.load(Relaxed), self.ids_out.load(Relaxed), "ids born, ids dropped");
    }
}

/// A value that reports its end to a [`Tally`], and each use of its `Hash`, `Eq`, `Clone` and `Drop` to the fuse.
pub struct Counted<T> {
    value: T,
    id: u64,
    /// `ALIVE ^ id` or `DEAD`. Atomic, so that its last store is not optimized away.
    mark: AtomicU64,
    tally: &'static Tally,
}

impl<T> Counted<T> {
    /// Whether this memory still holds a live instance.
    pub fn is_alive(&self) -> bool {
        self.mark.load(Relaxed) == ALIVE ^ self.id
    }
}

impl<T> Deref for Counted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        if !self.is_alive() {
            self.tally.twice.fetch_add(1, Relaxed);
            panic!("used after drop");
        }
        &self.value
    }
}

impl<T> Drop for Counted<T> {
    fn drop(&mut self) {
        if self.mark.swap(DEAD, Relaxed) != ALIVE ^ self.id {
            self.tally.twice.fetch_add(1, Relaxed);
            panic!("dropped twice");
        }
        self.tally.dropped.fetch_add(1, Relaxed);
        self.tally.ids_out.fetch_add(self.id, Relaxed);
        spark(Site::Drop);
    }
}

impl<T: Clone> Clone for Counted<T> {
    fn clone(&self) -> Self {
        spark(Site::Clone);
        self.tally.count((**self).clone())
    }
}

impl<T: Hash> Hash for Counted<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        spark(Site::Hash);
        (**self).hash(state);
    }
}

impl<T: PartialEq> PartialEq for Counted<T> {
    fn eq(&self, other: &Self) -> bool {
        spark(Site::Eq);
        **self == **other
    }
}

impl<T: Eq> Eq for Counted<T> {}

impl<T> Borrow<T> for Counted<T> {
    fn borrow(&self) -> &T {
        self
    }
}
