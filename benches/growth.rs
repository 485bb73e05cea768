//! What does an insert cost while the map grows from nothing, upkeep that was put off included?

// What criterion_group! makes is public and has no documentation.
#![allow(missing_docs)]

mod common;

use common::{Tally, Way, Words, config, keys, peers};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use std::time::Instant;

const ENTRIES: [usize; 2] = [10_000, 1_000_000];

fn grow(criterion: &mut Criterion) {
    for entries in ENTRIES {
        let keys = keys::<Words>(0..entries);
        let expected = Tally::expected::<Words>(&keys, 0);
        let mut group = criterion.benchmark_group(format!("grow from empty/{entries}"));
        group.throughput(Throughput::Elements(entries as u64));
        group.sampling_mode(SamplingMode::Flat);
        for entry in peers::all::<Words>() {
            group.bench_function(entry.name, |bencher| {
                bencher.iter_custom(|count| {
                    (0..count)
                        .map(|_| {
                            let map = entry.empty();
                            let start = Instant::now();
                            map.insert(&keys, 0);
                            map.settle();
                            let time = start.elapsed();
                            assert_eq!(map.get(Way::Call, &keys), expected, "{}", entry.name);
                            time
                        })
                        .sum()
                })
            });
        }
        group.finish();
    }
}

criterion_group! { name = benches; config = config(10, 500, 3_000); targets = grow }
criterion_main!(benches);
