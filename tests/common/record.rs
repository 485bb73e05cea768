//! Records histories of real threads on a map: random operations, in phases or beside a running clock.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ttlwheel::{Condition, Deadline, ManualClock};

use super::acts::Act;
use super::history::{Done, Log, NEVER, Sequence};
pub use super::subject::{Stopping, Subject, map_on};
use super::{Rng, race};

const KEYS: u64 = 64;
/// Keys from here on are not recorded: they make the table grow and shrink.
const FILLERS: u64 = 1_000;

/// A thread that does random steps and records them.
struct Worker<'s, B> {
    subject: &'s B,
    order: &'s Sequence,
    /// Time zero of the history.
    start: Instant,
    rng: Rng,
    log: Log,
}

impl<B: Subject> Worker<'_, B> {
    /// A verb that acts by what is there, for the numbers from 20 on.
    fn choose(choice: u64, random: u64, now: u64, start: Instant, ttl: impl Fn(u64) -> u64) -> Option<Act> {
        use Condition::{Always, IfEarlier, IfLater, IfNone, IfSome};
        Some(match choice {
            20 | 21 => Act::TryInsert,
            22 => Act::Replace,
            23 | 24 => Act::CompareExchange,
            25 => Act::Put,
            26 => Act::Take,
            27 => Act::Upsert,
            28 => Act::Retime(NEVER, start, [Always, IfSome, IfLater][random as usize % 3]),
            29..32 => {
                let deadline = now + ttl(random);
                // As the docs say, two conditions are judged before the step that ends a life at once.
                let conditions = [Always, IfEarlier, IfLater, IfNone, IfSome];
                let of = if deadline <= now { 3 } else { 5 };
                Act::Retime(deadline, start, conditions[(random >> 32) as usize % of])
            }
            32 => Act::Update,
            33 => Act::InsertIf,
            34 => Act::RemoveIf,
            35 => Act::OrInsert,
            36 => Act::EntryInsert,
            37 => Act::EntryRemove,
            38 => Act::Load,
            39 => Act::Peek,
            40 => Act::Deadline(start),
            41 => Act::Touch(start),
            _ => return None,
        })
    }

    /// A batch of a few keys, or now and then a walk that takes along what it meets; false if neither was done.
    fn step_many(&mut self, key: u64, random: u64, reading: Option<u64>) -> bool {
        let Worker { subject, order, log, .. } = self;
        // A walk judges as of its beginning: what it hands out later may have lapsed where the clock runs.
        if random % 16 == 0 && reading.is_some() {
            subject.drain(&mut |next| {
                let mut taken = || std::iter::from_fn(&mut *next).find(|(key, _)| *key < FILLERS);
                let done = |(key, value)| (key, Done::Remove(Some(value)));
                while log.record_all(order, reading, || taken().map(done).into_iter().collect()) > 0 {}
            });
            return true;
        }
        let keys = [key, (key + 1) % KEYS, (key + 2) % KEYS, (key + 3) % KEYS];
        let get = |keys: &[u64]| subject.get_many(keys).into_iter().flatten().map(Done::Get).collect::<Vec<_>>();
        log.record_all(order, reading, || keys.into_iter().zip(get(&keys)).collect()) > 0
    }

    /// One random operation begun at `now`; `reading` is what it sees for certain. Values are unique, and `ttl` makes
    /// a time to live of a random number.
    fn step(&mut self, now: u64, reading: Option<u64>, ttl: impl Fn(u64) -> u64) {
        let Worker { subject, order, rng, log, start } = self;
        let keys = if rng.below(2) == 0 { 4 } else { KEYS };
        let (key, choice, random) = (rng.below(keys), rng.below(44), rng.next());
        if let Some(which) = Self::choose(choice, random, now, *start, &ttl) {
            // What has lapsed is left to the verb, where it needs nothing that was seen before.
            let seen = if let Act::CompareExchange = which { subject.get(key) } else { None };
            return log.record_if(order, key, reading, || subject.act(which, key, random, seen));
        }
        if choice >= 42 {
            self.step_many(key, random, reading);
            return;
        }
        log.record(order, key, reading, || match choice {
            0..8 => Done::Get(subject.get(key)),
            8 => Done::Contains(subject.contains(key)),
            9..13 => Done::Remove(subject.remove(key)),
            13 => {
                let met = subject.insert_at(key, random, Deadline::Never);
                Done::Insert { value: random, deadline: NEVER, met }
            }
            _ => {
                let deadline = now + ttl(random);
                let met = subject.insert_at(key, random, Deadline::At(*start + Duration::from_nanos(deadline)));
                Done::Insert { value: random, deadline, met }
            }
        });
        let filler = FILLERS + rng.below(400);
        match rng.below(8) {
            0..3 => _ = subject.insert_at(filler, filler, Deadline::Never),
            3 => _ = subject.remove(filler),
            _ => {}
        }
    }
}

/// A barrier that lets all threads go within nanoseconds where there is a core for each, so that they do overlap;
/// where there is not, it soon lets the others run.
#[derive(Default)]
struct Line {
    arrived: AtomicU64,
    asleep: Mutex<()>,
    full: Condvar,
}

impl Line {
    /// Waits for all of `threads`; tells the last one to come.
    fn wait(&self, threads: usize) -> bool {
        let threads = threads as u64;
        let place = self.arrived.fetch_add(1, Ordering::SeqCst);
        let goal = (place / threads + 1) * threads;
        if place + 1 == goal {
            drop(self.asleep.lock().unwrap());
            self.full.notify_all();
            return true;
        }
        let is_full = || self.arrived.load(Ordering::SeqCst) >= goal;
        if !(0..2_000).any(|_| {
            is_full() || {
                std::hint::spin_loop();
                false
            }
        }) {
            let asleep = self.asleep.lock().unwrap();
            drop(self.full.wait_while(asleep, |_| !is_full()).unwrap());
        }
        false
    }
}

/// Ends the process when its thread panics, rather than let the others wait for that thread for ever.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
}

/// So many histories are recorded by the same threads: short-lived ones hardly ever run at once.
const BATCH: u64 = 50;

/// A fresh map, or a broken one, with its clock.
pub struct Trial<B> {
    subject: B,
    clock: ManualClock,
    order: Sequence,
    start: Instant,
}

impl<B> Trial<B> {
    pub fn batch(make: &impl Fn(&ManualClock) -> B) -> Vec<Self> {
        let trial = |_| {
            let clock = ManualClock::new();
            Trial { subject: make(&clock), order: Sequence::default(), start: clock.now(), clock }
        };
        (0..BATCH).map(trial).collect()
    }

    fn worker(&self, seed: u64, thread: usize) -> Worker<'_, B> {
        let rng = Rng(seed << 8 | thread as u64);
        Worker { subject: &self.subject, order: &self.order, start: self.start, rng, log: Log::default() }
    }
}

/// For each trial, what each thread did.
pub type Logs = Vec<Vec<Log>>;

/// By trial what was by thread.
fn by_trial(by_thread: Vec<Vec<Log>>) -> Logs {
    let mut by_thread: Vec<_> = by_thread.into_iter().map(Vec::into_iter).collect();
    (0..BATCH).map(|_| by_thread.iter_mut().filter_map(Iterator::next).collect()).collect()
}

/// Histories whose clock stands while threads run, and moves by 10 while they wait for each other.
pub fn phases<B: Subject>(trials: &[Trial<B>], seed: u64, threads: usize, steps: u64) -> Logs {
    const PHASES: u64 = 6;
    let line = Line::default();
    // To the phase's own time, to the neighbours of the next ones, and beyond the history.
    let ttl = |random| [0, 1, 9, 10, 10, 11, 19, 20, 21, 35, 1_000][random as usize % 11];
    let work = |trial: &Trial<B>, thread| {
        let mut worker = trial.worker(seed, thread);
        for phase in 0..PHASES {
            (0..steps).for_each(|_| worker.step(phase * 10, Some(phase * 10), ttl));
            if line.wait(threads) {
                trial.clock.advance(Duration::from_nanos(10));
                if phase == PHASES / 2 {
                    (FILLERS..FILLERS + 400).for_each(|filler| _ = trial.subject.remove(filler));
                }
            }
            line.wait(threads);
        }
        worker.log
    };
    by_trial(race(threads, |thread| {
        let _abort = AbortOnPanic;
        trials.iter().map(|trial| work(trial, thread)).collect()
    }))
}

/// The running clock of a trial. Any worker may move it on, so that it runs also where there are few cores.
///
/// It never gets ahead of an operation by more than `LAG`, and all deadlines are further off than that when they
/// are given, so that no entry is dead on arrival: a reader that read the clock before such an entry's deadline,
/// and its slot after it came, would rightly report it, though at no one moment it was there and live.
struct Running<'t> {
    clock: &'t ManualClock,
    start: Instant,
    /// What the clock shows; held by who moves it.
    time: Mutex<u64>,
    /// For each worker the time at which its operation began, or `IDLE`.
    began: Vec<AtomicU64>,
}

const LAG: u64 = 3;
const IDLE: u64 = u64::MAX / 2;

impl<'t> Running<'t> {
    fn new<B>(trial: &'t Trial<B>, threads: usize) -> Self {
        let began = (0..threads).map(|_| AtomicU64::new(IDLE)).collect();
        Running { clock: &trial.clock, start: trial.start, time: Mutex::new(0), began }
    }

    /// Notes that an operation begins, and when.
    fn begin(&self, thread: usize) -> u64 {
        let read = || (self.clock.now() - self.start).as_nanos() as u64;
        let mut now = read();
        loop {
            self.began[thread].store(now, Ordering::SeqCst);
            // SeqCst: either this reading sees the last tick, or the next tick sees the note.
            fence(Ordering::SeqCst);
            match read() {
                same if same == now => return now,
                later => now = later,
            }
        }
    }

    fn end(&self, thread: usize) {
        self.began[thread].store(IDLE, Ordering::SeqCst);
    }

    /// Moves the clock on by 1 and records it, unless somebody else is about to or an operation would fall behind.
    fn tick(&self, order: &Sequence, ticks: &mut Log) {
        let Ok(mut time) = self.time.try_lock() else { return };
        // SeqCst: see `begin`.
        fence(Ordering::SeqCst);
        let slowest = self.began.iter().map(|began| began.load(Ordering::SeqCst)).min().unwrap_or(IDLE);
        if slowest + LAG > *time {
            *time += 1;
            ticks.record(order, 0, None, || {
                self.clock.advance(Duration::from_nanos(1));
                Done::Tick(*time)
            });
        }
    }
}

/// Histories whose clock runs, by 1 at a time; its ticks are the last log of each trial.
pub fn running<B: Subject>(trials: &[Trial<B>], seed: u64, threads: usize, steps: u64) -> Logs {
    let line = Line::default();
    let ttl = |random| LAG + 2 + [0, 0, 1, 2, 5, 20][random as usize % 6];
    let clocks: Vec<_> = trials.iter().map(|trial| Running::new(trial, threads)).collect();
    let work = |(trial, clock): (&Trial<B>, &Running<'_>), thread: usize| {
        let (mut worker, mut ticks) = (trial.worker(seed, thread), Log::default());
        line.wait(threads);
        for _ in 0..steps {
            let now = clock.begin(thread);
            worker.step(now, None, ttl);
            clock.end(thread);
            if worker.rng.below(8) == 0 {
                clock.tick(&trial.order, &mut ticks);
            }
        }
        [worker.log, ticks]
    };
    let by_thread: Vec<Vec<[Log; 2]>> = race(threads, |thread| {
        let _abort = AbortOnPanic;
        trials.iter().zip(&clocks).map(|both| work(both, thread)).collect()
    });
    let (logs, ticks) =
        by_thread.into_iter().map(|trials| trials.into_iter().map(|[log, ticks]| (log, ticks)).unzip()).unzip();
    let with_ticks = |(mut logs, ticks): (Vec<Log>, Vec<Log>)| {
        logs.push(Log(ticks.into_iter().flat_map(|ticks| ticks.0).collect()));
        logs
    };
    by_trial(logs).into_iter().zip(by_trial(ticks)).map(with_ticks).collect()
}
