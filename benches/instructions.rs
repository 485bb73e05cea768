//! How many instructions does an operation take? A program for callgrind; `benches/instructions.sh` runs it.
//!
//! `instructions QUESTION COUNT` makes a map of 10 k entries and does an operation so many times. Run twice, with different
//! counts, the difference is that of the operations alone. Without arguments each question is asked once and its
//! answer checked.

// A program, not an API.
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use ttlwheel::{ManualClock, TtlMap};

type Map = TtlMap<u64, u64, foldhash::quality::FixedState>;

const ENTRIES: u64 = 10_000;

/// A question: its name, and what is done to a map so many times. Tells how many keys it found.
type Question = (&'static str, fn(&Map, u64) -> u64);

const QUESTIONS: [Question; 10] = [
    // What the others do besides: a key is made, and counted.
    ("nothing", |_, count| found(count, |n| black_box(present(n)) > 0)),
    ("hit_held", |map, count| {
        let pinned = map.pin();
        found(count, |n| pinned.get(&present(n)).is_some())
    }),
    ("hit_pin_each", |map, count| found(count, |n| map.pin().get(&present(n)).is_some())),
    ("hit_get", |map, count| found(count, |n| map.get(&present(n)).is_some())),
    ("hit_get_cloned", |map, count| found(count, |n| map.get_cloned(&present(n)).is_some())),
    ("miss_held", |map, count| {
        let pinned = map.pin();
        found(count, |n| pinned.get(&absent(n)).is_none())
    }),
    ("miss_get_cloned", |map, count| found(count, |n| map.get_cloned(&absent(n)).is_none())),
    ("churn", |map, count| {
        found(count, |n| map.remove(&spread(n)).is_some() && map.insert(spread(ENTRIES + n), n).replaced().is_none())
    }),
    ("grow_reclaim", |_, count| grow_and_reclaim(count)),
    ("overwrite", |map, count| found(count, |n| map.pin().insert(present(n), n).replaced().is_some())),
];

/// Counts those that went as they should.
#[inline(always)]
fn found(count: u64, ask: impl Fn(u64) -> bool) -> u64 {
    (0..count).map(|n| u64::from(black_box(ask(n)))).sum()
}

/// Inserts that a table grows by, until all lapse at once and are purged, and the table shrinks.
fn grow_and_reclaim(count: u64) -> u64 {
    let (clock, life) = (ManualClock::new(), Duration::from_secs(1));
    let hasher = foldhash::quality::FixedState::with_seed(1);
    let map: Map = TtlMap::builder().time_to_live(life).clock(&clock).hasher(hasher).build();
    let mut left = count;
    while left > 0 {
        let some = left.min(ENTRIES);
        (0..some).for_each(|n| _ = map.insert(spread(n), n));
        clock.advance(2 * life);
        let mut purged = map.purge_expired(1_000);
        while purged.more {
            left -= purged.removed as u64;
            purged = map.purge_expired(1_000);
        }
        left -= purged.removed as u64;
    }
    count
}

/// A key that is there.
#[inline(always)]
fn present(n: u64) -> u64 {
    spread(n.wrapping_mul(7919) % ENTRIES)
}

/// A key that is not there.
#[inline(always)]
fn absent(n: u64) -> u64 {
    spread(ENTRIES + n.wrapping_mul(7919) % ENTRIES)
}

/// Distinct for distinct numbers.
#[inline(always)]
fn spread(n: u64) -> u64 {
    n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn filled() -> Map {
    let map = Map::with_hasher(Duration::from_secs(3600), foldhash::quality::FixedState::with_seed(1));
    for n in 0..ENTRIES {
        map.insert(spread(n), n);
    }
    map
}

fn ask((name, question): Question, count: u64) {
    assert_eq!(question(&filled(), count), count, "{name}");
}

fn main() {
    // cargo passes arguments of its own.
    let args: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    match &args[..] {
        [name, count] => {
            let question = QUESTIONS.iter().find(|question| question.0 == name).expect("a question of that name");
            ask(*question, count.parse().expect("a count"));
        }
        _ => QUESTIONS.iter().for_each(|&question| {
            ask(question, 1_000);
            println!("{}", question.0);
        }),
    }
}
