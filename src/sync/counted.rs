//! `Arc` and `Weak` for models: std's protocol on loom's atomics, as loom's own `Arc` has no weak handles.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;

use loom::sync::atomic::{AtomicUsize, Ordering, fence};

/// Stands for [`std::sync::Arc`] in models, with as much of it as maps and reapers need.
pub struct Arc<T: ?Sized>(NonNull<Inner<T>>);

/// Stands for [`std::sync::Weak`] in models.
pub struct Weak<T: ?Sized>(NonNull<Inner<T>>);

pub struct Inner<T: ?Sized> {
    strong: AtomicUsize,
    /// The weak handles, and one for all strong ones together.
    weak: AtomicUsize,
    /// Loom reports what is not freed at the end.
    _freed: loom::alloc::Track<()>,
    value: ManuallyDrop<T>,
}

// SAFETY: as for std's.
unsafe impl<T: ?Sized + Send + Sync> Send for Arc<T> {}
// SAFETY: as for std's.
unsafe impl<T: ?Sized + Send + Sync> Sync for Arc<T> {}
// SAFETY: as for std's.
unsafe impl<T: ?Sized + Send + Sync> Send for Weak<T> {}
// SAFETY: as for std's.
unsafe impl<T: ?Sized + Send + Sync> Sync for Weak<T> {}

impl<T> Arc<T> {
    #[allow(missing_docs)]
    pub fn new(value: T) -> Self {
        let inner = Inner {
            strong: AtomicUsize::new(1),
            weak: AtomicUsize::new(1),
            _freed: loom::alloc::Track::new(()),
            value: ManuallyDrop::new(value),
        };
        Arc(NonNull::from(Box::leak(Box::new(inner))))
    }
}

impl<T: ?Sized> Arc<T> {
    fn inner(&self) -> &Inner<T> {
        // SAFETY: we have a share in it.
        unsafe { self.0.as_ref() }
    }

    #[allow(missing_docs)]
    pub fn downgrade(this: &Self) -> Weak<T> {
        this.inner().weak.fetch_add(1, Ordering::Relaxed);
        Weak(this.0)
    }

    #[allow(missing_docs)]
    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        std::ptr::addr_eq(this.0.as_ptr(), other.0.as_ptr())
    }
}

impl<T: ?Sized> Weak<T> {
    #[allow(missing_docs)]
    pub fn upgrade(&self) -> Option<Arc<T>> {
        // SAFETY: we have a weak share in it.
        let strong = unsafe { &self.0.as_ref().strong };
        let more = |n: usize| (n > 0).then_some(n + 1);
        strong.fetch_update(Ordering::Acquire, Ordering::Relaxed, more).ok()?;
        Some(Arc(self.0))
    }

    /// What coercion does for std's.
    pub(crate) fn cast<U: ?Sized>(self, erase: fn(*mut Inner<T>) -> *mut Inner<U>) -> Weak<U> {
        let this = ManuallyDrop::new(self);
        NonNull::new(erase(this.0.as_ptr())).map(Weak).expect("still not null")
    }
}

impl<T> From<T> for Arc<T> {
    fn from(value: T) -> Self {
        Arc::new(value)
    }
}

impl<T: ?Sized> Clone for Weak<T> {
    fn clone(&self) -> Self {
        // SAFETY: we have a weak share in it.
        unsafe { self.0.as_ref() }.weak.fetch_add(1, Ordering::Relaxed);
        Weak(self.0)
    }
}

impl<T: ?Sized> fmt::Debug for Weak<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(Weak)")
    }
}

impl<T: ?Sized> Clone for Arc<T> {
    fn clone(&self) -> Self {
        self.inner().strong.fetch_add(1, Ordering::Relaxed);
        Arc(self.0)
    }
}

impl<T: ?Sized> Deref for Arc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner().value
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Arc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized> Drop for Arc<T> {
    fn drop(&mut self) {
        if self.inner().strong.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        fence(Ordering::Acquire);
        let _all = Weak(self.0);
        // SAFETY: the last share; the memory stays until the last weak one has gone.
        unsafe { ManuallyDrop::drop(&mut self.0.as_mut().value) };
    }
}

impl<T: ?Sized> Drop for Weak<T> {
    fn drop(&mut self) {
        // SAFETY: we have a weak share in it.
        if unsafe { self.0.as_ref() }.weak.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            // SAFETY: from a box, and the last share of any kind.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}
