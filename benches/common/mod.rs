//! What all benches share: the keys, the peers, and the loops that are timed.
//!
//! A peer implements [`Ops`] twice, once with a pin for each operation and once through a pin that is held. The loops
//! are written here once and compiled for each peer, so that a dynamic call is paid once a batch, not once an operation.

// Each bench is a crate of its own and uses a part of this.
#![allow(dead_code)]

pub mod peers;

use std::cell::Cell;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Zipf};

/// The one seed from which keys and their orders are made.
pub const SEED: u64 = 0x7474_6c77_6865_656c;

/// The lifetime given to every entry by the maps that expire: nothing lapses while a bench runs.
pub const TTL: Duration = Duration::from_secs(3600);

/// The hasher of every map.
pub type Hasher = foldhash::quality::FixedState;

/// Makes the hasher of every map.
pub fn hasher() -> Hasher {
    Hasher::with_seed(SEED)
}

/// The `index`-th key: distinct for distinct indices, and spread over the whole range (SplitMix64).
pub fn key(index: usize) -> u64 {
    let mut z = (index as u64).wrapping_add(SEED).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The value that the `generation`-th writing of a key stores.
pub fn value(key: u64, generation: u64) -> u64 {
    key.rotate_left(32).wrapping_add(generation)
}

/// The keys of `indices`, in order.
pub fn keys(indices: impl Iterator<Item = usize>) -> Vec<u64> {
    indices.map(key).collect()
}

/// How the keys of a stream are drawn from a map that holds the keys of `0..entries`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// Keys in the map, each as likely as any other.
    Hits,
    /// Keys that are not in the map.
    Misses,
    /// Keys in the map by Zipf's law with exponent 0.99.
    Zipf,
}

/// Draws `len` keys; the same arguments give the same keys.
pub fn stream(draw: Draw, entries: usize, len: usize, salt: u64) -> Vec<u64> {
    let mut rng = StdRng::seed_from_u64(SEED ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    match draw {
        Draw::Hits => keys((0..len).map(|_| rng.random_range(0..entries))),
        Draw::Misses => keys((0..len).map(|_| rng.random_range(entries..2 * entries))),
        Draw::Zipf => {
            let zipf = Zipf::new(entries as f64, 0.99).expect("a valid exponent");
            keys((0..len).map(|_| zipf.sample(&mut rng) as usize - 1))
        }
    }
}

/// Keys read round and round, in slices.
pub struct Ring {
    keys: Vec<u64>,
    at: Cell<usize>,
    last: Cell<(usize, usize)>,
}

impl Ring {
    pub fn new(keys: Vec<u64>) -> Self {
        Ring { keys, at: Cell::new(0), last: Cell::new((0, 0)) }
    }

    pub fn keys(&self) -> &[u64] {
        &self.keys
    }

    /// The slice that was passed last.
    pub fn last(&self) -> &[u64] {
        &self.keys[self.last.get().0..self.last.get().1]
    }

    /// Passes the next `count` keys to `batch`, in as few slices as there can be, and times that.
    pub fn time(&self, count: u64, mut batch: impl FnMut(&[u64])) -> Duration {
        let mut left = count as usize;
        let start = Instant::now();
        while left > 0 {
            let at = self.at.get();
            let end = self.keys.len().min(at + left);
            batch(&self.keys[at..end]);
            left -= end - at;
            self.last.set((at, end));
            self.at.set(end % self.keys.len());
        }
        start.elapsed()
    }
}

/// What a batch of reads found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub found: usize,
    pub sum: u64,
}

impl Tally {
    /// What reading `keys` must find where each was last written as of `generation`.
    pub fn expected(keys: &[u64], generation: u64) -> Self {
        let sum = keys.iter().fold(0u64, |sum, &key| sum.wrapping_add(value(key, generation)));
        Tally { found: keys.len(), sum }
    }
}

/// Single operations, by the map itself or through a pin that is held.
pub trait Ops {
    fn get(&self, key: u64) -> Option<u64>;
    fn insert(&self, key: u64, value: u64);
    /// Whether the key was there.
    fn remove(&self, key: u64) -> bool;
}

impl<T: Ops> Ops for &T {
    fn get(&self, key: u64) -> Option<u64> {
        T::get(self, key)
    }
    fn insert(&self, key: u64, value: u64) {
        T::insert(self, key, value)
    }
    fn remove(&self, key: u64) -> bool {
        T::remove(self, key)
    }
}

/// A map from `u64` to `u64`; its own [`Ops`] pin once for each operation.
pub trait Peer: Ops + Sync + Sized + 'static {
    const NAME: &'static str;
    /// The package whose version is printed.
    const PACKAGE: &'static str;
    /// Whether a pin can be held.
    const PINS: bool;
    /// The map through a pin that is held; `&Self` where there is no such thing.
    type Held<'a>: Ops;

    fn new() -> Self;
    fn hold(&self) -> Self::Held<'_>;
    /// Does the upkeep that the map put off.
    fn settle(&self) {}
}

/// Which of a peer's two faces is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    PerOp,
    Held,
}

impl Pin {
    /// The peer's name with the way of pinning.
    pub fn label(self, peer: &str) -> String {
        match self {
            Pin::PerOp => peer.to_owned(),
            Pin::Held => format!("{peer}, pin held"),
        }
    }
}

/// The batches that are timed; one dynamic call for each.
pub trait Batches: Sync {
    fn get(&self, pin: Pin, keys: &[u64]) -> Tally;
    fn insert(&self, keys: &[u64], generation: u64);
    /// Removes each key of `old` and inserts the one at the same place in `new`; returns how many were there to remove.
    fn churn(&self, old: &[u64], new: &[u64]) -> usize;
    /// Does the upkeep that the map put off.
    fn settle(&self);
}

impl<P: Peer> Batches for P {
    fn get(&self, pin: Pin, keys: &[u64]) -> Tally {
        match pin {
            Pin::PerOp => get(self, keys),
            Pin::Held => get(&self.hold(), keys),
        }
    }

    fn insert(&self, keys: &[u64], generation: u64) {
        for &key in keys {
            Ops::insert(self, key, value(key, generation));
        }
    }

    fn churn(&self, old: &[u64], new: &[u64]) -> usize {
        let mut removed = 0;
        for (&old, &new) in old.iter().zip(new) {
            removed += usize::from(self.remove(old));
            Ops::insert(self, new, value(new, 0));
        }
        removed
    }

    fn settle(&self) {
        Peer::settle(self)
    }
}

#[inline(never)]
fn get(ops: &impl Ops, keys: &[u64]) -> Tally {
    let mut tally = Tally::default();
    for &key in keys {
        if let Some(value) = ops.get(key) {
            tally.found += 1;
            tally.sum = tally.sum.wrapping_add(value);
        }
    }
    tally
}

/// A peer as a row of the list: how it is called and how one is made.
pub struct Entry {
    pub name: &'static str,
    pub package: &'static str,
    pub pins: &'static [Pin],
    /// Makes an empty map.
    pub empty: fn() -> Box<dyn Batches>,
    /// Makes a map, sets a key, gets it and drops the map, so many times; returns the sum of what the gets found.
    pub lives: fn(usize) -> u64,
}

impl Entry {
    /// The row of a peer.
    pub const fn of<P: Peer>() -> Self {
        Entry {
            name: P::NAME,
            package: P::PACKAGE,
            pins: if P::PINS { &[Pin::PerOp, Pin::Held] } else { &[Pin::PerOp] },
            empty: || Box::new(P::new()),
            lives: |count| {
                (0..count as u64).fold(0, |sum, key| {
                    let map = P::new();
                    map.insert(key, key);
                    sum + map.get(key).unwrap_or(u64::MAX)
                })
            },
        }
    }

    /// Makes a map that holds the keys of `0..entries`, each as of generation 0.
    pub fn filled(&self, entries: usize) -> Box<dyn Batches> {
        let map = (self.empty)();
        map.insert(&keys(0..entries), 0);
        map.settle();
        map
    }
}
