//! A mode's maps, made and dropped, with samples of memory and threads.

use std::io;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::memory::{allocated, threads};
use crate::mode::{self, Mode};

/// What stays for each thread that ran while others did: the collector's record of it, for the next thread that comes.
pub const RECORD: i64 = 128;
/// What a forgotten guard leaks of its own, at most: what it shared with its thread.
const EXPLAINED_A_GUARD: i64 = 512;

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sample {
    pub seconds: f64,
    pub maps: u64,
    pub heap: i64,
    pub threads: Option<usize>,
}

/// What a mode came to.
#[derive(Debug, Serialize)]
pub struct Outcome {
    pub mode: &'static str,
    pub maps: u64,
    pub ns_per_map: f64,
    pub heap_at_start: i64,
    pub heap_at_end: i64,
    pub most_heap: i64,
    pub threads_at_start: Option<usize>,
    pub threads_at_end: Option<usize>,
    pub most_threads: Option<usize>,
    /// Bytes left for each map made.
    pub left_per_map: f64,
    #[serde(skip)]
    pub samples: Vec<Sample>,
    #[serde(skip)]
    mode_forgets: bool,
}

impl Outcome {
    /// Whether nothing is left but what is explained.
    pub fn is_clean(&self) -> bool {
        self.threads_at_end <= self.threads_at_start && self.is_explained()
    }

    /// Whether what is left are records of threads, to the byte, and no more of them than there were threads at once; where guards are
    /// forgotten, also what each of them leaks.
    fn is_explained(&self) -> bool {
        // The most that were seen, and the one that always comes and goes between two looks.
        let records = self.most_threads.map_or(64, |most| most as i64 + 1) * RECORD;
        match self.mode_forgets {
            true => self.left() <= self.maps as i64 * EXPLAINED_A_GUARD + records,
            false => self.left() <= records && self.left() % RECORD == 0,
        }
    }

    pub fn left(&self) -> i64 {
        self.heap_at_end - self.heap_at_start
    }
}

/// Waits for threads that were told to end, or will by themselves.
fn settle(wanted: Option<usize>) {
    let start = Instant::now();
    while threads() > wanted && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Makes the maps. What is there from the first use on (thread-locals, the collector) is there before it counts.
pub fn run(mode: Mode, maps: u64, aloud: bool) -> io::Result<Outcome> {
    let alone = threads();
    let warm = mode.shared()?;
    (0..100).try_for_each(|n| mode.live(warm.as_ref(), n))?;
    drop(warm);
    settle(alone);
    let mut samples = Vec::with_capacity(1 << 14);
    // The first line that is printed allocates its buffer.
    if aloud {
        println!("{}", mode.name());
    }
    let (heap_at_start, threads_at_start) = (allocated(), threads());

    let start = Instant::now();
    let mut take = |maps| {
        let sample = Sample { seconds: start.elapsed().as_secs_f64(), maps, heap: allocated(), threads: threads() };
        if samples.len() < samples.capacity() {
            samples.push(sample);
        }
        sample
    };
    let shared = mode.shared()?;
    let (mut next_sample, mut next_line) = (Duration::ZERO, Duration::from_secs(1));
    for n in 0..maps {
        mode.live(shared.as_ref(), n)?;
        if n % 64 == 0 && start.elapsed() >= next_sample {
            let sample = take(n);
            next_sample = start.elapsed() + Duration::from_millis(20);
            if aloud && start.elapsed() >= next_line {
                line(&sample);
                next_line += Duration::from_secs(1);
            }
        }
    }
    let elapsed = start.elapsed();
    let last = take(maps);
    if aloud {
        line(&last);
    }
    drop(shared);
    settle(threads_at_start);
    let (heap_at_end, threads_at_end) = (allocated(), threads());
    take(maps);

    Ok(Outcome {
        mode: mode.name(),
        maps,
        ns_per_map: (elapsed.as_nanos() as f64 / maps.max(1) as f64).round(),
        heap_at_start,
        heap_at_end,
        most_heap: samples.iter().map(|sample| sample.heap).max().unwrap_or(heap_at_end),
        threads_at_start,
        threads_at_end,
        most_threads: samples.iter().filter_map(|sample| sample.threads).max(),
        left_per_map: (100.0 * (heap_at_end - heap_at_start) as f64 / maps.max(1) as f64).round() / 100.0,
        samples,
        mode_forgets: mode == Mode::Forgotten,
    })
}

fn line(sample: &Sample) {
    let threads = sample.threads.map_or("?".to_string(), |threads| threads.to_string());
    println!("  {:>6.1} s {:>10} maps {:>12} bytes {threads:>6} threads", sample.seconds, sample.maps, sample.heap);
}

/// The same life in other maps, without a look at memory.
#[derive(Debug, Serialize)]
pub struct Rival {
    pub name: &'static str,
    pub ns_per_map: f64,
}

pub fn rivals(maps: u64) -> Vec<Rival> {
    vec![time("papaya", mode::live_in_papaya, maps), time("moka", mode::live_in_moka, maps)]
}

fn time(name: &'static str, live: fn(u64), maps: u64) -> Rival {
    (0..100).for_each(live);
    let start = Instant::now();
    (0..maps).for_each(live);
    Rival { name, ns_per_map: (start.elapsed().as_nanos() as f64 / maps.max(1) as f64).round() }
}
