//! How entries leave: each once, with one cause, told of by the thread whose CAS has unlinked it.

use super::listen::Listeners;
use super::streams::{List, Streams};
use crate::clock::Clock;
use crate::entry::Entry;

/// Why an entry has left a map.
///
/// Each entry that was ever stored leaves exactly once, with one cause, and that is the one by which the verb that
/// unlinked it judged:
///
/// | what unlinks it | it was live | it had lapsed |
/// |---|---|---|
/// | an insert of its key, [`replace`](crate::TtlMap::replace), [`update`](crate::TtlMap::update), a load, or what else puts a value in its place | `Replaced` | `Expired` |
/// | [`remove`](crate::TtlMap::remove), [`remove_if`](crate::TtlMap::remove_if), [`compute`](crate::TtlMap::compute), [`retain`](crate::TtlMap::retain), [`drain`](crate::TtlMap::drain), [`clear`](crate::TtlMap::clear), or the drop of the map | `Explicit` | `Expired` |
/// | [`expire_in`](crate::TtlMap::expire_in) with zero, [`expire_at`](crate::TtlMap::expire_at) with what has passed | `Expired` | `Expired` |
/// | what only meets it: a [`get`](crate::TtlMap::get), a refused [`try_insert`](crate::TtlMap::try_insert), the upkeep of any write, [`purge_expired`](crate::TtlMap::purge_expired), a [`Reaper`](crate::Reaper) | it stays | `Expired` |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemovalCause {
    /// Its time was over.
    Expired,
    /// It was removed while it was live.
    Explicit,
    /// Another value took its place while it was live.
    Replaced,
    /// It had to make room. No map does that yet.
    Size,
}

impl RemovalCause {
    /// This one for an entry that was judged live, by [`judge`](super::judge).
    #[inline]
    pub(super) fn unless_lapsed(self, judged: Option<u64>) -> Self {
        judged.map_or(RemovalCause::Expired, |_| self)
    }
}

/// Whoever is told of entries that leave.
pub(super) struct Leaving<K, V> {
    listeners: Listeners<K, V>,
    streams: Streams<K, V>,
}

impl<K, V> Leaving<K, V> {
    pub(super) fn new(listeners: Listeners<K, V>) -> Self {
        Leaving { listeners, streams: Streams::default() }
    }

    /// The one place that knows of each entry that leaves, and of its cause: called once for each, by who has unlinked it,
    /// before it is retired. Who calls is pinned until this returns, or nobody else has the map. Returns what is to be
    /// retired besides.
    #[inline]
    #[must_use]
    pub(super) fn leaves(&self, entry: &Entry<K, V>, cause: RemovalCause, clock: &Clock) -> Option<*mut List<K, V>> {
        if !self.listeners.is_empty() {
            self.listeners.tell(entry, cause, clock);
        }
        if self.streams.is_empty() { None } else { self.streams.tell(entry, cause, clock) }
    }

    /// Whether nobody is told, so that causes needn't be found out.
    #[inline]
    pub(super) fn is_unheard(&self) -> bool {
        self.listeners.is_empty() && self.streams.is_empty()
    }

    #[inline]
    pub(super) fn listeners(&self) -> &Listeners<K, V> {
        &self.listeners
    }

    pub(super) fn streams(&self) -> &Streams<K, V> {
        &self.streams
    }

    /// Nothing will leave any more: the map is gone.
    pub(super) fn end(&mut self) {
        self.streams.close();
    }
}
