//! The questions. A new one is a block here and a line in [`WORKLOADS`].

use std::iter::repeat_with;

use crate::common::{Batches, Draw, Entry, Pin, Tally, keys, stream};
use crate::measure::{Bytes, Counting, race, tidy};

/// Every question, in the order of the report. Neighbours with the same start share the maps while they only read.
pub static WORKLOADS: &[Workload] = &[GET_HIT, GET_MISS, GET_ZIPF, OVERWRITE, CHURN, GROW, ASKED, TAKEN, LIFE];

pub struct Workload {
    pub name: &'static str,
    pub about: &'static str,
    pub unit: Unit,
    pub entries: &'static [usize],
    pub threads: &'static [usize],
    /// Whether a pin that is held is a case of its own.
    pub held: bool,
    /// What the maps hold at the first round.
    pub start: Start,
    /// Whether the rounds leave the maps otherwise than they found them.
    pub writes: bool,
    /// Whether 1 M entries take so long that `--quick` asks for one thread only.
    pub slow: bool,
    /// How many gets at 10 k one operation is worth, roughly: the count of operations is divided by it.
    pub weight: usize,
    /// Draws what a round is about, the same for every peer.
    pub keys: fn(&Case) -> Vec<Vec<u64>>,
    /// Plays a round on one peer's seat, checks the answers, and returns the sample.
    pub round: fn(&mut Seat, &Case, &[Vec<u64>]) -> f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds an operation, as each thread sees it.
    Nanos,
    /// Bytes an entry; the same in every round.
    Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// No map: each round makes its own.
    Nothing,
    /// A map with all entries.
    Filled,
}

/// One round of one case.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub entries: usize,
    pub threads: usize,
    pub pin: Pin,
    /// Operations of each thread.
    pub ops: usize,
    pub round: usize,
}

impl Case {
    fn drawn(&self, draw: Draw) -> Vec<Vec<u64>> {
        let salt = |thread| (self.round * self.threads + thread + 1) as u64;
        (0..self.threads).map(|thread| stream(draw, self.entries, self.ops, salt(thread))).collect()
    }

    /// The keys of `first..first + count`, dealt to the threads in turn.
    fn dealt(&self, first: usize, count: usize) -> Vec<Vec<u64>> {
        (0..self.threads).map(|thread| keys((first + thread..first + count).step_by(self.threads))).collect()
    }
}

/// A peer at the table: its map, if one stands, and what the rounds so far did to it.
pub struct Seat {
    pub entry: &'static Entry,
    pub map: Option<Box<dyn Batches>>,
    /// How many of the oldest keys were removed.
    gone: usize,
    bytes: Option<Bytes>,
}

impl Seat {
    pub fn new(entry: &'static Entry) -> Self {
        Seat { entry, map: None, gone: 0, bytes: None }
    }

    /// Gives each seat the map to start with, beginning with the seat `first`.
    ///
    /// All old maps go before the new are made, so that each finds other memory than the last time: where a map
    /// happens to lie, and on what pages, can be worth more than what there is to be compared.
    pub fn lay(seats: &mut [Seat], start: Start, entries: usize, first: usize) {
        for seat in &mut *seats {
            seat.map = None;
            seat.gone = 0;
        }
        for turn in 0..seats.len() {
            let seat = &mut seats[(first + turn) % seats.len()];
            tidy();
            seat.map = (start == Start::Filled).then(|| seat.entry.filled(entries));
        }
    }

    fn map(&self) -> &dyn Batches {
        self.map.as_deref().expect("a map stands")
    }

    fn expect(&self, map: &dyn Batches, keys: &[u64], generation: u64) {
        let expected = Tally::expected(keys, generation);
        assert_eq!(map.get(Pin::PerOp, keys), expected, "{}", self.entry.name);
    }
}

/// A key that is never in a map: a thread's first touch of it.
fn touch(map: &dyn Batches, pin: Pin) {
    map.get(pin, &[0]);
}

/// How many of the keys last written are read back.
const CHECKED: usize = 1_000;

/// One in so many keys is read back after growing.
const THINNED: usize = 16;

// ---- reads

const GET_HIT: Workload = Workload {
    name: "get hit",
    about: "uniform, of keys that are there",
    unit: Unit::Nanos,
    entries: &[10_000, 1_000_000],
    threads: &[1, 2],
    held: true,
    start: Start::Filled,
    writes: false,
    slow: false,
    weight: 1,
    keys: |case| case.drawn(Draw::Hits),
    round: read,
};

const GET_MISS: Workload = Workload {
    name: "get miss",
    about: "uniform, of keys that are not there",
    keys: |case| case.drawn(Draw::Misses),
    round: |seat, case, keys| timed_read(seat, case, keys, |_| Tally::default()),
    ..GET_HIT
};

const GET_ZIPF: Workload = Workload {
    name: "get zipf 0.99",
    about: "by Zipf's law, of keys that are there",
    entries: &[10_000],
    keys: |case| case.drawn(Draw::Zipf),
    ..GET_HIT
};

fn read(seat: &mut Seat, case: &Case, keys: &[Vec<u64>]) -> f64 {
    timed_read(seat, case, keys, |keys| Tally::expected(keys, 0))
}

fn timed_read(seat: &Seat, case: &Case, keys: &[Vec<u64>], expect: fn(&[u64]) -> Tally) -> f64 {
    let map = seat.map();
    let (time, tallies) = race(case.threads, |_| touch(map, case.pin), |thread| map.get(case.pin, &keys[thread]));
    for (tally, keys) in tallies.into_iter().zip(keys) {
        assert_eq!(tally, expect(keys), "{}", seat.entry.name);
    }
    time.as_nanos() as f64 / case.ops as f64
}

// ---- writes

const OVERWRITE: Workload = Workload {
    name: "overwrite",
    about: "insert over keys that are there, uniform",
    held: false,
    writes: true,
    weight: 4,
    round: |seat, case, keys| {
        let map = seat.map();
        let generation = case.round as u64 + 1;
        let (time, _) = race(case.threads, |_| touch(map, case.pin), |thread| map.insert(&keys[thread], generation));
        for keys in keys {
            seat.expect(map, &keys[keys.len().saturating_sub(CHECKED)..], generation);
        }
        time.as_nanos() as f64 / case.ops as f64
    },
    ..GET_HIT
};

const CHURN: Workload = Workload {
    name: "churn",
    about: "remove the oldest key and insert a new one (one operation: both)",
    held: false,
    writes: true,
    entries: &[1_000_000],
    weight: 4,
    keys: |_| Vec::new(),
    round: |seat, case, _| {
        let count = case.ops * case.threads;
        let old = case.dealt(seat.gone, count);
        let new = case.dealt(seat.gone + case.entries, count);
        seat.gone += count;
        let map = seat.map();
        let (time, removed) =
            race(case.threads, |_| touch(map, case.pin), |thread| map.churn(&old[thread], &new[thread]));
        assert_eq!(removed.iter().sum::<usize>(), count, "{}", seat.entry.name);
        for new in new {
            seat.expect(map, &new[new.len().saturating_sub(CHECKED)..], 0);
        }
        time.as_nanos() as f64 / case.ops as f64
    },
    ..GET_HIT
};

const GROW: Workload = Workload {
    name: "grow from empty",
    about: "insert new keys until all are there",
    held: false,
    start: Start::Nothing,
    slow: true,
    weight: 4,
    keys: |case| case.dealt(0, case.entries),
    round: |seat, case, keys| {
        if case.round == 0 && case.threads == 1 {
            // The round that does not count is the one in which the bytes are counted.
            return grown_bytes(seat, keys).asked;
        }
        let maps = (case.ops / case.entries).max(1);
        let mut inserts = 0;
        let nanos: u128 = repeat_with(|| {
            tidy();
            let map = &*(seat.entry.empty)();
            let (time, _) = race(case.threads, |_| touch(map, case.pin), |thread| map.insert(&keys[thread], 0));
            inserts += keys[0].len();
            for keys in keys {
                let some: Vec<u64> = keys.iter().copied().step_by(THINNED).collect();
                seat.expect(map, &some, 0);
            }
            time.as_nanos()
        })
        .take(maps)
        .sum();
        nanos as f64 / inserts as f64
    },
    ..GET_HIT
};

// ---- memory and life

const ASKED: Workload = Workload {
    name: "bytes asked",
    about: "bytes an entry as asked from the allocator, after growing from empty",
    unit: Unit::Bytes,
    threads: &[1],
    held: false,
    start: Start::Nothing,
    keys: |case| case.dealt(0, case.entries),
    round: |seat, case, keys| grown_bytes(seat, keys).asked / case.entries as f64,
    ..GET_HIT
};

const TAKEN: Workload = Workload {
    name: "bytes taken",
    about: "the same in glibc's chunks (8 bytes more, then a multiple of 16, at least 32)",
    round: |seat, case, keys| grown_bytes(seat, keys).taken / case.entries as f64,
    ..ASKED
};

fn grown_bytes(seat: &mut Seat, keys: &[Vec<u64>]) -> Bytes {
    *seat.bytes.get_or_insert_with(|| {
        let (bytes, map) = Counting::count(|| {
            let map = (seat.entry.empty)();
            map.insert(&keys[0], 0);
            map.settle();
            map
        });
        drop(map);
        bytes
    })
}

const LIFE: Workload = Workload {
    name: "map life",
    about: "new map, insert, get, drop (one operation: all four)",
    entries: &[1],
    held: false,
    start: Start::Nothing,
    weight: 40,
    keys: |_| Vec::new(),
    round: |seat, case, _| {
        let lives = seat.entry.lives;
        let (time, sums) = race(case.threads, |_| assert_eq!(lives(1), 0), |_| lives(case.ops));
        let expected: u64 = (0..case.ops as u64).sum();
        assert!(sums.iter().all(|&sum| sum == expected), "{}", seat.entry.name);
        time.as_nanos() as f64 / case.ops as f64
    },
    ..GET_HIT
};
