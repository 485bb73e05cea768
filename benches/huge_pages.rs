//! What are huge pages worth for the table? Maps with and without them side by side, in rounds that alternate.
//!
//! `cargo bench --bench huge_pages` prints a table as in docs/performance.md; `-- 1000000 4000000` names the sizes. Maps
//! are made anew every few rounds, as where they happen to lie matters.

mod common;

use std::time::Instant;

use common::{Batches, Draw, Hasher, TTL, Tally, Timings, Way, Words, hasher, keys, stream, timings};
use ttlwheel::{Pages, TtlMap};

type Map = TtlMap<u64, u64, Hasher>;

const LAYS: usize = 3;
const ROUNDS_A_LAY: usize = 3;

/// Of which one half warms up.
const GETS: usize = 1_000_000;
/// Growth to more is not measured.
const GROWN: usize = 1_000_000;

fn map(huge_pages: bool) -> Map {
    TtlMap::builder()
        .time_to_live(TTL)
        .pages(if huge_pages { Pages::Huge } else { Pages::Mapped })
        .hasher(hasher())
        .build()
}

/// What was measured of maps without huge pages and with them: a sample a round.
#[derive(Default)]
struct Row([Vec<f64>; 2]);

impl Row {
    fn tell(&self, entries: usize, what: &str) {
        let ratios = self.0[1].iter().zip(&self.0[0]).map(|(with, without)| with / without).collect();
        let [without, with] = self.0.each_ref().map(|samples| spread(samples.clone()));
        println!("| {what}, {entries} | {without} | {with} | {} |", spread(ratios));
    }
}

/// The median, the least and the greatest.
fn spread(mut samples: Vec<f64>) -> String {
    samples.sort_by(f64::total_cmp);
    let digits = if samples[0] < 10.0 { 2 } else { 0 };
    let [median, least, most] = [samples.len() / 2, 0, samples.len() - 1].map(|n| samples[n]);
    format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
}

fn main() {
    let sizes: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let is_bench = std::env::args().any(|arg| arg == "--bench");
    let sizes = match (sizes.is_empty(), is_bench) {
        (false, _) => sizes,
        (true, true) => vec![1_000_000, 4_000_000, 10_000_000],
        // A look at whether it works, as of `cargo test`.
        (true, false) => vec![1_000],
    };
    println!("| | without | with | with / without |\n|---|---|---|---|");
    for entries in sizes {
        reads(entries);
        if entries <= GROWN {
            growth(entries);
        }
    }
}

fn reads(entries: usize) {
    let ways = [("hit, pin held", Way::Held, Draw::Hits), ("hit, a call each", Way::Call, Draw::Hits)];
    let ways = ways.into_iter().chain([("miss, a call each", Way::Call, Draw::Misses)]);
    let mut rows: Vec<_> = ways.map(|(name, way, draw)| (name, way, draw, Row::default())).collect();
    for lay in 0..LAYS {
        let maps = [false, true].map(map);
        for turn in [lay, lay + 1] {
            Batches::<Words>::insert(&maps[turn % 2], &keys::<Words>(0..entries), 0);
        }
        for round in 0..ROUNDS_A_LAY {
            for (name, way, draw, row) in &mut rows {
                let keys = stream::<Words>(*draw, entries, GETS, (lay * ROUNDS_A_LAY + round + 1) as u64);
                let (warm, asked) = keys.split_at(GETS / 2);
                let expected = if *draw == Draw::Hits { Tally::expected::<Words>(asked, 0) } else { Tally::default() };
                for turn in [lay + round, lay + round + 1] {
                    let map = &maps[turn % 2];
                    Batches::<Words>::get(map, *way, warm);
                    let start = Instant::now();
                    let tally = Batches::<Words>::get(map, *way, asked);
                    row.0[turn % 2].push(start.elapsed().as_nanos() as f64 / asked.len() as f64);
                    assert_eq!(tally, expected, "{name}");
                }
            }
        }
    }
    rows.iter().for_each(|(name, _, _, row)| row.tell(entries, name));
}

/// Growth from empty: as a whole, and insert by insert.
fn growth(entries: usize) {
    let keys = keys::<Words>(0..entries);
    let quantiles = [("p99.9", 0.999), ("p99.99", 0.9999), ("p99.999", 0.99999), ("worst", 1.0)];
    let mut whole = Row::default();
    let mut single = quantiles.map(|_| Row::default());
    for round in 0..LAYS * ROUNDS_A_LAY {
        for turn in [round, round + 1] {
            let (side, map) = (turn % 2, map(turn % 2 == 1));
            let start = Instant::now();
            Batches::<Words>::insert(&map, &keys, 0);
            whole.0[side].push(start.elapsed().as_nanos() as f64 / entries as f64);
            drop(map);
            let timed = inserts(&self::map(side == 1), &keys);
            for ((_, quantile), row) in quantiles.iter().zip(&mut single) {
                row.0[side].push(timed.value_at_quantile(*quantile) as f64);
            }
        }
    }
    whole.tell(entries, "grow from empty, an entry");
    single.iter().zip(quantiles).for_each(|(row, (name, _))| row.tell(entries, &format!("single insert, {name}")));
}

fn inserts(map: &Map, keys: &[u64]) -> Timings {
    let mut timings = timings();
    let done = std::sync::atomic::AtomicUsize::new(0);
    Batches::<Words>::insert_timed(map, keys, &done, &mut timings);
    timings
}
