//! Guards forgotten with `mem::forget` stop reclamation for the rest of the process, so these tests have one of
//! their own. They must stop nothing else: the map goes on, and its drop drops all (P8).

mod common;

use std::hash::RandomState;
use std::mem::forget;
use std::thread;

use common::{Counted, Tally, race, scaled, tally, tiny_map};
use ttlwheel::TtlMap;

type Map = TtlMap<Counted<u64>, Counted<u64>>;

/// Overwrites, removes and adds, so that the table grows and much is retired; then drops the map.
fn live_on_and_drop(map: Map, tally: &'static Tally) {
    for round in 0..4 {
        for key in 0..scaled(1_000, 10_000).max(1_000) {
            map.insert(tally.count(key), tally.count(key + round));
        }
        for key in (round..1_000).step_by(4) {
            assert_eq!(map.remove(&key).map(|value| **value), Some(key + round));
        }
    }
    assert!((0..1_000u64).step_by(4).all(|key| map.get(&key).is_some_and(|value| **value == key + 3)));
    map.clear();
    assert!(map.is_empty());
    map.insert(tally.count(1), tally.count(2));
    drop(map);
    tally.assert_balanced();
}

fn new_map(tally: &'static Tally) -> Map {
    let map: Map = tiny_map(RandomState::new());
    (0..10).for_each(|key| drop(map.insert(tally.count(key), tally.count(key))));
    map
}

#[test]
fn pin_forgotten() {
    let tally = tally!();
    let map = new_map(tally);
    forget(map.pin());
    live_on_and_drop(map, tally);
}

#[test]
fn ref_forgotten() {
    let tally = tally!();
    let map = new_map(tally);
    forget(map.get(&1).unwrap());
    forget(map.get_key_value(&1));
    live_on_and_drop(map, tally);
}

#[test]
fn refs_to_what_was_replaced_and_removed_forgotten() {
    let tally = tally!();
    let map = new_map(tally);
    forget(map.insert(tally.count(1), tally.count(7)).replaced().unwrap());
    forget(map.remove(&1).unwrap());
    forget(map.remove_entry(&2).unwrap());
    live_on_and_drop(map, tally);
}

#[test]
fn iterator_forgotten_half_way() {
    let tally = tally!();
    let map = new_map(tally);
    let mut entries = map.iter();
    forget(entries.next());
    forget(entries);
    live_on_and_drop(map, tally);
}

#[test]
fn pin_forgotten_by_a_thread_that_ended() {
    let tally = tally!();
    let map = new_map(tally);
    thread::scope(|scope| {
        scope.spawn(|| forget(map.pin()));
        scope.spawn(|| forget(map.get(&3)));
    });
    live_on_and_drop(map, tally);
}

#[test]
fn many_threads_forget_while_others_write() {
    let tally = tally!();
    let map = new_map(tally);
    race(4, |thread| {
        for round in 0..200 {
            forget(map.get(&(round % 10)));
            for key in 0..20 {
                map.insert(tally.count(key), tally.count(thread as u64));
            }
        }
    });
    live_on_and_drop(map, tally);
}
