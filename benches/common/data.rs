//! Keys and values, and the orders in which keys are asked for.

use std::hash::Hash;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Zipf};

use super::SEED;

/// What the maps hold.
pub trait Data: 'static {
    const NAME: &'static str;
    type Key: Hash + Eq + Clone + Send + Sync + 'static;
    type Value: Clone + Send + Sync + 'static;

    /// The `index`-th key: distinct for distinct indices.
    fn key(index: usize) -> Self::Key;

    /// The value that the `generation`-th writing of a key stores.
    fn value(key: &Self::Key, generation: u64) -> Self::Value;

    /// What a read takes from a value that it found, having touched it.
    fn weigh(value: &Self::Value) -> u64;

    /// What reading `value(key, generation)` takes.
    fn weight(key: &Self::Key, generation: u64) -> u64;
}

/// `u64` to `u64`.
pub struct Words;

impl Data for Words {
    const NAME: &'static str = "u64 to u64";
    type Key = u64;
    type Value = u64;

    fn key(index: usize) -> u64 {
        spread(index)
    }

    fn value(key: &u64, generation: u64) -> u64 {
        Words::weight(key, generation)
    }

    #[inline]
    fn weigh(value: &u64) -> u64 {
        *value
    }

    fn weight(key: &u64, generation: u64) -> u64 {
        key.rotate_left(32).wrapping_add(generation)
    }
}

/// Strings of 24 bytes to shared slices of 64.
pub struct Texts;

impl Data for Texts {
    const NAME: &'static str = "String to Arc<[u8]>";
    type Key = String;
    type Value = Arc<[u8]>;

    fn key(index: usize) -> String {
        format!("session-{:016x}", spread(index))
    }

    fn value(key: &String, generation: u64) -> Arc<[u8]> {
        let mut bytes = [0; 64];
        bytes[..8].copy_from_slice(&Texts::weight(key, generation).to_le_bytes());
        Arc::from(&bytes[..])
    }

    #[inline]
    fn weigh(value: &Arc<[u8]>) -> u64 {
        u64::from_le_bytes(value[..8].try_into().expect("64 bytes"))
    }

    fn weight(key: &String, generation: u64) -> u64 {
        let last: [u8; 8] = key.as_bytes()[16..].try_into().expect("24 bytes");
        u64::from_le_bytes(last).wrapping_add(generation)
    }
}

/// Spreads indices over the whole range (SplitMix64).
fn spread(index: usize) -> u64 {
    let mut z = (index as u64).wrapping_add(SEED).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The keys of `indices`, in order.
pub fn keys<D: Data>(indices: impl Iterator<Item = usize>) -> Vec<D::Key> {
    indices.map(D::key).collect()
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
pub fn stream<D: Data>(draw: Draw, entries: usize, len: usize, salt: u64) -> Vec<D::Key> {
    let mut rng = StdRng::seed_from_u64(SEED ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    match draw {
        Draw::Hits => keys::<D>((0..len).map(|_| rng.random_range(0..entries))),
        Draw::Misses => keys::<D>((0..len).map(|_| rng.random_range(entries..2 * entries))),
        Draw::Zipf => {
            let zipf = Zipf::new(entries as f64, 0.99).expect("a valid exponent");
            keys::<D>((0..len).map(|_| zipf.sample(&mut rng) as usize - 1))
        }
    }
}
