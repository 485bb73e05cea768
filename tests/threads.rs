//! Real threads on one map: what is always present is never missed, values are whole, and outcomes add up.
//!
//! Volumes are for a debug build or a release build; `TTL_STRESS` scales them.

mod common;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use common::{Collide, Counted, Identity, Rng, Stop, Tally, each_hasher, manual_map, race, scaled, tally, tiny_map};
use ttlwheel::{Inserted, TtlMap};

type Map<S = RandomState> = TtlMap<u64, u64, S>;

/// Keys that are always there; their values are congruent to them.
const PERMANENT: u64 = 16;

/// Makes the table grow and shrink until told to stop: keys above `PERMANENT` come and go, up to `most` at once.
fn breathe<S: BuildHasher>(map: &Map<S>, most: u64, stop: &Stop) {
    let keys = || 1_000..1_000 + most;
    while !stop.is_set() {
        keys().take_while(|_| !stop.is_set()).for_each(|key| drop(map.insert(key, key)));
        keys().for_each(|key| drop(map.remove(&key)));
    }
}

/// Overwrites the permanent keys until told to stop.
fn overwrite<S: BuildHasher>(map: &Map<S>, stop: &Stop) {
    let mut round = 0;
    while !stop.is_set() {
        round += 1;
        for key in 0..PERMANENT {
            let old = map.insert(key, key + PERMANENT * round).replaced();
            assert!(old.is_some_and(|old| *old % PERMANENT == key), "a permanent key was missed by an insert");
        }
    }
}

fn with_permanent_keys<S: BuildHasher>(hasher: S) -> Map<S> {
    let map = tiny_map(hasher);
    (0..PERMANENT).for_each(|key| drop(map.insert(key, key)));
    map
}

/// Two readers make `reads` in all while two threads overwrite and one makes the table grow and shrink.
fn read_what_is_always_there<S: BuildHasher + Sync + Send>(map: &Map<S>, reads: u64, most: u64) {
    let stop = Stop::default();
    race(5, |thread| match thread {
        0 | 1 => {
            let _end = stop.at_end();
            let mut key = 0;
            let mut next = || {
                key = (key + 1) % PERMANENT;
                key
            };
            for _ in 0..reads.div_ceil(128) {
                for _ in 0..32 {
                    let key = next();
                    assert_eq!(map.get_cloned(&key).map(|value| value % PERMANENT), Some(key));
                }
                let pin = map.pin();
                for _ in 0..32 {
                    let key = next();
                    assert_eq!(pin.get(&key).map(|value| value % PERMANENT), Some(key));
                }
            }
        }
        2 | 3 => overwrite(map, &stop),
        _ => breathe(map, most, &stop),
    });
}

#[test]
fn an_always_present_key_is_never_missed() {
    let map = with_permanent_keys(RandomState::new());
    read_what_is_always_there(&map, scaled(1_000_000, 100_000_000), 20_000);
}

fn always_present_keys_are_never_missed<S: BuildHasher + Sync + Send>(hasher: S) {
    let map = with_permanent_keys(hasher);
    read_what_is_always_there(&map, scaled(50_000, 1_000_000), 100);
}

/// Insert and remove by several threads on few keys: each value goes in once and comes out once.
fn balance<S: BuildHasher + Sync + Send>(map: &Map<S>, threads: u64, keys: u64, rounds: u64) {
    #[derive(Clone, Default)]
    struct Counts {
        news: u64,
        removes: u64,
        /// Sums of values: of those put in, and of those that came out by a replace or a remove.
        put: u64,
        taken: u64,
    }
    let results = race(threads as usize, |thread| {
        let mut rng = Rng(thread as u64);
        let mut counts = vec![Counts::default(); keys as usize];
        for round in 0..rounds {
            let key = rng.below(keys);
            let of = &mut counts[key as usize];
            if rng.below(2) == 0 {
                let value = (round * threads + thread as u64) * keys + key;
                of.put = of.put.wrapping_add(value);
                match map.insert(key, value) {
                    Inserted::New => of.news += 1,
                    Inserted::Replaced(old) => {
                        assert_eq!((*old % keys, *old.key()), (key, key));
                        of.taken = of.taken.wrapping_add(*old);
                    }
                    Inserted::Expired(_) => panic!("nothing expires here"),
                }
            } else if let Some(old) = map.remove(&key) {
                assert_eq!((*old % keys, *old.key()), (key, key));
                of.removes += 1;
                of.taken = of.taken.wrapping_add(*old);
            }
        }
        counts
    });
    for key in 0..keys {
        let all = || results.iter().map(|counts| &counts[key as usize]);
        let left = map.get_cloned(&key);
        let (news, removes): (u64, u64) = (all().map(|c| c.news).sum(), all().map(|c| c.removes).sum());
        assert_eq!(news - removes, u64::from(left.is_some()), "key {key}: new {news}, removed {removes}");
        let put = all().fold(0u64, |sum, c| sum.wrapping_add(c.put));
        let taken = all().fold(left.unwrap_or(0), |sum, c| sum.wrapping_add(c.taken));
        assert_eq!(put, taken, "key {key}: a value was lost or came out twice");
    }
    assert_eq!(map.len(), map.iter().count());
    assert_eq!(map.stored_len(), map.len());
}

fn outcomes_add_up_for_each_key<S: BuildHasher + Sync + Send>(hasher: S) {
    balance(&tiny_map(hasher), 4, 100, scaled(20_000, 500_000));
}

fn outcomes_add_up_for_contended_keys<S: BuildHasher + Sync + Send + Clone>(hasher: S) {
    balance(&tiny_map(hasher.clone()), 3, 1, scaled(20_000, 500_000));
    balance(&tiny_map(hasher), 3, 2, scaled(20_000, 500_000));
}

each_hasher!(always_present_keys_are_never_missed, outcomes_add_up_for_each_key, outcomes_add_up_for_contended_keys,);

#[test]
fn outcomes_add_up_while_the_table_grows() {
    for _ in 0..scaled(5, 50) {
        balance(&tiny_map(RandomState::new()), 4, 20_000, 40_000);
        balance(&tiny_map(Identity), 2, 5_000, 20_000);
    }
}

/// Whoever removes the token may put it back one higher: no increment is lost, and no two threads hold it at once.
#[test]
fn a_removed_token_belongs_to_one_thread() {
    for hasher in [Collide::<1>; 3] {
        let map = tiny_map(hasher);
        (0..3u64).for_each(|key| drop(map.insert(key, 0)));
        let moves: u64 = race(4, |thread| {
            let mut rng = Rng(thread as u64);
            let mut moves = 0;
            for _ in 0..scaled(20_000, 500_000) {
                let key = rng.below(3);
                let token = map.remove(&key).map(|token| *token);
                if let Some(token) = token {
                    assert!(matches!(map.insert_forever(key, token + 1), Inserted::New), "two tokens");
                    moves += 1;
                }
            }
            moves
        })
        .into_iter()
        .sum();
        assert_eq!(map.iter().map(|token| *token).sum::<u64>(), moves);
    }
}

/// Eight equal words and their sum: half of one value and half of another never pass for one.
#[derive(Clone)]
struct Wide([u64; 8], u64);

impl Wide {
    fn new(word: u64) -> Self {
        Wide([word; 8], word.wrapping_mul(8))
    }

    fn is_whole(&self) -> bool {
        self.0.iter().all(|&word| word == self.0[0]) && self.1 == self.0[0].wrapping_mul(8)
    }
}

#[test]
fn values_are_never_torn() {
    let map: TtlMap<u64, Wide> = tiny_map(RandomState::new());
    (0..4).for_each(|key| drop(map.insert(key, Wide::new(key))));
    let stop = Stop::default();
    race(4, |thread| match thread {
        0 => {
            let _end = stop.at_end();
            for round in 0..scaled(200_000, 5_000_000) {
                let key = round % 4;
                let held = map.get(&key).expect("always present");
                assert!(held.is_whole() && map.get_cloned(&key).is_some_and(|value| value.is_whole()));
                if round % 1_024 == 0 {
                    thread::yield_now();
                    let pin = map.pin();
                    assert!(held.is_whole() && pin.iter().all(|(_, value)| value.is_whole()));
                }
            }
        }
        thread => {
            let mut word = thread as u64;
            while !stop.is_set() {
                word = word.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
                let old = map.insert(word % 4, Wide::new(word)).replaced().expect("always present");
                assert!(old.is_whole());
            }
        }
    });
}

/// Keys that are present all the time appear in each iteration exactly once, whatever the table does meanwhile.
#[test]
fn iteration_shows_permanent_keys_exactly_once() {
    let map = with_permanent_keys(RandomState::new());
    // These are not even overwritten.
    (100..300).for_each(|key| drop(map.insert(key, key)));
    let stop = Stop::default();
    race(4, |thread| match thread {
        0 => {
            let _end = stop.at_end();
            for round in 0..scaled(200, 5_000) {
                let (mut seen, mut permanent) = (HashSet::new(), 0);
                let mut see = |key: u64| {
                    if key < 1_000 {
                        assert!(seen.insert(key), "key {key} was shown twice");
                        permanent += 1;
                    }
                };
                if round % 2 == 0 {
                    map.iter().for_each(|entry| see(*entry.key()));
                } else {
                    map.pin().iter().for_each(|(key, _)| see(*key));
                }
                assert_eq!(permanent, PERMANENT + 200, "a permanent key was not shown");
                assert!(map.len() as u64 >= PERMANENT + 200 && !map.is_empty());
                assert!(map.stored_len() as u64 >= PERMANENT + 200);
            }
        }
        1 => overwrite(&map, &stop),
        _ => breathe(&map, 3_000, &stop),
    });
}

/// What was inserted before a clear of one's own is gone after it, and what comes later stays readable.
#[test]
fn clear_races_gets_and_inserts() {
    let tally = tally!();
    let map: TtlMap<u64, Counted<u64>> = tiny_map(RandomState::new());
    race(3, |thread| {
        let mine = |i: u64| i * 3 + thread as u64;
        let mut rng = Rng(thread as u64);
        for round in 0..scaled(100, 2_000) {
            let many = rng.below(200);
            (0..many).for_each(|i| drop(map.insert(mine(i), tally.count(round))));
            let held = map.get(&mine(0));
            (0..100u64).for_each(|key| assert!(map.get(&key).is_none_or(|value| value.is_alive())));
            map.clear();
            (0..many).for_each(|i| assert!(map.get(&mine(i)).is_none(), "cleared, and still there"));
            assert!(held.is_none_or(|value| value.is_alive() && **value == round));
        }
    });
    map.clear();
    assert_eq!((map.len(), map.stored_len()), (0, 0));
    drop(map);
    tally.assert_balanced();
}

#[test]
fn short_threads_come_and_go() {
    let tally = tally!();
    let map: TtlMap<Counted<u64>, Counted<u64>> = tiny_map(RandomState::new());
    for thread in 0..scaled(500, 2_000) {
        thread::scope(|scope| {
            scope.spawn(|| {
                for key in 0..20 {
                    map.insert(tally.count(key), tally.count(thread));
                    map.insert(tally.count(key + 20 * thread), tally.count(thread));
                    assert!(map.remove(&(20 * thread)).is_some() || key > 0);
                }
                assert!(map.get(&19).is_some_and(|value| **value == thread));
            });
        });
    }
    drop(map);
    tally.assert_balanced();
}

/// Every verb at once with time passing: for the debug assertions within, and for the sanitizers.
#[test]
fn all_verbs_at_once_break_no_assertion() {
    let tally: &'static Tally = tally!();
    let (map, clock) = manual_map(Duration::from_millis(5), RandomState::new());
    let map: TtlMap<Counted<u64>, Counted<u64>> = map;
    let operations = AtomicU64::new(0);
    race(4, |thread| {
        let mut rng = Rng(thread as u64);
        for _ in 0..scaled(100_000, 4_000_000) {
            operations.fetch_add(1, Ordering::Relaxed);
            let keys = if rng.below(100) < 99 { 500 } else { 50_000 };
            let key = rng.below(keys);
            let new = || (tally.count(key), tally.count(key + 1));
            let right = |value: &Counted<u64>| value.is_alive() && **value == key + 1;
            let ttl = Duration::from_micros(rng.below(10_000));
            let ((k, v), pin) = (new(), map.pin());
            match rng.below(64) {
                0 => clock.advance(Duration::from_micros(rng.below(2_000))),
                1 => drop(map.purge_expired(20)),
                2 if rng.below(500) == 0 => map.clear(),
                3 if rng.below(500) == 0 => assert!(map.iter().all(|entry| **entry.value() == **entry.key() + 1)),
                4 if rng.below(500) == 0 => assert!(map.len() <= 100_000),
                5..12 => assert!(map.remove(&key).is_none_or(|value| right(&value))),
                12..16 => assert!(pin.remove_entry(&key).is_none_or(|(k, value)| k.is_alive() && right(value))),
                16..24 => drop(map.insert(k, v)),
                24..30 => drop(map.insert_with_ttl(k, v, ttl).map(|old| assert!(right(&old)))),
                30..34 => drop(pin.insert_forever(k, v).map(|old| assert!(right(old)))),
                34 => drop(pin.insert_at(k, v, clock.now() + ttl)),
                35..40 => assert!(map.get_cloned(&key).is_none_or(|value| right(&value))),
                40..44 => assert!(map.ttl(&key).is_none_or(|ttl| ttl > Duration::ZERO)),
                _ => assert!(pin.get(&key).is_none_or(right) && map.get(&key).is_none_or(|value| right(&value))),
            }
        }
    });
    assert_eq!(operations.into_inner(), 4 * scaled(100_000, 4_000_000));
    common::purge_all(&map);
    assert_eq!(map.stored_len(), map.len());
    drop(map);
    tally.assert_balanced();
}
