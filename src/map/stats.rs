//! The statistics: what was counted, and what is there.

use std::hash::{BuildHasher, Hash};

use super::counters::Counter;
use super::iter::Entries;
use super::{Now, TtlMap, judge};
use crate::garbage::pin;

/// What a map has done since it was made, and what it holds now; see [`TtlMap::stats`].
///
/// Each number is exact once nobody writes, and about right while somebody does: they are read one after another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Reads that found a live value.
    ///
    /// Reads are `get`, `get_key_value`, `get_cloned`, each key of `get_many`, `entry`, and the loads (`get_or_insert_with`
    /// and its like, each once, by what it found when it came). Not counted are `peek`, `contains_key`, `ttl`, `deadline`,
    /// iterators, and what verbs that change something find.
    pub hits: u64,
    /// Reads that found none, of whatever kind.
    pub misses: u64,
    /// Of the misses those that found a value which had expired and was still in the table.
    pub misses_expired: u64,
    /// Values put into the map, over others or not.
    pub inserts: u64,
    /// What was unlinked and waits to be freed; see [`TtlMap::retired_len`].
    pub retired: u64,
    /// What upkeep has done.
    pub upkeep: UpkeepStats,
}

/// What is in a map at one instant; see [`TtlMap::census`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Census {
    /// Entries that are live.
    pub live: usize,
    /// Entries that have expired, and are still in the table.
    pub overdue: usize,
}

impl<K: Hash + Eq, V, S: BuildHasher> TtlMap<K, V, S> {
    /// Counts the entries that are live at the time of the call, and those that have expired by then and are still in the
    /// table. Needs the feature `stats`.
    ///
    /// # Complexity
    ///
    /// In proportion to the table: what has expired is known by a look at each entry only. It holds nobody up.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let map = ttlwheel::TtlMap::new(Duration::from_secs(60));
    /// map.insert("a", 1);
    /// map.insert_with_ttl("b", 2, Duration::ZERO);
    /// let census = map.census();
    /// assert_eq!((census.live, census.overdue), (1, 1));
    /// ```
    pub fn census(&self) -> Census {
        let guard = &pin();
        let now = Now::exact(&self.clock);
        let mut census = Census::default();
        for found in Entries::new(self, guard) {
            match judge(found.entry(), &now) {
                Some(_) => census.live += 1,
                None => census.overdue += 1,
            }
        }
        census
    }
}

/// What a map's upkeep has done since the map was made; see [`TtlMap::upkeep_stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpkeepStats {
    /// Reminders filed in the wheel.
    pub filed: u64,
    /// Reminders whose time had come, and whose bucket was visited.
    pub fired: u64,
    /// Reminders that were superseded by then, or before.
    pub stale: u64,
    /// Entries looked at in buckets that were visited.
    pub examined: u64,
    /// Expired entries retired there.
    pub retired: u64,
    /// The most reminders and entries that one write, or one call that purges, has looked at.
    pub worst: u64,
    /// Reminders that are in the wheel now.
    pub reminders: u64,
}

impl<K, V, S> TtlMap<K, V, S> {
    /// What the map has done so far, and what it holds. Needs the feature `stats`.
    ///
    /// With that feature a read or a write counts by an addition or two on cache lines of the thread's own, not shared with
    /// others; without it, there is nothing that could count. A map takes some kilobytes more.
    ///
    /// # Complexity
    ///
    /// In proportion to the machine's threads, whatever the map holds. See [`census`](TtlMap::census) for what takes a walk.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{ManualClock, TtlMap};
    ///
    /// let clock = ManualClock::new();
    /// let map = TtlMap::builder().time_to_live(Duration::from_secs(60)).clock(&clock).build();
    /// map.insert("a", 1);
    /// assert_eq!((map.get_cloned("a"), map.get_cloned("b")), (Some(1), None));
    /// clock.advance(Duration::from_secs(60));
    /// assert_eq!(map.get_cloned("a"), None);
    /// let stats = map.stats();
    /// assert_eq!((stats.hits, stats.misses, stats.misses_expired), (1, 2, 1));
    /// ```
    pub fn stats(&self) -> Stats {
        let misses_expired = self.counters.sum(Counter::MissesExpired);
        Stats {
            hits: self.counters.sum(Counter::Hits),
            misses: self.counters.sum(Counter::MissesAbsent) + misses_expired,
            misses_expired,
            inserts: self.counters.sum(Counter::Inserts),
            retired: self.garbage.len() as u64,
            upkeep: self.upkeep_stats(),
        }
    }

    /// What the map's upkeep has done so far, about: other threads may be at it.
    ///
    /// Needs the feature `stats`, which costs each write some counting.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{ManualClock, TtlMap};
    ///
    /// let clock = ManualClock::new();
    /// let map = TtlMap::builder().time_to_live(Duration::from_secs(1)).clock(&clock).build();
    /// map.insert("a", 1);
    /// assert_eq!(map.upkeep_stats().reminders, 1);
    /// clock.advance(Duration::from_secs(2));
    /// map.remove("b");
    /// let stats = map.upkeep_stats();
    /// assert_eq!((stats.fired, stats.retired, stats.reminders), (1, 1, 0));
    /// ```
    pub fn upkeep_stats(&self) -> UpkeepStats {
        UpkeepStats {
            filed: self.counters.sum(Counter::Filed),
            fired: self.counters.sum(Counter::Fired),
            stale: self.counters.sum(Counter::Stale),
            examined: self.counters.sum(Counter::Examined),
            retired: self.counters.sum(Counter::Retired),
            worst: self.counters.worst(),
            reminders: self.wheel.len() as u64,
        }
    }
}
