//! Each counter by each verb, by a clock that only the test moves, and sums that hold whatever threads do.

mod common;

use std::hash::RandomState;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use common::{Rng, manual_map, purge_all, race, scaled};
use ttlwheel::{Condition, Lag, ManualClock, MapEntry, Operation, Stats, TtlMap};

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
    let verbs: [Verb; 9] = [
        ("get", |map, key| drop(map.get(&key))),
        ("read", |map, key| _ = map.read(&key, |value| *value)),
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
    let panics_at = |last: u64| {
        let batch = || map.get_many(&keys, |key, _| assert_ne!(*key, last));
        catch_unwind(AssertUnwindSafe(batch)).expect_err("it panics")
    };
    assert_eq!(reads(&map, || drop(panics_at(40))), (41, 0, 0), "those that were read");
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

/// What was counted meanwhile: inserts, and what left as replaced, expired and explicit.
fn comings_and_goings(map: &Map, meanwhile: impl FnOnce()) -> [u64; 4] {
    let of = |stats: Stats| [stats.inserts, stats.replaced, stats.expired, stats.explicit];
    let before = of(map.stats());
    meanwhile();
    let after = of(map.stats());
    assert_balanced(map);
    std::array::from_fn(|n| after[n] - before[n])
}

/// Whatever came is there, or has left by one cause.
fn assert_balanced(map: &Map) {
    let stats = map.stats();
    assert_eq!(stats.inserts, stats.replaced + stats.expired + stats.explicit + stats.stored, "{stats:?}");
    assert_eq!(stats.stored, map.stored_len() as u64);
}

const STAYS: [u64; 4] = [0; 4];
const NEW: [u64; 4] = [1, 0, 0, 0];
const REPLACED: [u64; 4] = [1, 1, 0, 0];
const NEW_OVER_EXPIRED: [u64; 4] = [1, 0, 1, 0];
const EXPIRED: [u64; 4] = [0, 0, 1, 0];
const EXPLICIT: [u64; 4] = [0, 0, 0, 1];

/// A verb by name, and what it does to a live value, to one that has expired, and where there is none.
type Write = (&'static str, fn(&Map, u64), [[u64; 4]; 3]);
/// The same of a verb of the whole map.
type WholeMap = (&'static str, fn(&Map), [u64; 4]);

#[test]
fn each_write_counts_what_comes_and_what_goes() {
    let put = [REPLACED, NEW_OVER_EXPIRED, NEW];
    let put_if_absent = [STAYS, NEW_OVER_EXPIRED, NEW];
    let replace = [REPLACED, EXPIRED, STAYS];
    let remove = [EXPLICIT, EXPIRED, STAYS];
    let meet = [STAYS, EXPIRED, STAYS];
    let verbs: [Write; 22] = [
        ("insert", |map, key| drop(map.insert(key, 0)), put),
        ("insert_with_ttl", |map, key| drop(map.insert_with_ttl(key, 0, TTL)), put),
        ("insert_forever", |map, key| drop(map.insert_forever(key, 0)), put),
        ("extend", |map, key| (&*map).extend([(key, 0)]), put),
        ("insert_if", |map, key| drop(map.insert_if(key, 0, |_| true)), put),
        ("update_or_insert_with", |map, key| drop(map.update_or_insert_with(key, |_| 0, || 0)), put),
        ("compute to insert", |map, key| drop(map.compute(key, |_| Operation::<u64>::Insert(0))), put),
        ("try_insert", |map, key| drop(map.try_insert(key, 0)), put_if_absent),
        ("get_or_insert_with", |map, key| drop(map.get_or_insert_with(key, || 0)), put_if_absent),
        ("or_insert", |map, key| _ = map.pin().entry(key).or_insert(0), put_if_absent),
        ("get_or_refresh_with", |map, key| drop(map.get_or_refresh_with(key, TTL, || 0)), put_if_absent),
        ("replace", |map, key| drop(map.replace(key, 0)), replace),
        ("update", |map, key| drop(map.update(key, |_| 0)), replace),
        ("compare_exchange", |map, key| drop(map.compare_exchange(key, &key, 0)), replace),
        ("remove", |map, key| drop(map.remove(&key)), remove),
        ("remove_if", |map, key| drop(map.remove_if(&key, |_, _| true)), remove),
        ("compute to remove", |map, key| drop(map.compute(key, |_| Operation::<u64>::Remove)), remove),
        (
            "expire_in zero",
            |map, key| _ = map.expire_in(&key, Duration::ZERO, Condition::Always),
            [EXPIRED, EXPIRED, STAYS],
        ),
        ("touch", |map, key| _ = map.touch(&key), meet),
        ("get", |map, key| drop(map.get(&key)), meet),
        ("insert_if not", |map, key| drop(map.insert_if(key, 0, |_| false)), meet),
        ("remove_if not", |map, key| drop(map.remove_if(&key, |_, _| false)), meet),
    ];
    for (verb, write, outcomes) in verbs {
        for (key, outcome) in (1..).zip(outcomes) {
            let map = live_and_lapsed();
            assert_eq!(comings_and_goings(&map, || write(&map, key)), outcome, "{verb} of {key}");
        }
    }
}

#[test]
fn verbs_of_the_whole_map_count_each_entry() {
    let verbs: [WholeMap; 8] = [
        ("clear", |map| map.clear(), [0, 0, 30, 70]),
        ("retain none", |map| map.retain(|_, _| false), [0, 0, 30, 70]),
        ("retain all", |map| map.retain(|_, _| true), [0, 0, 30, 0]),
        ("drain", |map| map.drain().for_each(drop), [0, 0, 30, 70]),
        ("len", |map| assert_eq!(map.len(), 70), STAYS),
        ("census", |map| assert_eq!(map.census().overdue, 30), STAYS),
        ("purge", |map| assert_eq!(purge_all(map), 30), [0, 0, 30, 0]),
        ("upkeep", |map| (0..30).for_each(|_| drop(map.remove(&1_000))), [0, 0, 30, 0]),
    ];
    for (verb, call, expected) in verbs {
        let (map, clock) = map();
        (0..30).for_each(|key| drop(map.insert_with_ttl(key, 0, Duration::from_secs(1))));
        (30..100).for_each(|key| drop(map.insert(key, 0)));
        clock.advance(Duration::from_secs(2));
        assert_eq!(comings_and_goings(&map, || call(&map)), expected, "{verb}");
    }
}

#[test]
fn sums_hold_whatever_threads_do() {
    let (map, clock) = manual_map::<u64, u64, _>(Duration::from_nanos(200), RandomState::new());
    let rounds = scaled(10_000, 100_000);
    // More threads than shards, mostly, so that some share one. Reads, inserts, and what inserts and removals have told of.
    let told = race(12, |thread| {
        let mut rng = Rng(thread as u64);
        let mut told = [0; 4];
        for _ in 0..rounds {
            let key = rng.below(50);
            match rng.below(8) {
                0..3 => {
                    drop(map.get(&key));
                    told[0] += 1;
                }
                3 => {
                    map.get_many(&[key, key + 1, key + 2], |_, _| ());
                    told[0] += 3;
                }
                4 | 5 => {
                    told[2] += u64::from(map.insert(key, key).replaced().is_some());
                    told[1] += 1;
                }
                6 => told[3] += u64::from(map.remove(&key).is_some()),
                _ => clock.advance(Duration::from_nanos(rng.below(20))),
            }
        }
        told
    });
    let [reads, inserts, replaced, explicit] =
        told.into_iter().fold([0; 4], |sum, told| std::array::from_fn(|n| sum[n] + told[n]));
    let stats = map.stats();
    assert_eq!(stats.hits + stats.misses, reads);
    assert!(stats.hits > 0 && stats.misses_expired > 0 && stats.misses_expired < stats.misses, "{stats:?}");
    assert_eq!([stats.inserts, stats.replaced, stats.explicit], [inserts, replaced, explicit]);
    assert!(stats.expired > 0);
    assert_balanced(&map);
    map.clear();
    assert_balanced(&map);
    assert_eq!(map.stats().stored, 0);
}

/// The percentiles of a list by nearest rank, and its last number.
fn exact_lag(lags: &mut [u64]) -> [u64; 3] {
    lags.sort_unstable();
    let rank = |percent: usize| lags[(lags.len() * percent).div_ceil(100) - 1];
    [rank(50), rank(99), lags[lags.len() - 1]]
}

#[test]
fn lag_is_that_of_the_entries_that_left_within_an_eighth() {
    for seed in 0..20 {
        let (map, clock) = map();
        assert_eq!(map.stats().lag, Lag::default());
        let mut rng = Rng(seed);
        let mut lags = Vec::new();
        for key in 0..rng.below(2_000) + 1 {
            // Of any size, from nothing to hours.
            let lag = rng.next() >> (20 + rng.below(44));
            map.insert_with_ttl(key, key, TTL);
            clock.advance(TTL + Duration::from_nanos(lag));
            assert!(map.get(&key).is_none());
            lags.push(lag);
        }
        // What leaves otherwise has no lag.
        map.insert(0, 0);
        map.insert(0, 0);
        map.remove(&0);
        let [p50, p99, max] = exact_lag(&mut lags);
        let lag = map.stats().lag;
        let told = [lag.p50, lag.p99, lag.max].map(|lag| lag.as_nanos() as u64);
        assert!((p50..=p50 + p50 / 8).contains(&told[0]), "{} instead of {p50}", told[0]);
        assert!((p99..=p99 + p99 / 8).contains(&told[1]), "{} instead of {p99}", told[1]);
        assert_eq!(told[2], max);
    }
}

#[test]
fn lag_counts_from_the_last_deadline_whoever_acted_on_the_lapse() {
    let lag_of = |meanwhile: fn(&Map)| {
        let (map, clock) = map();
        map.insert_with_ttl(1, 1, TTL);
        map.expire_in(&1, 2 * TTL, Condition::Always);
        clock.advance(2 * TTL);
        meanwhile(&map);
        clock.advance(TTL);
        purge_all(&map);
        assert_eq!(map.stats().expired, 1);
        map.stats().lag.max
    };
    assert_eq!(lag_of(|_| ()), TTL);
    assert_eq!(lag_of(|map| assert_eq!(map.len(), 0)), TTL);
    assert_eq!(lag_of(|map| assert_eq!(map.iter().count(), 0)), TTL);
    assert_eq!(lag_of(|map| assert!(map.get(&1).is_none())), Duration::ZERO);
}

#[test]
fn what_was_over_before_the_clock_has_no_lag() {
    let (map, clock) = map();
    let start = clock.now();
    clock.advance(TTL);
    map.insert_at(1, 1, start - TTL);
    map.insert_at(2, 2, start + TTL / 2);
    purge_all(&map);
    map.get(&1);
    map.get(&2);
    assert_eq!((map.stats().expired, map.stats().lag.max), (2, TTL / 2));
}

#[test]
fn what_waits_for_a_reader_is_seen() {
    let (map, _clock) = map();
    (0..10).for_each(|key| drop(map.insert(key, key)));
    let reader = map.pin();
    assert_eq!(map.stats().retired, 0);
    (0..10).for_each(|key| drop(map.remove(&key)));
    assert_eq!((map.stats().retired, map.stats().stored), (10, 0));
    assert_eq!(map.stats().retired, map.retired_len() as u64);
    drop(reader);
}
