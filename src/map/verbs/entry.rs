//! An entry API in the shape of std's: look at a key once, then act on what was seen.

use std::fmt;
use std::hash::{BuildHasher, Hash};

use super::alter::{Altered, Step};
use super::conditional::NotInserted;
use crate::entry::Entry;
use crate::map::{Lifetime, Pinned};

#[cfg(doc)]
use std::collections::hash_map;

/// What a key had when it was looked at: a live value or none; see [`Pinned::entry`].
///
/// It locks nothing: others may change the key at any time. Each verb says what it does then.
///
/// ```
/// use ttlwheel::MapEntry;
///
/// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
/// map.insert("a", 1);
/// let pinned = map.pin();
/// assert!(matches!(pinned.entry("a"), MapEntry::Occupied(seen) if seen.get() == &1));
/// assert!(matches!(pinned.entry("b"), MapEntry::Vacant(_)));
/// ```
pub enum MapEntry<'p, 'm, K, V, S> {
    /// The key had a live value.
    Occupied(OccupiedEntry<'p, 'm, K, V, S>),
    /// The key had no live value.
    Vacant(VacantEntry<'p, 'm, K, V, S>),
}

/// A live value that a key had when it was looked at; part of [`MapEntry`].
pub struct OccupiedEntry<'p, 'm, K, V, S> {
    pinned: &'p Pinned<'m, K, V, S>,
    key: K,
    found: &'p Entry<K, V>,
}

/// A key that had no live value when it was looked at; part of [`MapEntry`].
pub struct VacantEntry<'p, 'm, K, V, S> {
    pinned: &'p Pinned<'m, K, V, S>,
    key: K,
}

impl<'m, K: Hash + Eq, V, S: BuildHasher> Pinned<'m, K, V, S> {
    /// Looks at a key, to act on what it has.
    ///
    /// As [`HashMap::entry`](std::collections::HashMap::entry), but nobody is kept from the key meanwhile, and values
    /// are replaced, never changed in place. The look is one atomic step, and each verb that acts on it is another, which
    /// succeeds only if the key still has what was seen, or says what it does otherwise.
    ///
    /// On the pin alone: what is found is handed out as plain references.
    ///
    /// ```
    /// use ttlwheel::MapEntry;
    ///
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let pinned = map.pin();
    /// assert_eq!(pinned.entry("a").or_insert(1), &1);
    /// assert_eq!(pinned.entry("a").or_insert(2), &1);
    /// match pinned.entry("a") {
    ///     MapEntry::Occupied(seen) => assert_eq!(seen.remove().ok(), Some(&1)),
    ///     MapEntry::Vacant(_) => unreachable!(),
    /// }
    /// ```
    pub fn entry(&self, key: K) -> MapEntry<'_, 'm, K, V, S> {
        match self.read_entry(&key) {
            Some(found) => MapEntry::Occupied(OccupiedEntry { pinned: self, key, found }),
            None => MapEntry::Vacant(VacantEntry { pinned: self, key }),
        }
    }
}

impl<'p, 'm, K: Hash + Eq, V, S: BuildHasher> MapEntry<'p, 'm, K, V, S> {
    fn seen(pinned: &'p Pinned<'m, K, V, S>, key: K, found: Option<&'p Entry<K, V>>) -> Self {
        match found {
            Some(found) => MapEntry::Occupied(OccupiedEntry { pinned, key, found }),
            None => MapEntry::Vacant(VacantEntry { pinned, key }),
        }
    }

    /// The key that was given.
    ///
    /// ```
    /// let map: ttlwheel::TtlMap<&str, u32> = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// assert_eq!(map.pin().entry("a").key(), &"a");
    /// ```
    pub fn key(&self) -> &K {
        match self {
            MapEntry::Occupied(seen) => &seen.key,
            MapEntry::Vacant(seen) => &seen.key,
        }
    }

    /// Returns the value that was seen, or inserts this one if there was none.
    ///
    /// If another thread has inserted meanwhile, its value is returned, and this one dropped.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// assert_eq!(map.pin().entry("a").or_insert(1), &1);
    /// ```
    pub fn or_insert(self, value: V) -> &'p V {
        self.or_insert_with(|| value)
    }

    /// As [`or_insert`](MapEntry::or_insert), with a value that is made if there was none: at most once, and in vain if
    /// another thread inserts meanwhile. If `make` panics, nothing was done.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// assert_eq!(map.pin().entry("a").or_insert_with(|| unreachable!()), &1);
    /// ```
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> &'p V {
        self.or_insert_with_key(|_| make())
    }

    /// As [`or_insert_with`](MapEntry::or_insert_with), with a value made of the key.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// assert_eq!(map.pin().entry("abc").or_insert_with_key(|key| key.len()), &3);
    /// ```
    pub fn or_insert_with_key(self, make: impl FnOnce(&K) -> V) -> &'p V {
        match self {
            MapEntry::Occupied(seen) => &seen.found.value,
            MapEntry::Vacant(seen) => {
                let value = make(&seen.key);
                seen.insert(value).unwrap_or_else(|theirs| theirs.current)
            }
        }
    }

    /// As [`or_insert`](MapEntry::or_insert), with the default value.
    ///
    /// ```
    /// let map: ttlwheel::TtlMap<&str, u32> = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// assert_eq!(map.pin().entry("a").or_default(), &0);
    /// ```
    pub fn or_default(self) -> &'p V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }

    /// Replaces the value by what `update` makes of it, if there is a live one, and looks at the key anew; std's
    /// [`and_modify`](hash_map::Entry::and_modify).
    ///
    /// Atomic; `update` may run again, on the value that another thread has put there meanwhile, and doesn't run if there
    /// is none any more. If it panics, nothing was done.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let pinned = map.pin();
    /// assert_eq!(pinned.entry("a").and_update(|count| count + 1).or_insert(1), &1);
    /// assert_eq!(pinned.entry("a").and_update(|count| count + 1).or_insert(1), &2);
    /// ```
    pub fn and_update(self, mut update: impl FnMut(&V) -> V) -> Self
    where
        K: Clone,
    {
        let MapEntry::Occupied(OccupiedEntry { pinned, key, .. }) = self else { return self };
        let decide =
            |live: Option<&Entry<K, V>>, _| live.map_or(Step::Leave(None), |live| Step::Put(update(&live.value)));
        let found = match pinned.alter(key.clone(), None, Lifetime::OfMap, decide) {
            Altered::Put(_, new) => Some(new),
            Altered::Taken(_) | Altered::Left(..) => None,
        };
        MapEntry::seen(pinned, key, found)
    }
}

impl<'p, 'm, K: Hash + Eq, V, S: BuildHasher> OccupiedEntry<'p, 'm, K, V, S> {
    /// The key that was given.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// let pinned = map.pin();
    /// let ttlwheel::MapEntry::Occupied(seen) = pinned.entry("a") else { unreachable!() };
    /// assert_eq!((seen.key(), seen.get()), (&"a", &1));
    /// ```
    pub fn key(&self) -> &K {
        &self.key
    }

    /// The value that was seen.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// let pinned = map.pin();
    /// let ttlwheel::MapEntry::Occupied(seen) = pinned.entry("a") else { unreachable!() };
    /// map.remove("a");
    /// assert_eq!(seen.get(), &1);
    /// ```
    pub fn get(&self) -> &'p V {
        &self.found.value
    }

    /// Replaces the value that was seen, in one atomic step; returns the new one.
    ///
    /// # Errors
    ///
    /// What the key has now, with the value that was given, if it isn't the very value that was seen.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// let pinned = map.pin();
    /// let ttlwheel::MapEntry::Occupied(seen) = pinned.entry("a") else { unreachable!() };
    /// assert_eq!(seen.insert(2).ok(), Some(&2));
    /// ```
    pub fn insert(self, value: V) -> Result<&'p V, (MapEntry<'p, 'm, K, V, S>, V)> {
        let OccupiedEntry { pinned, key, found } = self;
        let is_seen = |live: Option<&Entry<K, V>>| live.is_some_and(|live| std::ptr::eq(live, found));
        match pinned.put_if(key, value, Lifetime::OfMap, is_seen) {
            Ok((_, new)) => Ok(&new.value),
            Err(NotInserted { current, key, not_inserted }) => {
                Err((MapEntry::seen(pinned, key, current), not_inserted))
            }
        }
    }

    /// Removes the value that was seen, in one atomic step; returns it.
    ///
    /// # Errors
    ///
    /// What the key has now, if it isn't the very value that was seen.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// let pinned = map.pin();
    /// let ttlwheel::MapEntry::Occupied(seen) = pinned.entry("a") else { unreachable!() };
    /// map.insert("a", 2);
    /// let Err(ttlwheel::MapEntry::Occupied(seen)) = seen.remove() else { unreachable!() };
    /// assert_eq!(seen.remove().ok(), Some(&2));
    /// ```
    pub fn remove(self) -> Result<&'p V, MapEntry<'p, 'm, K, V, S>> {
        let OccupiedEntry { pinned, key, found } = self;
        let decide = |live: Option<&Entry<K, V>>, _| match live {
            Some(live) if std::ptr::eq(live, found) => Step::Take,
            _ => Step::Leave(None),
        };
        match pinned.alter(key, None, Lifetime::OfMap, decide) {
            Altered::Taken(removed) => Ok(&removed.value),
            Altered::Left(current, key, _) => Err(MapEntry::seen(pinned, key, current)),
            Altered::Put(..) => unreachable!("nothing was put"),
        }
    }
}

impl<'p, 'm, K: Hash + Eq, V, S: BuildHasher> VacantEntry<'p, 'm, K, V, S> {
    /// The key that was given.
    ///
    /// ```
    /// let map: ttlwheel::TtlMap<&str, u32> = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let pinned = map.pin();
    /// let ttlwheel::MapEntry::Vacant(seen) = pinned.entry("a") else { unreachable!() };
    /// assert_eq!(seen.key(), &"a");
    /// assert_eq!(seen.into_key(), "a");
    /// ```
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Gives the key back.
    ///
    /// ```
    /// let map: ttlwheel::TtlMap<&str, u32> = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let pinned = map.pin();
    /// let ttlwheel::MapEntry::Vacant(seen) = pinned.entry("a") else { unreachable!() };
    /// assert_eq!(seen.into_key(), "a");
    /// ```
    pub fn into_key(self) -> K {
        self.key
    }

    /// Inserts a value if there is still none; returns it. [`Pinned::try_insert`], that is.
    ///
    /// # Errors
    ///
    /// The value that another thread has inserted, with key and value.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let pinned = map.pin();
    /// let ttlwheel::MapEntry::Vacant(seen) = pinned.entry("a") else { unreachable!() };
    /// map.insert("a", 2);
    /// assert_eq!(seen.insert(1).unwrap_err().current, &2);
    /// ```
    pub fn insert(self, value: V) -> Result<&'p V, NotInserted<&'p V, K, V>> {
        self.pinned.try_insert(self.key, value)
    }
}

impl<K: Hash + Eq + fmt::Debug, V: fmt::Debug, S: BuildHasher> fmt::Debug for MapEntry<'_, '_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MapEntry::Occupied(seen) => f.debug_tuple("Occupied").field(seen).finish(),
            MapEntry::Vacant(seen) => f.debug_tuple("Vacant").field(seen).finish(),
        }
    }
}

impl<K: fmt::Debug, V: fmt::Debug, S> fmt::Debug for OccupiedEntry<'_, '_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OccupiedEntry").field("key", &self.key).field("value", &self.found.value).finish()
    }
}

impl<K: fmt::Debug, V, S> fmt::Debug for VacantEntry<'_, '_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VacantEntry").field("key", &self.key).finish()
    }
}
