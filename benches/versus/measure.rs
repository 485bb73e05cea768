//! How times are taken, and what many samples come to.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// The samples of one figure of one peer in one case, a round each.
#[derive(Clone, Debug, Default)]
pub struct Series(pub Vec<f64>);

impl Series {
    /// This series over another, round by round.
    pub fn over(&self, other: &Series) -> Series {
        Series(self.0.iter().zip(&other.0).map(|(own, other)| own / other).collect())
    }

    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let half = sorted.len() / 2;
        if sorted.is_empty() {
            return f64::NAN;
        }
        match sorted.len() % 2 {
            0 => (sorted[half - 1] + sorted[half]) / 2.0,
            _ => sorted[half],
        }
    }

    pub fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub fn max(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

/// Runs `work(thread)` on so many threads, the caller being one of them, from a common start.
///
/// Each thread first does `warm(thread)`, so that what it sets up at its first touch of a map is not timed. Returns
/// the time from the first start to the last end, and what each thread returned.
pub fn race<T: Send>(
    threads: usize,
    warm: impl Fn(usize) + Sync,
    work: impl Fn(usize) -> T + Sync,
) -> (Duration, Vec<T>) {
    let barrier = Barrier::new(threads);
    let run = |thread| {
        warm(thread);
        barrier.wait();
        let start = Instant::now();
        let answer = work(thread);
        (start, Instant::now(), answer)
    };
    let runs: Vec<_> = thread::scope(|scope| {
        let run = &run;
        let others: Vec<_> = (1..threads).map(|thread| scope.spawn(move || run(thread))).collect();
        let own = run(0);
        let others = others.into_iter().map(|other| other.join().expect("a thread of the bench panicked"));
        std::iter::once(own).chain(others).collect()
    });
    let start = runs.iter().map(|run| run.0).min().expect("a thread");
    let end = runs.iter().map(|run| run.1).max().expect("a thread");
    (end - start, runs.into_iter().map(|(_, _, answer)| answer).collect())
}
