//! The statistics: what was counted, and what is there.

use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use super::counters::Counter;
use super::iter::Entries;
use super::{Now, TtlMap, judge};
use crate::entry::Entry;
use crate::garbage::{LISTED, pin};

/// What a map has done since it was made, and what it holds now; see [`TtlMap::stats`].
///
/// Each number is exact once nobody writes, and about right while somebody does: they are read one after another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Reads that found a live value.
    ///
    /// Reads are `get`, `get_key_value`, `get_cloned`, `read`, each key of `get_many`, `entry`, and the loads (`get_or_insert_with`
    /// and its like, each once, by what it found when it came). Not counted are `peek`, `contains_key`, `ttl`, `deadline`,
    /// iterators, and what verbs that change something find.
    pub hits: u64,
    /// Reads that found none, of whatever kind.
    pub misses: u64,
    /// Of the misses those that found a value which had expired and was still in the table.
    pub misses_expired: u64,
    /// Values put into the map: `replaced` of them over a live one, the others as new.
    pub inserts: u64,
    /// Values that left because another took their place while they were live; this and the next two by
    /// [`RemovalCause`](crate::RemovalCause).
    pub replaced: u64,
    /// Values that left because their time was over.
    pub expired: u64,
    /// Values that were removed while they were live.
    pub explicit: u64,
    /// Entries in the table, live or not: what was put and has not left.
    pub stored: u64,
    /// What was unlinked and waits to be freed: for readers that are pinned, or for the next writes; see
    /// [`TtlMap::retired_len`].
    pub retired: u64,
    /// The map's memory, about: the table, the entries in it and those retired, and the reminders. Not counted are what keys
    /// and values own elsewhere, the tails of keys with equal hashes, tables that were outgrown and wait for readers, and what
    /// the allocator, or whole pages, add.
    pub bytes: u64,
    /// How late expired entries left.
    pub lag: Lag,
    /// What upkeep has done, and the reminders that there are.
    pub upkeep: UpkeepStats,
}

/// How long after its deadline an expired entry left the table: nobody reads it in between, but it takes memory; see
/// [`TtlMap::stats`].
///
/// By the map's clock as reads ask it, which may lag by the system's timer tick. All are zero while nothing has expired.
/// A value that was over when it was inserted is late from its deadline on, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lag {
    /// Half of the entries left within this time. Never too short, and too long by less than an eighth.
    pub p50: Duration,
    /// 99 of 100 entries left within this time; as exact.
    pub p99: Duration,
    /// The longest time; exact.
    pub max: Duration,
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
    /// others: reads write nothing else. Without it, there is nothing that could count. A map takes some kilobytes more.
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
    /// assert_eq!((stats.inserts, stats.expired, stats.stored), (1, 1, 0));
    /// ```
    pub fn stats(&self) -> Stats {
        let sum = |of| self.counters.sum(of);
        let misses_expired = sum(Counter::MissesExpired);
        // What has left before what came: an entry that does both meanwhile is not one less.
        let [replaced, expired, explicit] = [Counter::Replaced, Counter::Expired, Counter::Explicit].map(sum);
        let inserts = sum(Counter::Inserts);
        let stored = inserts.saturating_sub(replaced + expired + explicit);
        let retired = self.garbage.len() as u64;
        Stats {
            hits: sum(Counter::Hits),
            misses: sum(Counter::MissesAbsent) + misses_expired,
            misses_expired,
            inserts,
            replaced,
            expired,
            explicit,
            stored,
            retired,
            bytes: self.bytes(stored, retired),
            lag: self.lag(),
            upkeep: self.upkeep_stats(),
        }
    }

    /// The memory of the map with so many entries, and so many that wait to be freed, of which there is a list.
    fn bytes(&self, stored: u64, retired: u64) -> u64 {
        let apart = size_of::<Self>() + self.table.bytes(&pin()) + self.wheel.bytes();
        let entry = Entry::<K, V>::bytes(self.form) as u64;
        apart as u64 + stored * entry + retired * (entry + LISTED as u64)
    }

    fn lag(&self) -> Lag {
        let lags = self.counters.lags();
        let [p50, p99] = lags.percentiles([50, 99]).map(Duration::from_nanos);
        Lag { p50, p99, max: Duration::from_nanos(lags.max()) }
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
