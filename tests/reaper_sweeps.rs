//! What the reaper does while it lives: whatever is due is swept, when it is due, and nothing costs a wake-up that isn't.
//!
//! Nothing sleeps for luck: tests wait for a condition, and fail if it does not come.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::tasks::{await_no_thread, unique_name, until};
use common::{race, scaled};
use ttlwheel::{Clock, ManualClock, Reaper, TickedClock, TtlMap};

const TTL: Duration = Duration::from_secs(300);
/// The time to live, and by how much the wheel may be late.
const LATE: Duration = Duration::from_secs(306);

fn map<V>() -> (Arc<TtlMap<u64, V>>, ManualClock) {
    let clock = ManualClock::new();
    (Arc::new(TtlMap::builder().time_to_live(TTL).clock(&clock).build()), clock)
}

fn reaper() -> Reaper {
    Reaper::builder().name(unique_name()).spawn().unwrap()
}

/// Waits for all memory of a map to be back.
fn settle<V: Send + Sync>(map: &TtlMap<u64, V>) {
    until("the map is swept", || map.stored_len() == 0 && map.retired_len() == 0);
}

#[test]
fn what_expires_on_a_real_clock_is_swept_with_nobody_there() {
    for clock in [Clock::hybrid(), Clock::exact(), Clock::boot_time()] {
        let mut ttl = Duration::from_millis(20);
        loop {
            let map = Arc::new(TtlMap::builder().time_to_live(ttl).clock(clock.clone()).build());
            let reaper = reaper();
            reaper.watch(&map).unwrap();
            let start = Instant::now();
            (0..100).for_each(|key| drop(map.insert(key, key)));
            // An insert sweeps, too, if its thread was held up until something had lapsed.
            let swept_none = start.elapsed() < ttl;
            settle(&map);
            let retired = reaper.close().retired;
            if swept_none {
                assert_eq!(retired, 100);
                break;
            }
            ttl *= 2;
        }
    }
}

#[test]
fn a_nearer_deadline_wakes_it() {
    let (map, clock) = map();
    let real = Arc::new(TtlMap::new(Duration::from_secs(3600)));
    let reaper = reaper();
    reaper.watch(&map).unwrap();
    reaper.watch(&real).unwrap();
    real.insert(0, 0);
    for round in 0..scaled(200, 2_000) {
        // Each nearer than the hour that it sleeps for.
        real.insert_with_ttl(1, 1, Duration::from_micros(round % 300));
        until("it is swept", || real.stored_len() == 1);
    }
    // And on a clock that stands still.
    map.insert(1, 1);
    map.insert_with_ttl(2, 2, TTL / 2);
    clock.advance(LATE / 2);
    until("it is swept", || map.stored_len() == 1);
    assert!(map.contains_key(&1));
}

#[test]
fn each_time_the_clock_is_moved_it_sweeps_what_is_due() {
    let (map, clock) = map();
    let reaper = Reaper::builder().name(unique_name()).interval(Duration::ZERO).spawn().unwrap();
    reaper.watch(&map).unwrap();
    for n in 0..scaled(300, 3_000) {
        map.insert(n, n);
        clock.advance(TTL - Duration::from_nanos(1));
        assert!(map.contains_key(&n));
        if n % 2 == 0 {
            clock.advance(LATE - TTL)
        } else {
            clock.set(clock.now() + LATE)
        }
        settle(&map);
    }
    assert_eq!(reaper.close().retired, scaled(300, 3_000));
}

#[test]
fn an_idle_map_costs_no_wake_up() {
    let (idle, busy) = (reaper(), reaper());
    let hour = Duration::from_secs(3600);
    let quiet = Arc::new(TtlMap::builder().time_to_live(hour).initial_capacity(1000).build());
    let empty: Arc<TtlMap<u64, u64>> = Arc::new(TtlMap::new(hour));
    idle.watch(&quiet).unwrap();
    idle.watch(&empty).unwrap();
    (0..100).for_each(|key| drop(quiet.insert(key, key)));
    // While another reaper, and hence this one if it had any reason, has come and gone a hundred times. The first
    // deadline may have come after the first look.
    let (map, clock) = map();
    busy.watch(&map).unwrap();
    let mut passes = None;
    for n in 0..100 {
        map.insert(n, n);
        clock.advance(LATE);
        settle(&map);
        // Longer deadlines than the one that it sleeps for.
        quiet.insert(100 + n, n);
        if n == 20 {
            passes = Some(idle.report().passes);
        }
    }
    assert_eq!(Some(idle.report().passes), passes);
    assert!(passes < Some(10), "{passes:?}");
}

#[test]
fn what_was_removed_by_hand_is_freed_with_nobody_there() {
    let (reaper, busy) = (reaper(), reaper());
    let map = Arc::new(TtlMap::builder().build());
    reaper.watch(&map).unwrap();
    let (other, clock) = self::map();
    busy.watch(&other).unwrap();
    for round in 0..scaled(3, 30) {
        // While another has come and gone a few times: this one sleeps.
        for n in 0..5 {
            other.insert(n, n);
            clock.advance(LATE);
            settle(&other);
        }
        (0..1 + round % 3).for_each(|key| drop(map.insert(key, key)));
        (0..1 + round % 3).for_each(|key| drop(map.remove(&key)));
        settle(&map);
    }
}

#[test]
fn one_reaper_for_maps_of_all_types() {
    let reaper = reaper();
    let (numbers, clock) = map::<u64>();
    let strings = Arc::new(TtlMap::<String, String>::builder().time_to_live(TTL).clock(&clock).build());
    let many: Vec<_> = (0..100).map(|_| map::<Vec<u8>>()).collect();
    reaper.watch(&numbers).unwrap();
    reaper.watch(&strings).unwrap();
    many.iter().for_each(|(map, _)| reaper.watch(map).unwrap());
    numbers.insert(1, 1);
    strings.insert("a".to_string(), "b".to_string());
    many.iter().for_each(|(map, _)| drop(map.insert(1, vec![0; 100])));
    clock.advance(LATE);
    settle(&numbers);
    until("the other one is swept", || strings.stored_len() == 0);
    assert!(many.iter().all(|(map, _)| map.stored_len() == 1));
    for (map, clock) in many.into_iter().rev() {
        clock.advance(LATE);
        settle(&map);
    }
    assert_eq!(reaper.close().retired, 102);
}

#[test]
fn many_reapers_for_one_map() {
    let (map, clock) = map();
    let reapers = [(); 3].map(|()| reaper());
    for _ in 0..2 {
        reapers.iter().for_each(|reaper| reaper.watch(&map).unwrap());
    }
    for round in 1..=scaled(50, 500) {
        (0..10).for_each(|key| drop(map.insert(key, round)));
        clock.advance(LATE);
        settle(&map);
        let retired = || reapers.iter().map(|reaper| reaper.report().retired).sum::<u64>();
        until("all are counted, once", || retired() == 10 * round);
    }
    // The last of them still does it all.
    reapers[..2].iter().for_each(|reaper| _ = reaper.close());
    map.insert(1, 1);
    clock.advance(LATE);
    settle(&map);
}

#[test]
fn a_million_entries_go_by_budgets() {
    let (map, clock) = map();
    let reaper = reaper();
    reaper.watch(&map).unwrap();
    let many = scaled(50_000, 1_000_000);
    (0..many).for_each(|key| drop(map.insert(key, key)));
    clock.advance(LATE);
    // Not by walks, which would hold up the freeing.
    until("all are retired", || reaper.report().retired == many);
    until("all are freed", || map.retired_len() == 0);
    assert_eq!((map.stored_len(), reaper.close().retired), (0, many));
}

/// What a reader holds up is freed when it has gone, though nobody writes.
#[test]
fn what_a_reader_held_up_is_freed_after_it() {
    let (map, clock) = map();
    let reaper = reaper();
    reaper.watch(&map).unwrap();
    map.insert(1, 1);
    let pinned = map.pin();
    assert!(pinned.get(&1).is_some());
    clock.advance(LATE);
    until("it is out of the table", || map.stored_len() == 0);
    // It is out before it is retired.
    until("it waits to be freed", || map.retired_len() == 1);
    drop(pinned);
    settle(&map);
}

#[test]
fn inserts_race_the_sweep_and_nothing_stays() {
    let (map, clock) = map();
    let reaper = Reaper::builder().name(unique_name()).interval(Duration::ZERO).budget(8).spawn().unwrap();
    reaper.watch(&map).unwrap();
    for round in 0..scaled(20, 60) {
        race(3, |n| {
            (0..200).for_each(|key| match n {
                2 => clock.advance(TTL / 100),
                _ => drop(map.insert_with_ttl(key, round, TTL / (key as u32 % 7 + 1))),
            });
        });
        clock.advance(LATE);
        settle(&map);
    }
}

#[test]
fn a_ticked_clock_is_driven_until_its_reaper_ends() {
    let clock = TickedClock::new();
    let name = unique_name();
    let ttl = Duration::from_millis(30);
    let map = Arc::new(TtlMap::builder().time_to_live(ttl).clock(&clock).build());
    map.insert(1, 1);
    assert!(!clock.is_driven());
    let reaper = Reaper::builder().name(&name).tick(Duration::from_millis(2)).spawn().unwrap();
    reaper.drive(&clock).unwrap();
    reaper.watch(&map).unwrap();
    assert!(clock.is_driven());
    until("time passes", || !map.contains_key(&1));
    let before = clock.now();
    map.insert(2, 2);
    until("it is swept", || map.stored_len() == 0);
    assert!(clock.now() >= before + ttl);
    reaper.close();
    assert!(!clock.is_driven());
    // Exact from now on.
    let (before, now, after) = (Instant::now(), clock.now(), Instant::now());
    assert!(before <= now && now <= after);
    assert!(reaper.drive(&clock).is_err() && !clock.is_driven());
    await_no_thread(&name);
}

#[test]
fn a_ticked_clock_never_goes_back_though_drivers_come_and_go() {
    let clock = TickedClock::new();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut latest = clock.now();
                while !done.load(Ordering::Relaxed) {
                    let now = clock.now();
                    assert!(now >= latest, "went back by {:?}", latest - now);
                    assert!(now <= Instant::now(), "ahead of time");
                    latest = now;
                }
            });
        }
        for _ in 0..scaled(200, 2_000) {
            let reaper = Reaper::builder().name(unique_name()).tick(Duration::ZERO).spawn().unwrap();
            reaper.drive(&clock).unwrap();
            let other = reaper.drive(&clock);
            assert!(other.is_ok());
        }
        done.store(true, Ordering::Relaxed);
    });
}
