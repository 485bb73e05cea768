//! What does a pin cost, and what one that is held saves?

// What criterion_group! makes is public and has no documentation.
#![allow(missing_docs)]

mod common;

use common::{Draw, Hasher, TTL, Words, config, hasher, keys, peers, stream};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use ttlwheel::{Clock, ManualClock, TtlMap};

const ENTRIES: usize = 1_000;
const STREAM: usize = 1 << 12;

/// A pin and nothing else: ours reads the clock as well.
fn alone(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pin");
    let ours: TtlMap<u64, u64, Hasher> = TtlMap::with_hasher(TTL, hasher());
    group.bench_function("ttlwheel", |bencher| bencher.iter(|| drop(black_box(ours.pin()))));
    let still: TtlMap<u64, u64> = TtlMap::builder().clock(Clock::from(&ManualClock::new())).build();
    group.bench_function("ttlwheel, manual clock", |bencher| bencher.iter(|| drop(black_box(still.pin()))));
    let papaya: papaya::HashMap<u64, u64, Hasher> = papaya::HashMap::with_hasher(hasher());
    group.bench_function("papaya", |bencher| bencher.iter(|| drop(black_box(papaya.pin()))));
    group.finish();
}

/// Gets from a map that fits into the nearest cache, in each way.
fn with_get(criterion: &mut Criterion) {
    let keys = {
        let asked = stream::<Words>(Draw::Hits, ENTRIES, STREAM, 0);
        assert!(keys::<Words>(0..ENTRIES).contains(&asked[0]));
        asked
    };
    let mut group = criterion.benchmark_group(format!("{STREAM} gets"));
    for entry in peers::all::<Words>().into_iter().filter(|entry| entry.ways.len() > 1) {
        let map = entry.filled(ENTRIES);
        for &way in entry.ways {
            assert_eq!(map.get(way, &keys).found, STREAM, "{}", entry.name);
            group.bench_function(way.label(entry.name), |bencher| bencher.iter(|| map.get(way, &keys)));
        }
    }
    group.finish();
}

criterion_group! { name = benches; config = config(20, 300, 1_000); targets = alone, with_get }
criterion_main!(benches);
