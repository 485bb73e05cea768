//! The atomics, from `std` or from `loom`: the only file that names either.

#[cfg(not(ttl_loom))]
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

#[cfg(ttl_loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// A slice of lines that starts out as zeroes (`std`) or as default values (`loom`, whose atomics are objects).
///
/// Made with `calloc`, so that a large one costs nothing until its pages are touched.
pub(crate) struct Lines<T> {
    first: *mut T,
    #[cfg(not(ttl_loom))]
    base: *mut u8,
    len: usize,
}

/// A type for which all-zero bytes are its default value.
///
/// # Safety
///
/// All-zero bytes must be a valid value of the type, and it must need no drop.
pub(crate) unsafe trait Zeroable: Default {}

#[cfg(not(ttl_loom))]
impl<T: Zeroable> Lines<T> {
    /// None where the memory can't be had.
    pub(crate) fn new(len: usize) -> Option<Self> {
        let layout = Self::layout(len)?;
        if layout.size() == 0 {
            return None;
        }
        // SAFETY: the layout is not empty.
        let base = unsafe { std::alloc::alloc_zeroed(layout) };
        if base.is_null() {
            return None;
        }
        let first = base.wrapping_add(base.align_offset(align_of::<T>())).cast();
        Some(Lines { first, base, len })
    }

    /// Room to align by hand: for more than the allocator's own alignment, std's `alloc_zeroed` would write the zeroes.
    fn layout(len: usize) -> Option<std::alloc::Layout> {
        let bytes = len.checked_mul(size_of::<T>())?.checked_add(align_of::<T>())?;
        std::alloc::Layout::from_size_align(bytes, 16).ok()
    }

    /// Frees the lines.
    ///
    /// # Safety
    ///
    /// Only once, and nothing may use them any more.
    pub(crate) unsafe fn free(&self) {
        if let Some(layout) = Self::layout(self.len) {
            // SAFETY: allocated in `new` with this layout; the caller vouches for the rest.
            unsafe { std::alloc::dealloc(self.base, layout) };
        }
    }
}

#[cfg(ttl_loom)]
impl<T: Zeroable> Lines<T> {
    pub(crate) fn new(len: usize) -> Option<Self> {
        let lines: Box<[T]> = (0..len).map(|_| T::default()).collect();
        Some(Lines { first: Box::into_raw(lines).cast(), len })
    }

    pub(crate) unsafe fn free(&self) {
        // SAFETY: made by `new` out of such a box; the caller vouches for the rest.
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(self.first, self.len)) });
    }
}

impl<T> Lines<T> {
    /// The first of the lines; `len` of them follow each other.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut T {
        self.first
    }
}

/// Numbers threads from 0 in the order of their first call, for choosing a shard. The number is a hint: threads may
/// share one.
#[cfg(not(ttl_loom))]
pub(crate) fn thread_number() -> usize {
    use std::cell::Cell;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    std::thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    NUMBER
        .try_with(|number| {
            if number.get() == usize::MAX {
                // Relaxed: any number will do.
                number.set(NEXT.fetch_add(1, Ordering::Relaxed));
            }
            number.get()
        })
        .unwrap_or(0)
}

#[cfg(ttl_loom)]
pub(crate) fn thread_number() -> usize {
    0
}
