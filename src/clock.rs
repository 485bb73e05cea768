//! Time as the map sees it: nanoseconds since the clock's origin, in one `u64`.
//!
//! A deadline is such a number too, so that "live" is one comparison: `now < deadline`. Two values are special:
//! [`NEVER`], above every time a clock can show, and [`EXPIRED`], at or below every time, which stands for the deadline of
//! an entry whose end is final: whoever acts on a lapse first sees to that. What entries keep is a [`Stamp`].
//!
//! The default clock is two clocks on one scale. The coarse one costs a quarter of the exact one and has no fence
//! that keeps consecutive reads from overlapping, but it lags; so it decides only the clear cases, and the exact one
//! is asked when a deadline is near ([`Reading::judge`]).

#[cfg(not(ttl_loom))]
mod base;
mod manual;
mod origin;
mod stamp;
mod ticked;

use std::time::{Duration, Instant};

pub use manual::ManualClock;
use origin::Origin;
pub(crate) use stamp::Stamp;
pub use ticked::TickedClock;

use crate::reaper::{Alarm, Wait};
use crate::sync::Arc;

/// The deadline that no clock reaches.
pub(crate) const NEVER: u64 = u64::MAX;
/// The deadline that every clock has reached: that of an entry whose end is final.
pub(crate) const EXPIRED: u64 = 0;
/// The latest time that a clock shows, 292 years after its origin; finite deadlines end here. The top bit is a stamp's.
const LATEST: u64 = (1 << 63) - 2;

/// How far the coarse clock may lag behind the exact one. It moves with the kernel's tick (1 to 10 ms).
const COARSE_LAG: u64 = 1_000_000_000;

/// The time source of a map; cheap to clone, and clones show the same time.
///
/// All kinds are monotonic: a map never sees time go back. Times are [`Instant`]s on the clock's own scale
/// ([`Clock::now`]), which for the hybrid and the exact clock is the scale of [`Instant::now`].
///
/// ```
/// use std::time::Duration;
/// use ttlwheel::{Clock, TtlMap};
///
/// let map: TtlMap<&str, u32> = TtlMap::builder()
///     .time_to_live(Duration::from_secs(60))
///     .clock(Clock::exact())
///     .build();
/// map.insert("a", 1);
/// assert_eq!(map.get_cloned("a"), Some(1));
/// ```
#[derive(Clone, Debug)]
pub struct Clock {
    origin: Origin,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// How far coarse time may lag, and what makes of a raw reading the latest time that it may be by now, as an open stamp.
    Hybrid {
        lag: u64,
        to_ceiling: u64,
    },
    Exact,
    /// The raw boot-time reading at the origin.
    BootTime {
        raw_origin: u64,
    },
    Manual(manual::Hands),
    /// Set by a reaper.
    Ticked(Arc<ticked::Hands>),
}

impl Clock {
    /// The default clock: as exact as [`Clock::exact`], to the nanosecond, at nearly the price of a coarse one.
    ///
    /// A read asks the system's coarse monotonic clock first. It is never ahead of the exact one, so it may call an
    /// entry expired; and it may call live what ends more than a second later. In between the exact clock decides.
    /// Time while the system is suspended does not count (as for [`Instant`] on Linux). A machine that is stopped
    /// from outside (a paused virtual machine) may, until its first timer tick afterwards, judge by the time at
    /// which it was stopped. Where there is no coarse clock this is the exact one.
    ///
    /// ```
    /// let clock = ttlwheel::Clock::hybrid();
    /// let before = std::time::Instant::now();
    /// assert!(clock.now() >= before);
    /// ```
    pub fn hybrid() -> Self {
        #[cfg(not(ttl_loom))]
        return base::hybrid();
        #[cfg(ttl_loom)]
        Clock::new_hybrid()
    }

    fn new_hybrid() -> Self {
        let before = system::monotonic();
        let origin = Instant::now();
        Clock::hybrid_from(before, origin, system::monotonic())
    }

    /// A hybrid clock whose origin was read between two raw readings.
    fn hybrid_from(before: Option<u64>, origin: Instant, after: Option<u64>) -> Self {
        let origin = Origin::between(before, origin, after);
        let kind = match (origin.raw().or(before), origin.raw().or(after)) {
            // Coarse time minus a reading that is not from before the origin is never ahead of exact time minus the origin, and
            // lags by what passed between the readings, however long this thread was stopped there.
            (Some(before), Some(after)) => {
                let lag = COARSE_LAG.saturating_add(after.saturating_sub(before));
                Kind::Hybrid { lag, to_ceiling: Stamp::open(lag.min(LATEST)).word().wrapping_sub(after) }
            }
            _ => Kind::Exact,
        };
        Clock { origin, kind }
    }

    /// [`Instant::now`] on every read.
    ///
    /// ```
    /// let clock = ttlwheel::Clock::exact();
    /// assert!(clock.now() <= std::time::Instant::now());
    /// ```
    pub fn exact() -> Self {
        Clock { origin: Origin::now(), kind: Kind::Exact }
    }

    /// A clock that also counts the time while the system is suspended (`CLOCK_BOOTTIME` on Linux and Android;
    /// [`Clock::exact`] elsewhere).
    ///
    /// Its instants lie on a scale of their own: make deadlines from [`Clock::now`], not from [`Instant::now`].
    ///
    /// ```
    /// let clock = ttlwheel::Clock::boot_time();
    /// assert!(clock.now() <= clock.now());
    /// ```
    pub fn boot_time() -> Self {
        let origin = Origin::now();
        match system::boot_time() {
            Some(raw_origin) => Clock { origin, kind: Kind::BootTime { raw_origin } },
            None => Clock { origin, kind: Kind::Exact },
        }
    }

    /// The present time, exact for every kind.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{Clock, ManualClock};
    ///
    /// let manual = ManualClock::new();
    /// let clock = Clock::from(&manual);
    /// let start = clock.now();
    /// manual.advance(Duration::from_nanos(1));
    /// assert_eq!(clock.now() - start, Duration::from_nanos(1));
    /// ```
    pub fn now(&self) -> Instant {
        self.origin.after(self.nanos()).unwrap_or_else(|| self.origin.instant())
    }

    /// The exact time in nanoseconds since the origin, at most [`LATEST`].
    #[inline]
    pub(crate) fn nanos(&self) -> u64 {
        match &self.kind {
            Kind::Hybrid { .. } | Kind::Exact => self.origin.nanos_since().min(LATEST),
            Kind::BootTime { raw_origin } => {
                system::boot_time().unwrap_or(*raw_origin).saturating_sub(*raw_origin).min(LATEST)
            }
            Kind::Manual(hands) => hands.nanos(),
            Kind::Ticked(hands) => hands.nanos(),
        }
    }

    /// A reading good for judging any number of entries.
    ///
    /// The hybrid clock's part is small, and compiled into each read: how many of these a processor has under way while they
    /// wait for memory goes by their instructions.
    #[inline(always)]
    pub(crate) fn read(&self) -> Reading {
        if let Kind::Hybrid { lag, to_ceiling } = &self.kind {
            if let Some(reading) = system::monotonic_coarse().and_then(|raw| Reading::coarse(raw, *to_ceiling, *lag)) {
                return reading;
            }
        }
        self.read_fully()
    }

    #[inline(never)]
    fn read_fully(&self) -> Reading {
        self.read_exact()
    }

    /// A reading whose floor is the time itself.
    #[inline]
    pub(crate) fn read_exact(&self) -> Reading {
        Reading::exactly(self.nanos())
    }

    /// How long it is until a time on this clock.
    pub(crate) fn wait_until(&self, at: u64) -> Wait {
        match &self.kind {
            _ if at == NEVER => Wait::Alarm,
            Kind::Manual(hands) => hands.wait_until(at),
            Kind::Ticked(hands) => hands.wait_until(at),
            Kind::Hybrid { .. } | Kind::Exact | Kind::BootTime { .. } => match at.saturating_sub(self.nanos()) {
                0 => Wait::Over,
                nanos => Wait::For(Duration::from_nanos(nanos)),
            },
        }
    }

    /// What rings when the time comes, on a clock that doesn't go by itself.
    pub(crate) fn alarm(&self) -> Option<Arc<Alarm>> {
        match &self.kind {
            Kind::Manual(hands) => Some(hands.alarm()),
            _ => None,
        }
    }

    /// The deadline of an instant; instants before the origin are [`EXPIRED`], those past the scale [`NEVER`].
    pub(crate) fn deadline_at(&self, instant: Instant) -> u64 {
        self.origin.nanos_to(instant).map_or(EXPIRED, on_scale)
    }

    /// The public form of a deadline.
    pub(crate) fn deadline(&self, nanos: u64) -> Deadline {
        match nanos {
            NEVER => Deadline::Never,
            _ => self.origin.after(nanos).map_or(Deadline::Never, Deadline::At),
        }
    }
}

impl Default for Clock {
    /// [`Clock::hybrid`].
    fn default() -> Self {
        Clock::hybrid()
    }
}

/// What a clock said: the time is at most `ceiling`, and at or after what is `lag` before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// As an open stamp, so that what entries keep can be held against it as it is.
    ceiling: Stamp,
    lag: u64,
}

/// What a reading can say of a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Live,
    Lapsed,
    /// Too near for this reading: ask the exact clock.
    Near,
}

impl Reading {
    /// That it is just this time.
    #[inline]
    fn exactly(nanos: u64) -> Self {
        // What never ends is after every ceiling.
        Reading { ceiling: Stamp::open(nanos.min(LATEST)), lag: 0 }
    }

    /// What a raw reading of a coarse clock says; None off the scale's ends: past the last, or from so long before the origin
    /// that the clock can't be trusted to lag by no more (a machine that was stopped, and has had no timer tick yet).
    #[inline]
    fn coarse(raw: u64, to_ceiling: u64, lag: u64) -> Option<Self> {
        let ceiling = Stamp::of_word(raw.wrapping_add(to_ceiling));
        ceiling.is_open().then_some(Reading { ceiling, lag })
    }

    /// Says of every deadline that will come: ask the exact clock.
    pub(crate) const UNREAD: Reading = Reading { ceiling: Stamp::open(LATEST), lag: LATEST };

    /// The time that has surely come.
    #[inline]
    pub(crate) fn floor(self) -> u64 {
        self.ceiling.last_finite().saturating_sub(self.lag)
    }

    /// The later of two readings, of which `self` was taken last.
    #[inline]
    pub(crate) fn after(self, before: Reading) -> Reading {
        let (floor, ceiling) = (self.floor().max(before.floor()), self.ceiling.last_finite());
        // A coarse clock that lags by more than it may knows less than what is known already.
        if ceiling < floor { before } else { Reading { lag: ceiling - floor, ..self } }
    }

    #[inline]
    pub(crate) fn is_surely_before(self, stamp: Stamp) -> bool {
        self.ceiling.word() < stamp.word()
    }

    #[inline]
    pub(crate) fn judge(self, deadline: u64) -> Verdict {
        if self.is_surely_before(Stamp::open(deadline)) {
            Verdict::Live
        } else if deadline <= self.floor() {
            Verdict::Lapsed
        } else {
            Verdict::Near
        }
    }

    /// The deadline of an entry that lives for `ttl` from this (exact) reading.
    pub(crate) fn deadline_after(self, ttl: Duration) -> u64 {
        on_scale(self.floor().saturating_add(saturating_nanos(ttl)))
    }
}

/// When an entry expires.
///
/// ```
/// use std::time::{Duration, Instant};
/// use ttlwheel::{Deadline, TtlMap};
///
/// let map = TtlMap::new(Duration::from_secs(60));
/// let end = Instant::now() + Duration::from_secs(5);
/// map.insert_at("a", 1, end);
/// map.insert_at("b", 2, Deadline::Never);
/// assert_eq!(map.deadline("a"), Some(Deadline::At(end)));
/// assert_eq!(map.deadline("b"), Some(Deadline::Never));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Deadline {
    /// The entry is expired at this instant and after it, on the map's clock.
    At(Instant),
    /// The entry does not expire.
    Never,
}

impl From<Instant> for Deadline {
    fn from(instant: Instant) -> Self {
        Deadline::At(instant)
    }
}

/// The deadline so many nanoseconds after the origin: [`NEVER`] past the scale.
fn on_scale(nanos: u64) -> u64 {
    if nanos > LATEST { NEVER } else { nanos }
}

/// The nanoseconds of a duration, or `u64::MAX` (584 years) where it is longer.
pub(crate) fn saturating_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(all(any(target_os = "linux", target_os = "android"), not(any(miri, ttl_loom))))]
mod system {
    use rustix::time::{ClockId, clock_gettime};

    #[inline]
    fn read(id: ClockId) -> Option<u64> {
        let time = clock_gettime(id);
        // Monotonic clocks start near zero at boot: neither negative nor past 584 years.
        Some((time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64))
    }

    pub(super) fn monotonic() -> Option<u64> {
        read(ClockId::Monotonic)
    }

    #[inline]
    pub(super) fn monotonic_coarse() -> Option<u64> {
        read(ClockId::MonotonicCoarse)
    }

    pub(super) fn boot_time() -> Option<u64> {
        read(ClockId::Boottime)
    }
}

#[cfg(not(all(any(target_os = "linux", target_os = "android"), not(any(miri, ttl_loom)))))]
mod system {
    pub(super) fn monotonic() -> Option<u64> {
        None
    }

    pub(super) fn monotonic_coarse() -> Option<u64> {
        None
    }

    pub(super) fn boot_time() -> Option<u64> {
        None
    }
}

#[cfg(all(test, not(ttl_loom)))]
mod tests;
