//! Where a map sends its events: a list of streams, each of which sees every entry that leaves from its making on.
//!
//! A list is never changed but replaced as a whole, by CAS, and retired with the map's garbage, as whoever is pinned may
//! be reading it. A stream that nobody receives from any more is left out by the next who comes by with an event.

use std::panic::RefUnwindSafe;
use std::ptr;

use super::listen::RemovalInfo;
use super::{Removal, RemovalCause};
use crate::clock::Clock;
use crate::entry::Entry;
use crate::events::Channel;
use crate::garbage::{Guard, pin};
use crate::sync::{Arc, AtomicPtr, Ordering, Plain};

pub(super) struct Streams<K, V> {
    /// Null: none. A list is freed when it was replaced, by its grace period, or by `close`.
    list: AtomicPtr<List<K, V>>,
}

pub(super) struct List<K, V> {
    streams: Vec<Stream<K, V>>,
    /// Lets loom see that who reads the list came after who made it.
    made: Plain<()>,
}

// A list is never written.
impl<K, V> RefUnwindSafe for List<K, V> {}

pub(super) struct Stream<K, V> {
    pub(super) channel: Arc<Channel<Removal<K, V>>>,
    /// Known where the stream was made; where entries leave, nobody knows that they can be cloned.
    pub(super) copy: fn(&K, &V) -> (K, V),
}

impl<K, V> Clone for Stream<K, V> {
    fn clone(&self) -> Self {
        Stream { channel: Arc::clone(&self.channel), copy: self.copy }
    }
}

impl<K, V> Default for Streams<K, V> {
    fn default() -> Self {
        Streams { list: AtomicPtr::new(ptr::null_mut()) }
    }
}

impl<K, V> Streams<K, V> {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        // Relaxed: whoever made a stream sees it; others see it when they see it.
        self.list.load(Ordering::Relaxed).is_null()
    }

    /// Sends an entry that was unlinked to all streams. Returns what is to be retired.
    #[cold]
    pub(super) fn tell(&self, entry: &Entry<K, V>, cause: RemovalCause, clock: &Clock) -> Option<*mut List<K, V>> {
        let guard = pin();
        let info = RemovalInfo::new(entry, cause, clock);
        let mut is_deserted = false;
        for Stream { channel, copy } in self.streams(&guard).1 {
            if channel.is_wanted() {
                channel.send(|| {
                    let (key, value) = copy(&entry.key, &entry.value);
                    Removal { key, value, cause, info }
                });
            } else {
                is_deserted = true;
            }
        }
        if is_deserted { self.replace(&guard, None) } else { None }
    }

    /// Adds a stream. Returns what is to be retired.
    pub(super) fn add(&self, stream: &Stream<K, V>) -> Option<*mut List<K, V>> {
        self.replace(&pin(), Some(stream))
    }

    /// Replaces the list by what is still wanted of it, and what is new. Returns the old one, to be retired.
    fn replace(&self, guard: &Guard, new: Option<&Stream<K, V>>) -> Option<*mut List<K, V>> {
        loop {
            let (old, streams) = self.streams(guard);
            let wanted = || streams.iter().filter(|stream| stream.channel.is_wanted()).chain(new);
            if new.is_none() && wanted().count() == streams.len() {
                // Somebody else was here.
                return None;
            }
            let list = List { streams: Vec::from_iter(wanted().cloned()), made: Plain::default() };
            let list = if list.streams.is_empty() { ptr::null_mut() } else { Box::into_raw(Box::new(list)) };
            // Release: publishes the list; pairs with the load in `streams` (E10). A list that we see is not freed while we
            // are pinned, so none takes its place unnoticed.
            match self.list.compare_exchange(old, list, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return (!old.is_null()).then_some(old),
                Err(_) if list.is_null() => {}
                // SAFETY: not published.
                Err(_) => drop(unsafe { Box::from_raw(list) }),
            }
        }
    }

    fn streams<'g>(&'g self, _guard: &'g Guard) -> (*mut List<K, V>, &'g [Stream<K, V>]) {
        // Acquire: the list and its streams; pairs with the CAS in `replace` (E10).
        let list = self.list.load(Ordering::Acquire);
        // SAFETY: null, or from a box that is freed only after a grace period that began when it was replaced; the guard
        // was there before we loaded it.
        let Some(there) = (unsafe { list.as_ref() }) else { return (list, &[]) };
        // SAFETY: never written.
        unsafe { there.made.get() };
        (list, &there.streams)
    }

    /// Ends all streams: the map is gone.
    pub(super) fn close(&mut self) {
        // Relaxed: `&mut self`; all that others did happened before.
        let list = self.list.swap(ptr::null_mut(), Ordering::Relaxed);
        if !list.is_null() {
            // SAFETY: from a box, and taken out just now.
            unsafe { Box::from_raw(list) }.streams.iter().for_each(|stream| stream.channel.close());
        }
    }
}

#[cfg(all(test, not(ttl_loom)))]
mod tests {
    use super::*;
    use crate::{ManualClock, TtlMap};

    #[test]
    fn stream_that_nobody_receives_from_is_freed_by_the_next_writes() {
        let map = TtlMap::builder().clock(ManualClock::new()).build();
        let (events, kept) = (map.events(4), map.events(usize::MAX));
        let channel = Arc::downgrade(&map.leaving.streams().streams(&pin()).1[0].channel);
        map.insert(0, 0);
        drop(events);
        assert!(channel.upgrade().is_some());
        // The grace period may be held up by other tests' pins for a while.
        for n in 0.. {
            map.insert(0, n);
            if channel.upgrade().is_none() {
                break;
            }
            assert!(n < 5_000_000, "never freed");
        }
        assert_eq!(map.leaving.streams().streams(&pin()).1.len(), 1);
        drop(kept);
        map.insert(0, 0);
        assert!(map.leaving.streams().is_empty());
    }
}
