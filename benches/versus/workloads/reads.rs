//! Gets, and nothing else.

use super::{Case, NANOS, Rounds, Seat, Sizes, Start, Workload};
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
        keys: |case| case.warmed().drawn::<D>(Draw::Hits),
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
        keys: |case| case.warmed().drawn::<D>(Draw::Zipf),
        ..Self::GET_HIT
    };

    pub const GET_MISS: Self = Workload {
        name: "get miss",
        about: "uniform, of keys that are not there",
        texts: false,
        keys: |case| case.warmed().drawn::<D>(Draw::Misses),
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
    // Every way of reading finds the map as reads of other keys leave it. Without these the first way would bring back
    // to the caches what the peer before it has evicted, and the next one find it there.
    let halves: Vec<_> = keys.iter().map(|keys| keys.split_at(keys.len() - case.ops)).collect();
    let warm = |thread: usize| {
        get(map, case.way, halves[thread].0);
    };
    let (time, tallies) = race(case.threads, warm, |thread| get(map, case.way, halves[thread].1));
    for (tally, (_, keys)) in tallies.into_iter().zip(halves) {
        assert_eq!(tally, expect(keys), "{}", seat.entry.name);
    }
    vec![time.as_nanos() as f64 / case.ops as f64]
}
