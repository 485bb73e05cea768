//! What histories are made of: maps, with keys that stop their thread or not.

use std::cell::Cell;
use std::hash::{BuildHasher, Hash, Hasher};
use std::thread;

use ttlwheel::{Deadline, Inserted, ManualClock, TtlMap};

use super::Verbs;
use super::acts::{Act, act};
use super::history::Done;

/// The next pair of a walk.
pub type Next<'n> = &'n mut dyn FnMut() -> Option<(u64, u64)>;

/// What histories are made of: a map, or a broken one.
pub trait Subject: Sync {
    fn get(&self, key: u64) -> Option<u64>;
    fn insert_at(&self, key: u64, value: u64, deadline: Deadline) -> Inserted<u64>;
    fn remove(&self, key: u64) -> Option<u64>;

    fn contains(&self, key: u64) -> bool {
        self.get(key).is_some()
    }

    /// A batch of gets, of different keys; None if there are none.
    fn get_many(&self, _keys: &[u64]) -> Option<Vec<Option<u64>>> {
        None
    }

    /// Hands out a walk that removes what it meets, one by one.
    fn drain(&self, _each: &mut dyn FnMut(Next<'_>)) {}

    /// One of the verbs that act by what is there, with a value that was seen before; None if there are none.
    fn act(&self, _act: Act, _key: u64, _value: u64, _seen: Option<u64>) -> Option<Done> {
        None
    }
}

impl<S: BuildHasher + Sync + Send> Subject for TtlMap<u64, u64, S> {
    fn get(&self, key: u64) -> Option<u64> {
        if key % 2 == 0 { Verbs::get(self, key) } else { Verbs::get(&self.pin(), key) }
    }

    fn insert_at(&self, key: u64, value: u64, deadline: Deadline) -> Inserted<u64> {
        if key % 4 < 2 {
            Verbs::insert_at(self, key, value, deadline)
        } else {
            Verbs::insert_at(&self.pin(), key, value, deadline)
        }
    }

    fn remove(&self, key: u64) -> Option<u64> {
        if key % 8 < 4 { Verbs::remove(self, key) } else { Verbs::remove_entry(self, key).map(|entry| entry.1) }
    }

    fn contains(&self, key: u64) -> bool {
        self.contains_key(&key)
    }

    fn get_many(&self, keys: &[u64]) -> Option<Vec<Option<u64>>> {
        Some(Verbs::get_many(self, keys))
    }

    fn drain(&self, each: &mut dyn FnMut(Next<'_>)) {
        let mut drain = self.drain();
        each(&mut || drain.next().map(|removed| (*removed.key(), *removed)));
    }

    fn act(&self, which: Act, key: u64, value: u64, seen: Option<u64>) -> Option<Done> {
        Some(act(self, which, key, value, seen))
    }
}

/// A key whose thread is often stopped while the map compares it: between the read of a slot and what comes of it.
#[derive(Debug)]
pub struct Stopping(pub u64);

impl Stopping {
    fn stop_sometimes() {
        thread_local!(static CALLS: Cell<u64> = const { Cell::new(0) });
        CALLS.set(CALLS.get() + 1);
        if CALLS.get() % 13 == 0 {
            thread::yield_now();
        }
    }
}

impl Hash for Stopping {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Self::stop_sometimes();
        self.0.hash(state);
    }
}

impl PartialEq for Stopping {
    fn eq(&self, other: &Self) -> bool {
        Self::stop_sometimes();
        self.0 == other.0
    }
}

impl Eq for Stopping {}

impl<S: BuildHasher + Sync + Send> Subject for TtlMap<Stopping, u64, S> {
    fn get(&self, key: u64) -> Option<u64> {
        self.get_cloned(&Stopping(key))
    }

    fn insert_at(&self, key: u64, value: u64, deadline: Deadline) -> Inserted<u64> {
        self.insert_at(Stopping(key), value, deadline).map(|old| *old)
    }

    fn remove(&self, key: u64) -> Option<u64> {
        self.remove(&Stopping(key)).map(|old| *old)
    }

    fn get_many(&self, keys: &[u64]) -> Option<Vec<Option<u64>>> {
        let (keys, mut got) = (keys.iter().copied().map(Stopping).collect::<Vec<_>>(), Vec::new());
        self.get_many(&keys, |_, value| got.push(value.copied()));
        Some(got)
    }

    fn drain(&self, each: &mut dyn FnMut(Next<'_>)) {
        let mut drain = self.drain();
        each(&mut || drain.next().map(|removed| (removed.key().0, *removed)));
    }

    fn act(&self, which: Act, key: u64, value: u64, seen: Option<u64>) -> Option<Done> {
        Some(act(self, which, Stopping(key), value, seen))
    }
}

/// The smallest map there is, on the clock.
pub fn map_on<K, S: BuildHasher>(clock: &ManualClock, hasher: S) -> TtlMap<K, u64, S> {
    TtlMap::<K, u64>::builder().initial_capacity(1).clock(clock).hasher(hasher).build()
}
