//! Memory: an allocator that counts, and what is known of glibc's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// What stands allocated, by two measures.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bytes {
    /// As asked for.
    pub asked: f64,
    /// As taken from the heap: the allocator's chunks, where it tells (else as asked for).
    pub taken: f64,
}

/// Has the allocator put together what was freed in small pieces. glibc does so inside the next large allocation, so that
/// else a peer that grows would pay for the one before it that was dropped.
pub fn settle() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(1 << 20)));
}

/// The system's allocator, which counts while it is told to.
pub struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static ASKED: AtomicI64 = AtomicI64::new(0);
static TAKEN: AtomicI64 = AtomicI64::new(0);

impl Counting {
    /// Counts from now on, from zero.
    pub fn start() {
        ASKED.store(0, Ordering::SeqCst);
        TAKEN.store(0, Ordering::SeqCst);
        ON.store(true, Ordering::SeqCst);
    }

    pub fn stop() {
        ON.store(false, Ordering::SeqCst);
    }

    /// What was allocated since the start and still is.
    pub fn now() -> Bytes {
        Bytes { asked: ASKED.load(Ordering::SeqCst) as f64, taken: TAKEN.load(Ordering::SeqCst) as f64 }
    }

    fn note(sign: i64, pointer: *mut u8, size: usize) {
        // Relaxed: a switch; what is counted a little early or late does not matter.
        if ON.load(Ordering::Relaxed) && !pointer.is_null() {
            ASKED.fetch_add(sign * size as i64, Ordering::Relaxed);
            TAKEN.fetch_add(sign * glibc::chunk(size) as i64, Ordering::Relaxed);
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

pub use glibc::{keep, tidy};

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
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
mod glibc {
    pub fn chunk(asked: usize) -> usize {
        asked
    }

    pub fn keep() {}

    pub fn tidy() {}
}

/// Bytes that are mapped apart from the allocator's heap (and the program's own). All of them but what was there before are a
/// peer's, as the allocator may not map ([`keep`]).
pub fn mapped() -> f64 {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let size = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [range, "rw-p", ..] = fields[..] else { return None };
        // Neither of a file nor with a name.
        let (from, to) = range.split_once('-').filter(|_| fields.len() == 5)?;
        Some(u64::from_str_radix(to, 16).ok()? - u64::from_str_radix(from, 16).ok()?)
    };
    maps.lines().filter_map(size).sum::<u64>() as f64
}

/// Resident bytes of the process, where the system tells.
pub fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib * 1024.0)
}
