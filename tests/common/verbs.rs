//! The map's verbs with owned results, so that a test can be written once for the map and for a pin.

use std::hash::BuildHasher;
use std::time::Duration;

use ttlwheel::{Deadline, Inserted, Pinned, TtlMap};

/// What both faces of a map of numbers can do.
pub trait Verbs {
    fn get(&self, key: u64) -> Option<u64>;
    fn get_key_value(&self, key: u64) -> Option<(u64, u64)>;
    fn contains_key(&self, key: u64) -> bool;
    fn insert(&self, key: u64, value: u64) -> Inserted<u64>;
    fn insert_with_ttl(&self, key: u64, value: u64, ttl: Duration) -> Inserted<u64>;
    fn insert_at(&self, key: u64, value: u64, deadline: Deadline) -> Inserted<u64>;
    fn insert_forever(&self, key: u64, value: u64) -> Inserted<u64>;
    fn remove(&self, key: u64) -> Option<u64>;
    fn remove_entry(&self, key: u64) -> Option<(u64, u64)>;
    fn ttl(&self, key: u64) -> Option<Duration>;
    fn deadline(&self, key: u64) -> Option<Deadline>;
    /// All pairs, sorted.
    fn pairs(&self) -> Vec<(u64, u64)>;
    fn len(&self) -> usize;
    fn is_empty(&self) -> bool;
}

macro_rules! common_verbs {
    () => {
        fn contains_key(&self, key: u64) -> bool {
            self.contains_key(&key)
        }

        fn insert(&self, key: u64, value: u64) -> Inserted<u64> {
            self.insert(key, value).map(|old| *old)
        }

        fn insert_with_ttl(&self, key: u64, value: u64, ttl: Duration) -> Inserted<u64> {
            self.insert_with_ttl(key, value, ttl).map(|old| *old)
        }

        fn insert_at(&self, key: u64, value: u64, deadline: Deadline) -> Inserted<u64> {
            self.insert_at(key, value, deadline).map(|old| *old)
        }

        fn insert_forever(&self, key: u64, value: u64) -> Inserted<u64> {
            self.insert_forever(key, value).map(|old| *old)
        }

        fn get(&self, key: u64) -> Option<u64> {
            self.get(&key).map(|value| *value)
        }

        fn remove(&self, key: u64) -> Option<u64> {
            self.remove(&key).map(|value| *value)
        }

        fn ttl(&self, key: u64) -> Option<Duration> {
            self.ttl(&key)
        }

        fn deadline(&self, key: u64) -> Option<Deadline> {
            self.deadline(&key)
        }

        fn len(&self) -> usize {
            self.len()
        }

        fn is_empty(&self) -> bool {
            self.is_empty()
        }
    };
}

impl<S: BuildHasher> Verbs for TtlMap<u64, u64, S> {
    common_verbs!();

    fn get_key_value(&self, key: u64) -> Option<(u64, u64)> {
        self.get_key_value(&key).map(|entry| (*entry.key(), *entry.value()))
    }

    fn remove_entry(&self, key: u64) -> Option<(u64, u64)> {
        self.remove_entry(&key).map(|entry| (*entry.key(), *entry.value()))
    }

    fn pairs(&self) -> Vec<(u64, u64)> {
        let mut pairs: Vec<_> = self.iter().map(|entry| (*entry.key(), *entry.value())).collect();
        pairs.sort_unstable();
        pairs
    }
}

impl<S: BuildHasher> Verbs for Pinned<'_, u64, u64, S> {
    common_verbs!();

    fn get_key_value(&self, key: u64) -> Option<(u64, u64)> {
        self.get_key_value(&key).map(|(key, value)| (*key, *value))
    }

    fn remove_entry(&self, key: u64) -> Option<(u64, u64)> {
        self.remove_entry(&key).map(|(key, value)| (*key, *value))
    }

    fn pairs(&self) -> Vec<(u64, u64)> {
        let mut pairs: Vec<_> = self.iter().map(|(key, value)| (*key, *value)).collect();
        pairs.sort_unstable();
        pairs
    }
}
