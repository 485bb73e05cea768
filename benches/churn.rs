//! What does it cost to remove the oldest key and insert a new one, for ever?

// What criterion_group! makes is public and has no documentation.
#![allow(missing_docs)]

mod common;

use common::{Words, config, keys, peers};
use criterion::{Criterion, criterion_group, criterion_main};
use std::cell::LazyCell;
use std::time::{Duration, Instant};

const ENTRIES: [usize; 2] = [10_000, 1_000_000];
/// Keys are made, untimed, so many at once.
const BATCH: usize = 10_000;

fn churn(criterion: &mut Criterion) {
    for entries in ENTRIES {
        let mut group = criterion.benchmark_group(format!("churn/{entries}"));
        for entry in peers::all::<Words>() {
            // Lazily, for a filter on the command line to spare what it leaves out.
            let map = LazyCell::new(|| entry.filled(entries));
            let mut gone = 0;
            group.bench_function(entry.name, |bencher| {
                let map = &**map;
                bencher.iter_custom(|count| {
                    let (mut time, mut left) = (Duration::ZERO, count as usize);
                    while left > 0 {
                        let some = left.min(BATCH);
                        let old = keys::<Words>(gone..gone + some);
                        let new = keys::<Words>(gone + entries..gone + entries + some);
                        let start = Instant::now();
                        let removed = map.churn(&old, &new);
                        map.settle();
                        time += start.elapsed();
                        assert_eq!(removed, some, "{}", entry.name);
                        gone += some;
                        left -= some;
                    }
                    time
                })
            });
        }
        group.finish();
    }
}

criterion_group! { name = benches; config = config(20, 500, 2_000); targets = churn }
criterion_main!(benches);
