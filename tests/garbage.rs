//! What is retired waits for the readers that may see it, no longer than so many writes (P8, design 5).
//!
//! The epoch is the process's own, and a test thread that the system has stopped inside a pin holds all maps'
//! garbage back; so these tests have a process of their own and run one at a time.

mod common;

use std::hash::RandomState;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::{Counted, Stop, Tally, manual_map, purge_all, scaled, serial, tally, tiny_map};
use ttlwheel::TtlMap;

type Map = TtlMap<Counted<u64>, Counted<u64>>;

/// Within so many writes a value that nobody can see any more is dropped.
const BOUND: u64 = 10_000;

/// Overwrites `key` so many times.
fn overwrite(map: &Map, tally: &'static Tally, key: u64, times: u64) {
    for round in 0..times {
        map.insert(tally.count(key), tally.count(round));
    }
}

/// How a value's life may end.
type End<'e> = &'e dyn Fn(&Map);

/// Ends one life of a first value of `victim` and returns how many writes later it was dropped.
fn writes_until_dropped(map: &Map, end: End<'_>, tally: &'static Tally) -> u64 {
    let victim = tally!();
    map.insert(tally.count(0), victim.count(0));
    assert_eq!(victim.live(), 1);
    end(map);
    assert!(map.get(&0).is_none_or(|value| **value != 0));
    (0..=2 * BOUND)
        .find(|&n| {
            overwrite(map, tally, 1, u64::from(n > 0));
            victim.live() == 0
        })
        .unwrap_or(u64::MAX)
}

#[test]
fn unreachable_values_are_dropped_within_bounded_writes() {
    let _serial = serial();
    let tally = tally!();
    let (map, clock) = manual_map(Duration::from_secs(1), RandomState::new());
    let ends: [(&str, End<'_>); 6] = [
        ("replaced", &|map| drop(map.insert(tally.count(0), tally.count(1)))),
        ("removed", &|map| drop(map.remove(&0))),
        ("cleared", &|map| map.clear()),
        ("lapsed and purged", &|map| {
            clock.advance(Duration::from_secs(1));
            assert!(purge_all(map) > 0);
        }),
        ("lapsed and inserted over", &|map| {
            clock.advance(Duration::from_secs(1));
            map.insert(tally.count(0), tally.count(1));
        }),
        ("replaced by a thread that ended", &|map| {
            thread::scope(|scope| _ = scope.spawn(|| drop(map.insert(tally.count(0), tally.count(1)))));
        }),
    ];
    for (name, end) in ends {
        let writes = writes_until_dropped(&map, end, tally);
        assert!(writes <= BOUND, "{name}: dropped after {writes} writes");
    }
}

/// Threads that have read and now do other things hold nothing back: not for ever, if somebody writes, and not for a
/// moment, if somebody purges.
#[test]
fn idle_threads_hold_nothing_back() {
    let _serial = serial();
    let tally = tally!();
    let (map, _) = manual_map(Duration::from_secs(1), RandomState::new());
    let (have_read, reads) = mpsc::channel();
    thread::scope(|scope| {
        let idlers: Vec<_> = (10..15)
            .map(|key| {
                let (release, released) = mpsc::channel::<()>();
                let (map, have_read) = (&map, have_read.clone());
                scope.spawn(move || {
                    // Between its reads the epoch moves, so that this thread is behind.
                    for _ in 0..2 {
                        assert!(map.get(&key).is_none());
                        have_read.send(()).expect("the test waits for it");
                        released.recv().expect("the test releases it");
                    }
                });
                release
            })
            .collect();
        let wait = || idlers.iter().for_each(|_| reads.recv().expect("they read"));
        wait();
        assert!(writes_until_dropped(&map, &|map| drop(map.remove(&0)), tally) <= BOUND);
        idlers.iter().for_each(|idler| idler.send(()).expect("it waits"));
        wait();
        assert!(map.retired_len() > 0);
        map.purge_expired(usize::MAX);
        assert_eq!(map.retired_len(), 0);
        idlers.iter().for_each(|idler| idler.send(()).expect("it waits"));
    });
}

/// A map from which much was removed gives it back though no key is ever replaced.
#[test]
fn removed_values_are_dropped_while_new_keys_come() {
    let _serial = serial();
    let tally = tally!();
    let map: Map = tiny_map(RandomState::new());
    for key in 0..50_000 {
        map.insert(tally.count(key), tally.count(key));
        if key >= 100 {
            assert!(map.remove(&(key - 100)).is_some());
        }
        assert!(tally.live() <= 2 * (101 + BOUND), "{} alive, {} stored", tally.live(), map.stored_len());
    }
}

#[test]
fn a_hot_key_overwritten_for_ever_holds_bounded_garbage() {
    let _serial = serial();
    let tally = tally!();
    let map: Map = tiny_map(RandomState::new());
    for _ in 0..scaled(20, 200) {
        overwrite(&map, tally, 1, 5_000);
        assert!(tally.live() <= 2 * (1 + BOUND), "{} alive", tally.live());
        assert!(map.retired_len() as u64 <= BOUND);
    }
}

#[test]
fn a_value_outlives_a_million_writes_of_others_while_its_ref_is_held() {
    let _serial = serial();
    let (tally, victim) = (tally!(), tally!());
    let map: Map = tiny_map(RandomState::new());
    map.insert(tally.count(0), victim.count(7));
    let held = map.get(&0).unwrap();
    let by_pin = map.pin();
    let seen = by_pin.get(&0).unwrap();
    thread::scope(|scope| {
        for key in 0..2 {
            let map = &map;
            scope.spawn(move || overwrite(map, tally, key, scaled(50_000, 500_000)));
        }
    });
    assert!(held.is_alive() && seen.is_alive() && victim.live() == 1);
    assert_eq!((**held, **seen), (7, 7));
    drop(by_pin);
    assert!(held.is_alive());
    drop(held);
    overwrite(&map, tally, 1, scaled(50_000, 500_000) * 2 + BOUND);
    assert_eq!(victim.live(), 0, "it recovers");
}

/// The gauge shows what a stalled reader holds back, and falls when it is gone.
#[test]
fn garbage_is_visible_while_a_guard_is_held_and_falls_after_it() {
    let _serial = serial();
    let tally = tally!();
    let map: Map = tiny_map(RandomState::new());
    overwrite(&map, tally, 1, 1);
    let many = scaled(20_000, 200_000);
    // The holder is another thread, as a stalled reader is.
    let (stop, hold) = (Stop::default(), std::sync::Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            let held = map.get(&1).unwrap();
            hold.wait();
            while !stop.is_set() {
                thread::yield_now();
            }
            assert!(held.is_alive());
        });
        let _end = stop.at_end();
        hold.wait();
        overwrite(&map, tally, 1, many);
        assert!(map.retired_len() as u64 >= many, "{} retired", map.retired_len());
        assert_eq!(map.get(&1).map(|value| **value), Some(many - 1), "and nothing else is delayed");
        assert!(tally.live() > 2 * many);
    });
    overwrite(&map, tally, 1, many + BOUND);
    assert!(map.retired_len() as u64 <= BOUND, "{} retired", map.retired_len());
    assert!(tally.live() <= 2 * (1 + BOUND));
}

/// A thread may hold what it likes while it writes: nothing waits for it.
#[test]
fn guards_held_by_the_writer_itself_block_nothing() {
    let _serial = serial();
    let tally = tally!();
    let map: Map = tiny_map(RandomState::new());
    let mut held = Vec::new();
    let pin = map.pin();
    for key in 0..2_000 {
        map.insert(tally.count(key), tally.count(key));
        held.push(map.get(&key).unwrap());
        held.extend(map.insert(tally.count(key), tally.count(key + 1)).replaced());
        if key % 3 == 0 {
            held.extend(map.remove(&key));
        }
        if key % 500 == 0 {
            map.clear();
            map.purge_expired(10);
        }
    }
    assert!(held.iter().all(|entry| entry.is_alive() && ***entry - **entry.key() <= 1));
    drop((pin, held));
    drop(map);
    tally.assert_balanced();
}

/// Purging gives memory back too, with no key ever written again.
#[test]
fn purging_alone_gives_lapsed_values_back() {
    let _serial = serial();
    let tally = tally!();
    let (map, clock) = manual_map(Duration::from_secs(1), RandomState::new());
    let map: Map = map;
    (0..20_000).for_each(|key| drop(map.insert(tally.count(key), tally.count(key))));
    clock.advance(Duration::from_secs(1));
    let removed = purge_all(&map);
    assert!(removed > 0);
    for _ in 0..20_000 + BOUND {
        assert_eq!(map.purge_expired(64).removed, 0);
    }
    assert!(tally.live() <= 2 * BOUND, "{} alive", tally.live());
}

#[test]
fn a_panicking_reader_leaves_no_pin() {
    let _serial = serial();
    let tally = tally!();
    let (map, clock): (Map, _) = manual_map(Duration::from_secs(1), RandomState::new());
    map.insert(tally.count(1), tally.count(10));
    for _ in 0..2 {
        let read = || map.read(&1, |value| assert_eq!(**value, 0));
        catch_unwind(AssertUnwindSafe(read)).expect_err("it panics");
    }
    assert_eq!(map.read(&1, |value| **value), Some(10));
    assert!(map.remove(&1).is_some());
    map.insert(tally.count(2), tally.count(20));
    clock.advance(Duration::from_secs(1));
    assert_eq!(map.read(&2, |value| **value), None);
    purge_all(&map);
    assert_eq!((map.stored_len(), map.retired_len()), (0, 0), "what was retired is freed");
    assert_eq!(tally.live(), 0);
}
