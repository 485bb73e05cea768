//! What does a get cost, when the key is there and when it is not?

// What criterion_group! makes is public and has no documentation.
#![allow(missing_docs)]

mod common;

use common::peers::PEERS;
use common::{Draw, Ring, Tally, stream};
use criterion::{Criterion, criterion_group, criterion_main};
use std::cell::LazyCell;
use std::hint::black_box;
use std::time::Duration;

const ENTRIES: [usize; 2] = [10_000, 1_000_000];
const STREAM: usize = 1 << 20;

fn hit(criterion: &mut Criterion) {
    ask(criterion, "get hit", Draw::Hits);
}

fn miss(criterion: &mut Criterion) {
    ask(criterion, "get miss", Draw::Misses);
}

fn ask(criterion: &mut Criterion, question: &str, draw: Draw) {
    for entries in ENTRIES {
        let ring = Ring::new(stream(draw, entries, STREAM, 0));
        let expected = match draw {
            Draw::Misses => Tally::default(),
            _ => Tally::expected(ring.keys(), 0),
        };
        let mut group = criterion.benchmark_group(format!("{question}/{entries}"));
        for entry in PEERS {
            // Lazily, for a filter on the command line to spare what it leaves out.
            let map = LazyCell::new(|| {
                let map = entry.filled(entries);
                for &pin in entry.pins {
                    assert_eq!(map.get(pin, ring.keys()), expected, "{}", entry.name);
                }
                map
            });
            for &pin in entry.pins {
                group.bench_function(pin.label(entry.name), |bencher| {
                    let map = &**map;
                    bencher.iter_custom(|count| {
                        ring.time(count, |keys| {
                            black_box(map.get(pin, keys));
                        })
                    })
                });
            }
        }
        group.finish();
    }
}

fn config() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = config(); targets = hit, miss }
criterion_main!(benches);
