//! The clock that stands still until it is told to move.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Clock, Kind, LATEST, saturating_nanos};
use crate::sync::{AtomicU64, Ordering};

/// A clock that moves only when told to, for tests and simulations.
///
/// Handles are cheap to clone and move the same clock; maps built with [`Clock::from`] one of them follow it at
/// once, on every thread. It saturates 584 years after its start.
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
    nanos: Arc<AtomicU64>,
}

impl ManualClock {
    /// Makes a clock that stands still at its start.
    ///
    /// ```
    /// let clock = ttlwheel::ManualClock::new();
    /// assert_eq!(clock.now(), clock.now());
    /// ```
    pub fn new() -> Self {
        ManualClock { origin: Instant::now(), nanos: Arc::new(AtomicU64::new(1)) }
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
        let mut now = self.nanos.load(Ordering::Relaxed);
        // Relaxed: time publishes nothing but itself.
        while let Err(seen) = self.nanos.compare_exchange_weak(
            now,
            now.saturating_add(by).min(LATEST),
            Ordering::Relaxed,
            Ordering::Relaxed,
        ) {
            now = seen;
        }
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
        let since = instant.saturating_duration_since(self.origin);
        // Relaxed: time publishes nothing but itself.
        self.nanos.fetch_max(saturating_nanos(since).min(LATEST), Ordering::Relaxed);
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
        Clock { origin: manual.origin, kind: Kind::Manual(Arc::clone(&manual.nanos)) }
    }
}

impl From<ManualClock> for Clock {
    fn from(manual: ManualClock) -> Self {
        Clock::from(&manual)
    }
}
