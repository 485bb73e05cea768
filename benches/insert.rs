//! What does an insert of a new key cost in a map that has room for it?

// What criterion_group! makes is public and has no documentation.
#![allow(missing_docs)]

mod common;

use common::{Tally, Way, Words, config, keys, peers};
use criterion::{Criterion, criterion_group, criterion_main};
use std::cell::LazyCell;
use std::time::{Duration, Instant};

const ENTRIES: [usize; 2] = [10_000, 1_000_000];
/// So many keys are removed, untimed, and come back.
const BATCH: usize = 1_000;

fn insert(criterion: &mut Criterion) {
    for entries in ENTRIES {
        let coming = keys::<Words>(0..BATCH);
        let mut group = criterion.benchmark_group(format!("insert/{entries}"));
        for entry in peers::all::<Words>() {
            // Lazily, for a filter on the command line to spare what it leaves out.
            let map = LazyCell::new(|| entry.filled(entries));
            group.bench_function(entry.name, |bencher| {
                let map = &**map;
                bencher.iter_custom(|count| {
                    let mut time = Duration::ZERO;
                    let mut left = count as usize;
                    while left > 0 {
                        let some = left.min(BATCH);
                        assert_eq!(map.remove(&coming[..some]), some, "{}", entry.name);
                        let start = Instant::now();
                        map.insert(&coming[..some], 1);
                        time += start.elapsed();
                        left -= some;
                        let expected = Tally::expected::<Words>(&coming[..some], 1);
                        assert_eq!(map.get(Way::Call, &coming[..some]), expected, "{}", entry.name);
                    }
                    time
                })
            });
        }
        group.finish();
    }
}

criterion_group! { name = benches; config = config(20, 500, 2_000); targets = insert }
criterion_main!(benches);
