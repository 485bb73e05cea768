//! Walks over all entries, live at one instant.

use std::fmt;
use std::hash::{BuildHasher, Hash};

use super::{Pinned, Ref, TtlMap};
use crate::clock::{Reading, Verdict};
use crate::entry::Entry;
use crate::garbage::{Guard, pin};
use crate::table::{Bins, Occupied, Purity};

/// The walk under both iterators and the counts.
pub(super) struct Entries<'g, K, V, S> {
    map: &'g TtlMap<K, V, S>,
    bins: Bins<'g, Entry<K, V>>,
    /// Entries of the bin where the walk stands, the next one last.
    found: Vec<Occupied<'g, Entry<K, V>>>,
}

impl<'g, K: Hash + Eq, V, S: BuildHasher> Entries<'g, K, V, S> {
    pub(super) fn new(map: &'g TtlMap<K, V, S>, guard: &'g Guard) -> Self {
        Entries { map, bins: map.table.bins(guard), found: Vec::new() }
    }
}

impl<'g, K: Hash + Eq, V, S: BuildHasher> Iterator for Entries<'g, K, V, S> {
    type Item = Occupied<'g, Entry<K, V>>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.found.is_empty() {
            if self.bins.next_into(&mut self.found)? == Purity::Mixed {
                let (map, bins) = (self.map, &self.bins);
                self.found.retain(|found| bins.owns(map.hash(&found.entry().key)));
            }
        }
        self.found.pop()
    }
}

/// The live entries of a map through a pin; see [`Pinned::iter`].
pub struct PinnedIter<'g, K, V, S> {
    entries: Entries<'g, K, V, S>,
    now: Reading,
}

impl<'g, K: Hash + Eq, V, S: BuildHasher> PinnedIter<'g, K, V, S> {
    pub(super) fn new(map: &'g TtlMap<K, V, S>, guard: &'g Guard) -> Self {
        PinnedIter { entries: Entries::new(map, guard), now: map.clock.read_exact() }
    }

    fn next_live(&mut self) -> Option<&'g Entry<K, V>> {
        let now = self.now;
        self.entries.by_ref().map(|found| found.entry()).find(|entry| now.judge(entry.deadline()) == Verdict::Live)
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

/// The live entries of a map, each under a guard of its own; see [`TtlMap::iter`].
pub struct Iter<'m, K, V, S> {
    inner: PinnedIter<'m, K, V, S>,
    /// Declared last, so dropped last: what `inner` holds was found under it.
    _guard: Box<Guard>,
}

impl<'m, K: Hash + Eq, V, S: BuildHasher> Iter<'m, K, V, S> {
    pub(super) fn new(map: &'m TtlMap<K, V, S>) -> Self {
        let guard = Box::new(pin());
        // SAFETY: the guard stays where it is, in its box, for as long as `inner` is used, and `inner` gives nothing
        // out that a further guard of this thread's doesn't hold.
        let inner = PinnedIter::new(map, unsafe { &*std::ptr::from_ref(&*guard) });
        Iter { inner, _guard: guard }
    }
}

impl<'m, K: Hash + Eq, V, S: BuildHasher> Iterator for Iter<'m, K, V, S> {
    type Item = Ref<'m, K, V>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.inner.next_live()?;
        // The thread is pinned all along, so that a second guard holds what was found under the first.
        Some(Ref::new(entry, pin()))
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
