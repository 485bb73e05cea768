//! The questions. A new one is a block in one of the files and a line in [`all`].

mod alone;
mod expiry;
mod memory;
mod reads;
mod writes;

pub use alone::{Alone, answer};

use crate::common::{Batches, Data, Draw, Entry, Tally, Upkeep, Way, keys, stream};
use crate::heap::tidy;

/// Every question, in the order of the report. Neighbours with the same start share the maps while they only read.
pub fn all<D: Data>() -> Vec<Workload<D>> {
    vec![
        Workload::GET_HIT,
        Workload::GET_CHAIN,
        Workload::GET_ZIPF,
        Workload::GET_MISS,
        Workload::OVERWRITE,
        Workload::MIX_95,
        Workload::MIX_50,
        Workload::CHURN,
        Workload::GROW,
        Workload::TAILS,
        Workload::STEADY,
        Workload::RECLAIM,
        Workload::BYTES,
        Workload::LIFE,
    ]
}

pub struct Workload<D: Data> {
    pub name: &'static str,
    pub about: &'static str,
    /// What a round tells.
    pub figures: &'static [Figure],
    pub entries: Sizes,
    pub threads: &'static [usize],
    /// The ways that are cases of their own.
    pub ways: fn(Way) -> bool,
    /// Whether it is asked of the second set of keys and values too.
    pub texts: bool,
    pub peers: fn(Upkeep) -> bool,
    /// What the maps hold at the first round.
    pub start: Start,
    /// Whether the rounds leave the maps otherwise than they found them.
    pub writes: bool,
    pub rounds: Rounds,
    /// How many gets at 10 k one operation is worth, roughly: the count of operations is divided by it.
    pub weight: usize,
    /// Draws what a round is about, the same for every peer.
    pub keys: fn(&Case) -> Vec<Vec<D::Key>>,
    /// Plays a round on one peer's seat, checks the answers, and returns a sample of each figure.
    pub round: Round<D>,
}

/// A seat, the case, and the keys of each thread.
type Round<D> = fn(&mut Seat<D>, &Case, &[Vec<<D as Data>::Key>]) -> Vec<f64>;

/// One of the things that a round tells.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// Empty if there is but one.
    pub name: &'static str,
    pub unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds an operation, as each thread sees it.
    Nanos,
    /// Bytes an entry.
    Bytes,
}

/// One figure, in nanoseconds.
const NANOS: &[Figure] = &[Figure { name: "", unit: Unit::Nanos }];

/// Numbers of entries.
#[derive(Clone, Copy, Debug)]
pub enum Sizes {
    /// These unless others are asked for, the second ones in a quick run; 10 M as well in a large run.
    Any(&'static [usize], &'static [usize]),
    /// This and no other, but for another one in a quick run.
    One(usize, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// No map: each round makes its own.
    Nothing,
    /// A map with all entries.
    Filled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounds {
    /// As many as are asked for, after one that does not count.
    All,
    /// Five at most (three in a quick run), all of which count: one is dear, and long enough.
    Five,
    /// One tells it all: no time is taken.
    One,
}

/// How much there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volume {
    /// Answers are checked, times mean nothing.
    Check,
    Quick,
    Full,
}

/// One round of one case.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub entries: usize,
    pub threads: usize,
    pub way: Way,
    /// Operations of each thread.
    pub ops: usize,
    pub round: usize,
    pub volume: Volume,
}

impl Case {
    /// With operations to come first: as many again, or in a full run as bring a map of a million back to the caches, as far
    /// as it fits in.
    fn warmed(&self) -> Self {
        let whole = if self.volume == Volume::Full { self.entries.min(1_000_000) } else { 0 };
        Case { ops: self.ops + self.ops.max(whole), ..*self }
    }

    fn drawn<D: Data>(&self, draw: Draw) -> Vec<Vec<D::Key>> {
        let salt = |thread| (self.round * self.threads + thread + 1) as u64;
        (0..self.threads).map(|thread| stream::<D>(draw, self.entries, self.ops, salt(thread))).collect()
    }

    /// The keys of `first..first + count`, dealt to the threads in turn.
    fn dealt<D: Data>(&self, first: usize, count: usize) -> Vec<Vec<D::Key>> {
        (0..self.threads).map(|thread| keys::<D>((first + thread..first + count).step_by(self.threads))).collect()
    }
}

/// A peer at the table: its map, if one stands, and what the rounds so far did to it.
pub struct Seat<D: Data> {
    pub entry: Entry<D>,
    map: Option<Box<dyn Batches<D>>>,
    /// How many of the oldest keys were removed.
    gone: usize,
}

impl<D: Data> Seat<D> {
    pub fn new(entry: Entry<D>) -> Self {
        Seat { entry, map: None, gone: 0 }
    }

    /// Gives each seat the map to start with, beginning with the seat `first`.
    ///
    /// All old maps go before the new are made, so that each finds other memory than the last time: where a map
    /// happens to lie, and on what pages, can be worth more than what there is to be compared.
    pub fn lay(seats: &mut [Seat<D>], start: Start, entries: usize, first: usize) {
        for seat in &mut *seats {
            seat.map = None;
            seat.gone = 0;
        }
        for turn in 0..seats.len() {
            let count = seats.len();
            let seat = &mut seats[(first + turn) % count];
            tidy();
            seat.map = (start == Start::Filled).then(|| seat.entry.filled(entries));
        }
    }

    fn map(&self) -> &dyn Batches<D> {
        self.map.as_deref().expect("a map stands")
    }

    fn expect(&self, map: &dyn Batches<D>, keys: &[D::Key], generation: u64) {
        let expected = Tally::expected::<D>(keys, generation);
        assert_eq!(map.get(Way::Call, keys), expected, "{}", self.entry.name);
    }
}

/// A thread's first touch of a map, before its time is taken.
fn touch<D: Data>(map: &dyn Batches<D>, way: Way) {
    map.get(way, &[D::key(0)]);
}

/// How many of the keys last written are read back.
const CHECKED: usize = 1_000;
