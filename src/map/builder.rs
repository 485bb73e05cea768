//! The builder.

use std::marker::PhantomData;
use std::time::Duration;

use super::TtlMap;
use super::counters::Counters;
use super::expiry::{Expiry, Jitter, Policy};
use super::flight::Flights;
use super::leaving::{Leaving, RemovalCause};
use super::listen::{Listeners, RemovalInfo};
use crate::clock::Clock;
use crate::entry::Form;
use crate::garbage::Garbage;
use crate::reaper::Alarm;
use crate::sync::{Pages, RandomState};
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
    time_to_idle: Option<Duration>,
    policy: Option<Policy<K, V>>,
    jitter: Jitter,
    listeners: Listeners<K, V>,
    initial_capacity: usize,
    pages: Pages,
    hasher: S,
    clock: Option<Clock>,
    _map: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Builder<K, V, RandomState> {
    pub(super) fn new() -> Self {
        Builder {
            time_to_live: None,
            time_to_idle: None,
            policy: None,
            jitter: Jitter::default(),
            listeners: Listeners::default(),
            initial_capacity: 0,
            pages: Pages::default(),
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

    /// Sets how long entries live that nobody reads. The default is not to care about reads.
    ///
    /// Each read then moves the deadline to this time from now: `get`, `get_key_value`, `get_cloned`, `get_many`, the loads
    /// (`get_or_insert_with` and its like) and `entry`, if they find a live value. It is the one kind of read that writes:
    /// a compare-and-swap of the entry's deadline, at most once in a sixteenth of the idle time, whoever reads. So an
    /// entry lives at most for the idle time after its last read, and for more than 15/16 of it. All else leaves deadlines
    /// alone, as in moka and Caffeine: [`peek`](TtlMap::peek), `contains_key`, `ttl`, `deadline`, iterators, and verbs that
    /// change nothing, such as a `try_insert` that is refused. What had expired is never brought back. A read through a
    /// [pin](TtlMap::pin) counts as of the pin's time.
    ///
    /// With a [time to live](Builder::time_to_live), too, reads move no deadline past what that allows from the insert on:
    /// there it stays, to the nanosecond. Entries inserted with a time of their own (`insert_with_ttl`, `insert_at`,
    /// `insert_forever`) keep it, whether they are read or not. [`expire_in`](TtlMap::expire_in) and its like act at once;
    /// of other entries a later read may prolong it again. [`touch`](TtlMap::touch) does what a new insert would do to the
    /// deadline, and leaves the bound as it was.
    ///
    /// # Complexity
    ///
    /// An entry takes eight bytes more. A read that is about to move a deadline looks the key up twice.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{ManualClock, TtlMap};
    ///
    /// const MINUTE: Duration = Duration::from_secs(60);
    /// let clock = ManualClock::new();
    /// let sessions = TtlMap::builder().time_to_idle(30 * MINUTE).time_to_live(60 * MINUTE).clock(&clock).build();
    /// sessions.insert("alice", 1);
    /// clock.advance(25 * MINUTE);
    /// assert!(sessions.get("alice").is_some());
    /// clock.advance(25 * MINUTE);
    /// assert!(sessions.get("alice").is_some(), "it was read 25 minutes ago");
    /// clock.advance(10 * MINUTE);
    /// assert!(sessions.get("alice").is_none(), "the hour is over");
    /// ```
    pub fn time_to_idle(mut self, time_to_idle: Duration) -> Self {
        self.time_to_idle = Some(time_to_idle);
        self
    }

    /// Sets a policy, which says of each entry how long it lives: when it is inserted, replaced, touched, and read. It
    /// decides alone: a time to live or an idle time is not used then. See [`Expiry`]; a closure will do where reads don't
    /// matter.
    ///
    /// Entries inserted with a time of their own (`insert_with_ttl`, `insert_at`, `insert_forever`) keep it.
    ///
    /// # Complexity
    ///
    /// An entry takes eight bytes more. A read calls the policy; one that moves a deadline looks the key up twice.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{ManualClock, TtlMap};
    ///
    /// struct Record {
    ///     ttl: Option<u64>,
    /// }
    ///
    /// let clock = ManualClock::new();
    /// let map = TtlMap::builder()
    ///     .expiry(|_: &&str, record: &Record| record.ttl.map(Duration::from_secs))
    ///     .clock(&clock)
    ///     .build();
    /// map.insert("short", Record { ttl: Some(5) });
    /// map.insert("long", Record { ttl: None });
    /// clock.advance(Duration::from_secs(5));
    /// assert!(map.get("short").is_none());
    /// assert!(map.get("long").is_some());
    /// ```
    pub fn expiry(mut self, policy: impl Expiry<K, V> + 'static) -> Self {
        self.policy = Some(Policy::new(policy));
        self
    }

    /// Shortens each time to live by a random part of this share of it, so that what was inserted together doesn't expire
    /// together, to be computed anew by everyone at once. 0.1 is up to 10 %; nothing ever lives longer. Shares below 0 and
    /// above 1 count as those.
    ///
    /// It is for the times that the map gives: its time to live, and those of a policy when values are inserted or touched.
    /// Idle times, a policy's times at reads, and times that are given with an insert stay as they are. What decides is the
    /// key's hash and the time of the insert, so that by a [`ManualClock`](crate::ManualClock) and a fixed hasher it is the
    /// same each time.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{ManualClock, TtlMap};
    ///
    /// let clock = ManualClock::new();
    /// let map = TtlMap::builder().time_to_live(Duration::from_secs(100)).jitter(0.1).clock(&clock).build();
    /// (0..1000).for_each(|n| drop(map.insert(n, n)));
    /// clock.advance(Duration::from_secs(90) - Duration::from_nanos(1));
    /// assert_eq!(map.len(), 1000);
    /// clock.advance(Duration::from_secs(5));
    /// assert!((300..700).contains(&map.len()));
    /// clock.advance(Duration::from_secs(5) + Duration::from_nanos(1));
    /// assert_eq!(map.len(), 0);
    /// ```
    pub fn jitter(mut self, share: f64) -> Self {
        self.jitter = Jitter::new(share);
        self
    }

    /// Has a listener told of each entry that leaves the map: its key, its value, why it leaves, and when it was to expire.
    ///
    /// Each entry is told of exactly once, with one [cause](RemovalCause): what expires, what is replaced, what is removed, and
    /// what is in the map when that is cleared or dropped. Several listeners are told one after the other, in the order in
    /// which they were added.
    ///
    /// - **Where.** In the thread that unlinked the entry, before the call returns in which it did so, and outside of any lock.
    ///   What has expired leaves by whoever meets it: the upkeep of any write, a [`purge_expired`](TtlMap::purge_expired), a
    ///   [`Reaper`](crate::Reaper), but also a [`get`](TtlMap::get) of its key. A listener that takes long delays that call, holds up
    ///   the freeing of memory as a [pin](TtlMap::pin) does, and nobody else.
    /// - **When.** After the entry is unlinked, so it may be told of later than another thread sees the next value of the key. What
    ///   one thread unlinks is told of in that order. Between threads there is no order, also not for one key.
    /// - **It may use the map**, and others, at will: insert the key again, remove, get, clear. Listeners never run inside each
    ///   other: what leaves the map by what a listener does is told of when it has returned. The writes of a listener don't sweep
    ///   its map (or each would find more to tell of, without end); other maps they do. So the upkeep of a write stays within its
    ///   bounds, to which comes what the listener itself does for each entry. (One that answers each replacement by another, or
    ///   puts back at once what is over at once, gives itself work without end.)
    /// - **If it panics** the panic ends there and is counted ([`listener_panics`](TtlMap::listener_panics)); the other listeners are
    ///   told all the same, and so is this one the next time.
    /// - **At the map's drop** it is told of all that is left, as `Explicit`, or `Expired` if its time is over by then. The map can't
    ///   be reached any more: a [`Weak`](std::sync::Weak) to it fails. (A listener that owns an `Arc` of its own map keeps it
    ///   for ever.)
    ///
    /// # Complexity
    ///
    /// Maps without listeners pay a branch for each entry that leaves, and nothing on reads. With one, a sweep keeps what it
    /// has to tell of to its end: some 48 bytes for each entry, as many as its budget allows.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use std::time::Duration;
    /// use ttlwheel::{ManualClock, RemovalCause, TtlMap};
    ///
    /// let clock = ManualClock::new();
    /// let told = Arc::new(Mutex::new(Vec::new()));
    /// let teller = Arc::clone(&told);
    /// let map = TtlMap::builder()
    ///     .time_to_live(Duration::from_secs(60))
    ///     .on_removal(move |key: &&str, value: &u32, cause, _| teller.lock().unwrap().push((*key, *value, cause)))
    ///     .clock(&clock)
    ///     .build();
    /// map.insert("a", 1);
    /// map.insert("a", 2);
    /// map.insert("b", 3);
    /// map.remove("b");
    /// clock.advance(Duration::from_secs(60));
    /// assert!(map.get("a").is_none());
    /// map.insert("c", 4);
    /// drop(map);
    /// let expected = [
    ///     ("a", 1, RemovalCause::Replaced),
    ///     ("b", 3, RemovalCause::Explicit),
    ///     ("a", 2, RemovalCause::Expired),
    ///     ("c", 4, RemovalCause::Explicit),
    /// ];
    /// assert_eq!(*told.lock().unwrap(), expected);
    /// ```
    pub fn on_removal(mut self, listener: impl Fn(&K, &V, RemovalCause, &RemovalInfo) + Send + Sync + 'static) -> Self {
        self.listeners.push(listener);
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

    /// Sets where the table has its large arrays, those of 128 KiB and more (some 9,000 entries), and once it has had one, all
    /// of 1 KiB and more: see [`Pages`].
    ///
    /// The default, [`Pages::Mapped`], is apart from the allocator's memory, so that growth waits for no work of that one's on what
    /// others have freed; a global allocator that counts does not see such arrays. [`Pages::Allocator`] has all memory from it.
    ///
    /// [`Pages::Huge`] asks for huge pages where an array is of 8 MiB or more, so that fewer lookups of the processor's own go
    /// to memory. A hint: only Linux is asked, where its transparent huge pages are in mode `madvise` or `always`; where
    /// there are none left the table has usual ones. Not for who needs even writes, or makes much more room than he uses.
    ///
    /// # Complexity
    ///
    /// On huge pages at 4 M entries misses took 0.87 of the time, and hits 0.91. But a write that is the first to touch 2 MiB of the
    /// table zeroes all of them, which takes some 65 us, or 0.7 ms where a virtual machine's host must find them first; and they are
    /// resident from then on: a table in which few bins are used takes all of its size.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{Pages, TtlMap};
    ///
    /// let map = TtlMap::builder().time_to_live(Duration::from_secs(300)).pages(Pages::Huge).build();
    /// (0..400_000).for_each(|n| drop(map.insert(n, n)));
    /// assert_eq!(map.get_cloned(&399_999), Some(399_999));
    /// ```
    pub fn pages(mut self, pages: Pages) -> Self {
        self.pages = pages;
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
            time_to_idle: self.time_to_idle,
            policy: self.policy,
            jitter: self.jitter,
            listeners: self.listeners,
            initial_capacity: self.initial_capacity,
            pages: self.pages,
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
    /// The first map of a process registers that for barriers with the kernel, for which it may wait some 15 ms if other threads
    /// are running.
    ///
    /// ```
    /// let map: ttlwheel::TtlMap<u32, u32> = ttlwheel::TtlMap::builder().build();
    /// assert!(map.is_empty());
    /// ```
    pub fn build(self) -> TtlMap<K, V, S> {
        let clock = self.clock.unwrap_or_default();
        let do_reads_count = self.time_to_idle.is_some() || self.policy.is_some();
        TtlMap {
            form: if do_reads_count { Form::Bounded } else { Form::Plain },
            table: Table::with_capacity(self.initial_capacity, self.pages),
            // A coarse reading lags, and the first write would sweep what the wheel seems to have passed.
            wheel: Wheel::new(tick_at(clock.nanos())),
            counters: Counters::default(),
            garbage: Garbage::new(),
            alarm: Alarm::default(),
            emptied: crate::sync::Count::default(),
            flights: Flights::default(),
            leaving: Leaving::new(self.listeners),
            clock,
            hasher: self.hasher,
            time_to_live: self.time_to_live,
            time_to_idle: self.time_to_idle,
            policy: self.policy,
            jitter: self.jitter,
            _entries: PhantomData,
        }
    }
}
