//! What does it cost to be rid of entries that have lapsed?

// What criterion_group! makes is public and has no documentation.
#![allow(missing_docs)]

mod common;

use common::{Entry, Upkeep, Words, config, keys, peers};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use std::thread;
use std::time::{Duration, Instant};

const ENTRIES: usize = 100_000;
/// Long enough for the slowest to take all entries in, short enough to wait for.
const TTL: Duration = Duration::from_millis(400);

fn reclaim(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("reclaim lapsed/{ENTRIES}"));
    group.throughput(Throughput::Elements(ENTRIES as u64));
    group.sampling_mode(SamplingMode::Flat);
    for entry in peers::all::<Words>() {
        if entry.upkeep == Upkeep::NoTtl {
            continue;
        }
        // One reclaiming stands for all of a sample: each has to be waited for.
        group.bench_function(entry.name, |bencher| bencher.iter_custom(|count| once(&entry) * count as u32));
    }
    group.finish();
}

fn once(entry: &Entry<Words>) -> Duration {
    let map = (entry.with_ttl)(TTL);
    map.insert(&keys::<Words>(0..ENTRIES), 0);
    map.settle();
    // Beyond the deadline by what the coarse clock may lag.
    thread::sleep(TTL + Duration::from_millis(20));
    let start = Instant::now();
    map.sweep();
    let time = start.elapsed();
    assert_eq!(map.stored(), 0, "{}", entry.name);
    time
}

criterion_group! { name = benches; config = config(10, 10, 100); targets = reclaim }
criterion_main!(benches);
