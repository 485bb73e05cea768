//! Listeners: who is told of each entry that leaves, in the thread that unlinked it.

mod turn;

use std::fmt;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{RemovalCause, TtlMap};
use crate::clock::{Clock, Deadline};
use crate::entry::Entry;
use crate::garbage::{Guard, pin};
use crate::sync::Count;
use crate::unwind::silence;
use turn::{Left, Turn};

/// What is told of an entry that has left, besides its key, value and [cause](RemovalCause).
///
/// ```
/// use std::sync::mpsc::channel;
/// use std::time::Duration;
/// use ttlwheel::{ManualClock, RemovalCause, TtlMap};
///
/// let (clock, (told, events)) = (ManualClock::new(), channel());
/// let map = TtlMap::builder()
///     .time_to_live(Duration::from_secs(60))
///     .on_removal(move |key: &&str, _: &u32, cause, info| _ = told.send((*key, cause, *info)))
///     .clock(&clock)
///     .build();
/// map.insert("a", 1);
/// let deadline = clock.now() + Duration::from_secs(60);
/// clock.advance(Duration::from_secs(63));
/// assert!(map.get("a").is_none());
/// let (key, cause, info) = events.recv().unwrap();
/// assert_eq!((key, cause), ("a", RemovalCause::Expired));
/// assert_eq!((info.deadline(), info.lag()), (Some(deadline), Duration::from_secs(3)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovalInfo {
    deadline: Option<Instant>,
    lag: Duration,
}

impl RemovalInfo {
    pub(super) fn new<K, V>(entry: &Entry<K, V>, cause: RemovalCause, clock: &Clock) -> Self {
        let last = entry.stamp().last();
        let lag = if cause == RemovalCause::Expired { clock.nanos().saturating_sub(last) } else { 0 };
        let deadline = match clock.deadline(last) {
            Deadline::At(instant) => Some(instant),
            Deadline::Never => None,
        };
        RemovalInfo { deadline, lag: Duration::from_nanos(lag) }
    }

    /// The entry's last deadline, on the map's clock; None if it would never have expired. That of one that was given a time
    /// before the clock's start is the clock's start.
    ///
    /// ```
    /// use ttlwheel::TtlMap;
    ///
    /// let map = TtlMap::builder().on_removal(|_: &u32, _: &u32, _, info| assert_eq!(info.deadline(), None)).build();
    /// map.insert_forever(1, 1);
    /// map.remove(&1);
    /// assert_eq!(map.listener_panics(), 0);
    /// ```
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// How long after its deadline an [expired](RemovalCause::Expired) entry left; zero for any other cause.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::TtlMap;
    ///
    /// let map = TtlMap::builder().on_removal(|_: &u32, _: &u32, _, info| assert!(info.lag().is_zero())).build();
    /// map.insert_with_ttl(1, 1, Duration::from_secs(60));
    /// map.clear();
    /// assert_eq!(map.listener_panics(), 0);
    /// ```
    pub fn lag(&self) -> Duration {
        self.lag
    }
}

type Listener<K, V> = dyn Fn(&K, &V, RemovalCause, &RemovalInfo) + Send + Sync;

/// The listeners of a map, as builders and maps hold them.
pub(super) struct Listeners<K, V> {
    all: Vec<std::sync::Arc<Listener<K, V>>>,
    panics: Count,
}

impl<K, V> Listeners<K, V> {
    pub(super) fn push(&mut self, listener: impl Fn(&K, &V, RemovalCause, &RemovalInfo) + Send + Sync + 'static) {
        self.all.push(std::sync::Arc::new(listener));
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Tells all of an entry that was unlinked: now, or at the end of the thread's turn. The caller has a guard from before
    /// that, or nobody else has the map.
    #[cold]
    pub(super) fn tell(&self, entry: &Entry<K, V>, cause: RemovalCause, clock: &Clock) {
        let info = RemovalInfo::new(entry, cause, clock);
        let left = Left { entry: ptr::from_ref(entry).cast(), cause, info };
        if let Err(left) = Turn::wait(self.address(), left) {
            self.in_turn(|| self.call(entry, left.cause, &left.info));
        }
    }

    /// Runs something, and then tells of what has left the map meanwhile, in this thread. The caller has a guard, or nobody
    /// else has the map.
    fn in_turn<R>(&self, run: impl FnOnce() -> R) -> R {
        Turn::take(self.address(), |turn| {
            let _rest = Rest { listeners: self, turn };
            run()
        })
    }

    fn call(&self, entry: &Entry<K, V>, cause: RemovalCause, info: &RemovalInfo) {
        for listener in &self.all {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| listener(&entry.key, &entry.value, cause, info))) {
                // Relaxed: a statistic.
                self.panics.fetch_add(1, Ordering::Relaxed);
                silence(panic);
            }
        }
    }

    /// Whether this thread is telling of what left the map, or about to.
    fn is_telling(&self) -> bool {
        !self.is_empty() && Turn::is_taken(self.address())
    }

    fn address(&self) -> *const () {
        ptr::from_ref(self).cast()
    }
}

/// The end of a turn: what waits is told of, also if what ran has panicked.
struct Rest<'t, K, V> {
    listeners: &'t Listeners<K, V>,
    turn: &'t Turn,
}

impl<K, V> Drop for Rest<'_, K, V> {
    fn drop(&mut self) {
        while let Some(Left { entry, cause, info }) = self.turn.next() {
            // SAFETY: it left this very map, so it is of the type; and during this turn, so the guard keeps it that whoever
            // took the turn has until its end.
            let entry = unsafe { &*entry.cast::<Entry<K, V>>() };
            self.listeners.call(entry, cause, &info);
        }
    }
}

impl<K, V> Default for Listeners<K, V> {
    fn default() -> Self {
        Listeners { all: Vec::new(), panics: Count::default() }
    }
}

impl<K, V> Clone for Listeners<K, V> {
    /// The same listeners, none of which has panicked yet.
    fn clone(&self) -> Self {
        Listeners { all: self.all.clone(), ..Listeners::default() }
    }
}

impl<K, V> fmt::Debug for Listeners<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listeners({})", self.all.len())
    }
}

// A panic of a listener's ends here.
impl<K, V> UnwindSafe for Listeners<K, V> {}
impl<K, V> RefUnwindSafe for Listeners<K, V> {}

impl<K, V, S> TtlMap<K, V, S> {
    /// Says how many calls of [listeners](crate::Builder::on_removal) have panicked so far.
    ///
    /// ```
    /// use ttlwheel::TtlMap;
    ///
    /// let map = TtlMap::builder().on_removal(|key: &u32, _: &u32, _, _| assert_ne!(*key, 7)).build();
    /// (0..10).for_each(|n| drop(map.insert(n, n)));
    /// map.clear();
    /// assert_eq!((map.len(), map.listener_panics()), (0, 1));
    /// ```
    pub fn listener_panics(&self) -> u64 {
        // Relaxed: a statistic.
        self.leaving.listeners().panics.load(Ordering::Relaxed)
    }

    /// Runs something during which no listener is to be called; they are told at its end of what left meanwhile.
    #[inline]
    pub(super) fn then_tell<R>(&self, _guard: &Guard, run: impl FnOnce() -> R) -> R {
        let listeners = self.leaving.listeners();
        if listeners.is_empty() || listeners.is_telling() { run() } else { listeners.in_turn(run) }
    }

    /// The same, for who isn't pinned.
    pub(super) fn pin_then_tell<R>(&self, run: impl FnOnce() -> R) -> R {
        if self.leaving.listeners().is_empty() { run() } else { self.then_tell(&pin(), run) }
    }

    /// Whether this thread is telling of what left the map: then its writes don't sweep, as what they find would be told of in
    /// turn, and so on without end.
    pub(super) fn is_telling(&self) -> bool {
        self.leaving.listeners().is_telling()
    }
}
