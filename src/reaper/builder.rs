//! The builder.

use std::io;
use std::time::Duration;

use super::{Candidate, Reaper, Shared, start};
use crate::sync::{Arc, lock};

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) stack_size: Option<usize>,
    pub(super) interval: Duration,
    pub(super) budget: usize,
    pub(super) tick: Duration,
    pub(super) linger: Duration,
}

/// Makes a [`Reaper`]; see [`Reaper::builder`].
///
/// ```
/// use std::time::Duration;
/// use ttlwheel::Reaper;
///
/// let reaper = Reaper::builder().name("sessions").interval(Duration::from_millis(100)).budget(500).spawn()?;
/// assert_eq!(reaper.close().retired, 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `spawn`"]
pub struct ReaperBuilder {
    pub(super) settings: Settings,
}

/// As long as a tick of the wheel: what comes later than that within it comes no later than it would anyway.
const DEFAULT_INTERVAL: Duration = Duration::from_nanos(1 << 19);
const DEFAULT_BUDGET: usize = 1024;
const DEFAULT_TICK: Duration = Duration::from_millis(1);
const LEAST_TICK: Duration = Duration::from_micros(50);
/// Models have no time.
const DEFAULT_LINGER: Duration = Duration::from_millis(if cfg!(ttl_loom) { 0 } else { 10 });

impl ReaperBuilder {
    pub(super) fn new() -> Self {
        ReaperBuilder {
            settings: Settings {
                name: "ttlwheel-reaper".to_string(),
                stack_size: cfg!(ttl_loom).then_some(1 << 20),
                interval: DEFAULT_INTERVAL,
                budget: DEFAULT_BUDGET,
                tick: DEFAULT_TICK,
                linger: DEFAULT_LINGER,
            },
        }
    }

    /// Sets the thread's name. The default is `ttlwheel-reaper`. Linux shows the first 15 bytes.
    ///
    /// ```
    /// let reaper = ttlwheel::Reaper::builder().name("sessions").spawn()?;
    /// assert_eq!(reaper.close().retired, 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// Sets the least time between two looks at the maps, so that many deadlines close together cost one wake-up. The
    /// default is 2^19 ns (half a millisecond). What expires is removed later by at most that; no read is affected,
    /// and a stop is not delayed.
    ///
    /// ```
    /// let reaper = ttlwheel::Reaper::builder().interval(std::time::Duration::from_secs(1)).spawn()?;
    /// drop(reaper); // at once
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn interval(mut self, interval: Duration) -> Self {
        self.settings.interval = interval;
        self
    }

    /// Sets about how many entries of a map are looked at before it is another map's turn. The default is 1024; 0 is
    /// taken for 1.
    ///
    /// ```
    /// let reaper = ttlwheel::Reaper::builder().budget(100).spawn()?;
    /// assert_eq!(reaper.close().retired, 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn budget(mut self, entries: usize) -> Self {
        self.settings.budget = entries.max(1);
        self
    }

    /// Sets how often the clocks are set that the reaper [drives](Reaper::drive). The default is 1 ms, the least 50 µs.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{Reaper, TickedClock};
    ///
    /// let clock = TickedClock::new();
    /// let reaper = Reaper::builder().tick(Duration::from_millis(5)).spawn()?;
    /// reaper.drive(&clock)?;
    /// assert_eq!(reaper.close().retired, 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn tick(mut self, tick: Duration) -> Self {
        self.settings.tick = tick.max(LEAST_TICK);
        self
    }

    /// Sets the size of the thread's stack, in bytes. The default is that of [`std::thread`].
    ///
    /// ```
    /// let reaper = ttlwheel::Reaper::builder().stack_size(256 * 1024).spawn()?;
    /// assert_eq!(reaper.close().retired, 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.settings.stack_size = Some(bytes);
        self
    }

    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// If the system can't start a thread, or the name contains a zero byte. Nothing is left behind then.
    ///
    /// ```
    /// assert!(ttlwheel::Reaper::builder().name("zero\0byte").spawn().is_err());
    /// ```
    pub fn spawn(self) -> io::Result<Reaper> {
        self.spawn_with(Vec::new())
    }

    /// Makes the thread end at once when nothing is left to watch.
    pub(crate) fn without_lingering(mut self) -> Self {
        self.settings.linger = Duration::ZERO;
        self
    }

    pub(crate) fn spawn_with(self, new: Vec<Candidate>) -> io::Result<Reaper> {
        if self.settings.name.contains('\0') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a thread's name with a zero byte"));
        }
        let shared = Arc::new(Shared::new(self.settings, new));
        let mut inbox = lock(&shared.inbox);
        start(&shared, &mut inbox)?;
        drop(inbox);
        Ok(Reaper { shared })
    }
}
