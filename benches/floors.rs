//! What is the least? For the targets that are missed: what no map can do without that keeps its promises with entries of
//! their own, alone, beside the map that the target is about, in rounds that alternate.
//!
//! `cargo bench --bench floors` prints a table as in docs/performance.md. Where the floor is above the target times the rival,
//! no table, however good, meets the target on this machine.

mod common;
#[path = "versus/heap.rs"]
#[allow(dead_code)]
mod heap;

use std::hash::BuildHasher;
use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::timings;
use common::{Batches, Draw, Entry, Hasher, Ops, Peer, TTL, Timings, Upkeep, Way, Words, hasher, keys, peers, stream};
use heap::{keep, tidy};

/// A table of one word a key, found without probing: a key that meets another takes its place. It knows no growth, no other
/// threads' references, nothing that expires; each entry is allocated, and has a deadline by the exact clock.
struct Least {
    words: Vec<AtomicPtr<Cell>>,
    hasher: Hasher,
    start: Instant,
    ttl: Duration,
    /// Whether what was displaced is freed at once. Not where others read.
    frees: bool,
}

struct Cell {
    deadline: AtomicU64,
    key: u64,
    value: u64,
}

/// 16 MiB of words, as our bins take for a million entries.
const WORDS: usize = 1 << 21;

impl Least {
    fn with(frees: bool) -> Self {
        let words = (0..WORDS).map(|_| AtomicPtr::default()).collect();
        Least { words, hasher: hasher(), start: Instant::now(), ttl: TTL, frees }
    }

    #[inline]
    fn word(&self, key: u64) -> &AtomicPtr<Cell> {
        &self.words[self.hasher.hash_one(key) as usize % WORDS]
    }

    fn free(&self, cell: *mut Cell) -> bool {
        if !cell.is_null() && self.frees {
            // SAFETY: taken out of the table by the caller, and nobody else reads where cells are freed.
            drop(unsafe { Box::from_raw(cell) });
        }
        !cell.is_null()
    }

    /// Empties the table, word by word: reads each deadline, ends the entry, frees it.
    fn reclaim(&self, now: u64) -> usize {
        let mut freed = 0;
        for (n, word) in self.words.iter().enumerate() {
            if let Some(ahead) = self.words.get(n + 16) {
                prefetch(ahead.load(Ordering::Relaxed));
            }
            let cell = word.load(Ordering::Acquire);
            // SAFETY: cells are freed below only.
            let Some(entry) = (unsafe { cell.as_ref() }) else { continue };
            let deadline = entry.deadline.load(Ordering::Relaxed);
            let ends = || entry.deadline.compare_exchange(deadline, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok();
            if deadline <= now && ends() && word.swap(ptr::null_mut(), Ordering::AcqRel) == cell {
                freed += usize::from(self.free(cell));
            }
        }
        freed
    }
}

impl Drop for Least {
    fn drop(&mut self) {
        for word in &mut self.words {
            let cell = *word.get_mut();
            if !cell.is_null() {
                // SAFETY: `&mut self`.
                drop(unsafe { Box::from_raw(cell) });
            }
        }
    }
}

#[inline]
fn prefetch<T>(line: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing as far as the program can tell.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}

impl Ops<Words> for Least {
    #[inline]
    fn get(&self, key: &u64) -> Option<u64> {
        // SAFETY: nobody writes meanwhile, or nothing is freed.
        let cell = unsafe { self.word(*key).load(Ordering::Acquire).as_ref() }?;
        (cell.key == *key && cell.deadline.load(Ordering::Relaxed) > 1).then_some(cell.value)
    }

    #[inline]
    fn insert(&self, key: u64, value: u64) {
        let word = self.word(key);
        prefetch(word);
        let deadline = (self.start.elapsed() + self.ttl).as_nanos() as u64;
        let new = Box::into_raw(Box::new(Cell { deadline: AtomicU64::new(deadline), key, value }));
        self.free(word.swap(new, Ordering::AcqRel));
    }

    #[inline]
    fn remove(&self, key: &u64) -> bool {
        let word = self.word(*key);
        let cell = word.load(Ordering::Acquire);
        // SAFETY: nobody else writes meanwhile.
        let is_there = unsafe { cell.as_ref() }.is_some_and(|cell| cell.key == *key);
        is_there
            && word.compare_exchange(cell, ptr::null_mut(), Ordering::AcqRel, Ordering::Relaxed).is_ok()
            && self.free(cell)
    }
}

impl Peer<Words> for Least {
    const NAME: &'static str = "the least";
    const PACKAGE: &'static str = "";
    const WAYS: &'static [Way] = &[Way::Call, Way::Held];
    const UPKEEP: Upkeep = Upkeep::NoTtl;
    type Held<'a> = &'a Self;

    fn new(_: Duration) -> Self {
        Least::with(true)
    }
    fn hold(&self) -> &Self {
        self
    }
    fn stored(&self) -> usize {
        self.words.iter().filter(|word| !word.load(Ordering::Relaxed).is_null()).count()
    }
}

/// Nothing at all, for so many steps of a multiplication each.
struct Idle(u64);

impl Ops<Words> for Idle {
    fn get(&self, _: &u64) -> Option<u64> {
        None
    }
    fn insert(&self, key: u64, _: u64) {
        (0..self.0).fold(key | 1, |x, _| black_box(x.wrapping_mul(3)));
    }
    fn remove(&self, _: &u64) -> bool {
        false
    }
}

impl Peer<Words> for Idle {
    const NAME: &'static str = "nothing";
    const PACKAGE: &'static str = "";
    const UPKEEP: Upkeep = Upkeep::NoTtl;
    type Held<'a> = &'a Self;

    fn new(_: Duration) -> Self {
        Idle(0)
    }
    fn hold(&self) -> &Self {
        self
    }
    fn stored(&self) -> usize {
        0
    }
}

/// What was measured of the floor, of ours and of the rival: a sample a round.
struct Row {
    what: &'static str,
    rival: &'static str,
    target: f64,
    samples: [Vec<f64>; 3],
}

impl Row {
    fn new(what: &'static str, rival: &'static str, target: f64) -> Self {
        Row { what, rival, target, samples: Default::default() }
    }

    fn tell(&self) {
        let [floor, ours, theirs] = self.samples.each_ref();
        let over = |row: &[f64]| spread(row.iter().zip(theirs).map(|(own, theirs)| own / theirs).collect());
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            self.what,
            self.rival,
            spread(floor.clone()),
            spread(ours.clone()),
            spread(theirs.clone()),
            self.target,
            over(floor),
            over(ours),
        );
    }
}

/// The median, the least and the greatest.
fn spread(mut samples: Vec<f64>) -> String {
    samples.sort_by(f64::total_cmp);
    let digits = if samples[0] < 10.0 { 2 } else { 0 };
    let [median, least, most] = [samples.len() / 2, 0, samples.len() - 1].map(|n| samples[n]);
    format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
}

fn peer(name: &str) -> Entry<Words> {
    peers::all().into_iter().find(|entry| entry.name == name).expect("a peer of that name")
}

/// The floor, ours and the rival, the first one moving on each round.
fn play(rounds: usize, mut rows: Vec<Row>, mut round: impl FnMut(usize, &Row) -> Vec<f64>) {
    for n in 0..rounds {
        for turn in 0..3 {
            let side = (turn + n) % 3;
            tidy();
            let samples = round(side, &rows[0]);
            rows.iter_mut().zip(samples).for_each(|(row, sample)| row.samples[side].push(sample));
        }
    }
    rows.iter().for_each(Row::tell);
}

fn of_side(side: usize, rival: &str, floor: impl FnOnce() -> Box<dyn Batches<Words>>) -> Box<dyn Batches<Words>> {
    match side {
        0 => floor(),
        1 => peer("ttlwheel").empty(),
        _ => peer(rival).empty(),
    }
}

/// Nanoseconds for each of `count`.
fn time(count: usize, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_nanos() as f64 / count as f64
}

struct Volume {
    rounds: usize,
    entries: usize,
    steady: Duration,
}

fn main() {
    let volume = match std::env::args().any(|arg| arg == "--bench") {
        true => Volume { rounds: 5, entries: 1_000_000, steady: Duration::from_millis(500) },
        // A look at whether it works, as of `cargo test`.
        false => Volume { rounds: 1, entries: 1_000, steady: Duration::from_millis(5) },
    };
    // As in `versus`: nobody pays for page faults, nor for what another left.
    keep();
    println!("| | beside | the least, ns | ours | theirs | target | the least / theirs | ours / theirs |");
    println!("|---|---|---|---|---|---|---|---|");
    hits(&volume);
    for (rival, target) in [("papaya, no TTL", 0.6), ("moka + TTL", 0.2)] {
        growth(&volume, rival, target);
    }
    churn(&volume);
    for (rival, target) in [("mini-moka + TTL", 0.12), ("moka + TTL", 0.04)] {
        reclaim(&volume, rival, target);
    }
    tails(&volume);
    steady(&volume);
}

fn hits(volume: &Volume) {
    let rows = vec![Row::new("get hit, pin held", "papaya + deadline, coarse clock", 0.85)];
    let all = keys::<Words>(0..volume.entries);
    play(volume.rounds, rows, |side, row| {
        let map = of_side(side, row.rival, || Box::new(Least::with(true)));
        map.insert(&all, 0);
        let asked = stream::<Words>(Draw::Hits, volume.entries, 2 * volume.entries, 1);
        let (warm, asked) = asked.split_at(volume.entries);
        map.get(Way::Held, warm);
        vec![time(asked.len(), || assert!(map.get(Way::Held, asked).found > asked.len() / 2))]
    });
}

fn growth(volume: &Volume, rival: &'static str, target: f64) {
    let all = keys::<Words>(0..volume.entries);
    play(volume.rounds, vec![Row::new("grow from empty", rival, target)], |side, row| {
        let map = of_side(side, row.rival, || Box::new(Least::with(true)));
        vec![time(all.len(), || {
            map.insert(&all, 0);
            map.settle();
        })]
    });
}

fn churn(volume: &Volume) {
    // All keys once: some tables are rebuilt now and then.
    let all = keys::<Words>(0..2 * volume.entries);
    play(volume.rounds, vec![Row::new("churn", "papaya, no TTL", 0.5)], |side, row| {
        let map = of_side(side, row.rival, || Box::new(Least::with(true)));
        map.insert(&all[..volume.entries], 0);
        vec![time(volume.entries, || {
            map.churn(&all[..volume.entries], &all[volume.entries..]);
            map.settle();
        })]
    });
}

fn reclaim(volume: &Volume, rival: &'static str, target: f64) {
    let all = keys::<Words>(0..volume.entries);
    play(volume.rounds, vec![Row::new("reclaim lapsed", rival, target)], |side, row| {
        if side == 0 {
            let map = Least::with(true);
            Batches::<Words>::insert(&map, &all, 0);
            let there = Peer::stored(&map);
            return vec![time(there, || assert_eq!(map.reclaim(u64::MAX), there))];
        }
        let mut ttl = Duration::from_micros(volume.entries as u64).max(Duration::from_millis(50));
        loop {
            let map = (peer(if side == 1 { "ttlwheel" } else { row.rival }).with_ttl)(ttl);
            let start = Instant::now();
            map.insert(&all, 0);
            map.settle();
            if start.elapsed() < ttl {
                thread::sleep(ttl + Duration::from_millis(20));
                return vec![time(all.len(), || map.sweep())];
            }
            // Some lapsed before the last was in.
            ttl *= 2;
        }
    });
}

/// One thread inserts, another gets.
fn tails(volume: &Volume) {
    let all = keys::<Words>(0..volume.entries);
    let rival = "papaya, no TTL";
    let rows = vec![
        Row::new("while the table grows: insert p99.9", rival, 0.2),
        Row::new("while the table grows: get p99.9", rival, 1.0),
    ];
    play(volume.rounds, rows, |side, row| {
        let map = &*of_side(side, row.rival, || Box::new(Least::with(false)));
        let (done, all) = (&AtomicUsize::new(0), &all);
        let (writes, reads): (Timings, Timings) = thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let mut timings = timings();
                map.get_timed(all, done, &mut timings);
                timings
            });
            let mut timings = timings();
            map.insert_timed(all, done, &mut timings);
            (timings, reader.join().expect("the reader's thread"))
        });
        vec![writes.value_at_quantile(0.999) as f64, reads.value_at_quantile(0.999) as f64]
    });
}

/// The floor does nothing for as long as ours takes on average.
fn steady(volume: &Volume) {
    let step = {
        let idle = Idle(1_000_000);
        time(1_000_000, || Ops::insert(&idle, 1, 1))
    };
    let run = |map: &dyn Batches<Words>| {
        let start = Instant::now();
        let (count, timings) = map.insert_for(4 * volume.steady, None, &mut || ());
        (start.elapsed().as_nanos() as f64 / count as f64, timings.value_at_quantile(0.9999) as f64)
    };
    let ours = peer("ttlwheel");
    let (mean, _) = run(&*(ours.with_ttl)(volume.steady));
    play(volume.rounds, vec![Row::new("steady state: p99.99", "moka + TTL", 0.05)], |side, row| {
        vec![match side {
            0 => run(&Idle((mean / step) as u64)).1,
            1 => run(&*(ours.with_ttl)(volume.steady)).1,
            _ => run(&*(peer(row.rival).with_ttl)(volume.steady)).1,
        }]
    });
}
