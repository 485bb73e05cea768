//! A clock's origin: an instant, and where it can be had, what the system's clock read there.
//!
//! With that reading the time since is one more reading and a subtraction, in place of the arithmetic of seconds and
//! nanoseconds that [`Instant::elapsed`] goes through at each call.

use std::time::{Duration, Instant};

use super::{saturating_nanos, system};

const SECOND: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    instant: Instant,
    /// What [`system::monotonic`] read at the instant, to the nanosecond.
    raw: Option<u64>,
}

impl Origin {
    /// Now.
    pub(super) fn now() -> Self {
        let (before, instant) = (system::monotonic(), Instant::now());
        Origin::between(before, instant, system::monotonic())
    }

    /// An instant that was read between two raw readings.
    pub(super) fn between(before: Option<u64>, instant: Instant, after: Option<u64>) -> Self {
        let is_between =
            |raw: &u64| before.is_some_and(|before| before <= *raw) && after.is_some_and(|after| *raw <= after);
        Origin { instant, raw: raw_of(instant).filter(is_between) }
    }

    pub(super) fn instant(self) -> Instant {
        self.instant
    }

    pub(super) fn raw(self) -> Option<u64> {
        self.raw
    }

    /// The nanoseconds since then. In a model no time passes, as each execution must be able to be had again.
    #[inline]
    pub(super) fn nanos_since(self) -> u64 {
        match (self.raw, system::monotonic()) {
            _ if cfg!(ttl_loom) => 1,
            (Some(raw), Some(now)) => now.saturating_sub(raw),
            _ => saturating_nanos(self.instant.elapsed()),
        }
    }

    /// The nanoseconds from then to an instant; None if that is earlier.
    pub(super) fn nanos_to(self, instant: Instant) -> Option<u64> {
        instant.checked_duration_since(self.instant).map(saturating_nanos)
    }

    /// The instant so many nanoseconds later.
    pub(super) fn after(self, nanos: u64) -> Option<Instant> {
        self.instant.checked_add(Duration::from_nanos(nanos))
    }
}

impl From<Instant> for Origin {
    /// An instant on another clock's scale, or one whose raw reading nobody asks for.
    fn from(instant: Instant) -> Self {
        Origin { instant, raw: None }
    }
}

/// The reading that an instant consists of, where it is one of seconds in 63 bits and nanoseconds, as on Linux: it
/// tells by how much can be added to it. Elsewhere the result is anything.
fn raw_of(instant: Instant) -> Option<u64> {
    let is_valid = |seconds, nanos| instant.checked_add(Duration::new(seconds, nanos)).is_some();
    let seconds = most(63, |seconds| is_valid(seconds, 0));
    let nanos = most(30, |nanos| nanos < SECOND && is_valid(seconds, nanos as u32));
    ((1 << 63) - 1 - seconds).checked_mul(SECOND)?.checked_add(SECOND - 1 - nanos)
}

/// The greatest number of so many bits that `is_valid`, as are all below it.
fn most(bits: u32, is_valid: impl Fn(u64) -> bool) -> u64 {
    (0..bits).rev().map(|bit| 1 << bit).fold(0, |sum, bit| if is_valid(sum | bit) { sum | bit } else { sum })
}

#[cfg(all(test, not(ttl_loom)))]
mod tests {
    use super::*;

    /// Reads are slow without it, and nobody would notice.
    #[test]
    fn raw_reading_of_an_instant_is_known_where_there_is_one() {
        let origin = Origin::now();
        assert_eq!(origin.raw.is_some(), system::monotonic().is_some());
    }

    /// An instant says its reading where nobody is to rely on it.
    #[test]
    fn raw_reading_is_what_the_instant_shows_of_itself() {
        if system::monotonic().is_none() {
            return;
        }
        for nanos in [0, 1, 999_999_999, 7 * SECOND] {
            let instant = Instant::now() + Duration::from_nanos(nanos);
            let shown = format!("{instant:?}");
            let numbers = shown.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse::<u64>().ok());
            let [seconds, nanos] = numbers.collect::<Vec<_>>()[..] else { panic!("{shown} has not two numbers") };
            assert_eq!(raw_of(instant), Some(seconds * SECOND + nanos), "{shown}");
        }
    }

    #[test]
    fn raw_readings_are_as_far_apart_as_their_instants() {
        let (Some(raw), now) = (system::monotonic().and(raw_of(Instant::now())), Instant::now()) else { return };
        let first = raw_of(now);
        for nanos in [0, 1, 999_999_999, 1_000_000_000, 1_000_000_001, 86_400 * SECOND + 1, u64::MAX / 4] {
            let later = now.checked_add(Duration::from_nanos(nanos)).and_then(raw_of);
            assert_eq!(later, first.map(|first| first + nanos), "{nanos} ns later");
        }
        assert!(first >= Some(raw), "time goes back");
    }

    #[test]
    fn time_since_agrees_with_the_instants() {
        let origin = Origin::now();
        for _ in 0..1_000 {
            let before = origin.instant.elapsed();
            let since = Duration::from_nanos(origin.nanos_since());
            assert!(before <= since && since <= origin.instant.elapsed());
        }
    }

    #[test]
    fn reading_that_is_not_between_the_others_is_not_believed() {
        let Some(raw) = system::monotonic() else { return };
        for (before, after) in [(Some(raw + 3_600 * SECOND), Some(u64::MAX)), (Some(0), Some(raw - 1)), (None, None)] {
            let origin = Origin::between(before, Instant::now(), after);
            assert_eq!(origin.raw, None);
            assert!(origin.nanos_since() < 3_600 * SECOND);
        }
    }
}
