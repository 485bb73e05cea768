//! Gets, and nothing else.

use super::{Case, NANOS, Rounds, Seat, Sizes, Start, Workload, touch};
use crate::common::{Batches, Data, Draw, Tally, Way};
use crate::measure::race;

/// How a batch of gets is made.
type Get<D> = fn(&dyn Batches<D>, Way, &[<D as Data>::Key]) -> Tally;

impl<D: Data> Workload<D> {
    pub const GET_HIT: Self = Workload {
        name: "get hit",
        about: "uniform, of keys that are there",
        figures: NANOS,
        entries: Sizes::Any(&[10_000, 1_000_000], &[10_000, 1_000_000]),
        threads: &[1, 2],
        ways: |_| true,
        texts: true,
        peers: |_| true,
        start: Start::Filled,
        writes: false,
        rounds: Rounds::All,
        weight: 1,
        keys: |case| case.drawn::<D>(Draw::Hits),
        round: |seat, case, keys| {
            read(seat, case, keys, |map, way, keys| map.get(way, keys), |keys| Tally::expected::<D>(keys, 0))
        },
    };

    pub const GET_CHAIN: Self = Workload {
        name: "get hit, dependent",
        about: "the same, where each key is known only when the last value is",
        threads: &[1],
        ways: |way| way != Way::Many,
        texts: false,
        round: |seat, case, keys| {
            read(seat, case, keys, |map, way, keys| map.chain(way, keys), |keys| Tally::expected::<D>(keys, 0))
        },
        ..Self::GET_HIT
    };

    pub const GET_ZIPF: Self = Workload {
        name: "get hit, zipf",
        about: "by Zipf's law with exponent 0.99, of keys that are there",
        texts: false,
        keys: |case| case.drawn::<D>(Draw::Zipf),
        ..Self::GET_HIT
    };

    pub const GET_MISS: Self = Workload {
        name: "get miss",
        about: "uniform, of keys that are not there",
        texts: false,
        keys: |case| case.drawn::<D>(Draw::Misses),
        round: |seat, case, keys| read(seat, case, keys, |map, way, keys| map.get(way, keys), |_| Tally::default()),
        ..Self::GET_HIT
    };
}

fn read<D: Data>(
    seat: &Seat<D>,
    case: &Case,
    keys: &[Vec<D::Key>],
    get: Get<D>,
    expect: fn(&[D::Key]) -> Tally,
) -> Vec<f64> {
    let map = seat.map();
    let (time, tallies) = race(case.threads, |_| touch(map, case.way), |thread| get(map, case.way, &keys[thread]));
    for (tally, keys) in tallies.into_iter().zip(keys) {
        assert_eq!(tally, expect(keys), "{}", seat.entry.name);
    }
    vec![time.as_nanos() as f64 / case.ops as f64]
}
