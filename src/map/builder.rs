//! The builder.

use std::marker::PhantomData;
use std::time::Duration;

use super::TtlMap;
use super::counters::Counters;
use super::flight::Flights;
use crate::clock::Clock;
use crate::garbage::Garbage;
use crate::reaper::Alarm;
use crate::sync::RandomState;
use crate::table::Table;
use crate::wheel::{Wheel, tick_at};

/// Makes a [`TtlMap`]; see [`TtlMap::builder`].
///
/// ```
/// use std::time::Duration;
/// use ttlwheel::TtlMap;
///
/// let map: TtlMap<u32, u32> = TtlMap::builder()
///     .time_to_live(Duration::from_secs(300))
///     .initial_capacity(10_000)
///     .build();
/// assert!(map.capacity() >= 10_000);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder<K, V, S = RandomState> {
    time_to_live: Option<Duration>,
    initial_capacity: usize,
    hasher: S,
    clock: Option<Clock>,
    _map: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Builder<K, V, RandomState> {
    pub(super) fn new() -> Self {
        Builder {
            time_to_live: None,
            initial_capacity: 0,
            hasher: RandomState::default(),
            clock: None,
            _map: PhantomData,
        }
    }
}

impl<K, V, S> Builder<K, V, S> {
    /// Sets how long entries live that are inserted without a time of their own. The default is for ever.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::TtlMap;
    ///
    /// let map = TtlMap::builder().time_to_live(Duration::ZERO).build();
    /// map.insert(1, 1);
    /// assert!(!map.contains_key(&1));
    /// ```
    pub fn time_to_live(mut self, time_to_live: Duration) -> Self {
        self.time_to_live = Some(time_to_live);
        self
    }

    /// Sets for how many entries there shall be room from the start. The table doesn't shrink below that.
    ///
    /// A hint: where so much memory can't be had, the table starts smaller.
    ///
    /// ```
    /// let map: ttlwheel::TtlMap<u32, u32> = ttlwheel::TtlMap::builder().initial_capacity(1000).build();
    /// assert!(map.capacity() >= 1000);
    /// ```
    pub fn initial_capacity(mut self, entries: usize) -> Self {
        self.initial_capacity = entries;
        self
    }

    /// Sets the hasher. The default is the standard library's, which no attacker can make collide; the map puts up
    /// with any, also with one that hands integers through.
    ///
    /// ```
    /// use std::hash::{BuildHasherDefault, DefaultHasher};
    ///
    /// let map = ttlwheel::TtlMap::builder().hasher(BuildHasherDefault::<DefaultHasher>::new()).build();
    /// map.insert(1, 1);
    /// assert!(map.contains_key(&1));
    /// ```
    pub fn hasher<T>(self, hasher: T) -> Builder<K, V, T> {
        Builder {
            time_to_live: self.time_to_live,
            initial_capacity: self.initial_capacity,
            hasher,
            clock: self.clock,
            _map: PhantomData,
        }
    }

    /// Sets the clock. The default is a [`Clock::hybrid`] of the map's own.
    ///
    /// ```
    /// use ttlwheel::{ManualClock, TtlMap};
    ///
    /// let clock = ManualClock::new();
    /// let map: TtlMap<u32, u32> = TtlMap::builder().clock(&clock).build();
    /// assert_eq!(map.clock().now(), clock.now());
    /// ```
    pub fn clock(mut self, clock: impl Into<Clock>) -> Self {
        self.clock = Some(clock.into());
        self
    }

    /// Makes the map.
    ///
    /// ```
    /// let map: ttlwheel::TtlMap<u32, u32> = ttlwheel::TtlMap::builder().build();
    /// assert!(map.is_empty());
    /// ```
    pub fn build(self) -> TtlMap<K, V, S> {
        let clock = self.clock.unwrap_or_default();
        TtlMap {
            table: Table::with_capacity(self.initial_capacity),
            wheel: Wheel::new(tick_at(clock.read().floor)),
            counters: Counters::default(),
            garbage: Garbage::new(),
            alarm: Alarm::default(),
            flights: Flights::default(),
            clock,
            hasher: self.hasher,
            time_to_live: self.time_to_live,
            _entries: PhantomData,
        }
    }
}
