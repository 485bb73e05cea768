//! Every key and value is counted in and out: dropped once, at the latest by the map's drop (P8).

mod common;

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use common::{Counted, Rng, Tally, each_hasher, manual_map, purge_all, race, scaled, tally, tiny_map};
use ttlwheel::{Inserted, TtlMap};

type Map<S = RandomState> = TtlMap<Counted<u64>, Counted<u64>, S>;

const TTL: Duration = Duration::from_secs(10);

/// Keys from `keys` on, each with its own value; all are counted.
fn fill<S: BuildHasher>(map: &Map<S>, tally: &'static Tally, keys: std::ops::Range<u64>) {
    for key in keys {
        map.insert(tally.count(key), tally.count(key + 1));
    }
}

/// An entry for each way out: replaced live and lapsed, removed, purged, lapsed and met by a get, cleared, left.
fn each_way_out_drops_once<S: BuildHasher>(hasher: S) {
    static TALLY: Tally = Tally::new();
    let _serial = common::serial();
    let (map, clock) = manual_map(TTL, hasher);
    let map: Map<S> = map;
    fill(&map, &TALLY, 0..300);
    fill(&map, &TALLY, 0..50);
    for key in 50..100 {
        assert!(if key % 2 == 0 { map.remove(&key).is_some() } else { map.remove_entry(&key).is_some() });
    }
    clock.advance(TTL);
    for key in 100..150 {
        assert!(map.get(&key).is_none());
    }
    for key in 150..180 {
        let met = map.insert_forever(TALLY.count(key), TALLY.count(0));
        assert!(!matches!(met, Inserted::Replaced(_)));
    }
    for key in 180..200 {
        map.insert_with_ttl(TALLY.count(key), TALLY.count(0), Duration::ZERO);
        assert!(map.pin().remove(&key).is_none());
    }
    map.purge_expired(20);
    assert_eq!(map.len(), 30);
    drop(map);
    TALLY.assert_balanced();

    let (map, clock) = manual_map(TTL, RandomState::new());
    let map: Map = map;
    fill(&map, &TALLY, 0..100);
    map.clear();
    fill(&map, &TALLY, 0..100);
    clock.advance(TTL);
    purge_all(&map);
    fill(&map, &TALLY, 0..10);
    drop(map);
    TALLY.assert_balanced();
}

each_hasher!(each_way_out_drops_once);

/// Growth is under way in most of these maps when they are dropped.
#[test]
fn dropped_after_each_number_of_inserts() {
    let tally = tally!();
    let step = |n: u64| if cfg!(debug_assertions) { 1 + n / 50 } else { 1 };
    let mut n = 1;
    while n <= 5_000 {
        let map: Map<common::Identity> = tiny_map(common::Identity);
        fill(&map, tally, 0..n);
        assert_eq!(tally.live(), 2 * n, "nothing was replaced");
        drop(map);
        tally.assert_balanced();
        n += step(n);
    }
}

#[test]
fn dropped_after_each_number_of_removals() {
    let tally = tally!();
    let full = 2_000;
    for n in (0..=full).step_by(if cfg!(debug_assertions) { 97 } else { 7 }) {
        let map: Map = tiny_map(RandomState::new());
        fill(&map, tally, 0..full);
        for key in 0..n {
            assert_eq!(map.remove(&key).map(|value| **value), Some(key + 1));
        }
        assert_eq!(map.len() as u64, full - n);
        drop(map);
        tally.assert_balanced();
    }
}

#[test]
fn random_lives_balance() {
    let tally = tally!();
    for seed in 0..scaled(20, 200) {
        let mut rng = Rng(seed);
        let (map, clock) = manual_map(TTL, RandomState::new());
        let map: Map = map;
        for _ in 0..2_000 {
            let key = rng.below(200);
            match rng.below(40) {
                0 => clock.advance(Duration::from_secs(rng.below(8))),
                1 => drop(map.purge_expired(rng.below(20) as usize + 1)),
                2 if rng.below(10) == 0 => map.clear(),
                3..10 => drop(map.remove(&key)),
                10..14 => drop(map.get_cloned(&key)),
                14..20 => assert!(map.get(&key).is_none_or(|value| value.is_alive() && **value == key + 1)),
                _ => drop(map.insert(tally.count(key), tally.count(key + 1))),
            }
        }
        drop(map);
        tally.assert_balanced();
    }
}

#[test]
fn held_references_outlive_replace_remove_clear_and_growth() {
    let tally = tally!();
    let (map, clock) = manual_map(TTL, RandomState::new());
    let map: Map = map;
    fill(&map, tally, 0..4);
    let pin = map.pin();
    let seen: Vec<_> = (0..4u64).map(|key| pin.get_key_value(&key).unwrap()).collect();
    let held = map.get(&0).unwrap();
    let replaced = map.insert(tally.count(0), tally.count(100)).replaced().unwrap();
    let removed = map.remove(&1).unwrap();
    clock.advance(TTL);
    purge_all(&map);
    fill(&map, tally, 10..2_000);
    map.clear();
    fill(&map, tally, 0..2_000);
    for (key, (k, v)) in seen.iter().enumerate() {
        assert!(k.is_alive() && v.is_alive());
        assert_eq!((***k, ***v), (key as u64, key as u64 + 1));
    }
    assert_eq!((**held, **replaced, **removed), (1, 1, 2));
    assert_eq!((**held.key(), **replaced.key(), **removed.key()), (0, 0, 1));
    drop((pin, held, replaced, removed));
    drop(map);
    tally.assert_balanced();
}

#[test]
fn dropped_after_other_threads_used_it_and_ended() {
    let tally = tally!();
    let map: Map = tiny_map(RandomState::new());
    race(4, |thread| {
        for round in 0..scaled(2_000, 20_000) {
            let key = round % 512;
            map.insert(tally.count(key), tally.count(round));
            if round % 3 == thread as u64 % 3 {
                map.remove(&key);
            }
        }
    });
    drop(map);
    tally.assert_balanced();
}

#[test]
fn dropped_on_another_thread_than_its_makers() {
    let tally = tally!();
    let map: Map = thread::spawn(|| tiny_map(RandomState::new())).join().unwrap();
    fill(&map, tally, 0..1_000);
    fill(&map, tally, 0..500);
    thread::spawn(move || drop(map)).join().unwrap();
    tally.assert_balanced();
}

/// Values that wait for a reader of another map are dropped all the same.
#[test]
fn dropped_while_another_map_is_pinned() {
    let tally = tally!();
    let other: TtlMap<u64, u64> = TtlMap::new(TTL);
    let _pin = other.pin();
    let map: Map = tiny_map(RandomState::new());
    for _ in 0..10 {
        fill(&map, tally, 0..200);
    }
    drop(map);
    tally.assert_balanced();
}

thread_local! {
    /// Dropped with its map when the thread ends.
    static OWNED: RefCell<Option<Map>> = const { RefCell::new(None) };
    /// Uses a map when the thread ends.
    static LATE_USE: RefCell<Option<LateUse>> = const { RefCell::new(None) };
}

/// Uses and then drops its map in `drop`, counting what went right: a panic there would abort the process.
struct LateUse(Map, &'static Tally);

static LATE_USES: AtomicU64 = AtomicU64::new(0);

impl Drop for LateUse {
    fn drop(&mut self) {
        let LateUse(map, tally) = self;
        fill(map, tally, 0..300);
        let pin = map.pin();
        let right = [
            pin.get(&7).map(|value| **value) == Some(8),
            map.remove(&8).map(|value| **value) == Some(9),
            map.get(&9).is_some_and(|value| value.is_alive()),
            map.len() == 299,
        ];
        LATE_USES.fetch_add(right.iter().filter(|&&right| right).count() as u64, Ordering::Relaxed);
    }
}

#[test]
fn dropped_in_a_thread_local_destructor() {
    let tally = tally!();
    for used_before in [false, true] {
        thread::spawn(move || {
            // A thread's destructors run in the reverse order of first use: before or after the collector's.
            if used_before {
                TtlMap::new(TTL).insert(0, 0);
            }
            OWNED.with_borrow_mut(|owned| {
                let map: Map = tiny_map(RandomState::new());
                fill(&map, tally, 0..500);
                fill(&map, tally, 0..100);
                *owned = Some(map);
            });
        })
        .join()
        .unwrap();
        tally.assert_balanced();
    }
}

#[test]
fn used_in_a_thread_local_destructor() {
    let tally = tally!();
    for used_before in [false, true] {
        thread::spawn(move || {
            if used_before {
                TtlMap::new(TTL).insert(0, 0);
            }
            LATE_USE.with_borrow_mut(|late| *late = Some(LateUse(tiny_map(RandomState::new()), tally)));
            TtlMap::new(TTL).insert(0, 0);
        })
        .join()
        .unwrap();
        tally.assert_balanced();
    }
    assert_eq!(LATE_USES.load(Ordering::Relaxed), 2 * 4, "something read wrong in a destructor");
}

/// Pointers of entries carry tags in their low and high bits, whatever the entry's size and alignment.
#[test]
fn odd_layouts_are_stored_and_dropped() {
    #[repr(align(4096))]
    struct Aligned(u8, #[expect(dead_code)] Counted<()>);
    let tally = tally!();
    let map: TtlMap<Counted<u64>, Aligned> = tiny_map(RandomState::new());
    (0..50).for_each(|key| drop(map.insert(tally.count(key), Aligned(key as u8, tally.count(())))));
    assert!((0..50u64).all(|key| map.get(&key).is_some_and(|value| value.0 == key as u8)));
    let address = |key: u64| &raw const *map.get(&key).unwrap() as usize;
    assert!((0..50).all(|key| address(key) % 4096 == 0));
    drop(map);
    tally.assert_balanced();

    let map: TtlMap<Counted<()>, Counted<()>> = tiny_map(RandomState::new());
    (0..50).for_each(|_| drop(map.insert(tally.count(()), tally.count(()))));
    assert_eq!((map.len(), map.contains_key(&())), (1, true));
    drop(map);
    tally.assert_balanced();

    let nothing: TtlMap<(), ()> = tiny_map(RandomState::new());
    assert!(matches!(nothing.insert((), ()), Inserted::New));
    assert!(matches!(nothing.insert((), ()), Inserted::Replaced(_)));
    assert!(nothing.remove(&()).is_some() && nothing.is_empty());

    let large: TtlMap<u8, [u64; 2_000]> = tiny_map(RandomState::new());
    (0..50).for_each(|key| drop(large.insert(key, [u64::from(key); 2_000])));
    assert!((0..50u8).all(|key| large.get(&key).is_some_and(|value| value.iter().all(|&word| word == u64::from(key)))));
}
