//! The map through a pin, and the guard that a single call returns.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use std::rc::Rc;
use std::time::Duration;

use equivalent::Equivalent;

use super::{Inserted, Lifetime, Now, PinnedIter, TtlMap};
use crate::clock::{Deadline, NEVER};
use crate::entry::Entry;
use crate::garbage::Guard;
use crate::sync::RandomState;

/// A map while the thread is pinned: what is found through it is a plain reference, and each call is cheaper.
///
/// **Time.** Reads through one pin are judged at one reading of the clock: that of the moment when it was made, or of
/// the last write through it, or of the last read that had to look closer. Pin anew to read at a later time.
///
/// **What a held pin costs.** Nothing retired since it was made is freed, in any map of the process, until it is
/// dropped; [`TtlMap::retired_len`] shows how much waits. It delays nothing else: no call, by this thread or another,
/// waits for a pin, so none can deadlock by holding one. A pin that is forgotten delays freeing until the maps
/// concerned are dropped, which frees all the same.
///
/// ```
/// use std::time::Duration;
/// use ttlwheel::{ManualClock, TtlMap};
///
/// let clock = ManualClock::new();
/// let map = TtlMap::builder().time_to_live(Duration::from_secs(1)).clock(&clock).build();
/// map.insert("a", 1);
/// let pinned = map.pin();
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(pinned.get("a"), Some(&1), "as of the pin");
/// assert_eq!(map.pin().get("a"), None);
/// ```
pub struct Pinned<'m, K, V, S = RandomState> {
    pub(super) map: &'m TtlMap<K, V, S>,
    pub(super) now: Now<'m>,
    pub(super) guard: Guard,
}

impl<'m, K, V, S> Pinned<'m, K, V, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    #[inline(always)]
    pub(super) fn new(map: &'m TtlMap<K, V, S>, guard: Guard) -> Self {
        Pinned { map, now: Now::new(&map.clock), guard }
    }

    #[inline]
    pub(super) fn find<Q>(&self, key: &Q) -> Option<&Entry<K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.map.find_live(key, &self.now, &self.guard).ok().map(|(entry, _)| entry)
    }

    /// As [`find`](Self::find), for a read that moves deadlines where there is an idle time.
    #[inline]
    pub(super) fn read_entry<Q>(&self, key: &Q) -> Option<&Entry<K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.map.read_pinned(key, &self.now, &self.guard)
    }

    pub(super) fn put(&self, key: K, value: V, lifetime: Lifetime) -> Inserted<&Entry<K, V>> {
        self.map.put(key, value, lifetime, &self.now, &self.guard)
    }

    pub(super) fn take<Q>(&self, key: &Q) -> Option<&Entry<K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.map.take_if(key, |_| true, &self.now, &self.guard)
    }

    /// A found entry under the pin's own guard.
    pub(super) fn into_ref(self, entry: NonNull<Entry<K, V>>) -> Ref<'m, K, V> {
        Ref::new(entry, Hold::Own(self.guard))
    }

    /// Returns the live value of a key.
    ///
    /// Linearizable; a live entry's read writes nothing to the map, unless that has an idle time
    /// ([`Builder::time_to_idle`](crate::Builder::time_to_idle)). An expired entry reads as absent, and may be unlinked on
    /// the way; then [listeners](crate::Builder::on_removal) are told of it in this call.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a".to_string(), 1);
    /// assert_eq!(map.pin().get("a"), Some(&1));
    /// assert_eq!(map.pin().get("b"), None);
    /// ```
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.read_entry(key).map(|entry| &entry.value)
    }

    /// Returns the live value of a key with the key as it is stored.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a".to_string(), 1);
    /// assert_eq!(map.pin().get_key_value("a"), Some((&"a".to_string(), &1)));
    /// ```
    #[inline]
    pub fn get_key_value<Q>(&self, key: &Q) -> Option<(&K, &V)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.read_entry(key).map(|entry| (&entry.key, &entry.value))
    }

    /// As [`get`](Pinned::get), but it never moves a deadline: where there is an idle time, the value goes on being idle.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{ManualClock, TtlMap};
    ///
    /// let clock = ManualClock::new();
    /// let map = TtlMap::builder().time_to_idle(Duration::from_secs(60)).clock(&clock).build();
    /// map.insert("a", 1);
    /// clock.advance(Duration::from_secs(59));
    /// assert_eq!(map.pin().peek("a"), Some(&1));
    /// clock.advance(Duration::from_secs(1));
    /// assert_eq!(map.pin().peek("a"), None);
    /// ```
    #[inline]
    pub fn peek<Q>(&self, key: &Q) -> Option<&V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.find(key).map(|entry| &entry.value)
    }

    /// Says whether a key has a live value. Does not count as a read of it, where there is an idle time.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert(1, 1);
    /// assert!(map.pin().contains_key(&1));
    /// ```
    #[inline]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.find(key).is_some()
    }

    /// Gets many values at once, in the order of the keys, and hands each to `each` with its key: None if it is absent.
    ///
    /// Where a map is larger than the caches this takes a fraction of the time of as many gets: what they wait for is
    /// fetched for all of them together, some thirty at a time. All are judged at one reading of the clock, the pin's; each
    /// is linearizable, the batch is not one operation. `each` may use the map.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// (0..100).for_each(|n| drop(map.insert(n, n * n)));
    /// let mut found = Vec::new();
    /// let pinned = map.pin();
    /// pinned.get_many(&[3, 300, 4], |_, value| found.push(value.copied()));
    /// assert_eq!(found, [Some(9), None, Some(16)]);
    /// ```
    pub fn get_many<'p, 'k, Q>(&'p self, keys: impl IntoIterator<Item = &'k Q>, each: impl FnMut(&'k Q, Option<&'p V>))
    where
        Q: Hash + Equivalent<K> + ?Sized + 'k,
    {
        self.map.find_many(keys, &self.now, &self.guard, each);
    }

    /// Inserts a value that lives for the map's time to live.
    ///
    /// If the key is there, key and value are replaced by the new ones; the old value stays readable while this pin
    /// lasts. Linearizable. Pays a constant amount of upkeep, which may run destructors of other entries.
    ///
    /// # Complexity
    ///
    /// Constant, whatever the table is doing, but for keys of equal hashes.
    ///
    /// ```
    /// use ttlwheel::Inserted;
    ///
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let pinned = map.pin();
    /// assert_eq!(pinned.insert("a", 1), Inserted::New);
    /// assert_eq!(pinned.insert("a", 2), Inserted::Replaced(&1));
    /// ```
    pub fn insert(&self, key: K, value: V) -> Inserted<&V> {
        self.put(key, value, Lifetime::OfMap).map(|old| &old.value)
    }

    /// Inserts a value that lives for `ttl` from now: zero is over at once, what overflows the clock never ends.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let map = ttlwheel::TtlMap::new(Duration::from_secs(60));
    /// let pinned = map.pin();
    /// pinned.insert_with_ttl("a", 1, Duration::from_secs(3600));
    /// pinned.insert_with_ttl("b", 2, Duration::ZERO);
    /// assert_eq!((pinned.get("a"), pinned.get("b")), (Some(&1), None));
    /// ```
    pub fn insert_with_ttl(&self, key: K, value: V, ttl: Duration) -> Inserted<&V> {
        self.put(key, value, Lifetime::For(ttl)).map(|old| &old.value)
    }

    /// Inserts a value that lives until `deadline` on the map's clock: an [`Instant`](std::time::Instant), or a
    /// [`Deadline`]. A deadline that has passed is no error; the value is over at once.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let map = ttlwheel::TtlMap::new(Duration::from_secs(60));
    /// let pinned = map.pin();
    /// pinned.insert_at("a", 1, map.clock().now() + Duration::from_secs(5));
    /// pinned.insert_at("b", 2, map.clock().now());
    /// assert_eq!((pinned.get("a"), pinned.get("b")), (Some(&1), None));
    /// ```
    pub fn insert_at(&self, key: K, value: V, deadline: impl Into<Deadline>) -> Inserted<&V> {
        self.put(key, value, self.map.until(deadline.into())).map(|old| &old.value)
    }

    /// Inserts a value that doesn't expire.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let map = ttlwheel::TtlMap::new(Duration::ZERO);
    /// let pinned = map.pin();
    /// pinned.insert_forever("a", 1);
    /// assert_eq!(pinned.ttl("a"), Some(Duration::MAX));
    /// ```
    pub fn insert_forever(&self, key: K, value: V) -> Inserted<&V> {
        self.put(key, value, Lifetime::Forever).map(|old| &old.value)
    }

    /// Removes a key; returns its value if that was live. What had expired leaves too, but wasn't there.
    ///
    /// Linearizable. Pays a constant amount of upkeep, as [`insert`](Pinned::insert) does.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// let pinned = map.pin();
    /// assert_eq!(pinned.remove("a"), Some(&1));
    /// assert_eq!(pinned.remove("a"), None);
    /// ```
    pub fn remove<Q>(&self, key: &Q) -> Option<&V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.take(key).map(|entry| &entry.value)
    }

    /// As [`remove`](Pinned::remove), with the key as it was stored.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// assert_eq!(map.pin().remove_entry("a"), Some((&"a", &1)));
    /// ```
    pub fn remove_entry<Q>(&self, key: &Q) -> Option<(&K, &V)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.take(key).map(|entry| (&entry.key, &entry.value))
    }

    /// Returns how long a key's value will live from now on; [`Duration::MAX`] if for ever.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{ManualClock, TtlMap};
    ///
    /// let clock = ManualClock::new();
    /// let map = TtlMap::builder().time_to_live(Duration::from_secs(60)).clock(&clock).build();
    /// map.insert("a", 1);
    /// clock.advance(Duration::from_secs(20));
    /// assert_eq!(map.pin().ttl("a"), Some(Duration::from_secs(40)));
    /// assert_eq!(map.pin().ttl("b"), None);
    /// ```
    pub fn ttl<Q>(&self, key: &Q) -> Option<Duration>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let now = self.now.exactly();
        match self.map.find_live(key, &self.now, &self.guard).ok()?.1.deadline() {
            NEVER => Some(Duration::MAX),
            deadline => Some(Duration::from_nanos(deadline.saturating_sub(now.floor()))),
        }
    }

    /// Returns when a key's value expires, on the map's clock.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use ttlwheel::Deadline;
    ///
    /// let map = ttlwheel::TtlMap::new(Duration::from_secs(60));
    /// let end = Instant::now() + Duration::from_secs(5);
    /// map.insert_at("a", 1, end);
    /// assert_eq!(map.pin().deadline("a"), Some(Deadline::At(end)));
    /// ```
    pub fn deadline<Q>(&self, key: &Q) -> Option<Deadline>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let (_, stamp) = self.map.find_live(key, &self.now, &self.guard).ok()?;
        Some(self.map.clock.deadline(stamp.deadline()))
    }

    /// Walks over the entries that are live now, in no order, as of one instant: that of this call.
    ///
    /// Each entry that is there all the time is met exactly once. Entries that come, go or are replaced meanwhile may
    /// be met or not; none is met that has expired by the instant of the call.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// map.insert("b", 2);
    /// let sum: i32 = map.pin().iter().map(|(_, value)| value).sum();
    /// assert_eq!(sum, 3);
    /// ```
    pub fn iter(&self) -> PinnedIter<'_, K, V, S> {
        PinnedIter::new(self.map, &self.guard)
    }

    /// Counts the entries that are live now, one by one; see [`TtlMap::len`].
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// assert_eq!(map.pin().len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Says whether no entry is live now.
    ///
    /// ```
    /// let map: ttlwheel::TtlMap<u32, u32> = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// assert!(map.pin().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl<K, V, S> fmt::Debug for Pinned<'_, K, V, S>
where
    K: Hash + Eq + fmt::Debug,
    V: fmt::Debug,
    S: BuildHasher,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// A value found in a map, kept readable by a guard of its own.
///
/// It costs what a held pin costs ([`Pinned`]): while it lives nothing retired since is freed. The value stays as it
/// was found, also if it expires, is replaced or removed meanwhile.
///
/// ```
/// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
/// map.insert("a", "one".to_string());
/// let found = map.get("a").unwrap();
/// map.remove("a");
/// assert_eq!(found.len(), 3);
/// assert_eq!((*found.key(), found.value().as_str()), ("a", "one"));
/// ```
pub struct Ref<'m, K, V> {
    /// Not a reference: it may not be claimed to be good until the very end of the guard's drop.
    entry: NonNull<Entry<K, V>>,
    _guard: Hold,
    _map: PhantomData<&'m Entry<K, V>>,
}

/// What keeps a found entry from being freed: the guard under which it was found, or a share in it.
pub(super) enum Hold {
    Own(#[allow(dead_code, reason = "held for its drop")] Guard),
    Shared(#[allow(dead_code, reason = "held for its drop")] Rc<Guard>),
}

impl<'m, K, V> Ref<'m, K, V> {
    /// A reference to an entry that was found under this very guard.
    #[inline]
    pub(super) fn new(entry: NonNull<Entry<K, V>>, guard: Hold) -> Self {
        Ref { entry, _guard: guard, _map: PhantomData }
    }

    #[inline]
    fn entry(&self) -> &Entry<K, V> {
        // SAFETY: found under the guard, which is still held; the map outlives both.
        unsafe { self.entry.as_ref() }
    }

    /// The key as it is stored.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// assert_eq!(*map.get("a").unwrap().key(), "a");
    /// ```
    #[inline]
    pub fn key(&self) -> &K {
        &self.entry().key
    }

    /// The value.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// assert_eq!(*map.get("a").unwrap().value(), 1);
    /// ```
    #[inline]
    pub fn value(&self) -> &V {
        &self.entry().value
    }
}

impl<K, V> Deref for Ref<'_, K, V> {
    type Target = V;

    #[inline]
    fn deref(&self) -> &V {
        self.value()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Ref<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ref").field("key", self.key()).field("value", self.value()).finish()
    }
}
