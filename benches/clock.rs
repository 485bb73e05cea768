//! What does each clock cost, read by itself and as part of a get and of an insert?

// What criterion_group! makes is public and has no documentation.
#![allow(missing_docs)]

mod common;

use common::{Data, Draw, Hasher, TTL, Words, config, hasher, keys, peers, stream};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Instant;
use ttlwheel::{Clock, ManualClock, TtlMap};

const ENTRIES: usize = 1_000;
const STREAM: usize = 1 << 12;

fn clocks() -> [(&'static str, Clock); 4] {
    [
        ("hybrid (the default)", Clock::hybrid()),
        ("exact", Clock::exact()),
        ("boot time", Clock::boot_time()),
        ("manual", Clock::from(&ManualClock::new())),
    ]
}

fn alone(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("clock");
    for (name, clock) in clocks() {
        group.bench_function(name, |bencher| bencher.iter(|| black_box(&clock).now()));
    }
    group.bench_function("Instant::now", |bencher| bencher.iter(Instant::now));
    group.bench_function("the system's coarse clock", |bencher| bencher.iter(peers::coarse_nanos));
    group.finish();
}

fn in_a_map(criterion: &mut Criterion) {
    let asked = stream::<Words>(Draw::Hits, ENTRIES, STREAM, 0);
    let maps = clocks().map(|(name, clock)| {
        let map: TtlMap<u64, u64, Hasher> =
            TtlMap::<u64, u64>::builder().time_to_live(TTL).hasher(hasher()).clock(clock).build();
        for key in keys::<Words>(0..ENTRIES) {
            map.insert(key, Words::value(&key, 0));
        }
        assert!(asked.iter().all(|key| map.get_cloned(key) == Some(Words::value(key, 0))), "{name}");
        (name, map)
    });
    let mut group = criterion.benchmark_group(format!("{STREAM} gets by clock"));
    for (name, map) in &maps {
        group.bench_function(*name, |bencher| {
            bencher.iter(|| asked.iter().filter(|&key| map.get_cloned(key).is_some()).count())
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group(format!("{STREAM} inserts by clock"));
    for (name, map) in &maps {
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                for &key in &asked {
                    map.insert(key, key);
                }
            })
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = config(20, 300, 1_000); targets = alone, in_a_map }
criterion_main!(benches);
