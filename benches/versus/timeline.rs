//! Bytes over time, through a mass expiry: a million entries that lapse within a moment.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ttlwheel::{Reaper, TtlMap};

use crate::common::{Batches, Data, Entry, Words, hasher, keys, peers};
use crate::heap::{Counting, mapped};
use crate::workloads::Volume;

/// What is kept of the first keys while time goes on: a trickle of writes, or nothing at all.
const TRICKLE: usize = 500;
const STEP: Duration = Duration::from_millis(10);

/// The heap of one map over time.
pub struct Line {
    pub name: String,
    /// Seconds and bytes.
    pub points: Vec<(f64, f64)>,
}

/// Records the lines: ours and moka's, with 50,000 writes a second and with none, and ours with a reaper.
pub fn record(volume: Volume) -> Vec<Line> {
    let (entries, ttl) = match volume {
        Volume::Check => (1_000, Duration::from_millis(50)),
        Volume::Quick => (100_000, Duration::from_millis(300)),
        Volume::Full => (1_000_000, Duration::from_secs(2)),
    };
    let peers = peers::all::<Words>();
    let by_name = |name| *peers.iter().find(|peer| peer.name == name).expect("a peer of that name");
    let mut lines = Vec::new();
    for peer in [by_name("ttlwheel"), by_name("moka + TTL")] {
        lines.push(line(format!("{}, 50,000 writes/s", peer.name), entries, ttl, || make(&peer, ttl), TRICKLE));
        lines.push(line(format!("{}, left alone", peer.name), entries, ttl, || make(&peer, ttl), 0));
    }
    lines.push(line("ttlwheel, left to a reaper".to_owned(), entries, ttl, || Reaped::new(ttl), 0));
    lines
}

fn make(peer: &Entry<Words>, ttl: Duration) -> Box<dyn Batches<Words>> {
    (peer.with_ttl)(ttl)
}

/// A map to write to.
trait Filled {
    fn insert(&self, keys: &[u64]);
}

impl Filled for Box<dyn Batches<Words>> {
    fn insert(&self, keys: &[u64]) {
        Batches::insert(&**self, keys, 0);
    }
}

/// Ours with a reaper.
struct Reaped {
    map: Arc<TtlMap<u64, u64, crate::common::Hasher>>,
    _reaper: Reaper,
}

impl Filled for Reaped {
    fn insert(&self, keys: &[u64]) {
        for key in keys {
            self.map.insert(*key, Words::value(key, 0));
        }
    }
}

impl Reaped {
    fn new(ttl: Duration) -> Self {
        let map = Arc::new(TtlMap::with_hasher(ttl, hasher()));
        let reaper = Reaper::builder().spawn().expect("a thread");
        reaper.watch(&map).expect("a thread");
        Reaped { map, _reaper: reaper }
    }
}

/// Fills a map at once, then goes on for three lifetimes.
fn line<M: Filled>(name: String, entries: usize, ttl: Duration, make: impl FnOnce() -> M, trickle: usize) -> Line {
    let (first, later) = (keys::<Words>(0..entries), keys::<Words>(entries..entries + trickle));
    let mut points = Vec::with_capacity(10_000);
    Counting::start();
    let start = Instant::now();
    let map = make();
    // With the stack of a reaper that may be there; before any large array.
    let before = mapped();
    let taken = || Counting::now().taken + mapped() - before;
    for keys in first.chunks(entries / 10) {
        map.insert(keys);
        points.push((start.elapsed().as_secs_f64(), taken()));
    }
    while start.elapsed() < 3 * ttl {
        thread::sleep(STEP);
        map.insert(&later);
        points.push((start.elapsed().as_secs_f64(), taken()));
    }
    Counting::stop();
    Line { name, points }
}
