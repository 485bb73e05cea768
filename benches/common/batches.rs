//! The loops that are timed, once for all peers.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::{Data, Ops, Peer, Way};

/// What a batch of reads found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub found: usize,
    pub sum: u64,
}

impl Tally {
    /// What reading `keys` must find where each was last written as of `generation`.
    pub fn expected<D: Data>(keys: &[D::Key], generation: u64) -> Self {
        let sum = keys.iter().fold(0u64, |sum, key| sum.wrapping_add(D::weight(key, generation)));
        Tally { found: keys.len(), sum }
    }

    /// Counts what a get found.
    #[inline]
    pub fn add(&mut self, found: Option<u64>) {
        if let Some(weight) = found {
            self.found += 1;
            self.sum = self.sum.wrapping_add(weight);
        }
    }
}

/// The times of single operations, in nanoseconds.
pub type Timings = Histogram<u64>;

/// The batches that are timed; one dynamic call for each.
pub trait Batches<D: Data>: Sync {
    fn get(&self, way: Way, keys: &[D::Key]) -> Tally;
    /// Gets of which each waits for the one before.
    fn chain(&self, way: Way, keys: &[D::Key]) -> Tally;
    fn insert(&self, keys: &[D::Key], generation: u64);
    /// Inserts the first of every so many keys and gets the others; returns how many of those were found.
    fn mix(&self, keys: &[D::Key], every: usize, generation: u64) -> usize;
    /// Removes each key of `old` and inserts the one at the same place in `new`; returns how many were there to remove.
    fn churn(&self, old: &[D::Key], new: &[D::Key]) -> usize;
    fn remove(&self, keys: &[D::Key]) -> usize;
    /// Inserts one by one, timing each, and says in `done` how far it got.
    fn insert_timed(&self, keys: &[D::Key], done: &AtomicUsize, timings: &mut Timings);
    /// Gets keys at random from those that are `done` until all are, timing each; returns how many it missed.
    fn get_timed(&self, keys: &[D::Key], done: &AtomicUsize, timings: &mut Timings) -> usize;
    /// Inserts new keys for so long, sweeping now and then (as part of an insert) if told to;
    /// returns how many and the times. Calls `watch` after every 256.
    fn insert_for(&self, time: Duration, sweep_every: Option<Duration>, watch: &mut dyn FnMut()) -> (usize, Timings);
    /// Does the upkeep that the map put off.
    fn settle(&self);
    /// Removes all that has lapsed.
    fn sweep(&self);
    fn stored(&self) -> usize;
}

/// An empty set of timings: up to a minute, to two digits.
pub fn timings() -> Timings {
    Timings::new_with_bounds(1, 60_000_000_000, 2).expect("valid bounds")
}

fn note(timings: &mut Timings, time: Duration) {
    timings.saturating_record(time.as_nanos() as u64);
}

impl<D: Data, P: Peer<D>> Batches<D> for P {
    fn get(&self, way: Way, keys: &[D::Key]) -> Tally {
        match way {
            Way::Call => get(keys, |key| self.get(key)),
            Way::PinEach => get(keys, |key| self.get_by_pin(key)),
            Way::Held => {
                let held = self.hold();
                get(keys, |key| held.get(key))
            }
            Way::Many => self.get_many(keys),
        }
    }

    fn chain(&self, way: Way, keys: &[D::Key]) -> Tally {
        match way {
            Way::Call => chain(keys, |key| self.get(key)),
            Way::PinEach => chain(keys, |key| self.get_by_pin(key)),
            Way::Many => unreachable!("no key is known before the last is answered"),
            Way::Held => {
                let held = self.hold();
                chain(keys, |key| held.get(key))
            }
        }
    }

    fn insert(&self, keys: &[D::Key], generation: u64) {
        for key in keys {
            Ops::insert(self, key.clone(), D::value(key, generation));
        }
    }

    fn mix(&self, keys: &[D::Key], every: usize, generation: u64) -> usize {
        let mut found = 0;
        for keys in keys.chunks(every) {
            Ops::insert(self, keys[0].clone(), D::value(&keys[0], generation));
            found += keys[1..].iter().filter(|key| black_box(Ops::get(self, key)).is_some()).count();
        }
        found
    }

    fn churn(&self, old: &[D::Key], new: &[D::Key]) -> usize {
        let mut removed = 0;
        for (old, new) in old.iter().zip(new) {
            removed += usize::from(Ops::remove(self, old));
            Ops::insert(self, new.clone(), D::value(new, 0));
        }
        removed
    }

    fn remove(&self, keys: &[D::Key]) -> usize {
        keys.iter().filter(|key| Ops::remove(self, key)).count()
    }

    fn insert_timed(&self, keys: &[D::Key], done: &AtomicUsize, timings: &mut Timings) {
        for (i, key) in keys.iter().enumerate() {
            let (key, value) = (key.clone(), D::value(key, 0));
            let start = Instant::now();
            Ops::insert(self, key, value);
            note(timings, start.elapsed());
            // Release: the reader looks for keys whose insert has returned.
            done.store(i + 1, Ordering::Release);
        }
    }

    fn get_timed(&self, keys: &[D::Key], done: &AtomicUsize, timings: &mut Timings) -> usize {
        let (mut missed, mut random) = (0, super::SEED);
        loop {
            let there = done.load(Ordering::Acquire);
            if there == keys.len() {
                return missed;
            }
            if there == 0 {
                std::hint::spin_loop();
                continue;
            }
            // xorshift64
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let key = &keys[(random % there as u64) as usize];
            let start = Instant::now();
            let found = black_box(Ops::get(self, key));
            note(timings, start.elapsed());
            missed += usize::from(found.is_none());
        }
    }

    fn insert_for(&self, time: Duration, sweep_every: Option<Duration>, watch: &mut dyn FnMut()) -> (usize, Timings) {
        let mut timings = timings();
        let (mut index, mut swept) = (0, Instant::now());
        let end = swept + time;
        loop {
            let key = D::key(index);
            let value = D::value(&key, 0);
            let start = Instant::now();
            if start >= end {
                return (index, timings);
            }
            if sweep_every.is_some_and(|every| start - swept >= every) {
                Peer::sweep(self);
                swept = start;
            }
            Ops::insert(self, key, value);
            note(&mut timings, start.elapsed());
            index += 1;
            if index % 256 == 0 {
                watch();
            }
        }
    }

    fn settle(&self) {
        Peer::settle(self)
    }

    fn sweep(&self) {
        Peer::sweep(self)
    }

    fn stored(&self) -> usize {
        Peer::stored(self)
    }
}

#[inline(always)]
fn get<K>(keys: &[K], get: impl Fn(&K) -> Option<u64>) -> Tally {
    let mut tally = Tally::default();
    for key in keys {
        tally.add(get(key));
    }
    tally
}

#[inline(always)]
fn chain<K>(keys: &[K], get: impl Fn(&K) -> Option<u64>) -> Tally {
    let mut tally = Tally::default();
    // Always zero, which the compiler can't know: the next key's place depends on what was found.
    let (none, mut waited) = (black_box(0), 0);
    for i in 0..keys.len() {
        let found = get(&keys[i + waited]);
        waited = found.map_or(0, |weight| (weight & none) as usize);
        tally.add(found);
    }
    tally
}
