//! The clock that stands still until it is told to move.

use std::fmt;
use std::time::{Duration, Instant};

use super::{Clock, Kind, LATEST, saturating_nanos};
use crate::reaper::{Alarm, Wait};
use crate::sync::{Arc, AtomicU64, Ordering};

/// A clock that moves only when told to, for tests and simulations.
///
/// Handles are cheap to clone and move the same clock; maps built with [`Clock::from`] one of them follow it at
/// once, on every thread, and reapers that watch such maps wake when the clock comes to something due. It saturates
/// 292 years after its start.
///
/// ```
/// use std::time::Duration;
/// use ttlwheel::{ManualClock, TtlMap};
///
/// let clock = ManualClock::new();
/// let map = TtlMap::builder().time_to_live(Duration::from_secs(1)).clock(&clock).build();
/// map.insert("a", 1);
/// clock.advance(Duration::from_nanos(999_999_999));
/// assert!(map.contains_key("a"));
/// clock.advance(Duration::from_nanos(1));
/// assert!(!map.contains_key("a"));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    origin: Instant,
    hands: Hands,
}

#[derive(Clone)]
pub(super) struct Hands {
    /// Nanoseconds since the origin.
    nanos: Arc<AtomicU64>,
    /// For the reapers of maps on this clock.
    alarm: Arc<Alarm>,
}

impl ManualClock {
    /// Makes a clock that stands still at its start.
    ///
    /// ```
    /// let clock = ttlwheel::ManualClock::new();
    /// assert_eq!(clock.now(), clock.now());
    /// ```
    pub fn new() -> Self {
        let hands = Hands { nanos: Arc::new(AtomicU64::new(1)), alarm: Arc::new(Alarm::default()) };
        ManualClock { origin: Instant::now(), hands }
    }

    /// Moves the clock forward by `by`, to at most its last instant.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let clock = ttlwheel::ManualClock::new();
    /// let start = clock.now();
    /// clock.advance(Duration::from_secs(3));
    /// assert_eq!(clock.now() - start, Duration::from_secs(3));
    /// ```
    pub fn advance(&self, by: Duration) {
        let by = saturating_nanos(by);
        let later = |now: u64| Some(now.saturating_add(by).min(LATEST));
        // Relaxed: time publishes nothing but itself.
        let moved = self.hands.nanos.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
        self.hands.alarm.reached(moved.ok().and_then(later).unwrap_or(LATEST));
    }

    /// Moves the clock to `instant`. A clock that would go back stands still instead, as every clock of a map must.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let clock = ttlwheel::ManualClock::new();
    /// let start = clock.now();
    /// clock.set(start + Duration::from_secs(3));
    /// clock.set(start);
    /// assert_eq!(clock.now(), start + Duration::from_secs(3));
    /// ```
    pub fn set(&self, instant: Instant) {
        let to = saturating_nanos(instant.saturating_duration_since(self.origin)).min(LATEST);
        // Relaxed: time publishes nothing but itself.
        self.hands.nanos.fetch_max(to, Ordering::Relaxed);
        self.hands.alarm.reached(to);
    }

    /// The time that the clock shows.
    ///
    /// ```
    /// let clock = ttlwheel::ManualClock::new();
    /// assert!(clock.now() >= clock.now());
    /// ```
    pub fn now(&self) -> Instant {
        Clock::from(self).now()
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        ManualClock::new()
    }
}

impl From<&ManualClock> for Clock {
    fn from(manual: &ManualClock) -> Self {
        Clock { origin: manual.origin.into(), kind: Kind::Manual(manual.hands.clone()) }
    }
}

impl From<ManualClock> for Clock {
    fn from(manual: ManualClock) -> Self {
        Clock::from(&manual)
    }
}

impl Hands {
    #[inline]
    pub(super) fn nanos(&self) -> u64 {
        // Relaxed: the value is all there is; nothing is published by it.
        self.nanos.load(Ordering::Relaxed)
    }

    /// Whether a time is over; nobody knows when it will be.
    pub(super) fn wait_until(&self, at: u64) -> Wait {
        if at <= self.nanos() { Wait::Over } else { Wait::Alarm }
    }

    pub(super) fn alarm(&self) -> Arc<Alarm> {
        Arc::clone(&self.alarm)
    }
}

impl fmt::Debug for Hands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hands").field(&self.nanos()).finish()
    }
}
