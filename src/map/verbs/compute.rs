//! The verbs whose new value is made of the one that is there.

use std::hash::{BuildHasher, Hash};
use std::ptr::NonNull;
use std::rc::Rc;

use super::alter::{Altered, Step};
use crate::entry::Entry;
use crate::map::pinned::Hold;
use crate::map::{Lifetime, Pinned, Ref, TtlMap};

/// What [`Pinned::compute`] is to do with a key.
///
/// ```
/// use ttlwheel::{Computed, Operation};
///
/// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
/// let pinned = map.pin();
/// assert_eq!(pinned.compute("a", |_| Operation::<_>::Insert(1)), Computed::Inserted(&1));
/// assert_eq!(pinned.compute("a", |_| Operation::<_>::Remove), Computed::Removed(&1));
/// assert_eq!(pinned.compute("a", |_| Operation::<_>::Remove), Computed::Absent);
/// assert_eq!(pinned.compute("a", |_| Operation::Abort(7)), Computed::Aborted(7));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<V, T = ()> {
    /// Insert this value, in place of the live one if there is one.
    Insert(V),
    /// Remove the live value, if there is one.
    Remove,
    /// Change nothing, and return this.
    Abort(T),
}

/// What [`Pinned::compute`] has done. `R` is a reference to a value.
///
/// ```
/// use ttlwheel::{Computed, Operation};
///
/// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
/// let pinned = map.pin();
/// assert_eq!(pinned.compute("a", |_| Operation::<_>::Insert(1)), Computed::Inserted(&1));
/// assert_eq!(pinned.compute("a", |_| Operation::<_>::Remove), Computed::Removed(&1));
/// assert_eq!(pinned.compute("a", |_| Operation::<_>::Remove), Computed::Absent);
/// assert_eq!(pinned.compute("a", |_| Operation::Abort(7)), Computed::Aborted(7));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Computed<R, T = ()> {
    /// This value was inserted; there was no live one.
    Inserted(R),
    /// A live value was replaced.
    Updated {
        /// The value that was there.
        old: R,
        /// The value that is there now.
        new: R,
    },
    /// This live value was removed.
    Removed(R),
    /// There was no live value to remove.
    Absent,
    /// Nothing was changed.
    Aborted(T),
}

impl<R, T> Computed<R, T> {
    /// The value that the key has now, as far as that is this call's doing.
    ///
    /// ```
    /// use ttlwheel::Computed;
    ///
    /// assert_eq!(Computed::<_, ()>::Updated { old: 1, new: 2 }.value(), Some(2));
    /// assert_eq!(Computed::<_, ()>::Removed(1).value(), None);
    /// ```
    pub fn value(self) -> Option<R> {
        match self {
            Computed::Inserted(new) | Computed::Updated { new, .. } => Some(new),
            Computed::Removed(_) | Computed::Absent | Computed::Aborted(_) => None,
        }
    }

    /// The same outcome with something made of each reference.
    fn map<U>(self, mut f: impl FnMut(R) -> U) -> Computed<U, T> {
        match self {
            Computed::Inserted(new) => Computed::Inserted(f(new)),
            Computed::Updated { old, new } => Computed::Updated { old: f(old), new: f(new) },
            Computed::Removed(old) => Computed::Removed(f(old)),
            Computed::Absent => Computed::Absent,
            Computed::Aborted(with) => Computed::Aborted(with),
        }
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> Pinned<'_, K, V, S> {
    fn compute_entry<T>(
        &self,
        key: K,
        mut operation: impl FnMut(Option<&V>) -> Operation<V, T>,
    ) -> Computed<&Entry<K, V>, T> {
        let mut aborted = None;
        let decide = |live: Option<&Entry<K, V>>, _| {
            // Of the last run, whatever one before has said.
            aborted = None;
            match operation(live.map(|entry| &entry.value)) {
                Operation::Insert(value) => Step::Put(value),
                Operation::Remove => Step::Take,
                Operation::Abort(with) => {
                    aborted = Some(with);
                    Step::Leave(None)
                }
            }
        };
        let altered = self.alter(key, None, Lifetime::OfMap, decide);
        match (altered, aborted) {
            (Altered::Put(None, new), _) => Computed::Inserted(new),
            (Altered::Put(Some(old), new), _) => Computed::Updated { old, new },
            (Altered::Taken(old), _) => Computed::Removed(old),
            (Altered::Left(..), Some(with)) => Computed::Aborted(with),
            (Altered::Left(..), None) => Computed::Absent,
        }
    }

    /// Inserts, replaces or removes a key's value, or leaves it, as `operation` says of the live value that is there.
    ///
    /// Atomic and linearizable: what is done is done to the very value that `operation` saw. If another thread is first,
    /// it **runs again**, on what is there then, and the value that it had made is dropped; so it should be quick and do
    /// nothing else. It runs outside of any lock and may use the map. If it panics, nothing was done. What it inserts
    /// lives for the map's time to live, from when its last run began.
    ///
    /// ```
    /// use ttlwheel::{Computed, Operation};
    ///
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let pinned = map.pin();
    /// // Counts down, and leaves at zero.
    /// let step = |left: Option<&u32>| match left {
    ///     None => Operation::Insert(1),
    ///     Some(0) => Operation::Remove,
    ///     Some(7..) => Operation::Abort("too many"),
    ///     Some(n) => Operation::Insert(n - 1),
    /// };
    /// assert_eq!(pinned.compute("a", step), Computed::Inserted(&1));
    /// assert_eq!(pinned.compute("a", step), Computed::Updated { old: &1, new: &0 });
    /// assert_eq!(pinned.compute("a", step), Computed::Removed(&0));
    /// pinned.insert("a", 9);
    /// assert_eq!(pinned.compute("a", step), Computed::Aborted("too many"));
    /// ```
    pub fn compute<T>(&self, key: K, operation: impl FnMut(Option<&V>) -> Operation<V, T>) -> Computed<&V, T> {
        self.compute_entry(key, operation).map(|entry| &entry.value)
    }

    /// Replaces the key's live value by what `update` makes of it, and returns that; None if there is no live value.
    ///
    /// Atomic; `update` may run again, as in [`compute`](Pinned::compute). The new value lives for the map's time to live.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// let pinned = map.pin();
    /// assert_eq!(pinned.update("a", |value| value + 1), Some(&2));
    /// assert_eq!(pinned.update("b", |value| value + 1), None);
    /// ```
    pub fn update(&self, key: K, update: impl FnMut(&V) -> V) -> Option<&V> {
        self.update_entry(key, update).map(|entry| &entry.value)
    }

    fn update_entry(&self, key: K, mut update: impl FnMut(&V) -> V) -> Option<&Entry<K, V>> {
        let operation = |live: Option<&V>| live.map_or(Operation::Abort(()), |live| Operation::Insert(update(live)));
        self.compute_entry(key, operation).value()
    }

    /// Replaces the key's live value by what `update` makes of it, or inserts what `insert` makes if there is none;
    /// returns the new value.
    ///
    /// Atomic; either closure may run again, as in [`compute`](Pinned::compute), and `update` after `insert` if another
    /// thread has inserted meanwhile. The new value lives for the map's time to live.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let pinned = map.pin();
    /// let count = || *pinned.update_or_insert_with("a", |count| count + 1, || 1);
    /// assert_eq!((count(), count(), count()), (1, 2, 3));
    /// ```
    pub fn update_or_insert_with(&self, key: K, update: impl FnMut(&V) -> V, insert: impl FnMut() -> V) -> &V {
        &self.upsert_entry(key, update, insert).value
    }

    fn upsert_entry(&self, key: K, mut update: impl FnMut(&V) -> V, mut insert: impl FnMut() -> V) -> &Entry<K, V> {
        let decide =
            |live: Option<&Entry<K, V>>, _| Step::Put(live.map_or_else(&mut insert, |live| update(&live.value)));
        match self.alter(key, None, Lifetime::OfMap, decide) {
            Altered::Put(_, new) => new,
            Altered::Taken(_) | Altered::Left(..) => unreachable!("a value is always put"),
        }
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> TtlMap<K, V, S> {
    /// Inserts, replaces or removes a key's value, or leaves it, as `operation` says, which **may run again**; see
    /// [`Pinned::compute`].
    ///
    /// ```
    /// use ttlwheel::{Computed, Operation};
    ///
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let taken = map.compute("a", |live| match live {
    ///     None => Operation::Insert(1),
    ///     Some(&by) => Operation::Abort(by),
    /// });
    /// assert!(matches!(taken, Computed::Inserted(value) if *value == 1));
    /// ```
    pub fn compute<T>(
        &self,
        key: K,
        operation: impl FnMut(Option<&V>) -> Operation<V, T>,
    ) -> Computed<Ref<'_, K, V>, T> {
        let pinned = self.pin();
        let outcome = pinned.compute_entry(key, operation).map(NonNull::from);
        let guard = Rc::new(pinned.guard);
        outcome.map(|entry| Ref::new(entry, Hold::Shared(Rc::clone(&guard))))
    }

    /// Replaces the key's live value by what `update` makes of it, which may run again; see [`Pinned::update`].
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// assert_eq!(map.update("a", |value| value + 1).as_deref(), Some(&2));
    /// ```
    pub fn update(&self, key: K, update: impl FnMut(&V) -> V) -> Option<Ref<'_, K, V>> {
        let pinned = self.pin();
        let new = NonNull::from(pinned.update_entry(key, update)?);
        Some(pinned.into_ref(new))
    }

    /// Replaces the key's live value by what `update` makes of it, or inserts what `insert` makes; either may run again.
    /// See [`Pinned::update_or_insert_with`].
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// assert_eq!(*map.update_or_insert_with("a", |count| count + 1, || 1), 1);
    /// assert_eq!(*map.update_or_insert_with("a", |count| count + 1, || 1), 2);
    /// ```
    pub fn update_or_insert_with(
        &self,
        key: K,
        update: impl FnMut(&V) -> V,
        insert: impl FnMut() -> V,
    ) -> Ref<'_, K, V> {
        let pinned = self.pin();
        let new = NonNull::from(pinned.upsert_entry(key, update, insert));
        pinned.into_ref(new)
    }
}
