//! The clock that a reaper sets: a read is one load.
//!
//! One word holds the time, or says that nobody sets the clock; then it is the exact clock. It never goes back: what
//! it shows while it is driven was read from the exact clock before, and between the exact clock and the driven word
//! lies STARTING, in which readers publish in the word what they read:
//!
//! - who read the exact clock and still found UNDRIVEN afterwards did so before the driver wrote STARTING, after which
//!   the driver reads the time that it starts with;
//! - who found STARTING has put its own reading in the word, and the driver goes on from there.

use std::time::{Duration, Instant};

use super::{Clock, Kind, LATEST, Origin};
use crate::reaper::{Candidate, Driven, Wait};
use crate::sync::{Arc, AtomicU64, Ordering, erase, fence};

/// Nobody sets the clock.
const UNDRIVEN: u64 = u64::MAX;
/// Somebody is about to; the other bits are the latest time that a reader has shown meanwhile. No time reaches this one.
const STARTING: u64 = 1 << 63;

/// A clock that a [reaper](crate::Reaper::drive) sets at each of its ticks, so that a read costs one load.
///
/// While it is driven it is as exact as the [tick](crate::ReaperBuilder::tick), plus what the system is late in running the
/// reaper's thread, or a destructor of yours on that thread takes. In between time stands still: an entry then lives up
/// to a tick more or less than its time to live. All maps and threads on the clock see the same time, so that reads and
/// writes agree.
///
/// While nobody drives it, before the first [`drive`](crate::Reaper::drive) and after the reaper was closed, it is
/// [`Clock::exact`], at that clock's price. It never goes back, nor does it when it changes over. In a child process made
/// by `fork` a driven clock stands still.
///
/// ```
/// use std::time::Duration;
/// use ttlwheel::{Reaper, TickedClock, TtlMap};
///
/// # fn main() -> std::io::Result<()> {
/// let clock = TickedClock::new();
/// let map = TtlMap::builder().time_to_live(Duration::from_secs(60)).clock(&clock).build();
/// let reaper = Reaper::builder().tick(Duration::from_millis(1)).spawn()?;
/// reaper.drive(&clock)?;
/// map.insert("a", 1);
/// assert_eq!(map.get_cloned("a"), Some(1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TickedClock {
    hands: Arc<Hands>,
}

#[derive(Debug)]
pub(super) struct Hands {
    origin: Origin,
    word: AtomicU64,
    /// A model's exact clock; it goes by being read.
    #[cfg(ttl_loom)]
    exact: AtomicU64,
}

impl TickedClock {
    /// Makes a clock that is the exact one until a reaper drives it.
    ///
    /// ```
    /// let clock = ttlwheel::TickedClock::new();
    /// assert!(clock.now() <= std::time::Instant::now());
    /// ```
    pub fn new() -> Self {
        let hands = Hands {
            origin: Origin::now(),
            word: AtomicU64::new(UNDRIVEN),
            #[cfg(ttl_loom)]
            exact: AtomicU64::new(1),
        };
        TickedClock { hands: Arc::new(hands) }
    }

    /// The time that the clock shows.
    ///
    /// ```
    /// let clock = ttlwheel::TickedClock::new();
    /// let earlier = clock.now();
    /// assert!(clock.now() >= earlier);
    /// ```
    pub fn now(&self) -> Instant {
        Clock::from(self).now()
    }

    /// Says whether some reaper sets the clock now.
    ///
    /// ```
    /// assert!(!ttlwheel::TickedClock::new().is_driven());
    /// ```
    pub fn is_driven(&self) -> bool {
        // Relaxed: the value is all there is.
        self.hands.word.load(Ordering::Relaxed) < STARTING
    }
}

impl Default for TickedClock {
    fn default() -> Self {
        TickedClock::new()
    }
}

impl From<&TickedClock> for Clock {
    fn from(ticked: &TickedClock) -> Self {
        Clock { origin: ticked.hands.origin, kind: Kind::Ticked(Arc::clone(&ticked.hands)) }
    }
}

impl From<TickedClock> for Clock {
    fn from(ticked: TickedClock) -> Self {
        Clock::from(&ticked)
    }
}

impl Hands {
    #[inline]
    pub(super) fn nanos(&self) -> u64 {
        // Relaxed: time publishes nothing but itself.
        let word = self.word.load(Ordering::Relaxed);
        if word < STARTING { word } else { self.undriven(word) }
    }

    #[cold]
    fn undriven(&self, mut word: u64) -> u64 {
        while word >= STARTING {
            let exact = self.exact();
            if word == UNDRIVEN {
                // SeqCst fence: our reading before the second look; pairs with the one in `start`.
                fence(Ordering::SeqCst);
                word = self.word.load(Ordering::Relaxed);
                if word == UNDRIVEN {
                    return exact;
                }
                continue;
            }
            let shown = word & !STARTING;
            if exact <= shown {
                return shown;
            }
            // Relaxed: as above.
            match self.word.compare_exchange(word, STARTING | exact, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return exact,
                Err(seen) => word = seen,
            }
        }
        word
    }

    /// How long it is until a time, if it is not over.
    pub(super) fn wait_until(&self, at: u64) -> Wait {
        if at <= self.nanos() {
            return Wait::Over;
        }
        // The hands may lag behind the time at which they are looked at.
        Wait::For(Duration::from_nanos(at.saturating_sub(self.exact()).max(50_000)))
    }

    #[cfg(ttl_loom)]
    fn exact(&self) -> u64 {
        self.exact.fetch_add(1, Ordering::Relaxed).min(LATEST)
    }

    #[cfg(not(ttl_loom))]
    fn exact(&self) -> u64 {
        self.origin.nanos_since().min(LATEST)
    }
}

#[cfg(all(test, ttl_loom))]
impl TickedClock {
    /// What a reaper's thread does at each tick, and at its end.
    pub(crate) fn drive_and_release(&self) {
        self.hands.drive();
        self.hands.drive();
        self.hands.release();
    }

    /// The time, as a map reads it.
    pub(crate) fn nanos(&self) -> u64 {
        self.hands.nanos()
    }
}

impl Driven for Hands {
    fn drive(&self) {
        // Relaxed, all: time publishes nothing but itself.
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let next = match word {
                UNDRIVEN => STARTING,
                word => self.exact().max(word & !STARTING),
            };
            match self.word.compare_exchange(word, next, Ordering::Relaxed, Ordering::Relaxed) {
                // SeqCst fence: STARTING before we read the time to start with; pairs with the one in `undriven`.
                Ok(UNDRIVEN) => {
                    fence(Ordering::SeqCst);
                    word = next;
                }
                Ok(_) => return,
                Err(seen) => word = seen,
            }
        }
    }

    fn release(&self) {
        // Relaxed: as above. If another reaper drives the clock, too, it starts again at its next tick.
        self.word.store(UNDRIVEN, Ordering::Relaxed);
    }
}

impl crate::Reaper {
    /// Sets a clock at each of the reaper's [ticks](crate::ReaperBuilder::tick), from before this call returns until the reaper
    /// is closed or the last handle of the clock, and the last map on it, is dropped.
    ///
    /// The thread wakes at each tick. A destructor that runs long on it makes the clock stand still; a reaper that
    /// watches no maps drives it more evenly. Several reapers may drive one clock.
    ///
    /// # Errors
    ///
    /// As for [`Reaper::watch`](crate::Reaper::watch).
    ///
    /// ```
    /// use ttlwheel::{Reaper, TickedClock};
    ///
    /// let clock = TickedClock::new();
    /// let reaper = Reaper::builder().spawn()?;
    /// reaper.drive(&clock)?;
    /// assert!(clock.is_driven());
    /// reaper.close();
    /// assert!(!clock.is_driven());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn drive(&self, clock: &TickedClock) -> std::io::Result<()> {
        self.submit(Candidate::Clock(erase!(Arc::downgrade(&clock.hands), dyn Driven)))
    }
}
