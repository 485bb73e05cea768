//! What a map has for the reapers that watch it: nothing but a null pointer, as long as there are none.
//!
//! A map's alarm is told of every deadline that is filed ([`Alarm::note`]), a manual clock's of every time that it
//! comes to ([`Alarm::reached`]); either rings for the reapers that sleep for longer than that. The list of watches is
//! replaced whole when a reaper comes or goes, and an old list freed when nobody who was pinned can be reading it.

use std::ptr;

use super::bell::Bell;
use crate::garbage::{Grace, Guard, Scan, pin};
use crate::sync::{Arc, AtomicPtr, AtomicU64, Mutex, Ordering, Plain, fence, lock};

/// One reaper's interest in one map.
pub(crate) struct Watch {
    /// The time, on the map's clock, for which the reaper will wake by itself; it is never 0 while the watch is on. Set by
    /// the reaper's thread.
    wake_at: AtomicU64,
    bell: Arc<Bell>,
}

impl Watch {
    pub(super) fn new(bell: &Arc<Bell>) -> Self {
        Watch { wake_at: AtomicU64::new(u64::MAX), bell: Arc::clone(bell) }
    }

    /// Says until when the reaper sleeps, if it will.
    pub(super) fn wake_at(&self, time: u64) {
        // Relaxed: before the fence in `fall_asleep` (R4).
        self.wake_at.store(time.max(1), Ordering::Relaxed);
    }

    pub(super) fn is_later_than(&self, time: u64) -> bool {
        // Relaxed: the caller's own store, or behind the caller's fence (R4).
        time.max(1) < self.wake_at.load(Ordering::Relaxed)
    }

    /// The map has gone from where the reaper saw it. If it has only moved, [`Alarm::add`] tidies up.
    pub(super) fn end(&self) {
        // Relaxed: a late ring does no harm.
        self.wake_at.store(0, Ordering::Relaxed);
    }

    fn has_ended(&self) -> bool {
        // Relaxed: a hint, but on the thread that ended it.
        self.wake_at.load(Ordering::Relaxed) == 0
    }
}

struct List {
    watches: Vec<Arc<Watch>>,
    /// Lets loom see that who reads the list came after who made it.
    made: Plain<()>,
}

/// Rings for the reapers that sleep too long.
#[derive(Default)]
pub(crate) struct Alarm {
    /// Null until the first watch. Set once, freed by `drop`.
    watched: AtomicPtr<Watched>,
}

#[derive(Default)]
struct Watched {
    /// Null is the empty list. Changed under the lock.
    list: AtomicPtr<List>,
    replaced: Mutex<Vec<(Grace, *mut List)>>,
}

impl Alarm {
    /// Takes note of a deadline that was filed just now, with a SeqCst fence behind it.
    #[inline]
    pub(crate) fn note(&self, deadline: u64, guard: &Guard) {
        // Relaxed: mostly null; behind the caller's fence, as all of this (R4).
        if !self.watched.load(Ordering::Relaxed).is_null() {
            self.ring_if(|watch| watch.is_later_than(deadline), guard);
        }
    }

    /// Takes note of something that was retired just now, and waits to be freed.
    #[cold]
    pub(crate) fn note_retired(&self, guard: &Guard) {
        // SeqCst fence: what waits before the look at who sleeps; pairs with the one in `fall_asleep` (R4).
        fence(Ordering::SeqCst);
        // Relaxed: mostly null; behind the fence.
        if !self.watched.load(Ordering::Relaxed).is_null() {
            self.ring_if(|_| true, guard);
        }
    }

    /// Takes note of the time that a clock has come to.
    pub(crate) fn reached(&self, now: u64) {
        // SeqCst fence: the time before the look at who sleeps; pairs with the one in `fall_asleep` (R4).
        fence(Ordering::SeqCst);
        // Relaxed: mostly null; behind the fence.
        if !self.watched.load(Ordering::Relaxed).is_null() {
            self.ring_if(|watch| !watch.is_later_than(now), &pin());
        }
    }

    #[cold]
    fn ring_if(&self, is_concerned: impl Fn(&Watch) -> bool, guard: &Guard) {
        let Some(watched) = self.watched() else { return };
        watched.watches(guard).iter().filter(|watch| is_concerned(watch)).for_each(|watch| watch.bell.ring_sleeper());
    }

    /// Adds a watch; false if its reaper watches already.
    pub(super) fn add(&self, watch: &Arc<Watch>) -> bool {
        self.watched_for_good().change(|list| {
            if list.iter().any(|other| Arc::ptr_eq(&other.bell, &watch.bell) && !other.has_ended()) {
                return None;
            }
            let others = list.iter().filter(|other| !other.has_ended());
            Some(others.chain([watch]).cloned().collect())
        })
    }

    /// Adds a watch, whether or not its reaper has others here.
    pub(super) fn add_another(&self, watch: &Arc<Watch>) {
        self.watched_for_good().change(|list| Some(list.iter().chain([watch]).cloned().collect()));
    }

    /// Removes a watch.
    pub(super) fn remove(&self, watch: &Arc<Watch>) {
        if let Some(watched) = self.watched() {
            watched.change(|list| {
                let others = list.iter().filter(|other| !Arc::ptr_eq(other, watch));
                Some(others.cloned().collect())
            });
        }
    }

    /// How many watches are on.
    #[cfg(all(test, ttl_loom))]
    pub(crate) fn len(&self) -> usize {
        self.watched().map_or(0, |watched| watched.watches(&pin()).len())
    }

    fn watched(&self) -> Option<&Watched> {
        // Acquire: its fields; pairs with the CAS in `watched_for_good` (R1).
        let watched = self.watched.load(Ordering::Acquire);
        // SAFETY: null, or from a box that only `drop` frees.
        unsafe { watched.as_ref() }
    }

    fn watched_for_good(&self) -> &Watched {
        if let Some(watched) = self.watched() {
            return watched;
        }
        let new = Box::into_raw(Box::<Watched>::default());
        // Release: publishes its fields (R1). Acquire: those of another's, if that came first.
        match self.watched.compare_exchange(ptr::null_mut(), new, Ordering::Release, Ordering::Acquire) {
            // SAFETY: published just now, and only `drop` frees it.
            Ok(_) => unsafe { &*new },
            Err(theirs) => {
                // SAFETY: `new` was not published; only `drop` frees theirs.
                unsafe {
                    drop(Box::from_raw(new));
                    &*theirs
                }
            }
        }
    }
}

impl Watched {
    /// The watches that are on. What is in the list lives as long as the guard, see `change`.
    fn watches<'g>(&'g self, _guard: &'g Guard) -> &'g [Arc<Watch>] {
        // Acquire: the list and its watches; pairs with the store in `change` (R2).
        let list = self.list.load(Ordering::Acquire);
        // SAFETY: null, or from a box that is freed only after a grace period that began when it was replaced; the guard
        // was there before we loaded it.
        let Some(list) = (unsafe { list.as_ref() }) else { return &[] };
        // SAFETY: never written.
        unsafe { list.made.get() };
        &list.watches
    }

    /// Replaces the list by what `make` makes of it; does nothing if that is None. Waits for others who do, no longer.
    fn change(&self, make: impl FnOnce(&[Arc<Watch>]) -> Option<Vec<Arc<Watch>>>) -> bool {
        let mut replaced = lock(&self.replaced);
        let guard = pin();
        let Some(watches) = make(self.watches(&guard)) else { return false };
        let new = List { watches, made: Plain::default() };
        // Relaxed: changed under the lock only.
        let old = self.list.load(Ordering::Relaxed);
        // Release: publishes the list (R2).
        self.list.store(Box::into_raw(Box::new(new)), Ordering::Release);
        replaced.retain(|(grace, list)| {
            let is_over = grace.is_over();
            if is_over {
                // SAFETY: it was replaced, and nobody is left who can have loaded it before that. Freed once, as it leaves
                // the list of the replaced.
                drop(unsafe { Box::from_raw(*list) });
            }
            !is_over
        });
        if !old.is_null() {
            replaced.push((guard.grace(&mut Scan::default()), old));
        }
        true
    }
}

impl Drop for Alarm {
    /// Rings for all who watch: there is nothing left to see.
    fn drop(&mut self) {
        // Relaxed, here and below: `&mut self`; all that others did happened before.
        let watched = self.watched.swap(ptr::null_mut(), Ordering::Relaxed);
        if watched.is_null() {
            return;
        }
        // SAFETY: from a box, and taken out just now.
        let watched = unsafe { Box::from_raw(watched) };
        let list = watched.list.swap(ptr::null_mut(), Ordering::Relaxed);
        if !list.is_null() {
            // SAFETY: from a box; with `&mut self` nobody else reads it.
            for watch in &unsafe { Box::from_raw(list) }.watches {
                watch.bell.ring();
            }
        }
        for (_, list) in lock(&watched.replaced).drain(..) {
            // SAFETY: as above.
            drop(unsafe { Box::from_raw(list) });
        }
    }
}

// SAFETY: the pointers are to lists that the alarm owns; a watch may be used from any thread.
unsafe impl Send for Watched {}
// SAFETY: lists are read only, and freed under the rules of `change` and `drop`.
unsafe impl Sync for Watched {}
