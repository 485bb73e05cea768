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
    /// Counts what `make` leaves allocated; it hands out what holds it.
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
            TAKEN.fetch_add(sign * heap::chunk(size) as i64, Ordering::Relaxed);
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

pub use heap::{keep, tidy};

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod heap {
    use std::ffi::c_int;
    use std::hint::black_box;
    use std::time::{Duration, Instant};

    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
    }

    const M_TRIM_THRESHOLD: c_int = -1;
    const M_MMAP_MAX: c_int = -4;

    /// What a block takes from a heap without holes, by malloc_usable_size + 8: glibc's chunk has a header of 8 bytes,
    /// is a multiple of 16 and at least 32. Not asked of the block itself, as it may have got a larger hole that the
    /// peer before it left.
    pub fn chunk(asked: usize) -> usize {
        (asked + 8).next_multiple_of(16).max(32)
    }

    /// Keeps pages that were freed, so that after the round that does not count nobody pays for new ones: in a virtual
    /// machine a fault can cost 2 or 20 us, by what the host did with the page since.
    pub fn keep() {
        // SAFETY: no precondition.
        unsafe {
            mallopt(M_TRIM_THRESHOLD, c_int::MAX);
            mallopt(M_MMAP_MAX, 0);
        }
    }

    /// Makes the heap merge the small chunks that the last peer freed, which else the next one does in its large
    /// allocations: glibc merges when it is asked for a large block, and sorts 10,000 chunks a time.
    pub fn tidy() {
        for _ in 0..1_000 {
            let start = Instant::now();
            drop(black_box(Vec::<u8>::with_capacity(1 << 26)));
            if start.elapsed() < Duration::from_micros(5) {
                break;
            }
        }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod heap {
    pub fn chunk(asked: usize) -> usize {
        asked
    }

    pub fn keep() {}

    pub fn tidy() {}
}
