//! Each counter by each verb, by a clock that only the test moves, and sums that hold whatever threads do.

mod common;

use std::hash::RandomState;
use std::time::Duration;

use common::manual_map;
use ttlwheel::{ManualClock, MapEntry, Stats, TtlMap};

const TTL: Duration = Duration::from_secs(60);

type Map = TtlMap<u64, u64>;
/// A verb by name, called on a key.
type Verb = (&'static str, fn(&Map, u64));

fn map() -> (Map, ManualClock) {
    manual_map(TTL, RandomState::new())
}

/// What was counted meanwhile: hits, misses, and those of them that met what had expired.
fn reads(map: &Map, meanwhile: impl FnOnce()) -> (u64, u64, u64) {
    let before = map.stats();
    meanwhile();
    let Stats { hits, misses, misses_expired, .. } = map.stats();
    (hits - before.hits, misses - before.misses, misses_expired - before.misses_expired)
}

/// A map with a live entry at 1, and one at 2 that has expired and is still stored.
fn live_and_lapsed() -> Map {
    let (map, clock) = map();
    map.insert_with_ttl(2, 2, Duration::from_secs(1));
    map.insert(1, 1);
    clock.advance(Duration::from_secs(1));
    map
}

const HIT: (u64, u64, u64) = (1, 0, 0);
const MISS: (u64, u64, u64) = (0, 1, 0);
const MISS_EXPIRED: (u64, u64, u64) = (0, 1, 1);
const NOTHING: (u64, u64, u64) = (0, 0, 0);

#[test]
fn each_read_is_a_hit_or_a_miss() {
    let verbs: [Verb; 8] = [
        ("get", |map, key| drop(map.get(&key))),
        ("get_key_value", |map, key| drop(map.get_key_value(&key))),
        ("get_cloned", |map, key| _ = map.get_cloned(&key)),
        ("get_many", |map, key| map.get_many([&key], |_, _| ())),
        ("pinned get", |map, key| _ = map.pin().get(&key)),
        ("pinned get_key_value", |map, key| _ = map.pin().get_key_value(&key)),
        ("pinned get_many", |map, key| map.pin().get_many([&key], |_, _| ())),
        ("entry", |map, key| _ = map.pin().entry(key)),
    ];
    for (verb, read) in verbs {
        let map = live_and_lapsed();
        for (key, expected) in [(1, HIT), (2, MISS_EXPIRED), (2, MISS), (3, MISS)] {
            assert_eq!(reads(&map, || read(&map, key)), expected, "{verb} of {key}");
        }
    }
}

#[test]
fn a_batch_counts_each_of_its_keys() {
    let (map, _clock) = map();
    (0..100).for_each(|key| drop(map.insert(key, key)));
    let keys: Vec<u64> = (0..150).collect();
    assert_eq!(reads(&map, || map.get_many(&keys, |_, _| ())), (100, 50, 0));
}

#[test]
fn a_load_is_one_read() {
    let verbs: [Verb; 4] = [
        ("get_or_insert_with", |map, key| drop(map.get_or_insert_with(key, || 0))),
        ("try_get_or_insert_with", |map, key| drop(map.try_get_or_insert_with(key, || Err::<u64, _>(())))),
        ("get_or_refresh_with", |map, key| drop(map.get_or_refresh_with(key, Duration::ZERO, || 0))),
        ("get_or_refresh_with, stale", |map, key| drop(map.get_or_refresh_with(key, TTL, || 0))),
    ];
    for (verb, load) in verbs {
        let map = live_and_lapsed();
        for (key, expected) in [(1, HIT), (2, MISS_EXPIRED), (3, MISS)] {
            assert_eq!(reads(&map, || load(&map, key)), expected, "{verb} of {key}");
        }
    }
}

#[test]
fn what_is_no_read_is_not_counted() {
    let verbs: [Verb; 12] = [
        ("peek", |map, key| drop(map.peek(&key))),
        ("pinned peek", |map, key| _ = map.pin().peek(&key)),
        ("contains_key", |map, key| _ = map.contains_key(&key)),
        ("ttl", |map, key| _ = map.ttl(&key)),
        ("deadline", |map, key| _ = map.deadline(&key)),
        ("iter", |map, _| map.iter().for_each(drop)),
        ("touch", |map, key| _ = map.touch(&key)),
        ("insert", |map, key| drop(map.insert(key, 0))),
        ("try_insert", |map, key| drop(map.try_insert(key, 0))),
        ("update", |map, key| drop(map.update(key, |value| *value))),
        ("remove", |map, key| drop(map.remove(&key))),
        ("retain", |map, _| map.retain(|_, _| true)),
    ];
    for (verb, call) in verbs {
        for key in 1..=3 {
            let map = live_and_lapsed();
            assert_eq!(reads(&map, || call(&map, key)), NOTHING, "{verb} of {key}");
        }
    }
}

#[test]
fn what_an_entry_does_later_is_no_second_read() {
    let map = live_and_lapsed();
    let pinned = map.pin();
    let seen = [pinned.entry(1), pinned.entry(3)];
    let later = || {
        for entry in seen {
            match entry {
                MapEntry::Occupied(seen) => assert_eq!(seen.get(), &1),
                MapEntry::Vacant(seen) => assert_eq!(seen.insert(3), Ok(&3)),
            }
        }
    };
    assert_eq!(reads(&map, later), NOTHING);
}

#[test]
fn a_census_is_of_one_instant() {
    let (map, clock) = map();
    (0..100).for_each(|key| drop(map.insert_with_ttl(key, key, Duration::from_secs(key))));
    for second in 0..110 {
        let census = map.census();
        assert_eq!(census.live, map.len(), "second {second}");
        assert_eq!(census.live + census.overdue, map.stored_len());
        assert_eq!(census.live, 99usize.saturating_sub(second).min(99));
        clock.advance(Duration::from_secs(1));
    }
}
