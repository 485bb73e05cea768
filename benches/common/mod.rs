//! What all benches share: the data, the peers, and the loops that are timed.
//!
//! A peer implements [`Ops`] twice, once with a pin for each operation and once through a pin that is held. The loops
//! are written once, in `batches`, and compiled for each peer, so that a dynamic call is paid once a batch, not once an
//! operation.

// Each bench is a crate of its own and uses a part of this.
#![allow(dead_code, unused_imports)]

mod batches;
mod data;
pub mod peers;
mod rows;

use std::cell::Cell;
use std::time::{Duration, Instant};

pub use batches::{Batches, Tally, Timings, timings};
pub use data::{Data, Draw, Texts, Words, keys, stream};
pub use rows::{Entry, Ops, Peer, Upkeep, Way};

/// The one seed from which keys and their orders are made.
pub const SEED: u64 = 0x7474_6c77_6865_656c;

/// The lifetime given to every entry where nothing is to lapse while a bench runs.
pub const TTL: Duration = Duration::from_secs(3600);

/// The hasher of every map.
pub type Hasher = foldhash::quality::FixedState;

/// How long a criterion bench takes: its samples, and milliseconds to warm up and to measure.
pub fn config(samples: usize, warm_up: u64, measured: u64) -> criterion::Criterion {
    criterion::Criterion::default()
        .sample_size(samples)
        .warm_up_time(Duration::from_millis(warm_up))
        .measurement_time(Duration::from_millis(measured))
}

/// Makes the hasher of every map.
pub fn hasher() -> Hasher {
    Hasher::with_seed(SEED)
}

/// Keys read round and round, in slices.
pub struct Ring<K = u64> {
    keys: Vec<K>,
    at: Cell<usize>,
    last: Cell<(usize, usize)>,
}

impl<K> Ring<K> {
    pub fn new(keys: Vec<K>) -> Self {
        Ring { keys, at: Cell::new(0), last: Cell::new((0, 0)) }
    }

    pub fn keys(&self) -> &[K] {
        &self.keys
    }

    /// The slice that was passed last.
    pub fn last(&self) -> &[K] {
        &self.keys[self.last.get().0..self.last.get().1]
    }

    /// Passes the next `count` keys to `batch`, in as few slices as there can be, and times that.
    pub fn time(&self, count: u64, mut batch: impl FnMut(&[K])) -> Duration {
        let mut left = count as usize;
        let start = Instant::now();
        while left > 0 {
            let at = self.at.get();
            let end = self.keys.len().min(at + left);
            batch(&self.keys[at..end]);
            left -= end - at;
            self.last.set((at, end));
            self.at.set(end % self.keys.len());
        }
        start.elapsed()
    }
}
