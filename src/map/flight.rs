//! Flights: computations of values that are under way, each known by its key, so that whoever else wants the value waits
//! for that key alone.
//!
//! This is beside the lock-free parts: only loads come here, after a miss, and a load may wait. A short lock guards a
//! list of flights by hash; nothing is computed under it.
//!
//! ```text
//!  lead:    board (lock: no flight, not in the map: list it) ─ compute ─ put into the map ─ end (lock: take it off) ─ wake
//!  follow:  board (lock: there is one) ─ wait ─ look into the map, or board again
//! ```
//!
//! The value is in the map before its flight ends, and who boards looks into the map under the lock: so nobody computes
//! what a flight has just brought. The flight itself carries no value, and keeps the key only while it is computed for:
//! the map gets that very key, which need not be `Clone`. From then on, for as long as a put takes, who boards with an
//! equal hash follows whatever his key is.
//!
//! A flight that fails wakes all who follow, and they board again: the first of them leads. Nobody is handed the lead who
//! might not take it, as he was cancelled or has panicked meanwhile.

#[cfg(feature = "async")]
mod awaiting;
mod stage;

use std::sync::{OnceLock, PoisonError};

#[cfg(feature = "async")]
pub(crate) use awaiting::Following;
pub(super) use stage::Stage;

use crate::sync::{Arc, Condvar, Mutex, MutexGuard, lock};

/// Lists of flights, so that many at once don't meet on one lock.
const SHARDS: usize = 16;

/// The flights of a map: a null pointer until something is loaded.
pub(crate) struct Flights<K>(OnceLock<Box<Shards<K>>>);

type Shards<K> = [Mutex<Vec<Listed<K>>>; SHARDS];

struct Listed<K> {
    hash: u64,
    /// None while the value is put into the map, and the key with it.
    key: Option<K>,
    flight: Arc<Flight>,
}

/// How a caller goes on who has found nothing.
pub(crate) enum Boarding<'f, K, T> {
    /// It is in the map by now.
    There(T),
    /// He is to compute the value.
    Leads(Lead<'f, K>),
    /// Somebody else computes it, or is putting what may be another key's of this hash; the key is given back.
    Follows(K, Arc<Flight>, Whose),
}

/// Whose value a flight brings that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The caller's.
    His,
    /// That of some key of the same hash: the flight has its key no more.
    Unknown,
}

impl<K> Default for Flights<K> {
    fn default() -> Self {
        Flights(OnceLock::new())
    }
}

impl<K: Eq> Flights<K> {
    /// Finds the flight of a key, or the value itself (`look`s into the map), or starts a flight.
    ///
    /// `look` and the keys' `Eq` run under the lock of one list. A load that they start follows nobody ([`Stage`]).
    pub(crate) fn board<T>(&self, hash: u64, key: K, look: impl FnOnce(&K) -> Option<T>) -> Boarding<'_, K, T> {
        let _stage = Stage::Boarding.enter();
        let mut listed = self.list(hash);
        let is = |other: &Listed<K>| other.hash == hash && other.key.as_ref().is_none_or(|other| *other == key);
        if let Some(there) = listed.iter().find(|&other| is(other)) {
            let whose = if there.key.is_some() { Whose::His } else { Whose::Unknown };
            return Boarding::Follows(key, Arc::clone(&there.flight), whose);
        }
        if let Some(found) = look(&key) {
            return Boarding::There(found);
        }
        let flight = Arc::new(Flight::default());
        listed.push(Listed { hash, key: Some(key), flight: Arc::clone(&flight) });
        Boarding::Leads(Lead { flights: self, hash, flight, end: End::Failed })
    }
}

impl<K> Flights<K> {
    fn list(&self, hash: u64) -> MutexGuard<'_, Vec<Listed<K>>> {
        let shards = self.0.get_or_init(|| Box::new(std::array::from_fn(|_| Mutex::new(Vec::new()))));
        lock(&shards[(hash >> 32) as usize % SHARDS])
    }

    /// Hands the keys of loads that were forgotten to `free`, which must not unwind.
    pub(crate) fn drain(&mut self, free: &mut dyn FnMut(K)) {
        for shard in self.0.take().into_iter().flat_map(|shards| *shards) {
            let listed = std::mem::take(&mut *lock(&shard));
            listed.into_iter().filter_map(|listed| listed.key).for_each(&mut *free);
        }
    }

    /// How many are under way.
    #[cfg(all(test, ttl_loom))]
    pub(crate) fn len(&self) -> usize {
        self.0.get().map_or(0, |shards| shards.iter().map(|shard| lock(shard).len()).sum())
    }
}

/// The duty to bring a flight to its end. If it is dropped, by a panic or a cancellation, the flight has failed.
pub(crate) struct Lead<'f, K> {
    flights: &'f Flights<K>,
    hash: u64,
    flight: Arc<Flight>,
    end: End,
}

impl<K> Lead<'_, K> {
    /// Takes the key out of the flight, to be put into the map.
    pub(crate) fn take_key(&self) -> Option<K> {
        let mut listed = self.flights.list(self.hash);
        listed.iter_mut().find(|listed| self.is_of(listed))?.key.take()
    }

    /// Ends the flight: the value is in the map.
    pub(crate) fn land(mut self) {
        self.end = End::Landed;
    }

    fn is_of(&self, listed: &Listed<K>) -> bool {
        Arc::ptr_eq(&listed.flight, &self.flight)
    }
}

impl<K> Drop for Lead<'_, K> {
    fn drop(&mut self) {
        let mut list = self.flights.list(self.hash);
        let at = list.iter().position(|listed| self.is_of(listed));
        let listed = at.map(|at| list.swap_remove(at));
        drop(list);
        self.flight.end(self.end);
        // The key of one that failed: its destructor runs when all are awake.
        drop(listed);
    }
}

/// How a flight ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The value was put into the map.
    Landed,
    /// Nothing was: an error, a panic, a cancellation.
    Failed,
}

/// What those wait for who follow.
#[derive(Default)]
pub(crate) struct Flight {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    end: Option<End>,
    #[cfg(feature = "async")]
    wakers: awaiting::Wakers,
}

impl Flight {
    /// Waits for the end.
    pub(crate) fn wait(&self) -> End {
        let mut state = lock(&self.state);
        loop {
            if let Some(end) = state.end {
                return end;
            }
            state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn end(&self, end: End) {
        let mut state = lock(&self.state);
        state.end = Some(end);
        #[cfg(feature = "async")]
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        self.ended.notify_all();
        #[cfg(feature = "async")]
        wakers.wake();
    }
}
