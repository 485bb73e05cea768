//! The map's verbs with owned results, so that a test can be written once for the map and for a pin.

use std::hash::BuildHasher;
use std::time::Duration;

use ttlwheel::{Computed, Condition, Deadline, Inserted, Operation, Pinned, Retimed, TtlMap};

/// What both faces of a map of numbers can do.
pub trait Verbs {
    fn get(&self, key: u64) -> Option<u64>;
    fn get_key_value(&self, key: u64) -> Option<(u64, u64)>;
    fn get_many(&self, keys: &[u64]) -> Vec<Option<u64>>;
    fn peek(&self, key: u64) -> Option<u64>;
    fn contains_key(&self, key: u64) -> bool;
    fn insert(&self, key: u64, value: u64) -> Inserted<u64>;
    fn insert_with_ttl(&self, key: u64, value: u64, ttl: Duration) -> Inserted<u64>;
    fn insert_at(&self, key: u64, value: u64, deadline: Deadline) -> Inserted<u64>;
    fn insert_forever(&self, key: u64, value: u64) -> Inserted<u64>;
    fn remove(&self, key: u64) -> Option<u64>;
    fn remove_entry(&self, key: u64) -> Option<(u64, u64)>;
    fn ttl(&self, key: u64) -> Option<Duration>;
    fn deadline(&self, key: u64) -> Option<Deadline>;
    fn expire_in(&self, key: u64, ttl: Duration, condition: Condition) -> Retimed;
    fn expire_at(&self, key: u64, deadline: Deadline, condition: Condition) -> Retimed;
    fn persist(&self, key: u64) -> Retimed;
    fn touch(&self, key: u64) -> Retimed;
    /// The value that is there now, or as an error the one that is in the way.
    fn try_insert(&self, key: u64, value: u64) -> Result<u64, u64>;
    fn try_insert_with_ttl(&self, key: u64, value: u64, ttl: Duration) -> Result<u64, u64>;
    /// What was replaced.
    fn replace(&self, key: u64, value: u64) -> Option<u64>;
    /// What was replaced, or as an error what is there.
    fn insert_if(
        &self,
        key: u64,
        value: u64,
        condition: impl FnMut(Option<u64>) -> bool,
    ) -> Result<Option<u64>, Option<u64>>;
    fn compare_exchange(&self, key: u64, current: u64, new: u64) -> Result<u64, Option<u64>>;
    fn remove_if(&self, key: u64, condition: impl FnMut(u64) -> bool) -> Option<u64>;
    fn update(&self, key: u64, update: impl FnMut(u64) -> u64) -> Option<u64>;
    fn update_or_insert(&self, key: u64, update: impl FnMut(u64) -> u64, value: u64) -> u64;
    fn compute(&self, key: u64, operation: impl FnMut(Option<u64>) -> Operation<u64, u64>) -> Computed<u64, u64>;
    fn or_insert(&self, key: u64, value: u64) -> u64;
    fn retain(&self, keep: impl FnMut(u64) -> bool);
    /// The pairs that drain hands out, at most so many, sorted.
    fn drained(&self, most: usize) -> Vec<(u64, u64)>;
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

        fn peek(&self, key: u64) -> Option<u64> {
            self.peek(&key).map(|value| *value)
        }

        fn get_many(&self, keys: &[u64]) -> Vec<Option<u64>> {
            let mut got = Vec::new();
            self.get_many(keys, |key, value| {
                assert_eq!(*key, keys[got.len()], "in the order of the keys");
                got.push(value.copied());
            });
            got
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

        fn expire_in(&self, key: u64, ttl: Duration, condition: Condition) -> Retimed {
            self.expire_in(&key, ttl, condition)
        }

        fn expire_at(&self, key: u64, deadline: Deadline, condition: Condition) -> Retimed {
            self.expire_at(&key, deadline, condition)
        }

        fn persist(&self, key: u64) -> Retimed {
            self.persist(&key)
        }

        fn touch(&self, key: u64) -> Retimed {
            self.touch(&key)
        }

        fn try_insert(&self, key: u64, value: u64) -> Result<u64, u64> {
            self.try_insert(key, value).map(|new| *new).map_err(|refused| {
                assert_eq!((refused.key, refused.not_inserted), (key, value));
                *refused.current
            })
        }

        fn try_insert_with_ttl(&self, key: u64, value: u64, ttl: Duration) -> Result<u64, u64> {
            self.try_insert_with_ttl(key, value, ttl).map(|new| *new).map_err(|refused| {
                assert_eq!((refused.key, refused.not_inserted), (key, value));
                *refused.current
            })
        }

        fn replace(&self, key: u64, value: u64) -> Option<u64> {
            self.replace(key, value).map(|old| *old).map_err(|given| assert_eq!(given, (key, value))).ok()
        }

        fn insert_if(
            &self,
            key: u64,
            value: u64,
            mut condition: impl FnMut(Option<u64>) -> bool,
        ) -> Result<Option<u64>, Option<u64>> {
            self.insert_if(key, value, |live| condition(live.copied()))
                .map(|old| old.map(|old| *old))
                .map_err(|refused| refused.current.map(|current| *current))
        }

        fn compare_exchange(&self, key: u64, current: u64, new: u64) -> Result<u64, Option<u64>> {
            self.compare_exchange(key, &current, new)
                .map(|old| *old)
                .map_err(|refused| refused.current.map(|current| *current))
        }

        fn remove_if(&self, key: u64, mut condition: impl FnMut(u64) -> bool) -> Option<u64> {
            self.remove_if(&key, |_, value| condition(*value)).map(|old| *old)
        }

        fn update(&self, key: u64, mut update: impl FnMut(u64) -> u64) -> Option<u64> {
            self.update(key, |value| update(*value)).map(|new| *new)
        }

        fn update_or_insert(&self, key: u64, mut update: impl FnMut(u64) -> u64, value: u64) -> u64 {
            *self.update_or_insert_with(key, |value| update(*value), || value)
        }

        fn compute(
            &self,
            key: u64,
            mut operation: impl FnMut(Option<u64>) -> Operation<u64, u64>,
        ) -> Computed<u64, u64> {
            match self.compute(key, |live| operation(live.copied())) {
                Computed::Inserted(new) => Computed::Inserted(*new),
                Computed::Updated { old, new } => Computed::Updated { old: *old, new: *new },
                Computed::Removed(old) => Computed::Removed(*old),
                Computed::Absent => Computed::Absent,
                Computed::Aborted(with) => Computed::Aborted(with),
            }
        }

        fn retain(&self, mut keep: impl FnMut(u64) -> bool) {
            self.retain(|key, _| keep(*key));
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

    fn or_insert(&self, key: u64, value: u64) -> u64 {
        *self.pin().entry(key).or_insert(value)
    }

    fn drained(&self, most: usize) -> Vec<(u64, u64)> {
        let mut pairs: Vec<_> = self.drain().take(most).map(|entry| (*entry.key(), *entry.value())).collect();
        pairs.sort_unstable();
        pairs
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

    fn or_insert(&self, key: u64, value: u64) -> u64 {
        *self.entry(key).or_insert(value)
    }

    fn drained(&self, most: usize) -> Vec<(u64, u64)> {
        let mut pairs: Vec<_> = self.drain().take(most).map(|(key, value)| (*key, *value)).collect();
        pairs.sort_unstable();
        pairs
    }

    fn pairs(&self) -> Vec<(u64, u64)> {
        let mut pairs: Vec<_> = self.iter().map(|(key, value)| (*key, *value)).collect();
        pairs.sort_unstable();
        pairs
    }
}
