//! A walk that takes along what it meets.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::ptr::NonNull;
use std::rc::Rc;

use crate::entry::Entry;
use crate::garbage::{Guard, pin};
use crate::map::iter::Entries;
use crate::map::pinned::Hold;
use crate::map::sweep::Upkeep;
use crate::map::{Now, Pinned, Ref, RemovalCause, TtlMap, judge};

/// Removes the live entries of a map through a pin, and hands them out; see [`Pinned::drain`].
pub struct PinnedDrain<'g, K, V, S> {
    entries: Entries<'g, K, V, S>,
    upkeep: Upkeep<'g, K, V, S>,
    now: Now<'g>,
}

impl<'g, K: Hash + Eq, V, S: BuildHasher> PinnedDrain<'g, K, V, S> {
    fn new(map: &'g TtlMap<K, V, S>, guard: &'g Guard) -> Self {
        let now = Now::exact(&map.clock);
        PinnedDrain { entries: Entries::new(map, guard), upkeep: Upkeep { map, guard }, now }
    }

    fn next_removed(&mut self) -> Option<&'g Entry<K, V>> {
        loop {
            let Some(found) = self.entries.next() else {
                let map = self.upkeep.map;
                map.table.shrink_if_due(0, || map.wheel.is_idle(), self.upkeep.guard);
                return None;
            };
            let entry = found.entry();
            let judged = judge(entry, &self.now);
            if self.upkeep.unlink(found, RemovalCause::Explicit.unless_lapsed(judged)) {
                self.upkeep.pay(&self.now);
                if judged.is_some() {
                    return Some(entry);
                }
            }
        }
    }
}

impl<'g, K: Hash + Eq, V, S: BuildHasher> Iterator for PinnedDrain<'g, K, V, S> {
    type Item = (&'g K, &'g V);

    fn next(&mut self) -> Option<Self::Item> {
        self.next_removed().map(|entry| (&entry.key, &entry.value))
    }
}

impl<K, V, S> fmt::Debug for PinnedDrain<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedDrain").finish_non_exhaustive()
    }
}

/// Removes the live entries of a map, and hands them out, each under a guard; see [`TtlMap::drain`].
pub struct Drain<'m, K, V, S> {
    inner: PinnedDrain<'m, K, V, S>,
    /// Declared last, so dropped last: what `inner` holds was found under it. What is handed out has a share in it.
    guard: Rc<Guard>,
}

impl<'m, K: Hash + Eq, V, S: BuildHasher> Iterator for Drain<'m, K, V, S> {
    type Item = Ref<'m, K, V>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.inner.next_removed()?;
        Some(Ref::new(NonNull::from(entry), Hold::Shared(Rc::clone(&self.guard))))
    }
}

impl<K, V, S> fmt::Debug for Drain<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").finish_non_exhaustive()
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> Pinned<'_, K, V, S> {
    /// Removes the entries that are live now, one by one as the iterator is asked for them, and hands them out.
    ///
    /// As of one instant, that of this call: none is handed out that has expired by then; it is removed all the same.
    /// Of several calls at once each entry goes to one. Entries that come or are replaced meanwhile may be met or stay,
    /// and what the iterator isn't asked for stays: unlike std's, its drop removes nothing.
    ///
    /// # Complexity
    ///
    /// In proportion to the table. It holds nobody up.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// map.insert("b", 2);
    /// let pinned = map.pin();
    /// assert_eq!(pinned.drain().map(|(_, value)| value).sum::<i32>(), 3);
    /// assert!(map.is_empty());
    /// ```
    pub fn drain(&self) -> PinnedDrain<'_, K, V, S> {
        PinnedDrain::new(self.map, &self.guard)
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> TtlMap<K, V, S> {
    /// Removes the entries that are live now, one by one as the iterator is asked for them; see [`Pinned::drain`].
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// map.insert("b", 2);
    /// let mut drained: Vec<_> = map.drain().map(|removed| (*removed.key(), *removed.value())).collect();
    /// drained.sort();
    /// assert_eq!(drained, [("a", 1), ("b", 2)]);
    /// assert!(map.is_empty());
    /// ```
    pub fn drain(&self) -> Drain<'_, K, V, S> {
        let guard = Rc::new(pin());
        // SAFETY: the guard stays where it is for as long as `inner` is used, which gives nothing out but by `next`.
        let inner = PinnedDrain::new(self, unsafe { &*Rc::as_ptr(&guard) });
        Drain { inner, guard }
    }
}
