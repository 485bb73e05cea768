//! The verbs of the whole map: as of one instant, never a lapsed entry, each entry once.

mod common;

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use common::{each_hasher, manual_map, race, scaled, tiny_map};
use ttlwheel::{ManualClock, TtlMap};

const TTL: Duration = Duration::from_secs(60);

type Map<S> = TtlMap<u64, u64, S>;

/// Of 300 keys each third has lapsed, each other third lapses in a second.
fn mixed<S: BuildHasher>(hasher: S) -> (Map<S>, ManualClock) {
    let (map, clock): (Map<S>, _) = manual_map(TTL, hasher);
    (0..300).for_each(|key| drop(map.insert_with_ttl(key, key, Duration::from_secs([1, 2, 60][key as usize % 3]))));
    clock.advance(Duration::from_secs(1));
    (map, clock)
}

fn walks_judge_as_of_one_instant<S: BuildHasher + Clone>(hasher: S) {
    let (map, clock) = mixed(hasher);
    let live: BTreeSet<u64> = (0..300).filter(|key| key % 3 != 0).collect();
    let pinned = map.pin();
    let (keys, values) = (pinned.keys(), pinned.values());
    clock.advance(Duration::from_secs(1));
    assert_eq!(keys.copied().collect::<BTreeSet<_>>(), live, "as of the call");
    assert_eq!(values.copied().collect::<BTreeSet<_>>(), live);
    let later: BTreeSet<u64> = (0..300).filter(|key| key % 3 == 2).collect();
    assert_eq!(pinned.keys().copied().collect::<BTreeSet<_>>(), later);
    assert_eq!(map.clone_into_hash_map().into_keys().collect::<BTreeSet<_>>(), later);
}

fn retain_keeps_what_it_is_told_to<S: BuildHasher>(hasher: S) {
    let (map, clock) = mixed(hasher);
    let mut asked = BTreeSet::new();
    map.retain(|key, value| {
        assert!(key == value && asked.insert(*key), "{key} twice");
        // Time goes on, but not for this call.
        clock.advance(Duration::from_millis(20));
        key % 2 == 0
    });
    assert_eq!(asked, (0..300).filter(|key| key % 3 != 0).collect());
    assert_eq!(map.stored_len(), 100, "what had lapsed has left, too");
    let left: BTreeSet<u64> = map.pin().keys().copied().collect();
    assert_eq!(left, (0..300).filter(|key| key % 6 == 2).collect());
}

fn drain_hands_out_what_is_live<S: BuildHasher>(hasher: S) {
    let (map, clock) = mixed(hasher);
    let mut drain = map.drain();
    clock.advance(TTL);
    let some: BTreeSet<u64> = drain.by_ref().take(50).map(|removed| *removed.key()).collect();
    assert!(some.len() == 50 && some.iter().all(|key| key % 3 != 0));
    let stored = map.stored_len();
    let rest: BTreeSet<u64> = drain.map(|removed| *removed).collect();
    assert!(stored >= rest.len(), "left until it is asked for");
    assert_eq!(&some | &rest, (0..300).filter(|key| key % 3 != 0).collect());
    assert_eq!(map.stored_len(), 0);
    assert_eq!(map.pin().drain().count(), 0);
}

each_hasher!(walks_judge_as_of_one_instant, retain_keeps_what_it_is_told_to, drain_hands_out_what_is_live);

#[test]
fn what_drain_is_not_asked_for_stays() {
    let (map, _) = mixed(common::Identity);
    assert_eq!(map.pin().drain().take(10).count(), 10);
    drop(map.drain());
    assert_eq!(map.len(), 190);
}

#[test]
fn of_several_drains_each_entry_goes_to_one() {
    for _ in 0..scaled(20, 200) {
        let map: Map<_> = tiny_map(std::hash::RandomState::new());
        (0..1_000).for_each(|key| drop(map.insert(key, key)));
        let drained = race(3, |thread| match thread {
            0 => (0..1_000).filter(|key| map.remove(key).is_some()).collect(),
            1 => map.drain().map(|removed| *removed).collect::<Vec<u64>>(),
            _ => map.pin().drain().map(|(key, _)| *key).collect(),
        });
        let all: Vec<u64> = drained.concat();
        assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (1_000, 1_000));
    }
}

#[test]
fn a_value_replaced_since_it_was_asked_about_stays() {
    let map: Map<_> = tiny_map(std::hash::RandomState::new());
    (0..100).for_each(|key| drop(map.insert(key, 0)));
    map.retain(|key, value| {
        if *value == 0 && key % 2 == 0 {
            map.insert(*key, 1);
        }
        false
    });
    let left = map.clone_into_hash_map();
    assert!(left.len() == 50 && left.values().all(|value| *value == 1));
}

#[test]
fn a_panic_in_retain_leaves_the_rest() {
    let map: Map<_> = tiny_map(std::hash::RandomState::new());
    (0..100).for_each(|key| drop(map.insert(key, key)));
    let mut asked = 0;
    let ended = catch_unwind(AssertUnwindSafe(|| {
        map.retain(|_, _| {
            asked += 1;
            if asked == 31 {
                resume_unwind(Box::new("injected"));
            }
            false
        });
    }));
    assert!(ended.is_err());
    assert_eq!((map.len(), map.stored_len()), (70, 70));
}

#[test]
fn maps_are_made_of_and_extended_by_entries() {
    let (mut map, clock): (Map<_>, _) = manual_map(TTL, common::Identity);
    map.extend((0..10).map(|key| (key, key)));
    map.extend((5..15).map(|key| (key, 2 * key, TTL * 2)));
    (&map).extend([(20, 20)]);
    clock.advance(TTL);
    assert_eq!(map.pin().keys().copied().collect::<BTreeSet<_>>(), (5..15).collect());
    let made: TtlMap<u64, u64> =
        (0..10).map(|key| (key, key, if key < 5 { Duration::ZERO } else { Duration::MAX })).collect();
    assert_eq!((made.len(), made.time_to_live()), (5, None));
}
