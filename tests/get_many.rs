//! A batch of gets answers what as many gets would.

mod common;

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use common::{Chosen, Collide, HighBits, Identity, Rng, manual_map, race, scaled, tiny_map};
use ttlwheel::{Condition, Inserted, Retimed, TtlMap};

const SECOND: Duration = Duration::from_secs(1);

/// Batches of all lengths around those that are fetched together, while the table grows, shrinks and expires.
fn answers_what_gets_would<S: BuildHasher + Clone>(hasher: S, keys: u64) {
    let (map, clock) = manual_map(10 * SECOND, hasher);
    let mut random = Rng(7);
    for round in 0..scaled(100, 1_000) {
        for _ in 0..random.below(keys / 4) {
            match random.below(4) {
                0 => drop(map.remove(&random.below(keys))),
                _ => drop(map.insert(random.below(keys), round)),
            }
        }
        clock.advance(Duration::from_nanos(random.below(4_000_000_000)));
        let wanted: Vec<u64> = (0..random.below(100)).map(|_| random.below(keys)).collect();
        let single: Vec<_> = wanted.iter().map(|key| (*key, map.get_cloned(key))).collect();
        let mut many = Vec::new();
        map.get_many(&wanted, |key, value| many.push((*key, value.copied())));
        assert_eq!(many, single);
        let pinned = map.pin();
        let mut found = Vec::new();
        pinned.get_many(&wanted, |_, value| found.push(value));
        assert_eq!(found, single.iter().map(|(_, value)| value.as_ref()).collect::<Vec<_>>());
    }
}

#[test]
fn batch_answers_what_gets_would() {
    answers_what_gets_would(Chosen::std(), 200);
    answers_what_gets_would(Chosen::std(), 5_000);
    answers_what_gets_would(Chosen::from(Identity), 1_000);
    answers_what_gets_would(Chosen::from(HighBits), 300);
    answers_what_gets_would(Chosen::from(Collide::<3>), 60);
}

/// All of a batch is judged by one reading, also what lapses while the batch is answered.
#[test]
fn batch_is_judged_at_one_reading() {
    let (map, clock) = manual_map(SECOND, RandomState::new());
    let keys: Vec<u64> = (0..100).collect();
    keys.iter().for_each(|&key| drop(map.insert(key, key)));
    let mut live = 0;
    map.get_many(&keys, |_, value| {
        live += usize::from(value.is_some());
        clock.advance(SECOND / 10);
    });
    assert_eq!(live, 100);
    map.get_many(&keys, |key, value| assert_eq!(value, None, "{key}"));
}

#[test]
fn batch_may_use_the_map_it_reads() {
    let map: TtlMap<u64, u64> = tiny_map(RandomState::new());
    let keys: Vec<u64> = (0..500).collect();
    for _ in 0..3 {
        map.get_many(&keys, |&key, value| {
            let next = value.map_or(0, |value| value + 1);
            assert_eq!(map.insert(key, next).map(|old| *old).replaced(), value.copied());
        });
    }
    assert!(keys.iter().all(|key| map.get_cloned(key) == Some(2)));
    map.get_many(&keys, |key, _| assert!(map.remove(key).is_some()));
    assert!(map.is_empty() && matches!(map.insert(1, 1), Inserted::New));
}

/// What has been fetched for a key is not what it is answered by, if that was replaced or removed meanwhile.
#[test]
fn what_is_done_while_a_batch_is_answered_is_seen_by_the_rest_of_it() {
    type Change = fn(&TtlMap<u64, u64>, u64);
    let changes: [Change; 4] = [
        |map, key| drop(map.insert(key, key + 1)),
        |map, key| drop(map.remove(&key)),
        |map, key| assert!(matches!(map.expire_in(&key, Duration::ZERO, Condition::Always), Retimed::Changed { .. })),
        // Grows, so that what was fetched is no longer where it was.
        |map, key| (0..40).for_each(|n| drop(map.insert(if n < 39 { 1_000 + 40 * key + n } else { key }, key + 1))),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let map: TtlMap<u64, u64> = tiny_map(RandomState::new());
        let keys: Vec<u64> = (0..198).collect();
        keys.iter().for_each(|&key| drop(map.insert(key, key)));
        map.get_many(&keys, |&key, value| {
            let changed = if number == 0 || number == 3 { Some(key + 1) } else { None };
            assert_eq!(value.copied(), if key % 3 == 2 { changed } else { Some(key) }, "{number}");
            if key % 3 == 1 {
                change(&map, key + 1);
            }
        });
    }
}

/// What is always there is never missed while the table is resized again and again.
#[test]
fn batch_misses_nothing_while_the_table_is_resized() {
    let map: TtlMap<u64, u64> = tiny_map(RandomState::new());
    let lasting: Vec<u64> = (0..100).collect();
    lasting.iter().for_each(|&key| drop(map.insert(key, key)));
    race(3, |thread| {
        for round in 0..scaled(20, 200) {
            if thread == 0 {
                (100..1_000).for_each(|key| drop(map.insert(key, round)));
                (100..1_000).for_each(|key| drop(map.remove(&key)));
            } else {
                map.get_many(&lasting, |key, value| assert_eq!(value, Some(key)));
            }
        }
    });
}
