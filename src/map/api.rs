//! The verbs on the map itself: each pins, does what [`Pinned`] does, and hands out guards.

use std::hash::{BuildHasher, Hash};
use std::ptr::NonNull;
use std::time::Duration;

use equivalent::Equivalent;

use super::iter::Entries;
use super::pinned::Hold;
use super::{Builder, Inserted, Iter, Lifetime, Now, Pinned, Ref, TtlMap};
use crate::clock::{Clock, Deadline};
use crate::garbage::pin;
use crate::sync::RandomState;

impl<K, V> TtlMap<K, V, RandomState> {
    /// Makes an empty map whose entries live for `time_to_live` unless inserted otherwise.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// assert!(map.contains_key("a"));
    /// ```
    pub fn new(time_to_live: Duration) -> Self {
        TtlMap::builder().time_to_live(time_to_live).build()
    }

    /// Starts to make a map with other settings.
    ///
    /// ```
    /// use ttlwheel::{Clock, TtlMap};
    ///
    /// let map: TtlMap<u32, u32> = TtlMap::builder().initial_capacity(100).clock(Clock::boot_time()).build();
    /// assert!(map.capacity() >= 100);
    /// ```
    pub fn builder() -> Builder<K, V> {
        Builder::new()
    }
}

impl<K, V, S> TtlMap<K, V, S> {
    /// Makes an empty map with a hasher of yours; see [`Builder::hasher`].
    ///
    /// ```
    /// use std::hash::{BuildHasherDefault, DefaultHasher};
    /// use std::time::Duration;
    /// use ttlwheel::TtlMap;
    ///
    /// let map = TtlMap::with_hasher(Duration::from_secs(60), BuildHasherDefault::<DefaultHasher>::new());
    /// map.insert(1, "one");
    /// assert_eq!(map.get_cloned(&1), Some("one"));
    /// ```
    pub fn with_hasher(time_to_live: Duration, hasher: S) -> Self {
        TtlMap::<K, V>::builder().time_to_live(time_to_live).hasher(hasher).build()
    }

    /// The clock that the map judges by.
    ///
    /// ```
    /// let map: ttlwheel::TtlMap<u32, u32> = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// assert!(map.clock().now() <= std::time::Instant::now());
    /// ```
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The hasher.
    ///
    /// ```
    /// use std::hash::BuildHasher;
    ///
    /// let map: ttlwheel::TtlMap<u32, u32> = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// assert_eq!(map.hasher().hash_one(1), map.hasher().hash_one(1));
    /// ```
    pub fn hasher(&self) -> &S {
        &self.hasher
    }

    /// The time that entries live unless inserted otherwise; None is for ever.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let map: ttlwheel::TtlMap<u32, u32> = ttlwheel::TtlMap::new(Duration::from_secs(60));
    /// assert_eq!(map.time_to_live(), Some(Duration::from_secs(60)));
    /// ```
    pub fn time_to_live(&self) -> Option<Duration> {
        self.time_to_live
    }

    /// The time that entries live without being read; see [`Builder::time_to_idle`]. None if reads don't matter.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let map: ttlwheel::TtlMap<u32, u32> = ttlwheel::TtlMap::builder().time_to_idle(Duration::from_secs(60)).build();
    /// assert_eq!(map.time_to_idle(), Some(Duration::from_secs(60)));
    /// ```
    pub fn time_to_idle(&self) -> Option<Duration> {
        self.time_to_idle
    }

    /// About how many entries fit before the table grows.
    ///
    /// ```
    /// let map: ttlwheel::TtlMap<u32, u32> = ttlwheel::TtlMap::builder().initial_capacity(5000).build();
    /// assert!(map.capacity() >= 5000);
    /// ```
    pub fn capacity(&self) -> usize {
        self.table.capacity(&pin())
    }

    /// About how many things (entries, and now and then a piece of the table) were unlinked and wait to be freed:
    /// for readers that are pinned, or for the next writes.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// let found = map.get("a");
    /// map.remove("a");
    /// assert_eq!(map.retired_len(), 1);
    /// ```
    pub fn retired_len(&self) -> usize {
        self.garbage.len()
    }

    pub(super) fn until(&self, deadline: Deadline) -> Lifetime {
        match deadline {
            Deadline::At(instant) => Lifetime::Until(self.clock.deadline_at(instant)),
            Deadline::Never => Lifetime::Forever,
        }
    }
}

impl<K, V, S> TtlMap<K, V, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    /// Pins the thread, for a run of calls; see [`Pinned`].
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let pinned = map.pin();
    /// pinned.insert("a", 1);
    /// assert_eq!(pinned.get("a"), Some(&1));
    /// ```
    #[inline]
    pub fn pin(&self) -> Pinned<'_, K, V, S> {
        Pinned::new(self, pin())
    }

    /// The hash of a key whose bin is being fetched from then on: called before the pin and the look at the clock.
    #[inline]
    fn hash_early<Q>(&self, key: &Q) -> u64
    where
        Q: Hash + ?Sized,
    {
        let hash = self.hash(key);
        self.table.prefetch_unpinned(hash);
        hash
    }

    /// Returns the live value of a key, under a guard; see [`Pinned::get`].
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// assert_eq!(map.get("a").as_deref(), Some(&1));
    /// ```
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<Ref<'_, K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.read_once(key, |found| found)
    }

    /// Returns the live value of a key, under a guard, without moving its deadline; see [`Pinned::peek`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{ManualClock, TtlMap};
    ///
    /// let clock = ManualClock::new();
    /// let map = TtlMap::builder().time_to_idle(Duration::from_secs(60)).clock(&clock).build();
    /// map.insert("a", 1);
    /// clock.advance(Duration::from_secs(30));
    /// assert_eq!(map.peek("a").as_deref(), Some(&1));
    /// assert_eq!(map.ttl("a"), Some(Duration::from_secs(30)));
    /// ```
    #[inline]
    pub fn peek<Q>(&self, key: &Q) -> Option<Ref<'_, K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.find_once(key, |found| found)
    }

    /// Returns the live value of a key, under a guard that also shows the key as it is stored.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a".to_string(), 1);
    /// assert_eq!(map.get_key_value("a").unwrap().key(), "a");
    /// ```
    pub fn get_key_value<Q>(&self, key: &Q) -> Option<Ref<'_, K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.get(key)
    }

    /// Returns a clone of the live value of a key.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", "one".to_string());
    /// assert_eq!(map.get_cloned("a"), Some("one".to_string()));
    /// ```
    #[inline]
    pub fn get_cloned<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Clone,
    {
        self.read_once(key, |found| found.value().clone())
    }

    /// Calls a function with the live value of a key, and returns what it returns; see [`Pinned::get`].
    ///
    /// The value is neither cloned nor kept. The thread is pinned until `then` returns: nothing retired meanwhile is freed, see
    /// [`Pinned`]. `then` may use the map, and its panic leaves it as after any read.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", "one".to_string());
    /// assert_eq!(map.read("a", |value| value.len()), Some(3));
    /// assert_eq!(map.read("b", |value| value.len()), None);
    /// ```
    #[inline]
    pub fn read<Q, R>(&self, key: &Q, then: impl FnOnce(&V) -> R) -> Option<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.read_once(key, |found| then(found.value()))
    }

    /// Says whether a key has a live value.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert(1, 1);
    /// assert!(map.contains_key(&1));
    /// ```
    #[inline]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.find_once(key, |_| ()).is_some()
    }

    /// Gets many values at once, in the order of the keys, and hands each to `each` with its key; see
    /// [`Pinned::get_many`].
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// (0..100).for_each(|n| drop(map.insert(n, n * n)));
    /// let mut sum = 0;
    /// map.get_many(&[3, 300, 4], |_, value| sum += value.unwrap_or(&0));
    /// assert_eq!(sum, 25);
    /// ```
    pub fn get_many<'k, Q>(&self, keys: impl IntoIterator<Item = &'k Q>, each: impl FnMut(&'k Q, Option<&V>))
    where
        Q: Hash + Equivalent<K> + ?Sized + 'k,
    {
        self.pin().get_many(keys, each);
    }

    /// Inserts a value that lives for the map's time to live; see [`Pinned::insert`].
    ///
    /// ```
    /// use ttlwheel::Inserted;
    ///
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// assert_eq!(map.insert("a", 2).replaced().as_deref(), Some(&1));
    /// ```
    pub fn insert(&self, key: K, value: V) -> Inserted<Ref<'_, K, V>> {
        self.put_ref(key, value, Lifetime::OfMap)
    }

    /// Inserts a value that lives for `ttl`; see [`Pinned::insert_with_ttl`].
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let map = ttlwheel::TtlMap::new(Duration::from_secs(60));
    /// map.insert_with_ttl("a", 1, Duration::ZERO);
    /// assert!(!map.contains_key("a"));
    /// ```
    pub fn insert_with_ttl(&self, key: K, value: V, ttl: Duration) -> Inserted<Ref<'_, K, V>> {
        self.put_ref(key, value, Lifetime::For(ttl))
    }

    /// Inserts a value that lives until `deadline`; see [`Pinned::insert_at`].
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let map = ttlwheel::TtlMap::new(Duration::ZERO);
    /// map.insert_at("a", 1, map.clock().now() + Duration::from_secs(5));
    /// assert!(map.contains_key("a"));
    /// ```
    pub fn insert_at(&self, key: K, value: V, deadline: impl Into<Deadline>) -> Inserted<Ref<'_, K, V>> {
        self.put_ref(key, value, self.until(deadline.into()))
    }

    /// Inserts a value that doesn't expire.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let map = ttlwheel::TtlMap::new(Duration::ZERO);
    /// map.insert_forever("a", 1);
    /// assert!(map.contains_key("a"));
    /// ```
    pub fn insert_forever(&self, key: K, value: V) -> Inserted<Ref<'_, K, V>> {
        self.put_ref(key, value, Lifetime::Forever)
    }

    pub(super) fn put_ref(&self, key: K, value: V, lifetime: Lifetime) -> Inserted<Ref<'_, K, V>> {
        let hash = self.hash_early(&key);
        let (guard, now) = (pin(), Now::unread(&self.clock));
        let outcome = self.put_hashed(hash, key, value, lifetime, &now, &guard).map(NonNull::from);
        outcome.map(|old| Ref::new(old, Hold::Own(guard)))
    }

    /// Removes a key; returns its value if that was live. See [`Pinned::remove`].
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// assert_eq!(map.remove("a").as_deref(), Some(&1));
    /// assert!(map.remove("a").is_none());
    /// ```
    pub fn remove<Q>(&self, key: &Q) -> Option<Ref<'_, K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hash = self.hash_early(key);
        let (guard, now) = (pin(), Now::unread(&self.clock));
        let entry = NonNull::from(self.take_hashed(hash, key, |_| true, &now, &guard)?);
        Some(Ref::new(entry, Hold::Own(guard)))
    }

    /// As [`remove`](TtlMap::remove): the guard also shows the key as it was stored.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a".to_string(), 1);
    /// let removed = map.remove_entry("a").unwrap();
    /// assert_eq!((removed.key().as_str(), *removed.value()), ("a", 1));
    /// ```
    pub fn remove_entry<Q>(&self, key: &Q) -> Option<Ref<'_, K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.remove(key)
    }

    /// Returns how long a key's value will live from now on; [`Duration::MAX`] if for ever.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let map = ttlwheel::TtlMap::new(Duration::from_secs(60));
    /// map.insert("a", 1);
    /// assert!(map.ttl("a").is_some_and(|ttl| ttl <= Duration::from_secs(60)));
    /// ```
    pub fn ttl<Q>(&self, key: &Q) -> Option<Duration>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.pin().ttl(key)
    }

    /// Returns when a key's value expires, on the map's clock.
    ///
    /// ```
    /// use ttlwheel::Deadline;
    ///
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert_forever("a", 1);
    /// assert_eq!(map.deadline("a"), Some(Deadline::Never));
    /// ```
    pub fn deadline<Q>(&self, key: &Q) -> Option<Deadline>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.pin().deadline(key)
    }

    /// Walks over the entries that are live now, each under a guard of its own; see [`Pinned::iter`].
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// map.insert("b", 2);
    /// let mut keys: Vec<_> = map.iter().map(|found| *found.key()).collect();
    /// keys.sort();
    /// assert_eq!(keys, ["a", "b"]);
    /// ```
    pub fn iter(&self) -> Iter<'_, K, V, S> {
        Iter::new(self)
    }

    /// Counts the entries that are live now, as of one instant.
    ///
    /// # Complexity
    ///
    /// In proportion to the table: every entry is looked at, as nobody else knows which have expired. See
    /// [`stored_len`](TtlMap::stored_len) for what occupies memory.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// map.insert_with_ttl("b", 2, std::time::Duration::ZERO);
    /// assert_eq!((map.len(), map.stored_len()), (1, 2));
    /// ```
    pub fn len(&self) -> usize {
        self.pin().len()
    }

    /// Counts the entries that occupy memory in the table: the live ones, and those that expired and were not removed
    /// yet. What is out of the table and waits for readers is counted by [`retired_len`](TtlMap::retired_len).
    ///
    /// # Complexity
    ///
    /// In proportion to the table.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::ZERO);
    /// map.insert("a", 1);
    /// assert_eq!((map.len(), map.stored_len()), (0, 1));
    /// ```
    pub fn stored_len(&self) -> usize {
        Entries::new(self, &pin()).count()
    }

    /// Says whether no entry is live now.
    ///
    /// # Complexity
    ///
    /// In proportion to the buckets and expired entries before the first live one.
    ///
    /// ```
    /// let map: ttlwheel::TtlMap<u32, u32> = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// assert!(map.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.pin().is_empty()
    }

    /// Removes every entry, live or not, that is there when the call begins. Others may insert meanwhile; what they
    /// insert may be removed or stay.
    ///
    /// # Complexity
    ///
    /// In proportion to the table. It holds nobody up.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// map.clear();
    /// assert!(map.is_empty());
    /// assert_eq!(map.stored_len(), 0);
    /// ```
    pub fn clear(&self) {
        self.remove_all();
    }
}
