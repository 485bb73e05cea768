//! An allocator that counts the bytes asked of it, to tell what the map costs.

use std::alloc::{GlobalAlloc, Layout, System};

use crate::striped::Striped;

static ALLOCATED: Striped = Striped::new();

/// The system's allocator, with a count.
pub struct Counting;

/// The bytes asked for and not given back, by the whole process.
pub fn allocated() -> i64 {
    ALLOCATED.sum()
}

/// A layout's size; at most `isize::MAX`, so it fits.
fn signed(size: usize) -> i64 {
    size as i64
}

// SAFETY: every call is passed on to `System` unchanged; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.add(signed(layout.size()));
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.add(signed(layout.size()));
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.add(-signed(layout.size()));
        // SAFETY: `pointer` came from `System`, as all of ours do, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        ALLOCATED.add(signed(new_size) - signed(layout.size()));
        // SAFETY: as in `dealloc`; the caller promises that `new_size` is fit for the layout's alignment.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}
