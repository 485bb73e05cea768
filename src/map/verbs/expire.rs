//! The story of a changed deadline: find, judge, compare, change it by one CAS, see to it that the bucket is looked at
//! in time.
//!
//! The CAS starts from the very deadline that was judged live, by a clock reading from before it, and whoever reports an
//! entry gone makes its lapse final first. So what has lapsed stays so.
//!
//! A deadline that is over ends the entry's life, and that is decided by the slot word: a write that has judged the entry
//! live swings it, too, and only one of them can. So then the entry is unlinked instead, and its deadline closed.

use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use equivalent::Equivalent;

use crate::clock::{Deadline, NEVER};
use crate::entry::Entry;
use crate::garbage::Guard;
use crate::map::sweep::Upkeep;
use crate::map::{Lifetime, Now, Pinned, RemovalCause, TtlMap, judge};
use crate::unwind::contain;
use crate::wheel::tick_at;

/// When a deadline is changed, as of the one that is there; what never expires is infinitely late.
///
/// ```
/// use std::time::Duration;
/// use ttlwheel::Condition::{IfEarlier, IfLater};
///
/// let map = ttlwheel::TtlMap::new(Duration::from_secs(60));
/// map.insert("a", 1);
/// assert!(map.expire_in("a", Duration::from_secs(90), IfLater).is_changed());
/// assert!(map.expire_in("a", Duration::from_secs(30), IfEarlier).is_changed());
/// assert!(!map.expire_in("a", Duration::from_secs(60), IfEarlier).is_changed());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Whatever the deadline.
    #[default]
    Always,
    /// If the value never expires (Redis: `NX`).
    IfNone,
    /// If the value has a deadline (Redis: `XX`).
    IfSome,
    /// If the new deadline is later (Redis: `GT`).
    IfLater,
    /// If the new deadline is earlier (Redis: `LT`).
    IfEarlier,
}

impl Condition {
    fn allows(self, present: u64, new: u64) -> bool {
        match self {
            Condition::Always => true,
            Condition::IfNone => present == NEVER,
            Condition::IfSome => present != NEVER,
            Condition::IfLater => new > present,
            Condition::IfEarlier => new < present,
        }
    }
}

/// What became of a deadline that was to be changed.
///
/// ```
/// use std::time::Duration;
/// use ttlwheel::{Condition, Deadline, Retimed, TtlMap};
///
/// let map = TtlMap::new(Duration::from_secs(60));
/// assert_eq!(map.expire_in("a", Duration::from_secs(5), Condition::Always), Retimed::Absent);
/// map.insert_forever("a", 1);
/// let before = Deadline::Never;
/// assert_eq!(map.expire_in("a", Duration::from_secs(5), Condition::IfNone), Retimed::Changed { before });
/// let deadline = map.deadline("a").unwrap();
/// assert_eq!(map.expire_in("a", Duration::from_secs(9), Condition::IfNone), Retimed::Kept { deadline });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retimed {
    /// The key has no live value.
    Absent,
    /// The value has the new deadline, in place of this one.
    Changed {
        /// The deadline until then.
        before: Deadline,
    },
    /// The condition doesn't hold of the value's deadline, which stays.
    Kept {
        /// The deadline.
        deadline: Deadline,
    },
}

impl Retimed {
    /// Whether the deadline was changed.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// assert!(map.touch("a").is_changed());
    /// assert!(!map.touch("b").is_changed());
    /// ```
    #[must_use]
    pub fn is_changed(&self) -> bool {
        matches!(self, Retimed::Changed { .. })
    }
}

/// A deadline to come, and when it is to.
#[derive(Clone, Copy)]
struct Change {
    new: u64,
    condition: Condition,
}

impl Change {
    /// The present deadline as an error, if it is to stay.
    fn check(self, present: u64) -> Result<(), u64> {
        if self.condition.allows(present, self.new) { Ok(()) } else { Err(present) }
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> TtlMap<K, V, S> {
    fn retime<Q>(&self, key: &Q, to: Lifetime, condition: Condition, now: &Now<'_>, guard: &Guard) -> Retimed
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hash = self.hash(key);
        let upkeep = Upkeep { map: self, guard };
        self.table.prefetch(hash, guard);
        let reading = now.exactly();
        self.wheel.turn_to(tick_at(reading.floor()));
        let stamp = self.term(to, reading, hash).stamp;
        let change = Change { new: stamp.last(), condition };
        let outcome = if stamp.is_open() {
            self.prolong_or_shorten(key, hash, change, now, guard)
        } else {
            self.end(key, hash, change, now, guard)
        };
        upkeep.pay(now);
        match outcome {
            Ok(Some(before)) => Retimed::Changed { before: self.clock.deadline(before) },
            Ok(None) => Retimed::Absent,
            Err(kept) => Retimed::Kept { deadline: self.clock.deadline(kept) },
        }
    }

    /// Changes the deadline to one that is to come; returns the one before, or as an error the one that stays.
    fn prolong_or_shorten<Q>(
        &self,
        key: &Q,
        hash: u64,
        change: Change,
        now: &Now<'_>,
        guard: &Guard,
    ) -> Result<Option<u64>, u64>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        loop {
            let Ok((entry, stamp)) = self.find_hashed(key, hash, now, guard) else { return Ok(None) };
            let present = stamp.deadline();
            change.check(present)?;
            if self.change(entry, (present, change.new), hash, now, guard) {
                return Ok(Some(present));
            }
            // Somebody else was there first: start again.
        }
    }

    /// Changes a deadline that was judged live, and has the bucket looked at in time; false if it has changed.
    pub(in crate::map) fn change(
        &self,
        entry: &Entry<K, V>,
        (from, to): (u64, u64),
        hash: u64,
        now: &Now<'_>,
        guard: &Guard,
    ) -> bool {
        let tick = tick_at(now.floor());
        self.wheel.turn_to(tick);
        let is_changed = entry.change_deadline(from, to);
        if is_changed && to < from {
            // As for an entry that was just linked. A reminder that comes too early finds it live.
            Upkeep { map: self, guard }.remind(hash, to, tick);
            self.end_if_overtaken(hash, entry, to, now, guard);
        }
        is_changed
    }

    /// If the clock has passed a deadline before it was set, the entry leaves: a write that had judged it by the deadline
    /// before must not find it live once the change is done. (One that replaces it in between, by a hair's breadth, may
    /// still say that it was live.)
    fn end_if_overtaken(&self, hash: u64, entry: &Entry<K, V>, deadline: u64, now: &Now<'_>, guard: &Guard) {
        if deadline > now.exactly().floor() {
            return;
        }
        // The change is made by now: a panic of some other key's hash, if bins are moved, is not its caller's.
        contain(|| _ = self.find_near(hash, entry, |there| std::ptr::eq(there, entry), now, guard));
    }

    /// Ends the entry's life, if the condition holds.
    fn end<Q>(&self, key: &Q, hash: u64, change: Change, now: &Now<'_>, guard: &Guard) -> Result<Option<u64>, u64>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let upkeep = Upkeep { map: self, guard };
        loop {
            let is = |entry: &Entry<K, V>| key.equivalent(&entry.key);
            let Some(found) = self.table.find_mut(hash, is, &upkeep, guard) else { return Ok(None) };
            let judged = judge(found.entry(), now);
            judged.map_or(Ok(()), |present| change.check(present))?;
            if found.unlink() {
                // Whoever changed the deadline until now came first; nobody does any more.
                let before = judged.map(|judged| found.entry().close(change.new).unwrap_or(judged));
                // SAFETY: unlinked by this very call.
                unsafe { self.retire(found.as_ptr(), RemovalCause::Expired, guard) };
                upkeep.freed(hash);
                return Ok(before);
            }
        }
    }

    /// Lets a key's value live for `ttl` from now, if the condition holds; see [`Pinned::expire_in`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{Condition, ManualClock, TtlMap};
    ///
    /// let clock = ManualClock::new();
    /// let map = TtlMap::builder().time_to_live(Duration::from_secs(60)).clock(&clock).build();
    /// map.insert("a", 1);
    /// assert!(map.expire_in("a", Duration::from_secs(5), Condition::IfEarlier).is_changed());
    /// clock.advance(Duration::from_secs(5));
    /// assert!(!map.contains_key("a"));
    /// ```
    pub fn expire_in<Q>(&self, key: &Q, ttl: Duration, condition: Condition) -> Retimed
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.pin().expire_in(key, ttl, condition)
    }

    /// Lets a key's value live until `deadline`, if the condition holds; see [`Pinned::expire_at`].
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use ttlwheel::{Condition, Deadline, TtlMap};
    ///
    /// let map = TtlMap::new(Duration::from_secs(60));
    /// map.insert("a", 1);
    /// let end = Instant::now() + Duration::from_secs(300);
    /// assert!(map.expire_at("a", end, Condition::IfLater).is_changed());
    /// assert_eq!(map.deadline("a"), Some(Deadline::At(end)));
    /// ```
    pub fn expire_at<Q>(&self, key: &Q, deadline: impl Into<Deadline>, condition: Condition) -> Retimed
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.pin().expire_at(key, deadline, condition)
    }

    /// Lets a key's value live for ever; see [`Pinned::persist`].
    ///
    /// ```
    /// use ttlwheel::Deadline;
    ///
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// assert!(map.persist("a").is_changed());
    /// assert_eq!(map.deadline("a"), Some(Deadline::Never));
    /// ```
    pub fn persist<Q>(&self, key: &Q) -> Retimed
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.pin().persist(key)
    }

    /// Lets a key's value live for the map's time to live once more, from now; see [`Pinned::touch`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{ManualClock, TtlMap};
    ///
    /// let clock = ManualClock::new();
    /// let map = TtlMap::builder().time_to_live(Duration::from_secs(60)).clock(&clock).build();
    /// map.insert("a", 1);
    /// clock.advance(Duration::from_secs(59));
    /// assert!(map.touch("a").is_changed());
    /// clock.advance(Duration::from_secs(59));
    /// assert!(map.contains_key("a"));
    /// ```
    pub fn touch<Q>(&self, key: &Q) -> Retimed
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.pin().touch(key)
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> Pinned<'_, K, V, S> {
    fn retime<Q>(&self, key: &Q, to: Lifetime, condition: Condition) -> Retimed
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.map.retime(key, to, condition, &self.now, &self.guard)
    }

    /// Lets a key's value live for `ttl` from now, if the condition holds: zero is over at once, what overflows the clock
    /// never ends.
    ///
    /// One atomic step, linearizable; but for this: if `ttl` is zero, [`IfNone`](Condition::IfNone) and
    /// [`IfSome`](Condition::IfSome) are judged just before that step. What had expired is never brought back: it is [`Absent`](Retimed::Absent). The
    /// value itself stays as it is, and so do references to it. What is over at once leaves as
    /// [`Expired`](crate::RemovalCause::Expired). Pays a constant amount of upkeep, as
    /// [`insert`](Pinned::insert) does.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::Condition::{Always, IfSome};
    ///
    /// let map = ttlwheel::TtlMap::new(Duration::from_secs(60));
    /// let pinned = map.pin();
    /// pinned.insert("a", 1);
    /// assert!(pinned.expire_in("a", Duration::from_secs(3600), IfSome).is_changed());
    /// assert!(pinned.ttl("a").unwrap() > Duration::from_secs(60));
    /// assert!(pinned.expire_in("a", Duration::ZERO, Always).is_changed());
    /// assert_eq!(pinned.get("a"), None);
    /// ```
    pub fn expire_in<Q>(&self, key: &Q, ttl: Duration, condition: Condition) -> Retimed
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.retime(key, Lifetime::For(ttl), condition)
    }

    /// As [`expire_in`](Pinned::expire_in), until `deadline` on the map's clock: an [`Instant`](std::time::Instant), or
    /// a [`Deadline`]. A deadline that has passed is no error; the value is over at once.
    ///
    /// ```
    /// use ttlwheel::{Condition, Deadline, Retimed};
    ///
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert_forever("a", 1);
    /// let pinned = map.pin();
    /// let deadline = Deadline::Never;
    /// assert_eq!(pinned.expire_at("a", map.clock().now(), Condition::IfSome), Retimed::Kept { deadline });
    /// assert!(pinned.expire_at("a", map.clock().now(), Condition::IfEarlier).is_changed());
    /// assert_eq!(pinned.get("a"), None);
    /// ```
    pub fn expire_at<Q>(&self, key: &Q, deadline: impl Into<Deadline>, condition: Condition) -> Retimed
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.retime(key, self.map.until(deadline.into()), condition)
    }

    /// Lets a key's value live for ever; [`Kept`](Retimed::Kept) if it does already.
    ///
    /// With another condition: [`expire_at`](Pinned::expire_at) with [`Deadline::Never`].
    ///
    /// ```
    /// use ttlwheel::{Deadline, Retimed};
    ///
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// let pinned = map.pin();
    /// assert!(pinned.persist("a").is_changed());
    /// assert_eq!(pinned.persist("a"), Retimed::Kept { deadline: Deadline::Never });
    /// ```
    pub fn persist<Q>(&self, key: &Q) -> Retimed
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.retime(key, Lifetime::Forever, Condition::IfSome)
    }

    /// Lets a key's value live for the map's time to live once more, from now, however long it would have lived.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let map = ttlwheel::TtlMap::new(Duration::from_secs(60));
    /// map.insert_with_ttl("a", 1, Duration::from_secs(5));
    /// let pinned = map.pin();
    /// assert!(pinned.touch("a").is_changed());
    /// assert!(pinned.ttl("a").unwrap() > Duration::from_secs(5));
    /// ```
    pub fn touch<Q>(&self, key: &Q) -> Retimed
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        match self.map.touch_by_policy(key, &self.now, &self.guard) {
            Some(outcome) => outcome,
            None => self.retime(key, Lifetime::OfMap, Condition::Always),
        }
    }
}
