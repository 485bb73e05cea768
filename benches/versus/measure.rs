//! How times and bytes are taken.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The samples of one peer in one case.
#[derive(Clone, Debug, Default)]
pub struct Series(Vec<f64>);

impl Series {
    pub fn push(&mut self, sample: f64) {
        self.0.push(sample);
    }

    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let half = sorted.len() / 2;
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

/// What stands allocated, by two measures.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bytes {
    /// As asked for.
    pub asked: f64,
    /// As taken from the heap: the allocator's chunks, where it tells (else as asked for).
    pub taken: f64,
}

/// The system's allocator, which counts while it is told to.
pub struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static ASKED: AtomicI64 = AtomicI64::new(0);
static TAKEN: AtomicI64 = AtomicI64::new(0);

impl Counting {
    /// Counts what `make` leaves allocated; the second value, by which it is still held, is dropped uncounted.
    pub fn count<T>(make: impl FnOnce() -> T) -> (Bytes, T) {
        ASKED.store(0, Ordering::SeqCst);
        TAKEN.store(0, Ordering::SeqCst);
        ON.store(true, Ordering::SeqCst);
        let made = make();
        ON.store(false, Ordering::SeqCst);
        let bytes = Bytes { asked: ASKED.load(Ordering::SeqCst) as f64, taken: TAKEN.load(Ordering::SeqCst) as f64 };
        (bytes, made)
    }

    fn note(sign: i64, pointer: *mut u8, size: usize) {
        // Relaxed: a switch that the one counting thread sets for itself.
        if ON.load(Ordering::Relaxed) && !pointer.is_null() {
            ASKED.fetch_add(sign * size as i64, Ordering::Relaxed);
            TAKEN.fetch_add(sign * heap::chunk(pointer, size) as i64, Ordering::Relaxed);
        }
    }
}

// SAFETY: every call is passed on to `System` as it came; the counters do not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let pointer = unsafe { System.alloc(layout) };
        Counting::note(1, pointer, layout.size());
        pointer
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let pointer = unsafe { System.alloc_zeroed(layout) };
        Counting::note(1, pointer, layout.size());
        pointer
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Counting::note(-1, pointer, layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Counting::note(-1, pointer, layout.size());
        // SAFETY: the caller's promise.
        let moved = unsafe { System.realloc(pointer, layout, size) };
        match moved.is_null() {
            true => Counting::note(1, pointer, layout.size()),
            false => Counting::note(1, moved, size),
        }
        moved
    }
}

pub use heap::trim;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod heap {
    use std::ffi::{c_int, c_void};

    unsafe extern "C" {
        fn malloc_usable_size(pointer: *mut c_void) -> usize;
        fn malloc_trim(pad: usize) -> c_int;
    }

    /// What a block takes from the heap: glibc's chunk has a header of 8 bytes before what can be used.
    pub fn chunk(pointer: *mut u8, _asked: usize) -> usize {
        // SAFETY: a live block of `System`, which is malloc's here (also for large alignments).
        unsafe { malloc_usable_size(pointer.cast()) + 8 }
    }

    /// Gives the free pages back to the system, so that a map that grows next pays for its own pages, whoever was
    /// measured before it.
    pub fn trim() {
        // SAFETY: no precondition.
        unsafe { malloc_trim(0) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod heap {
    pub fn chunk(_pointer: *mut u8, asked: usize) -> usize {
        asked
    }

    pub fn trim() {}
}
