//! Counters in shards, of which each thread has one more or less to itself: to count costs an addition on a cache line
//! that nobody else writes.

use std::sync::atomic::Ordering::Relaxed;

use crossbeam_utils::CachePadded;

use super::lags::Lags;
use crate::clock::{Clock, EXPIRED};
use crate::entry::Entry;
use crate::map::RemovalCause;
use crate::map::remind::Tally;
use crate::sync::{Count, shard_count, thread_number};

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(in crate::map) enum Counter {
    Hits,
    MissesAbsent,
    MissesExpired,
    Inserts,
    Replaced,
    Expired,
    Explicit,
    Filed,
    Fired,
    Stale,
    Examined,
    Retired,
}

const COUNTERS: usize = Counter::Retired as usize + 1;

/// Why a read finds nothing.
#[derive(Clone, Copy, Debug)]
pub(in crate::map) struct Miss(Counter);

impl Miss {
    pub(in crate::map) const ABSENT: Self = Miss(Counter::MissesAbsent);
    pub(in crate::map) const EXPIRED: Self = Miss(Counter::MissesExpired);
}

pub(in crate::map) struct Counters {
    /// A power of two of them.
    shards: Box<[CachePadded<Shard>]>,
    /// One for all: expirations are fewer than reads, and their lags differ.
    lags: Lags,
}

#[derive(Default)]
struct Shard {
    counts: [Count; COUNTERS],
    /// The most that one sweep has looked at.
    worst: Count,
}

impl Default for Counters {
    fn default() -> Self {
        Counters { shards: (0..shard_count()).map(|_| CachePadded::default()).collect(), lags: Lags::default() }
    }
}

// Relaxed, all: statistics. Additions, not stores: threads may share a shard.
impl Counters {
    #[inline]
    fn own(&self) -> &Shard {
        &self.shards[thread_number() & (self.shards.len() - 1)]
    }

    #[inline]
    fn add(&self, to: Counter, n: usize) {
        self.own().counts[to as usize].fetch_add(n as u64, Relaxed);
    }

    /// Counts a read.
    #[inline]
    pub(in crate::map) fn read<T>(&self, found: Result<T, Miss>) -> Option<T> {
        match &found {
            Ok(_) => self.hit(),
            Err(miss) => self.missed(*miss),
        }
        found.ok()
    }

    /// For a batch of reads.
    pub(in crate::map) fn reads(&self) -> Reads<'_> {
        Reads { counters: self, hits: 0, absent: 0, expired: 0 }
    }

    #[inline]
    pub(in crate::map) fn hit(&self) {
        self.add(Counter::Hits, 1);
    }

    #[inline]
    pub(in crate::map) fn missed(&self, miss: Miss) {
        self.add(miss.0, 1);
    }

    pub(in crate::map) fn is_counting(&self) -> bool {
        true
    }

    pub(in crate::map) fn inserted(&self) {
        self.add(Counter::Inserts, 1);
    }

    pub(in crate::map) fn left<K, V>(&self, entry: &Entry<K, V>, cause: RemovalCause, clock: &Clock) {
        let counter = match cause {
            RemovalCause::Expired => Counter::Expired,
            RemovalCause::Replaced => Counter::Replaced,
            // No map does the latter yet.
            RemovalCause::Explicit | RemovalCause::Size => Counter::Explicit,
        };
        self.add(counter, 1);
        // Models are spared what only this reads.
        if cause == RemovalCause::Expired && cfg!(not(ttl_loom)) {
            self.late(entry.stamp().last(), clock);
        }
    }

    /// An entry has expired, which had this deadline.
    fn late(&self, deadline: u64, clock: &Clock) {
        // Of what was over before the clock's start nobody knows for how long.
        if deadline != EXPIRED {
            self.lags.record(clock.read().floor().saturating_sub(deadline));
        }
    }

    pub(in crate::map) fn filed(&self) {
        self.add(Counter::Filed, 1);
    }

    pub(in crate::map) fn swept(&self, tally: Tally) {
        self.add(Counter::Fired, tally.fired);
        self.add(Counter::Stale, tally.stale);
        self.add(Counter::Examined, tally.examined);
        self.add(Counter::Retired, tally.retired);
        self.own().worst.fetch_max(tally.looked_at() as u64, Relaxed);
    }

    pub(in crate::map) fn sum(&self, of: Counter) -> u64 {
        self.shards.iter().map(|shard| shard.counts[of as usize].load(Relaxed)).fold(0, u64::wrapping_add)
    }

    pub(in crate::map) fn lags(&self) -> &Lags {
        &self.lags
    }

    pub(in crate::map) fn worst(&self) -> u64 {
        self.shards.iter().map(|shard| shard.worst.load(Relaxed)).max().unwrap_or(0)
    }
}

/// Reads of a batch, added up by themselves and to the counters at the end, be it that of a panic.
pub(in crate::map) struct Reads<'c> {
    counters: &'c Counters,
    hits: usize,
    absent: usize,
    expired: usize,
}

impl Reads<'_> {
    #[inline]
    pub(in crate::map) fn read<T>(&mut self, found: Result<T, Miss>) -> Option<T> {
        match &found {
            Ok(_) => self.hits += 1,
            Err(Miss(Counter::MissesExpired)) => self.expired += 1,
            Err(_) => self.absent += 1,
        }
        found.ok()
    }
}

impl Drop for Reads<'_> {
    fn drop(&mut self) {
        let counts =
            [(Counter::Hits, self.hits), (Counter::MissesAbsent, self.absent), (Counter::MissesExpired, self.expired)];
        counts.into_iter().filter(|(_, n)| *n > 0).for_each(|(counter, n)| self.counters.add(counter, n));
    }
}
