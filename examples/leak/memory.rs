//! What is watched: the bytes that are out, and the threads that the system shows.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::sync::atomic::{AtomicI64, Ordering};

static ALLOCATED: AtomicI64 = AtomicI64::new(0);

/// The system's allocator, with a count.
pub struct Counting;

/// The bytes asked for and not given back, by the whole process.
pub fn allocated() -> i64 {
    // Relaxed: a count.
    ALLOCATED.load(Ordering::Relaxed)
}

/// The threads of the process; None where the system doesn't tell.
pub fn threads() -> Option<usize> {
    fs::read_dir("/proc/self/task").ok().map(Iterator::count)
}

fn add(bytes: usize) {
    // Relaxed: a count.
    ALLOCATED.fetch_add(bytes as i64, Ordering::Relaxed);
}

fn take(bytes: usize) {
    // Relaxed: a count.
    ALLOCATED.fetch_sub(bytes as i64, Ordering::Relaxed);
}

// SAFETY: every call is passed on to `System` unchanged; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        take(layout.size());
        // SAFETY: `pointer` came from `System`, as all of ours do, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        take(layout.size());
        add(new_size);
        // SAFETY: as in `dealloc`; the caller promises that `new_size` is fit for the layout's alignment.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}
