//! The atomics, from `std` or from `loom`, and for the reaper the threads: the only file that names either. Under loom
//! whatever differs from run to run is the same each time.

#[cfg(ttl_loom)]
pub(crate) mod counted;
mod pages;

pub use pages::Pages;
pub(crate) use pages::Place;

#[cfg(not(ttl_loom))]
pub(crate) use std::hash::RandomState;
#[cfg(not(ttl_loom))]
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
#[cfg(not(ttl_loom))]
pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
#[cfg(not(ttl_loom))]
pub(crate) use std::thread;

#[cfg(ttl_loom)]
pub use counted::{Arc, Weak};
#[cfg(ttl_loom)]
pub(crate) use loom::sync::atomic::{Ordering, fence};
#[cfg(ttl_loom)]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
#[cfg(ttl_loom)]
pub(crate) use loom::thread;
#[cfg(ttl_loom)]
pub(crate) use modelled::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize};

/// A hasher without a seed, for models.
#[cfg(ttl_loom)]
pub(crate) type RandomState = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;

/// A count that orders nothing, so that models need not try its orders.
pub(crate) use std::sync::atomic::AtomicU64 as Count;

/// Locks; a thread that panicked while it held the lock left nothing half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The precompiled std waits for a lock in code that ThreadSanitizer doesn't see: whoever had to wait would seem to
    // race with whoever it waited for. A try is compiled with this crate.
    #[cfg(ttl_tsan)]
    loop {
        match mutex.try_lock() {
            Ok(locked) => return locked,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => thread::yield_now(),
        }
    }
    #[cfg(not(ttl_tsan))]
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Parks the thread until it is unparked or the time is over; a model's time is never over.
pub(crate) fn park_timeout(_time: std::time::Duration) {
    #[cfg(not(ttl_loom))]
    thread::park_timeout(_time);
    #[cfg(ttl_loom)]
    thread::park();
}

/// Forgets the type behind a weak handle: `erase!(weak, dyn Trait)`.
#[cfg(not(ttl_loom))]
macro_rules! erase {
    ($weak:expr, $erased:ty) => {{
        let weak = $weak;
        let erased: $crate::sync::Weak<$erased> = weak;
        erased
    }};
}
#[cfg(ttl_loom)]
macro_rules! erase {
    ($weak:expr, $erased:ty) => {
        $weak.cast(|inner| inner as *mut $crate::sync::counted::Inner<$erased>)
    };
}
pub(crate) use erase;

/// Atomics whose end loom watches, too: whatever was done to one must happen before its memory is freed.
#[cfg(ttl_loom)]
mod modelled {
    use loom::sync::atomic;

    macro_rules! watched {
        ($($name:ident $(<$param:ident>)?: $value:ty;)*) => {$(
            #[derive(Debug)]
            pub(crate) struct $name $(<$param>)? (atomic::$name $(<$param>)?);

            impl $(<$param>)? $name $(<$param>)? {
                pub(crate) fn new(value: $value) -> Self {
                    Self(atomic::$name::new(value))
                }
            }

            impl $(<$param>)? std::ops::Deref for $name $(<$param>)? {
                type Target = atomic::$name $(<$param>)?;

                fn deref(&self) -> &Self::Target {
                    &self.0
                }
            }

            impl $(<$param>)? Drop for $name $(<$param>)? {
                fn drop(&mut self) {
                    if !std::thread::panicking() {
                        self.0.with_mut(|_| ());
                    }
                }
            }
        )*};
    }

    watched! {
        AtomicPtr<T>: *mut T;
        AtomicU32: u32;
        AtomicU64: u64;
        AtomicUsize: usize;
    }

    impl Default for AtomicUsize {
        fn default() -> Self {
            Self::new(0)
        }
    }

    impl<T> Default for AtomicPtr<T> {
        fn default() -> Self {
            Self::new(std::ptr::null_mut())
        }
    }
}

/// Plain data that is written while it has one owner, and loom sees to that.
#[derive(Debug, Default)]
pub(crate) struct Plain<T> {
    #[cfg(not(ttl_loom))]
    cell: std::cell::UnsafeCell<T>,
    #[cfg(ttl_loom)]
    cell: loom::cell::UnsafeCell<T>,
}

impl<T: Clone> Plain<T> {
    /// # Safety
    ///
    /// Nobody else may read or write meanwhile.
    pub(crate) unsafe fn set(&self, value: T) {
        #[cfg(not(ttl_loom))]
        // SAFETY: the caller's promise.
        unsafe {
            *self.cell.get() = value;
        }
        #[cfg(ttl_loom)]
        // SAFETY: the caller's promise, which loom checks.
        self.cell.with_mut(|cell| unsafe { *cell = value });
    }

    /// # Safety
    ///
    /// Nobody else may write meanwhile.
    pub(crate) unsafe fn get(&self) -> T {
        #[cfg(not(ttl_loom))]
        // SAFETY: the caller's promise.
        return unsafe { (*self.cell.get()).clone() };
        #[cfg(ttl_loom)]
        // SAFETY: the caller's promise, which loom checks.
        self.cell.with(|cell| unsafe { (*cell).clone() })
    }
}

/// Memory that a value is put into and taken out of by turns, and loom sees to that.
pub(crate) struct Hole<T> {
    #[cfg(not(ttl_loom))]
    cell: std::cell::UnsafeCell<std::mem::MaybeUninit<T>>,
    #[cfg(ttl_loom)]
    cell: loom::cell::UnsafeCell<std::mem::MaybeUninit<T>>,
}

impl<T> Default for Hole<T> {
    fn default() -> Self {
        #[cfg(not(ttl_loom))]
        let cell = std::cell::UnsafeCell::new(std::mem::MaybeUninit::uninit());
        #[cfg(ttl_loom)]
        let cell = loom::cell::UnsafeCell::new(std::mem::MaybeUninit::uninit());
        Hole { cell }
    }
}

impl<T> Hole<T> {
    /// # Safety
    ///
    /// Nobody else may use it meanwhile.
    #[inline]
    pub(crate) unsafe fn put(&self, value: T) {
        #[cfg(not(ttl_loom))]
        // SAFETY: the caller's promise.
        unsafe {
            (*self.cell.get()).write(value);
        }
        #[cfg(ttl_loom)]
        // SAFETY: the caller's promise, which loom checks.
        self.cell.with_mut(|cell| unsafe {
            (*cell).write(value);
        });
    }

    /// # Safety
    ///
    /// There is a value, it was not taken yet, and nobody else may use it meanwhile.
    #[inline]
    pub(crate) unsafe fn take(&self) -> T {
        #[cfg(not(ttl_loom))]
        // SAFETY: the caller's promise.
        return unsafe { (*self.cell.get()).assume_init_read() };
        #[cfg(ttl_loom)]
        // SAFETY: the caller's promise, which loom checks.
        self.cell.with_mut(|cell| unsafe { (*cell).assume_init_read() })
    }
}

/// Stands in plain data that has one owner at a time, and lets loom see that it has. Nothing but in models.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    #[cfg(ttl_loom)]
    cell: loom::cell::UnsafeCell<()>,
}

impl Witness {
    /// Says that the data is read or changed by its owner.
    #[inline]
    pub(crate) fn touch(&self) {
        #[cfg(ttl_loom)]
        self.cell.with_mut(|_| ());
    }
}

/// A SeqCst fence after a read-modify-write of the same thread's, or between two loads.
///
/// On x86-64 the former is a full barrier already and loads are never reordered, so it is left to keep the compiler
/// from reordering; an `mfence` more costs a tenth of an insert.
#[inline]
pub(crate) fn fence_after_rmw() {
    if cfg!(all(target_arch = "x86_64", not(ttl_loom), not(miri))) {
        std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// Keeps a value that many write off the cache lines of its neighbours, wherever it lies: without an alignment of its own,
/// for which allocators take longer.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Apart<T> {
    _before: [u64; 8],
    value: T,
    _after: [u64; 8],
}

impl<T> std::ops::Deref for Apart<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

/// A slice of lines that starts out as zeroes (`std`) or as default values (`loom`, whose atomics are objects).
///
/// Made with `calloc` or mapped, so that a large one costs nothing until its pages are touched.
pub(crate) struct Lines<T> {
    first: *mut T,
    /// What the allocator gave; null if they are mapped apart from it.
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
    /// Of the allocator; None where the memory can't be had.
    pub(crate) fn new(len: usize) -> Option<Self> {
        Self::on(Place::new(Pages::Allocator), len)
    }

    /// The same in this place, as far as the system has it.
    pub(crate) fn on(place: Place, len: usize) -> Option<Self> {
        // Pages are aligned as any line.
        if let Some(first) = len.checked_mul(size_of::<T>()).and_then(|bytes| pages::map(place, bytes)) {
            return Some(Lines { first: first.cast(), base: std::ptr::null_mut(), len });
        }
        let layout = Self::layout(len)?;
        if layout.size() == 0 {
            return None;
        }
        // Few are sooner cleared than asked for clear: what was freed glibc keeps at hand for `malloc`, not for `calloc`.
        let is_small = layout.size() <= 1024;
        // SAFETY: the layout is not empty.
        let base = unsafe { if is_small { std::alloc::alloc(layout) } else { std::alloc::alloc_zeroed(layout) } };
        if base.is_null() {
            return None;
        }
        let first: *mut T = base.wrapping_add(base.align_offset(align_of::<T>())).cast();
        if is_small {
            // SAFETY: the block has room for so many after the first aligned address.
            unsafe { first.write_bytes(0, len) };
        }
        Some(Lines { first, base, len })
    }

    /// The place for what takes over from these lines.
    pub(crate) fn next_place(&self, place: Place) -> Place {
        if self.base.is_null() { place.after_large() } else { place }
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
        if self.base.is_null() {
            // SAFETY: mapped in `on`, as many bytes; the caller vouches for the rest.
            unsafe { pages::unmap(self.first.cast(), self.len * size_of::<T>()) };
        } else if let Some(layout) = Self::layout(self.len) {
            // SAFETY: allocated in `on` with this layout; the caller vouches for the rest.
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

    pub(crate) fn on(_place: Place, len: usize) -> Option<Self> {
        Self::new(len)
    }

    pub(crate) fn next_place(&self, place: Place) -> Place {
        place
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

/// Has the processor fetch a line, where it can be told to.
#[inline]
pub(crate) fn prefetch<T>(line: *const T) {
    #[cfg(all(target_arch = "x86_64", not(any(ttl_loom, miri))))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of the target, and a prefetch reads nothing as far as the program can tell.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(any(ttl_loom, miri)))))]
    let _ = line;
}

/// A cell of each thread's own: `own!(NAME: Type = value)`. There is nothing to drop, so it is there to a thread's very end.
macro_rules! own {
    ($vis:vis $name:ident: $type:ty = $value:expr) => {
        #[cfg(not(ttl_loom))]
        std::thread_local! {
            $vis static $name: std::cell::Cell<$type> = const { std::cell::Cell::new($value) };
        }
        #[cfg(ttl_loom)]
        loom::thread_local! {
            $vis static $name: std::cell::Cell<$type> = std::cell::Cell::new($value);
        }
    };
}
pub(crate) use own;

/// The number of this thread, for choosing a shard: threads that use maps at a time have different ones, from 0, and no
/// gaps. It is a hint: a thread that never pinned has that of another.
#[cfg(not(ttl_loom))]
#[inline]
pub(crate) fn thread_number() -> usize {
    numbers::NUMBER.with(std::cell::Cell::get)
}

#[cfg(ttl_loom)]
pub(crate) fn thread_number() -> usize {
    0
}

#[cfg(not(ttl_loom))]
pub(crate) mod numbers {
    super::own!(pub(super) NUMBER: usize = 0);

    /// Gives this thread a number.
    pub(crate) fn set(number: usize) {
        NUMBER.with(|own| own.set(number));
    }
}

/// How many shards keep the threads of this machine apart: a power of two.
#[cfg(not(ttl_loom))]
pub(crate) fn shard_count() -> usize {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    // Relaxed: the same number, whoever finds it out.
    match COUNT.load(Ordering::Relaxed) {
        0 => {
            let threads = std::thread::available_parallelism().map_or(8, usize::from);
            let count = (2 * threads).next_power_of_two().min(64);
            COUNT.store(count, Ordering::Relaxed);
            count
        }
        count => count,
    }
}

#[cfg(ttl_loom)]
pub(crate) fn shard_count() -> usize {
    1
}

/// A flag of each thread's own, down at first: `flag!(NAME)`.
macro_rules! flag {
    ($name:ident) => {
        $crate::sync::own!($name: bool = false);
    };
}
pub(crate) use flag;

/// Whether the thread is a reaper's.
pub(crate) mod reaping {
    use std::cell::Cell;

    super::flag!(REAPING);

    pub(crate) fn begin() {
        REAPING.with(|reaping| reaping.set(true));
    }

    pub(crate) fn is_under_way() -> bool {
        REAPING.with(Cell::get)
    }
}
