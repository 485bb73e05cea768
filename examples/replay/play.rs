//! The replay: one shared map, a lane of requests a thread, and a clock that moves when all lanes have come so far.
//!
//! ```text
//!  lane 0  ──a──c──╫──c───────╫──a──      ╫  the threads meet; the conductor, on lane 0's thread, samples
//!  lane 1  ──b─────╫──d──d──b─╫──b──         and moves the clock
//!  trace    second 0   second 1  …
//! ```
//!
//! All requests for a key are in one lane, in the trace's order, and each runs at its own second. So every request
//! sees what it would see on one thread, and the counts are the same for any number of threads.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::hint::black_box;
use std::io::{self, IsTerminal};
use std::ops::AddAssign;
use std::panic;
use std::process;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use ttlwheel::{Inserted, ManualClock, Pages, Pinned, TtlMap};

use crate::failure::Failure;
use crate::key::Key;
use crate::ledger::{self, Fate, Tracked};
use crate::memory;
use crate::trace::{Life, Request, Verb};

/// After this many requests a thread gives back that many lapsed entries, at most.
const PURGE_EVERY: usize = 64;
/// `len` walks the whole map, so the entries over time are taken at so many points.
const SAMPLES: u64 = 200;

type Map<K> = TtlMap<<K as Key>::Stored, Tracked<<K as Key>::Payload>>;
type Handle<'m, K, S> = Pinned<'m, <K as Key>::Stored, Tracked<<K as Key>::Payload>, S>;

/// What the user chose.
pub struct Settings {
    /// Of entries whose request does not say; `None` is for ever.
    pub ttl: Option<Duration>,
    pub threads: usize,
}

/// What the calls answered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub gets: u64,
    pub hits: u64,
    pub inserts: u64,
    pub replaced_live: u64,
    pub removed: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.gets += other.gets;
        self.hits += other.hits;
        self.inserts += other.inserts;
        self.replaced_live += other.replaced_live;
        self.removed += other.removed;
    }
}

/// The map at one moment of the trace's time.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Seconds since the trace's start.
    pub time: u64,
    pub live: usize,
    pub stored: usize,
    /// Bytes that the map holds, with what it holds back for stalled readers.
    pub bytes: i64,
}

/// What a replay comes to.
#[derive(Debug)]
pub struct Outcome {
    pub requests: usize,
    pub counts: Counts,
    pub lapsed: u64,
    pub live_at_end: u64,
    /// Wall time, without that spent on samples.
    pub elapsed: Duration,
    pub samples: Vec<Sample>,
}

/// Replays the requests, and checks that every value is accounted for.
pub fn play<K: Key>(requests: Vec<Request<K>>, settings: &Settings) -> Result<Outcome, Failure> {
    let total = requests.len();
    let mut moments: Vec<u64> = requests.iter().map(|request| request.time).collect();
    moments.dedup();
    let lanes = lanes(requests, settings.threads);
    let progress = progress(total as u64);

    let baseline = memory::allocated();
    let clock = ManualClock::new();
    // All memory is the allocator's, which counts.
    let builder = TtlMap::builder().pages(Pages::Allocator).clock(&clock);
    let builder = match settings.ttl {
        Some(ttl) => builder.time_to_live(ttl),
        None => builder,
    };
    let map: Map<K> = builder.build();
    let barrier = Barrier::new(settings.threads);
    let stage = Stage { map: &map, moments: &moments, barrier: &barrier, progress: &progress };
    let mut conductor = Conductor::<K>::new(&map, clock, baseline, &moments);

    let (counts, time) = thread::scope(|scope| {
        let others: Vec<_> = lanes[1..].iter().map(|lane| scope.spawn(|| stage.run(lane, |_| ()))).collect();
        let (mut counts, time) = stage.run(&lanes[0], |index| conductor.end_of(index));
        for other in others {
            counts += other.join().unwrap_or_else(|cause| panic::resume_unwind(cause)).0;
        }
        (counts, time)
    });
    progress.finish_and_clear();
    let Conductor { samples, paused, .. } = conductor;

    let live_at_end = map.len() as u64;
    drop(map);
    let lapsed = account(&counts, live_at_end)?;
    Ok(Outcome { requests: total, counts, lapsed, live_at_end, elapsed: time.saturating_sub(paused), samples })
}

/// Deals the requests to lanes, all of a key to the same one.
fn lanes<K: Key>(requests: Vec<Request<K>>, threads: usize) -> Vec<Vec<Request<K>>> {
    if threads == 1 {
        return vec![requests];
    }
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut lanes: Vec<_> = (0..threads).map(|_| Vec::with_capacity(requests.len() / threads)).collect();
    for request in requests {
        lanes[(hasher.hash_one(request.key) % threads as u64) as usize].push(request);
    }
    lanes
}

fn progress(requests: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(requests);
    match ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} requests, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Checks that inserts = replaced_live + lapsed + removed + live_at_end; the answer is `lapsed`.
///
/// The calls say how many values went in, were replaced live, were removed live, and stand live at the end. The
/// drops, all done now, say how many values ended in each way; those that nobody asked for had lapsed, but for the
/// live ones that went down with the map.
fn account(counts: &Counts, live_at_end: u64) -> Result<u64, Failure> {
    let ended = |fate| u64::try_from(ledger::ended_as(fate)).unwrap_or(0);
    let (left, replaced, removed) = (ended(Fate::Left), ended(Fate::Replaced), ended(Fate::Removed));
    let lapsed = left.checked_sub(live_at_end);
    match lapsed {
        Some(lapsed)
            if (replaced, removed) == (counts.replaced_live, counts.removed)
                && counts.inserts == replaced + lapsed + removed + live_at_end =>
        {
            Ok(lapsed)
        }
        _ => Err(Failure::Broken(format!(
            "{} values went in, {live_at_end} were live at the end; dropped were {replaced} as replaced \
             (the calls said {}), {removed} as removed (the calls said {}), {left} as neither",
            counts.inserts, counts.replaced_live, counts.removed
        ))),
    }
}

/// What the threads share.
struct Stage<'a, K: Key> {
    map: &'a Map<K>,
    moments: &'a [u64],
    barrier: &'a Barrier,
    progress: &'a ProgressBar,
}

impl<K: Key> Stage<'_, K> {
    /// Plays a lane. At the end of each moment, while every thread waits, `turn` is called with the moment's index.
    fn run(&self, lane: &[Request<K>], mut turn: impl FnMut(usize)) -> (Counts, Duration) {
        let _others_wait = EndsProcessOnPanic;
        let mut counts = Counts::default();
        let mut rest = lane;
        self.barrier.wait();
        let start = Instant::now();
        for (index, &moment) in self.moments.iter().enumerate() {
            let now = rest.iter().take_while(|request| request.time == moment).count();
            let (requests, later) = rest.split_at(now);
            rest = later;
            for requests in requests.chunks(PURGE_EVERY) {
                for request in requests {
                    perform(&self.map.pin(), request, &mut counts);
                }
                self.map.purge_expired(PURGE_EVERY);
                self.progress.inc(requests.len() as u64);
            }
            self.barrier.wait();
            turn(index);
            self.barrier.wait();
        }
        (counts, start.elapsed())
    }
}

fn perform<K: Key, S: BuildHasher>(map: &Handle<'_, K, S>, request: &Request<K>, counts: &mut Counts) {
    match request.verb {
        Verb::Read => {
            counts.gets += 1;
            match map.get(request.key.query()) {
                Some(value) => {
                    counts.hits += 1;
                    black_box(value.payload());
                }
                None => insert(map, request, counts),
            }
        }
        Verb::Write => insert(map, request, counts),
        Verb::Add if map.contains_key(request.key.query()) => {}
        Verb::Add => insert(map, request, counts),
        Verb::Overwrite if map.contains_key(request.key.query()) => insert(map, request, counts),
        Verb::Overwrite => {}
        Verb::Remove => {
            if let Some(value) = map.remove(request.key.query()) {
                counts.removed += 1;
                value.ends_as(Fate::Removed);
            }
        }
    }
}

fn insert<K: Key, S: BuildHasher>(map: &Handle<'_, K, S>, request: &Request<K>, counts: &mut Counts) {
    let (key, value) = (request.key.to_stored(), Tracked::new(K::payload(request.size)));
    let inserted = match request.life {
        Life::Default => map.insert(key, value),
        Life::Seconds(seconds) => map.insert_with_ttl(key, value, Duration::from_secs(seconds)),
        Life::Forever => map.insert_forever(key, value),
    };
    counts.inserts += 1;
    if let Inserted::Replaced(old) = inserted {
        counts.replaced_live += 1;
        old.ends_as(Fate::Replaced);
    }
}

/// Samples the map and moves its clock, while every thread waits.
struct Conductor<'a, K: Key> {
    map: &'a Map<K>,
    clock: ManualClock,
    /// What the process had allocated before the map.
    baseline: i64,
    moments: &'a [u64],
    samples: Vec<Sample>,
    /// The earliest second of the next sample, and their distance.
    due: u64,
    distance: u64,
    paused: Duration,
}

impl<'a, K: Key> Conductor<'a, K> {
    fn new(map: &'a Map<K>, clock: ManualClock, baseline: i64, moments: &'a [u64]) -> Self {
        let distance = moments.last().map_or(1, |end| end.div_ceil(SAMPLES)).max(1);
        let start = Sample { time: 0, live: 0, stored: 0, bytes: 0 };
        Conductor { map, clock, baseline, moments, samples: vec![start], due: 0, distance, paused: Duration::ZERO }
    }

    /// Ends a moment and begins the next.
    fn end_of(&mut self, index: usize) {
        let time = self.moments[index];
        let next = self.moments.get(index + 1);
        if time >= self.due || next.is_none() {
            self.due = time + self.distance;
            self.sample(time);
        }
        if let Some(next) = next {
            self.clock.advance(Duration::from_secs(next - time));
        }
    }

    fn sample(&mut self, time: u64) {
        let begin = Instant::now();
        let bytes = memory::allocated() - self.baseline;
        self.samples.push(Sample { time, live: self.map.len(), stored: self.map.stored_len(), bytes });
        self.paused += begin.elapsed();
    }
}

/// A thread that panics would leave the others waiting for it for ever.
struct EndsProcessOnPanic;

impl Drop for EndsProcessOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            process::exit(2);
        }
    }
}
