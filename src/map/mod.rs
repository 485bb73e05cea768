//! The map: the story of insert, get and remove, told with table, entry, clock and garbage, none of which knows
//! the others.

mod api;
mod batch;
mod builder;
#[cfg(test)]
pub(crate) mod check;
mod counters;
mod events;
mod expiry;
pub(crate) mod flight;
mod inserted;
mod iter;
mod leaving;
mod lifetime;
mod listen;
mod load;
#[cfg(feature = "async")]
mod load_async;
mod now;
mod pinned;
#[cfg(feature = "metrics")]
mod publish;
mod purge;
mod read;
mod remind;
mod slide;
#[cfg(feature = "serde")]
mod snapshot;
#[cfg(any(test, feature = "stats"))]
mod stats;
mod streams;
mod sweep;
mod unpublished;
mod verbs;
mod watch;

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::time::Duration;

use equivalent::Equivalent;

pub use builder::Builder;
pub use events::{Events, Removal};
pub use expiry::{AfterRead, Expiry};
pub use inserted::Inserted;
pub use iter::{Iter, PinnedIter};
pub use leaving::RemovalCause;
pub use listen::RemovalInfo;
pub use pinned::{Pinned, Ref};
pub use purge::Purged;
#[cfg(feature = "serde")]
pub use snapshot::{LoadError, Snapshot};
#[cfg(any(test, feature = "stats"))]
pub use stats::{Census, Lag, Stats, UpkeepStats};
pub use verbs::{
    Computed, Condition, Drain, MapEntry, NotInserted, OccupiedEntry, Operation, PinnedDrain, Retimed, VacantEntry,
};

use crate::clock::{Clock, Stamp};
use crate::entry::{Entry, Form};
use crate::garbage::{Garbage, Guard};
use crate::reaper::Alarm;
use crate::sync::{Count, RandomState};
use crate::table::{Glance, Table};
use crate::wheel::{Wheel, tick_at};
use counters::{Counters, Miss};
use expiry::{Jitter, Policy};
use flight::Flights;
use leaving::Leaving;
use lifetime::{Lifetime, Term};
use now::{Now, judge};
use sweep::Upkeep;
use unpublished::Unpublished;

/// A concurrent map whose entries expire.
///
/// Share it by reference or `Arc`. All operations take `&self`, are lock-free and, key by key, linearizable; reads of
/// live entries write nothing to the map at all.
///
/// ```
/// use std::time::Duration;
/// use ttlwheel::{Inserted, TtlMap};
///
/// let map = TtlMap::new(Duration::from_secs(60));
/// assert!(matches!(map.insert("a".to_string(), 1), Inserted::New));
/// assert_eq!(map.get_cloned("a"), Some(1));
/// assert_eq!(map.remove("a").as_deref(), Some(&1));
/// assert!(map.is_empty());
/// ```
pub struct TtlMap<K, V, S = RandomState> {
    table: Table<Entry<K, V>>,
    garbage: Garbage,
    wheel: Wheel,
    counters: Counters,
    /// For the reapers that watch.
    alarm: Alarm,
    /// 1 if buckets were swept since the table was last looked at for being too large. A hint.
    emptied: Count,
    /// What is being loaded.
    flights: Flights<K>,
    /// For those who want to know what leaves.
    leaving: Leaving<K, V>,
    clock: Clock,
    hasher: S,
    /// None: for ever.
    time_to_live: Option<Duration>,
    /// None: reads don't move deadlines.
    time_to_idle: Option<Duration>,
    /// In place of both times.
    policy: Option<Policy<K, V>>,
    jitter: Jitter,
    /// Bounded if reads move deadlines.
    form: Form,
    _entries: PhantomData<Entry<K, V>>,
}

/// An entry that was found, with the open stamp by which it was judged live.
type Live<'g, K, V> = (&'g Entry<K, V>, Stamp);

// SAFETY: the map owns its keys and values; sending it sends them.
unsafe impl<K: Send, V: Send, S: Send> Send for TtlMap<K, V, S> {}
// SAFETY: through a shared map keys and values are shared (get), and sent: what one thread inserted another may drop.
unsafe impl<K: Send + Sync, V: Send + Sync, S: Sync> Sync for TtlMap<K, V, S> {}

impl<K, V, S> TtlMap<K, V, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    #[inline]
    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        mix(self.hasher.hash_one(key))
    }

    /// The story of get: find, judge. Returns the entry with the open stamp by which it was judged
    /// live.
    #[inline(always)]
    fn find_live<'g, Q>(&self, key: &Q, now: &Now<'_>, guard: &'g Guard) -> Result<Live<'g, K, V>, Miss>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.find_hashed(key, self.hash(key), now, guard)
    }

    /// The same, with the key's hash at hand.
    #[inline(always)]
    fn find_hashed<'g, Q>(&self, key: &Q, hash: u64, now: &Now<'_>, guard: &'g Guard) -> Result<Live<'g, K, V>, Miss>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let mut stamp = Stamp::UNKNOWN;
        match self.table.glance(hash, is_live(key, now, &mut stamp), guard) {
            Glance::Found(found) => Ok((found, stamp)),
            Glance::Absent => Err(Miss::ABSENT),
            Glance::Unclear => self.find_slowly(key, hash, now, guard),
        }
    }

    /// The same, wherever the entry stands and whatever its deadline.
    #[cold]
    #[inline(never)]
    fn find_slowly<'g, Q>(&self, key: &Q, hash: u64, now: &Now<'_>, guard: &'g Guard) -> Result<Live<'g, K, V>, Miss>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let mut stamp = Stamp::UNKNOWN;
        match self.table.glance_further(hash, is_live(key, now, &mut stamp), guard) {
            Glance::Found(found) => return Ok((found, stamp)),
            Glance::Absent => return Err(Miss::ABSENT),
            Glance::Unclear => {}
        }
        let found = self.table.find(hash, |entry| key.equivalent(&entry.key), guard).ok_or(Miss::ABSENT)?;
        self.find_near(hash, found.entry(), |entry| key.equivalent(&entry.key), now, guard)
    }

    /// The rest of the story for an entry that has lapsed, or is about to. What has lapsed leaves: a write that had judged
    /// it live must not replace it once it was reported absent.
    #[cold]
    fn find_near<'g>(
        &self,
        hash: u64,
        mut found: &'g Entry<K, V>,
        mut is: impl FnMut(&Entry<K, V>) -> bool,
        now: &Now<'_>,
        guard: &'g Guard,
    ) -> Result<Live<'g, K, V>, Miss> {
        let upkeep = Upkeep { map: self, guard };
        loop {
            if let Some(deadline) = judge(found, now) {
                return Ok((found, Stamp::open(deadline)));
            }
            // The clock may have been read after the find: another value may stand there since, and it is live.
            let there = self.table.find_mut(hash, &mut is, &upkeep, guard).ok_or(Miss::EXPIRED)?;
            if !std::ptr::eq(there.entry(), found) {
                found = there.entry();
            } else if there.unlink() {
                // SAFETY: unlinked by this very call.
                unsafe { self.retire(there.as_ptr(), RemovalCause::Expired, guard) };
                return Err(Miss::EXPIRED);
            }
        }
    }

    /// The story of insert: find or publish; if found, judge and replace; see to it that the bucket is looked at when the
    /// entry lapses; retire what was replaced; pay some upkeep.
    fn put<'g>(
        &self,
        key: K,
        value: V,
        lifetime: Lifetime,
        now: &Now<'_>,
        guard: &'g Guard,
    ) -> Inserted<&'g Entry<K, V>> {
        let hash = self.hash(&key);
        // The exact clock lets nothing overtake it but this.
        self.table.prefetch(hash, guard);
        self.put_hashed(hash, key, value, lifetime, now, guard)
    }

    /// The same, with the key's hash at hand, whose bin is being fetched.
    fn put_hashed<'g>(
        &self,
        hash: u64,
        key: K,
        value: V,
        lifetime: Lifetime,
        now: &Now<'_>,
        guard: &'g Guard,
    ) -> Inserted<&'g Entry<K, V>> {
        // The pin's time moves with each write, so that its reads see what the write did.
        let reading = now.exactly();
        let Term { stamp, bound } = self.term_of_new(lifetime, (&key, &value), reading, hash);
        let new = Unpublished::new(Entry::new(key, value, hash, stamp), bound);
        let upkeep = Upkeep { map: self, guard };
        let tick = tick_at(reading.floor());
        self.wheel.turn_to(tick);
        let (old, live) = loop {
            let is = |entry: &Entry<K, V>| entry.key == new.entry().key;
            let Some(old) = self.table.insert(hash, new.as_ptr(), is, &upkeep, guard) else {
                new.publish();
                self.counters.inserted();
                upkeep.remind(hash, stamp.deadline(), tick);
                upkeep.pay(now);
                return Inserted::New;
            };
            let live = judge(old.entry(), now);
            let deadline_over = self.reterm(new.entry(), lifetime, live, reading, hash);
            if old.replace(new.as_ptr()) {
                new.publish();
                self.counters.inserted();
                upkeep.remind(hash, deadline_over, tick);
                break (old, live);
            }
            // Somebody else was there first: start again.
            new.entry().set_stamp(stamp);
        };
        let cause = RemovalCause::Replaced.unless_lapsed(live);
        // SAFETY: replaced by this very call.
        unsafe { upkeep.pay_and_retire(old.as_ptr(), cause, now) };
        if live.is_some() { Inserted::Replaced(old.entry()) } else { Inserted::Expired(old.entry()) }
    }

    /// The story of remove: find, judge, unlink, retire, pay some upkeep. What had lapsed leaves too, but wasn't there; what
    /// is live leaves if `leaves` says so, of each entry that is found there until one attempt succeeds.
    fn take_if<'g, Q>(
        &self,
        key: &Q,
        leaves: impl FnMut(&Entry<K, V>) -> bool,
        now: &Now<'_>,
        guard: &'g Guard,
    ) -> Option<&'g Entry<K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.take_hashed(self.hash(key), key, leaves, now, guard)
    }

    /// The same, with the key's hash at hand.
    fn take_hashed<'g, Q>(
        &self,
        hash: u64,
        key: &Q,
        mut leaves: impl FnMut(&Entry<K, V>) -> bool,
        now: &Now<'_>,
        guard: &'g Guard,
    ) -> Option<&'g Entry<K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let upkeep = Upkeep { map: self, guard };
        self.table.prefetch(hash, guard);
        // The exact time is asked for only where a deadline is near, as by a read.
        self.wheel.turn_to(tick_at(now.again().floor()));
        loop {
            let is = |entry: &Entry<K, V>| key.equivalent(&entry.key);
            let Some(found) = self.table.find_mut(hash, is, &upkeep, guard) else {
                upkeep.pay(now);
                return None;
            };
            let judged = judge(found.entry(), now);
            if judged.is_some() && !leaves(found.entry()) {
                upkeep.pay(now);
                return None;
            }
            if found.unlink() {
                // SAFETY: unlinked by this very call.
                unsafe { upkeep.pay_and_retire(found.as_ptr(), RemovalCause::Explicit.unless_lapsed(judged), now) };
                upkeep.freed(hash);
                return judged.map(|_| found.entry());
            }
        }
    }
}

/// Whether an entry is the key's and surely live, for a lookup at whose end the stamp by which that was judged is wanted.
#[inline(always)]
fn is_live<K, V, Q>(key: &Q, now: &Now<'_>, stamp: &mut Stamp) -> impl FnOnce(&Entry<K, V>) -> bool
where
    Q: Equivalent<K> + ?Sized,
{
    |entry| {
        *stamp = entry.stamp();
        key.equivalent(&entry.key) && now.is_surely_live(*stamp)
    }
}

/// Spreads a hash over all bits: bins take low ones, from the sixth on, tags those above, and no hasher is trusted with either.
///
/// One multiplication whose halves are folded together, as in wyhash (Wang Yi), by the golden ratio.
#[inline]
fn mix(hash: u64) -> u64 {
    let product = u128::from(hash) * 0x9E37_79B9_7F4A_7C15;
    product as u64 ^ (product >> 64) as u64
}

impl<K: fmt::Debug, V: fmt::Debug, S> fmt::Debug for TtlMap<K, V, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.pin().iter()).finish()
    }
}

#[cfg(all(test, not(ttl_loom)))]
mod mass_expiry_tests;
#[cfg(all(test, not(ttl_loom)))]
mod upkeep_tests;

#[cfg(all(test, not(ttl_loom)))]
mod tests {
    use super::mix;

    /// The fullest of 2^10 bins after 2^13 keys of a pattern, by the ten bits from `shift` on.
    fn fullest(shift: u32, key: impl Fn(u64) -> u64) -> usize {
        let mut bins = [0; 1 << 10];
        (0..1 << 13).for_each(|n| bins[(mix(key(n)) >> shift) as usize % bins.len()] += 1);
        bins.into_iter().max().unwrap_or(0)
    }

    #[test]
    fn hashes_that_nobody_mixed_spread_evenly() {
        // Eight a bin on average; of 1,024 random bins the fullest holds about 19.
        for shift in [6, 14, 22] {
            for step in 0..48 {
                let fullest = fullest(shift, |n| n << step);
                assert!(fullest <= 40, "multiples of 2^{step}, bits from {shift}: {fullest}");
            }
            assert!(fullest(shift, |n| (n as f64).to_bits()) <= 40, "floats");
            assert!(fullest(shift, |n| n.wrapping_mul(0x1_0000_0001)) <= 40, "both halves alike");
            assert!(fullest(shift, |n| 0x7F00_0000_0000 + 48 * n) <= 40, "addresses");
        }
    }
}
