//! The verbs of the whole map: each judges as of one instant, and none shows an entry that has lapsed by then.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use crate::map::iter::Entries;
use crate::map::sweep::Upkeep;
use crate::map::{Now, Pinned, RemovalCause, TtlMap, judge};

impl<K: Hash + Eq, V, S: BuildHasher> Pinned<'_, K, V, S> {
    /// Walks over the keys that have a live value now; see [`iter`](Pinned::iter).
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// map.insert_with_ttl("b", 2, std::time::Duration::ZERO);
    /// assert_eq!(map.pin().keys().collect::<Vec<_>>(), [&"a"]);
    /// ```
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// Walks over the values that are live now; see [`iter`](Pinned::iter).
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// map.insert("b", 2);
    /// assert_eq!(map.pin().values().sum::<i32>(), 3);
    /// ```
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Removes the entries of which `keep` says no; see [`TtlMap::retain`].
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// let pinned = map.pin();
    /// pinned.retain(|_, value| *value > 1);
    /// assert!(pinned.is_empty());
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool) {
        let now = Now::exact(&self.map.clock);
        let upkeep = Upkeep { map: self.map, guard: &self.guard };
        for found in Entries::new(self.map, &self.guard) {
            let entry = found.entry();
            let judged = judge(entry, &now);
            let stays = judged.is_some() && keep(&entry.key, &entry.value);
            if !stays && upkeep.unlink(found, RemovalCause::Explicit.unless_lapsed(judged)) {
                upkeep.pay(&now);
            }
        }
        self.map.table.shrink_if_due(0, || self.map.wheel.is_idle(), &self.guard);
    }

    /// Clones the entries that are live now into a [`HashMap`] with the same hasher; see [`TtlMap::clone_into_hash_map`].
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// assert_eq!(map.pin().clone_into_hash_map()["a"], 1);
    /// ```
    pub fn clone_into_hash_map(&self) -> HashMap<K, V, S>
    where
        K: Clone,
        V: Clone,
        S: Clone,
    {
        let mut clones = HashMap::with_hasher(self.map.hasher.clone());
        clones.extend(self.iter().map(|(key, value)| (key.clone(), value.clone())));
        clones
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> TtlMap<K, V, S> {
    /// Removes the entries of which `keep` says no, and those that have expired.
    ///
    /// As of one instant: `keep` is asked of what is live at the call. Each entry that is there all the time is asked about
    /// once; those that come meanwhile may be asked about or stay, and a value that was replaced since it was asked about
    /// stays. `keep` runs outside of any lock and may use the map; if it panics, what it has not been asked about stays.
    ///
    /// # Complexity
    ///
    /// In proportion to the table. It holds nobody up.
    ///
    /// ```
    /// let map: ttlwheel::TtlMap<u32, u32> = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// (0..10).for_each(|n| drop(map.insert(n, n * n)));
    /// map.retain(|key, _| key % 2 == 0);
    /// assert_eq!(map.len(), 5);
    /// ```
    pub fn retain(&self, keep: impl FnMut(&K, &V) -> bool) {
        self.pin().retain(keep);
    }

    /// Clones the entries that are live now into a [`HashMap`] with the same hasher, as of one instant.
    ///
    /// What it holds are the entries alone, without their deadlines. See [`Pinned::iter`] for what it may hold of entries
    /// that come and go meanwhile.
    ///
    /// # Complexity
    ///
    /// In proportion to the table. It holds nobody up.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// map.insert_with_ttl("b", 2, std::time::Duration::ZERO);
    /// let clones = map.clone_into_hash_map();
    /// assert_eq!((clones.len(), clones["a"]), (1, 1));
    /// ```
    pub fn clone_into_hash_map(&self) -> HashMap<K, V, S>
    where
        K: Clone,
        V: Clone,
        S: Clone,
    {
        self.pin().clone_into_hash_map()
    }
}

/// Inserts each pair, for the map's time to live.
///
/// ```
/// let mut map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
/// map.extend([("a", 1), ("b", 2)]);
/// assert_eq!(map.len(), 2);
/// ```
impl<K: Hash + Eq, V, S: BuildHasher> Extend<(K, V)> for TtlMap<K, V, S> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        (&*self).extend(pairs);
    }
}

/// Inserts each pair, for the map's time to live; a shared map will do.
///
/// ```
/// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
/// (&map).extend([("a", 1), ("b", 2)]);
/// assert_eq!(map.len(), 2);
/// ```
impl<K: Hash + Eq, V, S: BuildHasher> Extend<(K, V)> for &TtlMap<K, V, S> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        pairs.into_iter().for_each(|(key, value)| drop(self.insert(key, value)));
    }
}

/// Inserts each pair, for the time to live that comes with it.
///
/// ```
/// use std::time::Duration;
///
/// let mut map = ttlwheel::TtlMap::new(Duration::from_secs(60));
/// map.extend([("a", 1, Duration::from_secs(5)), ("b", 2, Duration::ZERO)]);
/// assert_eq!(map.len(), 1);
/// ```
impl<K: Hash + Eq, V, S: BuildHasher> Extend<(K, V, Duration)> for TtlMap<K, V, S> {
    fn extend<I: IntoIterator<Item = (K, V, Duration)>>(&mut self, entries: I) {
        (&*self).extend(entries);
    }
}

/// Inserts each pair, for the time to live that comes with it; a shared map will do.
///
/// ```
/// use std::time::Duration;
///
/// let map = ttlwheel::TtlMap::new(Duration::from_secs(60));
/// (&map).extend([("a", 1, Duration::from_secs(5))]);
/// assert!(map.ttl("a").unwrap() <= Duration::from_secs(5));
/// ```
impl<K: Hash + Eq, V, S: BuildHasher> Extend<(K, V, Duration)> for &TtlMap<K, V, S> {
    fn extend<I: IntoIterator<Item = (K, V, Duration)>>(&mut self, entries: I) {
        entries.into_iter().for_each(|(key, value, ttl)| drop(self.insert_with_ttl(key, value, ttl)));
    }
}

/// Makes a map of entries that each bring their time to live; what is inserted into it later never expires unless it
/// does so, too, as with [`TtlMap::builder`]. For a time to live of the whole map: build it, then `extend` it.
///
/// ```
/// use std::time::Duration;
/// use ttlwheel::TtlMap;
///
/// let map: TtlMap<_, _> = [("a", 1, Duration::from_secs(60)), ("b", 2, Duration::ZERO)].into_iter().collect();
/// assert_eq!((map.get_cloned("a"), map.get_cloned("b")), (Some(1), None));
/// ```
impl<K: Hash + Eq, V, S: BuildHasher + Default> FromIterator<(K, V, Duration)> for TtlMap<K, V, S> {
    fn from_iter<I: IntoIterator<Item = (K, V, Duration)>>(entries: I) -> Self {
        let mut map = TtlMap::<K, V>::builder().hasher(S::default()).build();
        map.extend(entries);
        map
    }
}
