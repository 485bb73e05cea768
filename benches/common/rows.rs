//! What a peer is: single operations, how it is made, and what it is called.

use std::time::Duration;

use super::{Batches, Data, TTL, Tally, keys};

/// Single operations, by the map itself or through a pin that is held.
///
/// `get` is a part of each loop for all peers: what of the peer itself is called there is for its own attributes to say.
pub trait Ops<D: Data> {
    /// The weight of the value found.
    fn get(&self, key: &D::Key) -> Option<u64>;
    fn insert(&self, key: D::Key, value: D::Value);
    /// Whether the key was there.
    fn remove(&self, key: &D::Key) -> bool;
}

impl<D: Data, T: Ops<D>> Ops<D> for &T {
    #[inline(always)]
    fn get(&self, key: &D::Key) -> Option<u64> {
        T::get(self, key)
    }
    fn insert(&self, key: D::Key, value: D::Value) {
        T::insert(self, key, value)
    }
    fn remove(&self, key: &D::Key) -> bool {
        T::remove(self, key)
    }
}

/// What becomes of entries that have lapsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upkeep {
    /// Nothing lapses.
    NoTtl,
    /// They stay until [`Peer::sweep`].
    ByHand,
    /// Writes remove them.
    Itself,
}

/// In which way a peer is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The peer's own verb, or a pin for each operation.
    Call,
    /// Ours only, gets only: `pin().get` for each operation, where the call is `read`.
    PinEach,
    /// Through a pin that is held.
    Held,
    /// Through a pin that is held, 32 gets at once.
    Many,
}

impl Way {
    /// The peer's name with the way.
    pub fn label(self, peer: &str) -> String {
        match self {
            Way::Call => peer.to_owned(),
            Way::PinEach => format!("{peer}, pin().get each"),
            Way::Held => format!("{peer}, pin held"),
            Way::Many => format!("{peer}, pin held, get_many of 32"),
        }
    }

    /// The way of ours that a peer asked in this way is compared with.
    pub fn rival(self) -> Way {
        match self {
            Way::Call | Way::PinEach => Way::Call,
            Way::Held | Way::Many => Way::Held,
        }
    }
}

/// A map; its own [`Ops`] pin once for each operation.
pub trait Peer<D: Data>: Ops<D> + Sync + Sized + 'static {
    const NAME: &'static str;
    /// The package whose version is printed.
    const PACKAGE: &'static str;
    const WAYS: &'static [Way] = &[Way::Call];
    const UPKEEP: Upkeep;
    /// The map through a pin that is held; `&Self` where there is no such thing.
    type Held<'a>: Ops<D>;

    fn new(ttl: Duration) -> Self;
    fn hold(&self) -> Self::Held<'_>;
    fn get_by_pin(&self, key: &D::Key) -> Option<u64> {
        self.get(key)
    }
    /// Gets keys 32 at a time, through a pin that is held.
    fn get_many(&self, keys: &[D::Key]) -> Tally {
        let _ = keys;
        unreachable!("only for peers with Way::Many")
    }
    /// Does the upkeep that the map put off.
    fn settle(&self) {}
    /// Removes all that has lapsed, and gives back what can be.
    fn sweep(&self) {}
    /// How many entries occupy memory.
    fn stored(&self) -> usize;
}

/// A peer as a row of the list: how it is called and how one is made.
pub struct Entry<D> {
    pub name: &'static str,
    pub package: &'static str,
    pub ways: &'static [Way],
    pub upkeep: Upkeep,
    /// Makes an empty map whose entries live so long.
    pub with_ttl: fn(Duration) -> Box<dyn Batches<D>>,
    /// Makes a map, sets a key, gets it and drops the map, so many times; returns the sum of what the gets found.
    pub lives: fn(usize) -> u64,
}

impl<D> Clone for Entry<D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Entry<D> {}

impl<D: Data> Entry<D> {
    /// The row of a peer.
    pub const fn of<P: Peer<D>>() -> Self {
        Entry {
            name: P::NAME,
            package: P::PACKAGE,
            ways: P::WAYS,
            upkeep: P::UPKEEP,
            with_ttl: |ttl| Box::new(P::new(ttl)),
            lives: |count| {
                let key = D::key(0);
                (0..count as u64).fold(0, |sum, generation| {
                    let map = P::new(TTL);
                    map.insert(key.clone(), D::value(&key, generation));
                    sum.wrapping_add(map.get(&key).unwrap_or(0))
                })
            },
        }
    }

    /// Makes an empty map in which nothing lapses.
    pub fn empty(&self) -> Box<dyn Batches<D>> {
        (self.with_ttl)(TTL)
    }

    /// Makes a map that holds the keys of `0..entries`, each as of generation 0.
    pub fn filled(&self, entries: usize) -> Box<dyn Batches<D>> {
        let map = self.empty();
        map.insert(&keys::<D>(0..entries), 0);
        map.settle();
        map
    }
}
