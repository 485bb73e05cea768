//! The story of loads: a value that is missing is computed by one caller, and the others wait for it.
//!
//! These verbs are the only ones that wait, and wait only where they find nothing and somebody is at it. They stand on the
//! map alone: who waits under a pin would hold up the freeing of memory in all maps for as long.

use std::convert::Infallible;
use std::hash::{BuildHasher, Hash};
use std::ptr::NonNull;
use std::time::Duration;

use super::flight::{Boarding, End, Flight, Lead, Stage, Whose};
use super::{Miss, Pinned, Ref, TtlMap};
use crate::clock::{EXPIRED, saturating_nanos};
use crate::sync::Arc;
use crate::table::Glance;

impl<K, V, S> TtlMap<K, V, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    /// Returns the live value of a key; if there is none, computes it and inserts it for the map's time to live.
    ///
    /// Of callers who miss the same key at the same time **one computes** and the others wait for him, and for that key
    /// only: no other key is held up by a computation, and no other verb by either. A hit costs what
    /// [`get`](TtlMap::get) does.
    ///
    /// - The closure runs at most once, and with no lock held. If it panics, the panic reaches its caller; the others wake
    ///   up, and the next of them computes.
    /// - A live value that somebody inserts meanwhile stays, and is returned in place of the computed one. A
    ///   [`remove`](TtlMap::remove) doesn't stop a computation that is under way, whose value is inserted all the same.
    /// - Who has computed a value gets it, also if it is over at once. The others look into the map, and get nothing that
    ///   is over: if the value is gone by then (a time to live of zero, a removal), each computes for himself.
    /// - The closure may use this map and others at will. A load within it never waits: where another caller computes
    ///   that key already, be it this very thread, it **computes as well**, and the first value to be inserted is the one
    ///   returned. So loads can't deadlock, in whatever circle their closures call each other. (What can: a closure that
    ///   waits by other means for somebody who loads the same key.) The same goes for loads in `Hash`, `Eq` and `Drop`.
    ///
    /// To decide by the result whether to insert, see [`try_get_or_insert_with`](TtlMap::try_get_or_insert_with); in
    /// asynchronous code use `get_or_insert_with_async` (feature `async`).
    ///
    /// # Panics
    ///
    /// Only if the closure does.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// assert_eq!(*map.get_or_insert_with("a", || 1), 1);
    /// assert_eq!(*map.get_or_insert_with("a", || unreachable!("it is there")), 1);
    /// ```
    #[inline]
    pub fn get_or_insert_with(&self, key: K, compute: impl FnOnce() -> V) -> Ref<'_, K, V> {
        let Ok(found) = self.try_get_or_insert_with(key, || Ok::<V, Infallible>(compute()));
        found
    }

    /// As [`get_or_insert_with`](TtlMap::get_or_insert_with), with a computation that may fail.
    ///
    /// An error is for the caller alone whose closure returned it: nothing is inserted, the others wake up, and the next
    /// of them computes.
    ///
    /// # Errors
    ///
    /// Those of the closure.
    ///
    /// # Panics
    ///
    /// Only if the closure does.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let failed = map.try_get_or_insert_with("a", || "one".parse::<u32>());
    /// assert!(failed.is_err() && map.is_empty());
    /// assert_eq!(map.try_get_or_insert_with("a", || "1".parse::<u32>()).as_deref(), Ok(&1));
    /// ```
    #[inline]
    pub fn try_get_or_insert_with<E>(
        &self,
        key: K,
        compute: impl FnOnce() -> Result<V, E>,
    ) -> Result<Ref<'_, K, V>, E> {
        match self.arrive(key, Patience::FRESH) {
            Ok(found) => Ok(found),
            Err(caller) => caller.load(compute),
        }
    }

    /// Returns the live value of a key, or for a `grace` after its end the **lapsed** one while a caller renews it
    /// (*stale while revalidate*); if there is neither, does what [`get_or_insert_with`](TtlMap::get_or_insert_with) does.
    ///
    /// The first caller who meets a lapsed value computes the new one, and returns it. Those who come meanwhile get the
    /// lapsed value without waiting, until `grace` has passed since its deadline; after that they wait. This is the only
    /// verb that hands out what has expired, and [`Ref`] doesn't tell: ask [`contains_key`](TtlMap::contains_key) where it
    /// matters.
    ///
    /// A lapsed value is there to be handed out until it is removed, which a `grace` does not delay: writes and a
    /// [`Reaper`](crate::Reaper) remove it up to 1/64 of its time to live after its end, a [`get`](TtlMap::get) at once. So this bridges renewals of keys that are much in demand, and promises nothing for others. A renewal that fails leaves
    /// the lapsed value as it was; the next caller tries again.
    ///
    /// # Panics
    ///
    /// Only if the closure does.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{ManualClock, TtlMap};
    ///
    /// let clock = ManualClock::new();
    /// let map = TtlMap::builder().time_to_live(Duration::from_secs(60)).clock(&clock).build();
    /// map.insert("a", 1);
    /// clock.advance(Duration::from_secs(60));
    /// let grace = Duration::from_secs(5);
    /// let renewed = map.get_or_refresh_with("a", grace, || {
    ///     // What another caller gets while this one is at it:
    ///     assert_eq!(*map.get_or_refresh_with("a", grace, || unreachable!("one renews")), 1);
    ///     2
    /// });
    /// assert_eq!(*renewed, 2);
    /// ```
    #[inline]
    pub fn get_or_refresh_with(&self, key: K, grace: Duration, compute: impl FnOnce() -> V) -> Ref<'_, K, V> {
        let Ok(found) = self.try_get_or_refresh_with(key, grace, || Ok::<V, Infallible>(compute()));
        found
    }

    /// As [`get_or_refresh_with`](TtlMap::get_or_refresh_with), with a computation that may fail.
    ///
    /// # Errors
    ///
    /// Those of the closure, for the caller alone whose closure it was.
    ///
    /// # Panics
    ///
    /// Only if the closure does.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{ManualClock, TtlMap};
    ///
    /// let clock = ManualClock::new();
    /// let map = TtlMap::builder().time_to_live(Duration::from_secs(60)).clock(&clock).build();
    /// map.insert("a", 1);
    /// clock.advance(Duration::from_secs(60));
    /// let grace = Duration::from_secs(5);
    /// assert_eq!(map.try_get_or_refresh_with("a", grace, || Err("offline")).err(), Some("offline"));
    /// assert_eq!(map.try_get_or_refresh_with("a", grace, || Ok::<_, ()>(2)).as_deref(), Ok(&2));
    /// ```
    #[inline]
    pub fn try_get_or_refresh_with<E>(
        &self,
        key: K,
        grace: Duration,
        compute: impl FnOnce() -> Result<V, E>,
    ) -> Result<Ref<'_, K, V>, E> {
        match self.arrive(key, Patience::stale_for(grace)) {
            Ok(found) => Ok(found),
            Err(caller) => caller.load(compute),
        }
    }

    /// The first look of a load, and nearly always the last.
    #[inline]
    pub(super) fn arrive(&self, key: K, patience: Patience) -> Result<Ref<'_, K, V>, Caller<'_, K, V, S>> {
        let hash = self.hash(&key);
        self.table.prefetch_unpinned(hash);
        // The look that counts, as a hit or a miss: those to come are of a load that has missed.
        match self.look(&key, hash, patience) {
            Look::Live(found) => {
                self.counters.hit();
                return Ok(found);
            }
            Look::Stale(_) => self.counters.missed(Miss::EXPIRED),
            Look::Absent(miss) => self.counters.missed(miss),
        }
        Err(Caller { map: self, hash, key: Some(key), patience, may_wait: true })
    }

    /// What is there of a key: as every read sees it, unless something lapsed is wanted. Then nothing is done to that.
    #[inline]
    fn look(&self, key: &K, hash: u64, patience: Patience) -> Look<'_, K, V> {
        let pinned = self.pin();
        if patience.grace.is_some() {
            return self.look_closely(key, hash, patience, pinned);
        }
        match self.read_uncounted(key, hash, &pinned.now, &pinned.guard).map(NonNull::from) {
            Ok(entry) => Look::Live(pinned.into_ref(entry)),
            Err(miss) => Look::Absent(miss),
        }
    }

    fn look_closely<'m>(&self, key: &K, hash: u64, patience: Patience, pinned: Pinned<'m, K, V, S>) -> Look<'m, K, V> {
        match self.table.glance(hash, |entry| *key == entry.key, &pinned.guard) {
            Glance::Found(entry) => {
                let stamp = entry.stamp();
                if pinned.now.is_surely_live(stamp) {
                    self.after_read(entry, stamp, hash, &pinned.now, &pinned.guard);
                    let entry = NonNull::from(entry);
                    return Look::Live(pinned.into_ref(entry));
                }
            }
            Glance::Absent => return Look::Absent(Miss::ABSENT),
            Glance::Unclear => {}
        }
        // The time before the look: what has lapsed by then and is found after it had no successor in between.
        let now = pinned.now.exactly().floor();
        let Some(found) = self.table.find(hash, |entry| *key == entry.key, &pinned.guard) else {
            return Look::Absent(Miss::ABSENT);
        };
        let stamp = found.entry().stamp();
        let entry = NonNull::from(found.entry());
        if now < stamp.deadline() {
            self.after_read(found.entry(), stamp, hash, &pinned.now, &pinned.guard);
            Look::Live(pinned.into_ref(entry))
        } else if patience.bears(stamp.last(), now) {
            Look::Stale(pinned.into_ref(entry))
        } else {
            Look::Absent(Miss::EXPIRED)
        }
    }

    /// Inserts a value that was computed, unless one is live by now: that stays, and is returned in its place.
    fn put_absent(&self, key: K, value: V) -> Ref<'_, K, V> {
        self.try_insert(key, value).unwrap_or_else(|refused| refused.current)
    }
}

/// What a load finds.
enum Look<'m, K, V> {
    Live(Ref<'m, K, V>),
    Stale(Ref<'m, K, V>),
    Absent(Miss),
}

/// How long after its end a value will do, for somebody else computes a new one.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// In nanoseconds.
    grace: Option<u64>,
}

impl Patience {
    pub(super) const FRESH: Self = Patience { grace: None };

    pub(super) fn stale_for(grace: Duration) -> Self {
        Patience { grace: Some(saturating_nanos(grace)) }
    }

    /// Of what was over before the clock's start nobody knows when that was.
    fn bears(self, deadline: u64, now: u64) -> bool {
        deadline != EXPIRED && self.grace.is_some_and(|grace| now < deadline.saturating_add(grace))
    }
}

/// One who found nothing live, on his way to it.
pub(super) struct Caller<'m, K, V, S> {
    map: &'m TtlMap<K, V, S>,
    hash: u64,
    /// Absent while the flight has it that he leads.
    key: Option<K>,
    patience: Patience,
    /// Not once a flight has landed in vain: or else where values are over at once all would queue up.
    may_wait: bool,
}

/// What a caller does next.
pub(super) enum Next<'m, K, V> {
    Return(Ref<'m, K, V>),
    Compute(Ticket<'m, K>),
    Wait(Arc<Flight>, Whose),
}

/// The right to put a computed value into the map: for all who follow, or for oneself.
pub(super) enum Ticket<'m, K> {
    Lead(Lead<'m, K>),
    Alone(K),
}

impl<'m, K, V, S> Caller<'m, K, V, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    #[cold]
    fn load<E>(mut self, compute: impl FnOnce() -> Result<V, E>) -> Result<Ref<'m, K, V>, E> {
        let ticket = loop {
            match self.next() {
                Next::Return(found) => return Ok(found),
                Next::Compute(ticket) => break ticket,
                Next::Wait(flight, whose) => self.waited(flight.wait(), whose),
            }
        };
        let value = Stage::Computing.within(compute)?;
        Ok(self.put(ticket, value))
    }

    /// Finds out how to go on.
    pub(super) fn next(&mut self) -> Next<'m, K, V> {
        let (map, hash, patience) = (self.map, self.hash, self.patience);
        let key = self.key.take().expect("given back by all but the last call");
        if Stage::Boarding.is_under_way() {
            return Next::Compute(Ticket::Alone(key));
        }
        let look = |key: &K| match map.look(key, hash, patience) {
            Look::Live(found) => Some(found),
            Look::Stale(_) | Look::Absent(_) => None,
        };
        // Listeners are told when the list's lock is let go; he may lead by then, so what they load never waits.
        let board = || map.pin_then_tell(|| map.flights.board(hash, key, look));
        let (key, flight, whose) = match Stage::Computing.within(board) {
            Boarding::There(found) => return Next::Return(found),
            Boarding::Leads(lead) => return Next::Compute(Ticket::Lead(lead)),
            Boarding::Follows(key, flight, whose) => (key, flight, whose),
        };
        // Under way since the first look, it may have ended already.
        match map.look(&key, hash, patience) {
            Look::Live(found) | Look::Stale(found) => return Next::Return(found),
            Look::Absent(_) => {}
        }
        if self.may_wait && !Stage::Computing.is_under_way() {
            self.key = Some(key);
            return Next::Wait(flight, whose);
        }
        Next::Compute(Ticket::Alone(key))
    }

    /// Takes note of how a flight ended that was waited for.
    pub(super) fn waited(&mut self, end: End, whose: Whose) {
        // One who follows flights that fail waits for each: each has one caller less. Likewise those of other keys.
        self.may_wait &= end == End::Failed || whose == Whose::Unknown;
    }

    /// Puts the computed value into the map, and then ends the flight.
    pub(super) fn put(&self, ticket: Ticket<'m, K>, value: V) -> Ref<'m, K, V> {
        // Upkeep may run destructors that load.
        let _stage = Stage::Computing.enter();
        match ticket {
            Ticket::Alone(key) => self.map.put_absent(key, value),
            Ticket::Lead(lead) => {
                let key = lead.take_key().expect("only the lead takes it, once");
                let found = self.map.put_absent(key, value);
                lead.land();
                found
            }
        }
    }
}
