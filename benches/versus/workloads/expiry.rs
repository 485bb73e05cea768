//! Entries that lapse while it is measured. Asked of those that have a deadline.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use super::alone::{Alone, ask};
use super::{Case, Figure, NANOS, Rounds, Seat, Sizes, Unit, Upkeep, Volume, Workload};
use crate::common::{Batches, Data, Entry, keys};
use crate::heap::{Counting, keep, mapped, tidy};

/// By this much beyond the deadline the coarse clock has noticed.
const LAG: Duration = Duration::from_millis(20);

const STEADY: &[Figure] = &[
    Figure { name: "mean", unit: Unit::Nanos },
    Figure { name: "p99", unit: Unit::Nanos },
    Figure { name: "p99.99", unit: Unit::Nanos },
    Figure { name: "worst", unit: Unit::Nanos },
    Figure { name: "peak bytes", unit: Unit::Bytes },
];

impl<D: Data> Workload<D> {
    pub const STEADY: Self = Workload {
        name: "steady state",
        about: "insert new keys for four times the time to live, 500 ms (40 in a quick run), while the old ones lapse; \
                the last column is the most that was allocated by \
                how many live on average. Some 20 ns of each insert are for the counting of bytes. Those who don't sweep by themselves are \
                swept by an insert every half of that time, which counts",
        figures: STEADY,
        entries: Sizes::One(0, 0),
        threads: &[1],
        peers: |upkeep| upkeep != Upkeep::NoTtl,
        texts: false,
        rounds: Rounds::Five,
        keys: |_| Vec::new(),
        round: |seat, case, _| ask(seat, case, Alone::Steady),
        ..Self::GROW
    };

    pub const RECLAIM: Self = Workload {
        name: "reclaim lapsed",
        about: "remove entries all of which have lapsed, an entry, until none is left",
        figures: NANOS,
        entries: Sizes::Any(&[1_000_000], &[50_000]),
        round: |seat, case, _| {
            tidy();
            let map = lapsed(seat, case);
            let start = Instant::now();
            map.sweep();
            let time = start.elapsed();
            assert_eq!(map.stored(), 0, "{} keeps what lapsed", seat.entry.name);
            vec![time.as_nanos() as f64 / case.entries as f64]
        },
        ..Self::STEADY
    };
}

/// The steady state of a peer's map in this process, which has made none before.
pub fn steady<D: Data>(entry: Entry<D>, volume: Volume) -> Vec<f64> {
    let (ttl, heap) = match volume {
        Volume::Check => (Duration::from_millis(5), 1 << 20),
        Volume::Quick => (Duration::from_millis(40), 1 << 25),
        Volume::Full => (Duration::from_millis(500), 1 << 29),
    };
    keep();
    // Pages touched before, for the first touch of each is not what is asked.
    drop(black_box(vec![1u8; heap]));
    Counting::start();
    let map = (entry.with_ttl)(ttl);
    let (mut peak, before) = (0.0, mapped());
    // What is mapped changes seldom, and takes long to ask.
    let (mut calls, mut more) = (0, 0.0);
    let mut watch = || {
        if calls % 64 == 0 {
            more = mapped() - before;
        }
        calls += 1;
        peak = f64::max(peak, Counting::now().taken + more);
    };
    let by_hand = (entry.upkeep == Upkeep::ByHand).then_some(ttl / 2);
    let start = Instant::now();
    let (count, timings) = map.insert_for(4 * ttl, by_hand, &mut watch);
    let time = start.elapsed();
    let live = count as f64 * (ttl.as_secs_f64() / time.as_secs_f64());
    let at = |quantile| timings.value_at_quantile(quantile) as f64;
    vec![time.as_nanos() as f64 / count as f64, at(0.99), at(0.9999), timings.max() as f64, peak / live]
}

/// A map all of whose entries have lapsed, since it was filled.
fn lapsed<D: Data>(seat: &Seat<D>, case: &Case) -> Box<dyn Batches<D>> {
    let keys = keys::<D>(0..case.entries);
    let mut ttl = Duration::from_micros(case.entries as u64).max(Duration::from_millis(50));
    loop {
        let (map, start) = ((seat.entry.with_ttl)(ttl), Instant::now());
        map.insert(&keys, 0);
        map.settle();
        if start.elapsed() < ttl {
            thread::sleep(ttl + LAG);
            return map;
        }
        // Some lapsed before the last was in, and may be gone.
        ttl *= 2;
    }
}
