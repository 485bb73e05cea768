//! What the integration tests share: maps of every configuration, hashers, counted values, injected panics, races.
#![allow(dead_code, unused_imports, unused_macros)]

pub mod acts;
pub mod counted;
pub mod fuse;
pub mod gate;
pub mod history;
pub mod ledger;
pub mod record;
pub mod subject;
pub mod tasks;
pub mod verbs;
pub mod watching;

use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use ttlwheel::{ManualClock, Pages, TtlMap};

pub use counted::{Counted, Tally};
pub use verbs::Verbs;

/// A map on a clock that only the test moves, all of whose memory is the allocator's, as some tests count that.
pub fn manual_map<K, V, S>(ttl: Duration, hasher: S) -> (TtlMap<K, V, S>, ManualClock) {
    let clock = ManualClock::new();
    let map = TtlMap::<K, V>::builder().pages(Pages::Allocator).time_to_live(ttl).clock(&clock).hasher(hasher).build();
    (map, clock)
}

/// A map whose entries stay until they are removed, with the smallest table there is, so that it grows at once;
/// all memory is the allocator's.
pub fn tiny_map<K, V, S>(hasher: S) -> TtlMap<K, V, S> {
    let builder = TtlMap::<K, V>::builder().pages(Pages::Allocator).initial_capacity(1);
    builder.clock(ManualClock::new()).hasher(hasher).build()
}

/// The hash is the key: sequential keys leave all high bits equal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity;

/// Sends every key to one of `N` hashes; `Collide<1>` makes all keys collide.
#[derive(Clone, Copy, Debug, Default)]
pub struct Collide<const N: u64>;

/// Sends keys to hashes that differ in their top bits only, where a fingerprint might be and a bucket index is not.
#[derive(Clone, Copy, Debug, Default)]
pub struct HighBits;

/// The state of all hashers here: the last word written, and what is made of it.
pub struct WordHasher {
    word: u64,
    finish: fn(u64) -> u64,
}

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.word = (self.word ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.word = word;
    }

    fn finish(&self) -> u64 {
        (self.finish)(self.word)
    }
}

impl BuildHasher for Identity {
    type Hasher = WordHasher;

    fn build_hasher(&self) -> WordHasher {
        WordHasher { word: 0, finish: |word| word }
    }
}

impl<const N: u64> BuildHasher for Collide<N> {
    type Hasher = WordHasher;

    fn build_hasher(&self) -> WordHasher {
        WordHasher { word: 0, finish: |word| word % N }
    }
}

impl BuildHasher for HighBits {
    type Hasher = WordHasher;

    fn build_hasher(&self) -> WordHasher {
        WordHasher { word: 0, finish: |word| word << 48 }
    }
}

/// One of these, or the standard one, chosen at run time: what goes through them all is compiled once.
#[derive(Clone, Debug)]
pub enum Chosen {
    Std(RandomState),
    Word(fn(u64) -> u64),
}

/// See [`Chosen`].
pub enum ChosenHasher {
    Std(DefaultHasher),
    Word(WordHasher),
}

impl Chosen {
    pub fn std() -> Self {
        Chosen::Std(RandomState::new())
    }
}

impl<S: BuildHasher<Hasher = WordHasher>> From<S> for Chosen {
    fn from(state: S) -> Self {
        Chosen::Word(state.build_hasher().finish)
    }
}

impl BuildHasher for Chosen {
    type Hasher = ChosenHasher;

    fn build_hasher(&self) -> ChosenHasher {
        match self {
            Chosen::Std(state) => ChosenHasher::Std(state.build_hasher()),
            Chosen::Word(finish) => ChosenHasher::Word(WordHasher { word: 0, finish: *finish }),
        }
    }
}

impl Hasher for ChosenHasher {
    fn write(&mut self, bytes: &[u8]) {
        match self {
            ChosenHasher::Std(hasher) => hasher.write(bytes),
            ChosenHasher::Word(hasher) => hasher.write(bytes),
        }
    }

    fn write_u64(&mut self, word: u64) {
        match self {
            ChosenHasher::Std(hasher) => hasher.write_u64(word),
            ChosenHasher::Word(hasher) => hasher.write_u64(word),
        }
    }

    fn finish(&self) -> u64 {
        match self {
            ChosenHasher::Std(hasher) => hasher.finish(),
            ChosenHasher::Word(hasher) => hasher.finish(),
        }
    }
}

/// How much to do: `debug` or `release` by the build, times the environment variable `TTL_STRESS` (1 if unset).
pub fn scaled(debug: u64, release: u64) -> u64 {
    let base = if cfg!(debug_assertions) { debug } else { release };
    let factor =
        std::env::var("TTL_STRESS").map_or(1.0, |factor| factor.parse::<f64>().expect("TTL_STRESS must be a number"));
    ((base as f64 * factor) as u64).max(1)
}

/// SplitMix64: a fixed seed gives a fixed sequence.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..end`, near enough to uniform for tests.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }
}

/// Runs `work(0)` to `work(threads - 1)` on threads of their own that start together.
pub fn race<R: Send>(threads: usize, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        let (start, work) = (&start, &work);
        let handles: Vec<_> = (0..threads)
            .map(|i| {
                scope.spawn(move || {
                    start.wait();
                    work(i)
                })
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().expect("a racing thread failed")).collect()
    })
}

/// Tells background threads to end, also when the thread they accompany panics.
#[derive(Default)]
pub struct Stop(AtomicBool);

impl Stop {
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Sets the flag when dropped.
    pub fn at_end(&self) -> AtEnd<'_> {
        AtEnd(self)
    }
}

/// See [`Stop::at_end`].
pub struct AtEnd<'s>(&'s Stop);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Release);
    }
}

/// Held by tests that measure what the whole process shares (epoch, allocator): one of them runs at a time.
pub fn serial() -> MutexGuard<'static, ()> {
    static SERIAL: Mutex<()> = Mutex::new(());
    SERIAL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sweeps until nothing lapsed is left; panics if that takes for ever.
pub fn purge_all<K, V, S>(map: &TtlMap<K, V, S>) -> usize
where
    K: std::hash::Hash + Eq,
    S: BuildHasher,
{
    let mut removed = 0;
    for _ in 0..10_000_000 {
        let purged = map.purge_expired(64);
        removed += purged.removed;
        if !purged.more {
            return removed;
        }
    }
    panic!("purge_expired always says that there is more");
}

/// Makes a module of tests for each function of one hasher that is named.
macro_rules! each_hasher {
    ($($name:ident),+ $(,)?) => {
        $(mod $name {
            use super::$name as run;
            use $crate::common::{Chosen, Collide, HighBits, Identity};

            #[test]
            fn std_hasher() {
                run(Chosen::std());
            }

            #[test]
            fn identity_hasher() {
                run(Chosen::from(Identity));
            }

            #[test]
            fn high_bits_hasher() {
                run(Chosen::from(HighBits));
            }

            #[test]
            fn one_hash() {
                run(Chosen::from(Collide::<1>));
            }

            #[test]
            fn four_hashes() {
                run(Chosen::from(Collide::<4>));
            }
        })+
    };
}
pub(crate) use each_hasher;

/// A tally that lives as long as the process, one for each place that names it.
macro_rules! tally {
    () => {{
        static TALLY: $crate::common::Tally = $crate::common::Tally::new();
        &TALLY
    }};
}
pub(crate) use tally;
