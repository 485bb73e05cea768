//! The verbs that insert or remove if what is there allows it.
#![allow(clippy::type_complexity, reason = "a name would hide what comes back")]

use std::error::Error;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::ptr::NonNull;
use std::time::Duration;

use equivalent::Equivalent;

use super::alter::{Altered, Step};
use crate::entry::Entry;
use crate::map::{Lifetime, Pinned, Ref, TtlMap};

/// Why a value was not inserted: what is there. Key and value come back.
///
/// `R` is a reference to the live value, or an option of one where there may be none.
///
/// ```
/// use ttlwheel::NotInserted;
///
/// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
/// let pinned = map.pin();
/// assert_eq!(pinned.try_insert("a", 1), Ok(&1));
/// assert_eq!(pinned.try_insert("a", 2), Err(NotInserted { current: &1, key: "a", not_inserted: 2 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotInserted<R, K, V> {
    /// What is there.
    pub current: R,
    /// The key that was given.
    pub key: K,
    /// The value that was given.
    pub not_inserted: V,
}

impl<R, K, V> NotInserted<R, K, V> {
    fn map<T>(self, f: impl FnOnce(R) -> T) -> NotInserted<T, K, V> {
        NotInserted { current: f(self.current), key: self.key, not_inserted: self.not_inserted }
    }
}

impl<R, K, V> fmt::Display for NotInserted<R, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what the map holds for the key did not allow the insert")
    }
}

impl<R: fmt::Debug, K: fmt::Debug, V: fmt::Debug> Error for NotInserted<R, K, V> {}

/// What was put with what it replaced, or why not.
type Put<E, K, V> = Result<(Option<E>, E), NotInserted<Option<E>, K, V>>;

impl<K: Hash + Eq, V, S: BuildHasher> Pinned<'_, K, V, S> {
    /// Puts the value if `allows` says so of what is there.
    pub(super) fn put_if<'g>(
        &'g self,
        key: K,
        value: V,
        lifetime: Lifetime,
        mut allows: impl FnMut(Option<&'g Entry<K, V>>) -> bool,
    ) -> Put<&'g Entry<K, V>, K, V> {
        let decide = |live, value: Option<V>| match value {
            Some(value) if allows(live) => Step::Put(value),
            value => Step::Leave(value),
        };
        match self.alter(key, Some(value), lifetime, decide) {
            Altered::Put(old, new) => Ok((old, new)),
            Altered::Left(current, key, Some(not_inserted)) => Err(NotInserted { current, key, not_inserted }),
            Altered::Left(_, _, None) | Altered::Taken(_) => unreachable!("a value is put or comes back"),
        }
    }

    fn put_if_absent(
        &self,
        key: K,
        value: V,
        lifetime: Lifetime,
    ) -> Result<&Entry<K, V>, NotInserted<&Entry<K, V>, K, V>> {
        match self.put_if(key, value, lifetime, |live| live.is_none()) {
            Ok((_, new)) => Ok(new),
            Err(refused) => Err(refused.map(|current| current.unwrap_or_else(|| unreachable!("refused for it")))),
        }
    }

    /// Inserts a value if the key has none that is live; returns it as it stands in the map.
    ///
    /// One atomic step, linearizable: of any number of calls at once one succeeds. The value lives for the map's time to
    /// live. Pays a constant amount of upkeep, as [`insert`](Pinned::insert) does; so do all verbs of this family.
    ///
    /// # Errors
    ///
    /// The live value that is there, with the key and the value that were given.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let pinned = map.pin();
    /// assert_eq!(pinned.try_insert("a", 1), Ok(&1));
    /// let refused = pinned.try_insert("a", 2).unwrap_err();
    /// assert_eq!((refused.current, refused.not_inserted), (&1, 2));
    /// ```
    pub fn try_insert(&self, key: K, value: V) -> Result<&V, NotInserted<&V, K, V>> {
        self.put_if_absent(key, value, Lifetime::OfMap).map(value_of).map_err(|refused| refused.map(value_of))
    }

    /// As [`try_insert`](Pinned::try_insert), for a value that lives for `ttl` from now: a lock with a lease, for one.
    ///
    /// # Errors
    ///
    /// As for `try_insert`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{ManualClock, TtlMap};
    ///
    /// let clock = ManualClock::new();
    /// let leases = TtlMap::builder().clock(&clock).build();
    /// assert!(leases.pin().try_insert_with_ttl("job", "alice", Duration::from_secs(30)).is_ok());
    /// assert!(leases.pin().try_insert_with_ttl("job", "bob", Duration::from_secs(30)).is_err());
    /// clock.advance(Duration::from_secs(30));
    /// assert!(leases.pin().try_insert_with_ttl("job", "bob", Duration::from_secs(30)).is_ok());
    /// ```
    pub fn try_insert_with_ttl(&self, key: K, value: V, ttl: Duration) -> Result<&V, NotInserted<&V, K, V>> {
        self.put_if_absent(key, value, Lifetime::For(ttl)).map(value_of).map_err(|refused| refused.map(value_of))
    }

    /// Replaces the key's live value; returns the one that was there.
    ///
    /// One atomic step, linearizable. The new value lives for the map's time to live.
    ///
    /// # Errors
    ///
    /// Key and value, if there is no live value to replace.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let pinned = map.pin();
    /// assert_eq!(pinned.replace("a", 1), Err(("a", 1)));
    /// pinned.insert("a", 1);
    /// assert_eq!(pinned.replace("a", 2), Ok(&1));
    /// ```
    pub fn replace(&self, key: K, value: V) -> Result<&V, (K, V)> {
        match self.put_if(key, value, Lifetime::OfMap, |live| live.is_some()) {
            Ok((Some(old), _)) => Ok(&old.value),
            Ok((None, _)) => unreachable!("only over a live value"),
            Err(refused) => Err((refused.key, refused.not_inserted)),
        }
    }

    /// Inserts a value if `condition` holds of the live value that is there, or of there being none; returns the value
    /// that was replaced.
    ///
    /// Atomic: the value is put in place of the very one that the condition was asked about. If another thread is first,
    /// the condition is asked again. If it panics, nothing was done.
    ///
    /// # Errors
    ///
    /// What is there, with key and value, if the condition doesn't hold.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let pinned = map.pin();
    /// let newer = |version: u32| pinned.insert_if("a", version, |current| current.is_none_or(|&old| version > old));
    /// assert_eq!(newer(5), Ok(None));
    /// assert_eq!(newer(7), Ok(Some(&5)));
    /// assert_eq!(newer(6).unwrap_err().current, Some(&7));
    /// ```
    pub fn insert_if(
        &self,
        key: K,
        value: V,
        mut condition: impl FnMut(Option<&V>) -> bool,
    ) -> Result<Option<&V>, NotInserted<Option<&V>, K, V>> {
        self.put_if(key, value, Lifetime::OfMap, |live| condition(live.map(value_of)))
            .map(|(old, _)| old.map(value_of))
            .map_err(|refused| refused.map(|current| current.map(value_of)))
    }

    /// Replaces the key's live value if it equals `current`; returns the one that was there.
    ///
    /// One atomic step, linearizable. `==` may be asked again if another thread is first.
    ///
    /// # Errors
    ///
    /// What is there, with key and value, if it isn't `current`.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// let pinned = map.pin();
    /// assert_eq!(pinned.compare_exchange("a", &1, 2), Ok(&1));
    /// assert_eq!(pinned.compare_exchange("a", &1, 3).unwrap_err().current, Some(&2));
    /// assert_eq!(pinned.compare_exchange("b", &1, 3).unwrap_err().current, None);
    /// ```
    pub fn compare_exchange<C>(&self, key: K, current: &C, new: V) -> Result<&V, NotInserted<Option<&V>, K, V>>
    where
        V: PartialEq<C>,
        C: ?Sized,
    {
        match self.insert_if(key, new, |live| live.is_some_and(|live| live == current)) {
            Ok(Some(old)) => Ok(old),
            Ok(None) => unreachable!("only over an equal value"),
            Err(refused) => Err(refused),
        }
    }

    /// Removes a key if `condition` holds of it and its live value; returns that.
    ///
    /// Atomic: what is removed is the very value that the condition was asked about. If another thread is first, it is
    /// asked again. If it panics, nothing was done.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// let pinned = map.pin();
    /// assert_eq!(pinned.remove_if("a", |_, value| *value > 1), None);
    /// assert_eq!(pinned.remove_if("a", |_, value| *value == 1), Some(&1));
    /// ```
    pub fn remove_if<Q>(&self, key: &Q, mut condition: impl FnMut(&K, &V) -> bool) -> Option<&V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.take_entry_if(key, |entry| condition(&entry.key, &entry.value)).map(value_of)
    }

    fn take_entry_if<Q>(&self, key: &Q, condition: impl FnMut(&Entry<K, V>) -> bool) -> Option<&Entry<K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.map.take_if(key, condition, &self.now, &self.guard)
    }
}

fn value_of<K, V>(entry: &Entry<K, V>) -> &V {
    &entry.value
}

impl<K: Hash + Eq, V, S: BuildHasher> TtlMap<K, V, S> {
    fn put_if_absent(
        &self,
        key: K,
        value: V,
        lifetime: Lifetime,
    ) -> Result<Ref<'_, K, V>, NotInserted<Ref<'_, K, V>, K, V>> {
        let pinned = self.pin();
        let outcome = pinned.put_if_absent(key, value, lifetime);
        match outcome.map(NonNull::from).map_err(|refused| refused.map(NonNull::from)) {
            Ok(new) => Ok(pinned.into_ref(new)),
            Err(refused) => Err(refused.map(|current| pinned.into_ref(current))),
        }
    }

    fn put_if(
        &self,
        key: K,
        value: V,
        mut allows: impl FnMut(Option<&V>) -> bool,
    ) -> Result<Option<Ref<'_, K, V>>, NotInserted<Option<Ref<'_, K, V>>, K, V>> {
        let pinned = self.pin();
        let outcome = pinned.put_if(key, value, Lifetime::OfMap, |live| allows(live.map(value_of)));
        let outcome = outcome.map(|(old, _)| old.map(NonNull::from));
        match outcome.map_err(|refused| refused.map(|current| current.map(NonNull::from))) {
            Ok(old) => Ok(old.map(|old| pinned.into_ref(old))),
            Err(refused) => Err(refused.map(|current| current.map(|current| pinned.into_ref(current)))),
        }
    }

    /// Inserts a value if the key has none that is live; see [`Pinned::try_insert`].
    ///
    /// # Errors
    ///
    /// The live value that is there, with the key and the value that were given.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// assert_eq!(*map.try_insert("a", 1).unwrap(), 1);
    /// assert_eq!(*map.try_insert("a", 2).unwrap_err().current, 1);
    /// ```
    pub fn try_insert(&self, key: K, value: V) -> Result<Ref<'_, K, V>, NotInserted<Ref<'_, K, V>, K, V>> {
        self.put_if_absent(key, value, Lifetime::OfMap)
    }

    /// Inserts a value that lives for `ttl` if the key has none that is live; see [`Pinned::try_insert_with_ttl`].
    ///
    /// # Errors
    ///
    /// As for [`try_insert`](TtlMap::try_insert).
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// assert!(map.try_insert_with_ttl("a", 1, std::time::Duration::from_secs(5)).is_ok());
    /// assert!(map.ttl("a").unwrap() <= std::time::Duration::from_secs(5));
    /// ```
    pub fn try_insert_with_ttl(
        &self,
        key: K,
        value: V,
        ttl: Duration,
    ) -> Result<Ref<'_, K, V>, NotInserted<Ref<'_, K, V>, K, V>> {
        self.put_if_absent(key, value, Lifetime::For(ttl))
    }

    /// Replaces the key's live value; see [`Pinned::replace`].
    ///
    /// # Errors
    ///
    /// Key and value, if there is no live value to replace.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// assert_eq!(*map.replace("a", 2).unwrap(), 1);
    /// assert_eq!(map.replace("b", 2).unwrap_err(), ("b", 2));
    /// ```
    pub fn replace(&self, key: K, value: V) -> Result<Ref<'_, K, V>, (K, V)> {
        match self.put_if(key, value, |live| live.is_some()) {
            Ok(Some(old)) => Ok(old),
            Ok(None) => unreachable!("only over a live value"),
            Err(refused) => Err((refused.key, refused.not_inserted)),
        }
    }

    /// Inserts a value if `condition` holds of what is there, and may be asked again; see [`Pinned::insert_if`].
    ///
    /// # Errors
    ///
    /// What is there, with key and value, if the condition doesn't hold.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// assert!(map.insert_if("a", 1, |current| current.is_none()).is_ok());
    /// assert!(map.insert_if("a", 2, |current| current.is_none()).is_err());
    /// ```
    pub fn insert_if(
        &self,
        key: K,
        value: V,
        condition: impl FnMut(Option<&V>) -> bool,
    ) -> Result<Option<Ref<'_, K, V>>, NotInserted<Option<Ref<'_, K, V>>, K, V>> {
        self.put_if(key, value, condition)
    }

    /// Replaces the key's live value if it equals `current`; see [`Pinned::compare_exchange`].
    ///
    /// # Errors
    ///
    /// What is there, with key and value, if it isn't `current`.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// assert_eq!(*map.compare_exchange("a", &1, 2).unwrap(), 1);
    /// assert_eq!(map.compare_exchange("a", &1, 3).unwrap_err().current.as_deref(), Some(&2));
    /// ```
    pub fn compare_exchange<C>(
        &self,
        key: K,
        current: &C,
        new: V,
    ) -> Result<Ref<'_, K, V>, NotInserted<Option<Ref<'_, K, V>>, K, V>>
    where
        V: PartialEq<C>,
        C: ?Sized,
    {
        match self.put_if(key, new, |live| live.is_some_and(|live| live == current)) {
            Ok(Some(old)) => Ok(old),
            Ok(None) => unreachable!("only over an equal value"),
            Err(refused) => Err(refused),
        }
    }

    /// Removes a key if `condition` holds of it and its live value, and may be asked again; see [`Pinned::remove_if`].
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// assert!(map.remove_if("a", |_, value| *value == 2).is_none());
    /// assert_eq!(map.remove_if("a", |_, value| *value == 1).as_deref(), Some(&1));
    /// ```
    pub fn remove_if<Q>(&self, key: &Q, mut condition: impl FnMut(&K, &V) -> bool) -> Option<Ref<'_, K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let pinned = self.pin();
        let removed = pinned.take_entry_if(key, |entry| condition(&entry.key, &entry.value)).map(NonNull::from)?;
        Some(pinned.into_ref(removed))
    }
}
