//! What does an insert cost when the key is there already?

// What criterion_group! makes is public and has no documentation.
#![allow(missing_docs)]

mod common;

use common::{Draw, Ring, Tally, Way, Words, config, peers, stream};
use criterion::{Criterion, criterion_group, criterion_main};
use std::cell::LazyCell;

const ENTRIES: [usize; 2] = [10_000, 1_000_000];
const STREAM: usize = 1 << 20;
/// How many of the keys written last are read back.
const CHECKED: usize = 1_000;

fn overwrite(criterion: &mut Criterion) {
    for entries in ENTRIES {
        let ring = Ring::new(stream::<Words>(Draw::Hits, entries, STREAM, 0));
        let mut group = criterion.benchmark_group(format!("overwrite/{entries}"));
        for entry in peers::all::<Words>() {
            // Lazily, for a filter on the command line to spare what it leaves out.
            let map = LazyCell::new(|| entry.filled(entries));
            let mut generation = 0;
            group.bench_function(entry.name, |bencher| {
                let map = &**map;
                bencher.iter_custom(|count| {
                    generation += 1;
                    let time = ring.time(count, |keys| map.insert(keys, generation));
                    let last = ring.last();
                    let last = &last[last.len().saturating_sub(CHECKED)..];
                    let expected = Tally::expected::<Words>(last, generation);
                    assert_eq!(map.get(Way::Call, last), expected, "{}", entry.name);
                    time
                })
            });
        }
        group.finish();
    }
}

criterion_group! { name = benches; config = config(20, 500, 2_000); targets = overwrite }
criterion_main!(benches);
