//! What does a get cost when many keys are asked for at once?

// What criterion_group! makes is public and has no documentation.
#![allow(missing_docs)]

mod common;

use common::{Draw, Ring, Tally, Way, Words, config, peers, stream};
use criterion::{Criterion, criterion_group, criterion_main};
use std::cell::LazyCell;
use std::hint::black_box;

const ENTRIES: [usize; 2] = [10_000, 1_000_000];
const STREAM: usize = 1 << 20;

fn batch(criterion: &mut Criterion) {
    for entries in ENTRIES {
        let ring = Ring::new(stream::<Words>(Draw::Hits, entries, STREAM, 0));
        let expected = Tally::expected::<Words>(ring.keys(), 0);
        let mut group = criterion.benchmark_group(format!("get many/{entries}"));
        for entry in peers::all::<Words>() {
            // Lazily, for a filter on the command line to spare what it leaves out.
            let map = LazyCell::new(|| {
                let map = entry.filled(entries);
                for &way in entry.ways {
                    assert_eq!(map.get(way, ring.keys()), expected, "{}", entry.name);
                }
                map
            });
            for &way in entry.ways.iter().filter(|way| matches!(way, Way::Held | Way::Many)) {
                group.bench_function(way.label(entry.name), |bencher| {
                    let map = &**map;
                    bencher.iter_custom(|count| {
                        ring.time(count, |keys| {
                            black_box(map.get(way, keys));
                        })
                    })
                });
            }
        }
        group.finish();
    }
}

criterion_group! { name = benches; config = config(20, 500, 2_000); targets = batch }
criterion_main!(benches);
