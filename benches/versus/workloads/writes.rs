//! Writes, alone and among gets. Upkeep that a peer puts off is done at the end of a round, within its time.

use std::iter::repeat_with;
use std::sync::atomic::AtomicUsize;

use super::{CHECKED, Case, Figure, Rounds, Seat, Sizes, Start, Unit, Volume, Workload, touch};
use crate::common::{Data, Draw, Timings, Way, timings};
use crate::heap::tidy;
use crate::measure::race;

/// One in so many keys is read back after growing.
const THINNED: usize = 16;

impl<D: Data> Workload<D> {
    pub const OVERWRITE: Self = Workload {
        name: "overwrite",
        about: "insert over keys that are there, uniform",
        ways: |way| way == Way::Call,
        texts: true,
        writes: true,
        weight: 4,
        keys: |case| case.drawn::<D>(Draw::Hits),
        round: |seat, case, keys| {
            let map = seat.map();
            let generation = case.round as u64 + 1;
            let insert = |thread: usize| {
                map.insert(&keys[thread], generation);
                map.settle();
            };
            let (time, _) = race(case.threads, |_| touch(map, case.way), insert);
            for keys in keys {
                seat.expect(map, &keys[keys.len().saturating_sub(CHECKED)..], generation);
            }
            vec![time.as_nanos() as f64 / case.ops as f64]
        },
        ..Self::GET_HIT
    };

    pub const MIX_95: Self = Workload {
        name: "95/5 zipf",
        about: "19 gets and an insert over keys that are there, by Zipf's law with exponent 0.99",
        texts: false,
        weight: 2,
        keys: |case| case.drawn::<D>(Draw::Zipf),
        round: |seat, case, keys| mix(seat, case, keys, 20),
        ..Self::OVERWRITE
    };

    pub const MIX_50: Self = Workload {
        name: "50/50 zipf",
        about: "a get and an insert over keys that are there, by Zipf's law with exponent 0.99",
        weight: 4,
        round: |seat, case, keys| mix(seat, case, keys, 2),
        ..Self::MIX_95
    };

    pub const CHURN: Self = Workload {
        name: "churn",
        about: "remove the oldest key and insert a new one (one operation: both); each round of a full run goes through all keys, \
                as some tables are rebuilt now and then",
        entries: Sizes::Any(&[1_000_000], &[1_000_000]),
        keys: |_| Vec::new(),
        round: |seat, case, _| {
            let ops = match case.volume {
                Volume::Full => case.ops.max(case.entries / case.threads),
                _ => case.ops,
            };
            let count = ops * case.threads;
            let old = case.dealt::<D>(seat.gone, count);
            let new = case.dealt::<D>(seat.gone + case.entries, count);
            seat.gone += count;
            let map = seat.map();
            let churn = |thread: usize| {
                let removed = map.churn(&old[thread], &new[thread]);
                map.settle();
                removed
            };
            let (time, removed) = race(case.threads, |_| touch(map, case.way), churn);
            assert_eq!(removed.iter().sum::<usize>(), count, "{}", seat.entry.name);
            let left = CHECKED.min(case.entries / case.threads);
            for new in new {
                seat.expect(map, &new[new.len().saturating_sub(left)..], 0);
            }
            vec![time.as_nanos() as f64 / ops as f64]
        },
        ..Self::OVERWRITE
    };

    pub const GROW: Self = Workload {
        name: "grow from empty",
        about: "insert new keys until all are there",
        entries: Sizes::Any(&[10_000, 1_000_000], &[10_000, 100_000]),
        start: Start::Nothing,
        texts: false,
        keys: |case| case.dealt::<D>(0, case.entries),
        round: |seat, case, keys| {
            let maps = (case.ops / case.entries).max(1);
            let mut inserts = 0;
            let nanos: u128 = repeat_with(|| {
                tidy();
                let map = &*seat.entry.empty();
                let insert = |thread: usize| {
                    map.insert(&keys[thread], 0);
                    map.settle();
                };
                let (time, _) = race(case.threads, |_| touch(map, case.way), insert);
                inserts += keys[0].len();
                for keys in keys {
                    let some: Vec<_> = keys.iter().step_by(THINNED).cloned().collect();
                    seat.expect(map, &some, 0);
                }
                time.as_nanos()
            })
            .take(maps)
            .sum();
            vec![nanos as f64 / inserts as f64]
        },
        ..Self::OVERWRITE
    };

    pub const TAILS: Self = Workload {
        name: "while the table grows",
        about: "one thread inserts until all are there and another gets what is there already; single operations, \
                some 30 ns of each for the taking of its time",
        figures: TAILS,
        entries: Sizes::One(1_000_000, 50_000),
        threads: &[2],
        texts: false,
        rounds: Rounds::Five,
        keys: |case| vec![crate::common::keys::<D>(0..case.entries)],
        round: |seat, case, keys| {
            tidy();
            let (map, done) = (&*seat.entry.empty(), AtomicUsize::new(0));
            let run = |thread: usize| {
                let mut timings = timings();
                let missed = match thread {
                    0 => {
                        map.insert_timed(&keys[0], &done, &mut timings);
                        0
                    }
                    _ => map.get_timed(&keys[0], &done, &mut timings),
                };
                (timings, missed)
            };
            let (_, runs) = race(case.threads, |_| touch(map, case.way), run);
            assert_eq!(runs[1].1, 0, "{} misses keys that are there", seat.entry.name);
            runs.iter().flat_map(|(timings, _)| quantiles(timings)).collect()
        },
        ..Self::GROW
    };

    pub const LIFE: Self = Workload {
        name: "map life",
        about: "new map, insert, get, drop (one operation: all four)",
        entries: Sizes::One(1, 1),
        start: Start::Nothing,
        texts: false,
        weight: 40,
        keys: |_| Vec::new(),
        round: |seat, case, _| {
            let (lives, key) = (seat.entry.lives, D::key(0));
            let (time, sums) = race(case.threads, |_| assert_eq!(lives(1), D::weight(&key, 0)), |_| lives(case.ops));
            let expected = (0..case.ops as u64).fold(0u64, |sum, n| sum.wrapping_add(D::weight(&key, n)));
            assert!(sums.iter().all(|&sum| sum == expected), "{}", seat.entry.name);
            vec![time.as_nanos() as f64 / case.ops as f64]
        },
        ..Self::OVERWRITE
    };
}

fn mix<D: Data>(seat: &Seat<D>, case: &Case, keys: &[Vec<D::Key>], every: usize) -> Vec<f64> {
    let map = seat.map();
    let generation = case.round as u64 + 1;
    let mix = |thread: usize| {
        let found = map.mix(&keys[thread], every, generation);
        map.settle();
        found
    };
    let (time, found) = race(case.threads, |_| touch(map, case.way), mix);
    for (keys, found) in keys.iter().zip(found) {
        assert_eq!(found, keys.len() - keys.len().div_ceil(every), "{}", seat.entry.name);
        let written: Vec<_> = keys.iter().step_by(every).take(CHECKED).cloned().collect();
        seat.expect(map, &written, generation);
    }
    vec![time.as_nanos() as f64 / case.ops as f64]
}

/// What is told of the times of single operations.
pub const QUANTILES: [f64; 5] = [0.5, 0.99, 0.999, 0.9999, 1.0];

const fn nanos(name: &'static str) -> Figure {
    Figure { name, unit: Unit::Nanos }
}

const TAILS: &[Figure] = &[
    nanos("insert p50"),
    nanos("insert p99"),
    nanos("insert p99.9"),
    nanos("insert p99.99"),
    nanos("insert max"),
    nanos("get p50"),
    nanos("get p99"),
    nanos("get p99.9"),
    nanos("get p99.99"),
    nanos("get max"),
];

fn quantiles(timings: &Timings) -> impl Iterator<Item = f64> {
    QUANTILES.iter().map(|&quantile| timings.value_at_quantile(quantile) as f64)
}
