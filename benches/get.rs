//! What does a get cost, when the key is there and when it is not?

// What criterion_group! makes is public and has no documentation.
#![allow(missing_docs)]

mod common;

use common::{Data, Draw, Ring, Tally, Words, config, peers, stream};
use criterion::{Criterion, criterion_group, criterion_main};
use std::cell::LazyCell;
use std::hint::black_box;

const ENTRIES: [usize; 2] = [10_000, 1_000_000];
const STREAM: usize = 1 << 20;

fn hit(criterion: &mut Criterion) {
    ask::<Words>(criterion, "get hit", Draw::Hits);
}

fn miss(criterion: &mut Criterion) {
    ask::<Words>(criterion, "get miss", Draw::Misses);
}

fn ask<D: Data>(criterion: &mut Criterion, question: &str, draw: Draw) {
    for entries in ENTRIES {
        let ring = Ring::new(stream::<D>(draw, entries, STREAM, 0));
        let expected = match draw {
            Draw::Misses => Tally::default(),
            _ => Tally::expected::<D>(ring.keys(), 0),
        };
        let mut group = criterion.benchmark_group(format!("{question}/{entries}"));
        for entry in peers::all::<D>() {
            // Lazily, for a filter on the command line to spare what it leaves out.
            let map = LazyCell::new(|| {
                let map = entry.filled(entries);
                for &way in entry.ways {
                    assert_eq!(map.get(way, ring.keys()), expected, "{}", entry.name);
                }
                map
            });
            for &way in entry.ways {
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

criterion_group! { name = benches; config = config(20, 500, 2_000); targets = hit, miss }
criterion_main!(benches);
