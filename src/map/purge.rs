//! Purging by hand: what has expired, and all there is.

use std::hash::{BuildHasher, Hash};

use super::iter::Entries;
use super::remind::Most;
use super::sweep::Upkeep;
use super::{Now, RemovalCause, TtlMap, judge};
use crate::clock::Deadline;
use crate::garbage::{BATCH, pin};
use crate::wheel::{start_of, tick_at};

/// What [`TtlMap::purge_expired`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purged {
    /// Expired entries that this call removed.
    pub removed: usize,
    /// Whether there is more to do: entries that expired by the time of this call, or memory not given back.
    pub more: bool,
}

impl<K: Hash + Eq, V, S: BuildHasher> TtlMap<K, V, S> {
    /// Removes what has expired and gives memory back, looking at no more than about `budget` entries.
    ///
    /// Writes do this by themselves, a few entries each, a little later than the deadline (1/64 of the time to live, and
    /// half a millisecond); this is for maps that go quiet, and for those who want it exactly: what has expired by
    /// the time of the call is removed, as far as the budget goes. `more` says whether another call would find
    /// something to do, so `while map.purge_expired(1000).more {}` purges all that has expired, frees what no reader
    /// holds, and lets the table shrink. What other threads are just purging is left to them.
    ///
    /// # Complexity
    ///
    /// In proportion to `budget`; entries that have not expired are looked at only if they share a bucket with one that
    /// was due.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{ManualClock, TtlMap};
    ///
    /// let clock = ManualClock::new();
    /// let map = TtlMap::builder().time_to_live(Duration::from_secs(1)).clock(&clock).build();
    /// for n in 0..100 {
    ///     map.insert(n, n);
    /// }
    /// clock.advance(Duration::from_secs(1));
    /// assert_eq!((map.len(), map.stored_len()), (0, 100));
    /// let mut removed = 0;
    /// loop {
    ///     let purged = map.purge_expired(10);
    ///     removed += purged.removed;
    ///     if !purged.more {
    ///         break;
    ///     }
    /// }
    /// assert_eq!((removed, map.stored_len()), (100, 0));
    /// ```
    pub fn purge_expired(&self, budget: usize) -> Purged {
        self.purge(budget, true)
    }

    /// The same at the wheel's pace: what lapsed so late that its slot has not come yet is left.
    pub(super) fn sweep_due(&self, budget: usize) -> Purged {
        self.purge(budget, false)
    }

    fn purge(&self, budget: usize, exactly: bool) -> Purged {
        let purged = self.purge_entries(budget, exactly);
        let unfreed = self.give_back(budget);
        Purged { more: purged.more || unfreed, ..purged }
    }

    fn purge_entries(&self, budget: usize, exactly: bool) -> Purged {
        let guard = &pin();
        let now = Now::new(&self.clock);
        let nanos = now.exactly().floor();
        self.wheel.turn_to(tick_at(nanos));
        let upkeep = Upkeep { map: self, guard };
        let most = Most { looked_at: budget.max(1), retired: usize::MAX };
        let (done, more) = upkeep.sweep(&now, exactly.then_some(nanos), most);
        // As far as the budget goes, too; a panic of a key's hash ends it, as the same would be tried again and again.
        let _ = (0..=budget).all(|_| upkeep.step());
        if !more {
            self.table.shrink_if_due(0, || self.wheel.is_idle(), guard);
        }
        Purged { removed: done.retired, more: more || self.table.is_resizing(guard) }
    }

    /// Says when there will be something to purge, at the latest: when the first reminder is due, on the map's clock.
    /// None if nothing in the map expires.
    ///
    /// A time that has passed means that there is something now. What is told may turn out to be an entry that was
    /// removed or replaced meanwhile.
    ///
    /// # Complexity
    ///
    /// Constant.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{Deadline, ManualClock, TtlMap};
    ///
    /// let clock = ManualClock::new();
    /// let map = TtlMap::builder().time_to_live(Duration::from_secs(64)).clock(&clock).build();
    /// assert_eq!(map.next_due(), None);
    /// map.insert("a", 1);
    /// let Some(Deadline::At(due)) = map.next_due() else { panic!() };
    /// assert!(due >= clock.now() + Duration::from_secs(64) && due <= clock.now() + Duration::from_secs(66));
    /// ```
    pub fn next_due(&self) -> Option<Deadline> {
        self.wheel.next_due().map(|tick| self.clock.deadline(start_of(tick)))
    }

    /// Unlinks every entry that a walk over all bins meets.
    pub(super) fn remove_all(&self) {
        let guard = &pin();
        let now = Now::exact(&self.clock);
        let upkeep = Upkeep { map: self, guard };
        for found in Entries::new(self, guard) {
            let judged = judge(found.entry(), &now);
            upkeep.unlink(found, RemovalCause::Explicit.unless_lapsed(judged));
            upkeep.pay(&now);
        }
        self.table.shrink_if_due(0, || self.wheel.is_idle(), guard);
    }

    /// Frees up to about `budget` of what was retired, as far as no reader holds it; says whether that was not all.
    fn give_back(&self, budget: usize) -> bool {
        if self.garbage.is_empty() {
            return false;
        }
        let shards = self.garbage.shard_count();
        (0..shards).for_each(|shard| self.garbage.seal(shard, &pin()));
        // Where nobody else is pinned, three pins see a grace period through.
        (0..3).for_each(|_| pin().flush());
        let (mut shard, mut idle, mut freed) = (0, 0, 0);
        while idle < shards && freed < budget.max(1) {
            let some = match budget.saturating_sub(freed) {
                BATCH.. => self.free(|garbage| garbage.flush_batch(shard, &pin())),
                _ => self.free(|garbage| garbage.flush(shard, &pin())),
            };
            (shard, freed) = ((shard + 1) % shards, freed + some);
            idle = if some == 0 { idle + 1 } else { 0 };
        }
        idle < shards
    }
}
