//! Walks over all entries, live at one instant.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::ptr::NonNull;
use std::rc::Rc;

use super::pinned::Hold;
use super::sweep::Upkeep;
use super::{Now, Pinned, Ref, TtlMap, judge};
use crate::entry::Entry;
use crate::garbage::{Guard, pin};
use crate::table::{Bins, Occupied};

/// The walk under both iterators and the counts.
pub(super) struct Entries<'g, K, V, S> {
    upkeep: Upkeep<'g, K, V, S>,
    bins: Bins<'g, Entry<K, V>>,
    /// Entries of the bin where the walk stands, the next one last.
    found: Vec<Occupied<'g, Entry<K, V>>>,
}

impl<'g, K: Hash + Eq, V, S: BuildHasher> Entries<'g, K, V, S> {
    pub(super) fn new(map: &'g TtlMap<K, V, S>, guard: &'g Guard) -> Self {
        Entries { upkeep: Upkeep { map, guard }, bins: map.table.bins(guard), found: Vec::new() }
    }
}

impl<'g, K: Hash + Eq, V, S: BuildHasher> Iterator for Entries<'g, K, V, S> {
    type Item = Occupied<'g, Entry<K, V>>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.found.is_empty() {
            self.bins.next_into(&mut self.found, &self.upkeep)?;
        }
        self.found.pop()
    }
}

/// The live entries of a map through a pin; see [`Pinned::iter`].
pub struct PinnedIter<'g, K, V, S> {
    entries: Entries<'g, K, V, S>,
    now: Now<'g>,
}

impl<'g, K: Hash + Eq, V, S: BuildHasher> PinnedIter<'g, K, V, S> {
    pub(super) fn new(map: &'g TtlMap<K, V, S>, guard: &'g Guard) -> Self {
        let now = Now::exact(&map.clock);
        PinnedIter { entries: Entries::new(map, guard), now }
    }

    fn next_live(&mut self) -> Option<&'g Entry<K, V>> {
        // What is passed over as lapsed stays so: a touch that was about to move its deadline fails.
        self.entries.by_ref().map(|found| found.entry()).find(|entry| judge(entry, &self.now).is_some())
    }
}

impl<'g, K: Hash + Eq, V, S: BuildHasher> Iterator for PinnedIter<'g, K, V, S> {
    type Item = (&'g K, &'g V);

    fn next(&mut self) -> Option<Self::Item> {
        self.next_live().map(|entry| (&entry.key, &entry.value))
    }
}

impl<K, V, S> fmt::Debug for PinnedIter<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedIter").finish_non_exhaustive()
    }
}

/// The live entries of a map, each under a guard; see [`TtlMap::iter`].
pub struct Iter<'m, K, V, S> {
    inner: PinnedIter<'m, K, V, S>,
    /// Declared last, so dropped last: what `inner` holds was found under it. What is handed out has a share in it, as
    /// a second guard need not hold what was found under the first (in a thread that is at its end it doesn't).
    guard: Rc<Guard>,
}

impl<'m, K: Hash + Eq, V, S: BuildHasher> Iter<'m, K, V, S> {
    pub(super) fn new(map: &'m TtlMap<K, V, S>) -> Self {
        let guard = Rc::new(pin());
        // SAFETY: the guard stays where it is for as long as `inner` is used, which gives nothing out but by `next`.
        let inner = PinnedIter::new(map, unsafe { &*Rc::as_ptr(&guard) });
        Iter { inner, guard }
    }
}

impl<'m, K: Hash + Eq, V, S: BuildHasher> Iterator for Iter<'m, K, V, S> {
    type Item = Ref<'m, K, V>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.inner.next_live()?;
        Some(Ref::new(NonNull::from(entry), Hold::Shared(Rc::clone(&self.guard))))
    }
}

impl<K, V, S> fmt::Debug for Iter<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}

impl<'m, K: Hash + Eq, V, S: BuildHasher> IntoIterator for &'m TtlMap<K, V, S> {
    type Item = Ref<'m, K, V>;
    type IntoIter = Iter<'m, K, V, S>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'p, K: Hash + Eq, V, S: BuildHasher> IntoIterator for &'p Pinned<'_, K, V, S> {
    type Item = (&'p K, &'p V);
    type IntoIter = PinnedIter<'p, K, V, S>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
