//! Counters of upkeep: there in tests and with the feature `stats`, else nothing at all.

#[cfg(any(test, feature = "stats"))]
pub(super) use counting::Counters;
#[cfg(any(test, feature = "stats"))]
pub use counting::UpkeepStats;
#[cfg(not(any(test, feature = "stats")))]
pub(super) use silent::Counters;

#[cfg(any(test, feature = "stats"))]
mod counting {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use crate::map::TtlMap;
    use crate::map::remind::Tally;

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

    #[derive(Default)]
    pub(in crate::map) struct Counters {
        filed: AtomicU64,
        fired: AtomicU64,
        stale: AtomicU64,
        examined: AtomicU64,
        retired: AtomicU64,
        worst: AtomicU64,
    }

    impl Counters {
        // Relaxed, all: statistics.
        pub(in crate::map) fn filed(&self) {
            self.filed.fetch_add(1, Relaxed);
        }

        pub(in crate::map) fn swept(&self, tally: Tally) {
            self.fired.fetch_add(tally.fired as u64, Relaxed);
            self.stale.fetch_add(tally.stale as u64, Relaxed);
            self.examined.fetch_add(tally.examined as u64, Relaxed);
            self.retired.fetch_add(tally.retired as u64, Relaxed);
            self.worst.fetch_max(tally.looked_at() as u64, Relaxed);
        }
    }

    impl<K, V, S> TtlMap<K, V, S> {
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
            let get = |counter: &AtomicU64| counter.load(Relaxed);
            UpkeepStats {
                filed: get(&self.counters.filed),
                fired: get(&self.counters.fired),
                stale: get(&self.counters.stale),
                examined: get(&self.counters.examined),
                retired: get(&self.counters.retired),
                worst: get(&self.counters.worst),
                reminders: self.wheel.len() as u64,
            }
        }
    }
}

#[cfg(not(any(test, feature = "stats")))]
mod silent {
    use crate::map::remind::Tally;

    #[derive(Default)]
    pub(in crate::map) struct Counters(());

    impl Counters {
        pub(in crate::map) fn filed(&self) {}
        pub(in crate::map) fn swept(&self, _: Tally) {}
    }
}
