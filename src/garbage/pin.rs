//! The grace period: who is pinned, and when all who might hold a reference have let go.
//!
//! One collector of `crossbeam-epoch`'s for the crate, so that no other user of it runs their destructors inside our
//! pins, and a handle a thread. All that is ever deferred to it is the flip of a flag.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use crossbeam_epoch::{Collector, LocalHandle};

/// Keeps what the thread can reach from being freed, in every map of the process.
pub(crate) struct Guard(crossbeam_epoch::Guard);

/// Pins the thread. Nests; costs a few nanoseconds; never waits.
#[inline]
pub(crate) fn pin() -> Guard {
    std::thread_local! {
        static HANDLE: LocalHandle = collector().register();
    }
    // The thread may be so far gone that its handle is, too: maps work in destructors of thread-locals.
    Guard(HANDLE.try_with(LocalHandle::pin).unwrap_or_else(|_| collector().register().pin()))
}

/// Made by whoever comes first. No `OnceLock`: there a thread stopped in the first pin would stop all others.
fn collector() -> &'static Collector {
    static COLLECTOR: AtomicPtr<Collector> = AtomicPtr::new(ptr::null_mut());
    // Acquire: the collector's fields; pairs with the CAS below.
    let existing = COLLECTOR.load(Ordering::Acquire);
    // SAFETY: null, or published for good by the CAS below.
    match unsafe { existing.as_ref() } {
        Some(existing) => existing,
        None => {
            let new = Box::into_raw(Box::new(Collector::new()));
            // Release: publishes the collector. Acquire: that of another, if they came first.
            match COLLECTOR.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
                // SAFETY: published just now, and never freed.
                Ok(_) => unsafe { &*new },
                Err(theirs) => {
                    // SAFETY: `new` was not published; `theirs` was, for good.
                    unsafe {
                        drop(Box::from_raw(new));
                        &*theirs
                    }
                }
            }
        }
    }
}

impl Guard {
    /// Starts a grace period, which ends when every thread that is pinned now has been seen unpinned.
    pub(crate) fn grace(&self) -> Grace {
        let over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&over);
        // Release: what readers did before they unpinned comes before what `is_over` allows (O7).
        self.0.defer(move || flag.store(true, Ordering::Release));
        // Else the flag might wait in this thread's bag until it has retired a lot more.
        self.flush();
        Grace(over)
    }

    /// Helps grace periods to their end.
    pub(crate) fn flush(&self) {
        self.0.flush();
    }
}

/// A grace period.
pub(crate) struct Grace(Arc<AtomicBool>);

impl Grace {
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        // Acquire: pairs with the flip (O7).
        self.0.load(Ordering::Acquire)
    }
}
