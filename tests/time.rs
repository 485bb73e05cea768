//! Every edge of time: no duration, instant or uptime panics, wraps or expires early (P12), and expiry is exact to
//! the nanosecond (P1). Clocks are moved by hand; tests of the real ones only bracket them.

mod common;

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use common::{Counted, Rng, Verbs, manual_map, purge_all, scaled, tally};
use ttlwheel::{Clock, Deadline, Inserted, ManualClock, TtlMap};

type Map = TtlMap<u64, u64>;

const NS: Duration = Duration::from_nanos(1);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(31_556_952);

/// One of each unit up to a century, its neighbours, and multiples around the powers of two.
fn ttls() -> Vec<Duration> {
    let units = [1, 1_000, 1_000_000, 1_000_000_000, 60_000_000_000, 3_600_000_000_000, 86_400_000_000_000];
    let units = units.into_iter().chain([7, 30, 365, 36_500].map(|days| days * 86_400_000_000_000));
    let powers = (0..62).map(|power| 1u64 << power);
    let around = |n: u64| [n.saturating_sub(1), n, n + 1, n * 3 / 2];
    let mut all: Vec<u64> = units.chain(powers).flat_map(around).filter(|&n| n > 0).collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter().map(Duration::from_nanos).collect()
}

fn assert_live(handle: &impl Verbs, key: u64, value: u64, left: Duration) {
    assert_eq!(handle.get(key), Some(value), "live, with {left:?} left");
    assert_eq!(handle.ttl(key), Some(left));
    assert_eq!(handle.get_key_value(key), Some((key, value)));
    assert!(handle.contains_key(key) && handle.deadline(key).is_some() && !handle.is_empty());
    assert!(handle.pairs().contains(&(key, value)));
}

fn assert_absent(handle: &impl Verbs, key: u64) {
    assert_eq!((handle.get(key), handle.get_key_value(key)), (None, None));
    assert_eq!((handle.ttl(key), handle.deadline(key), handle.contains_key(key)), (None, None, false));
    assert!(handle.pairs().iter().all(|pair| pair.0 != key));
    assert_eq!((handle.remove(key), handle.remove_entry(key)), (None, None));
}

/// Live one nanosecond before the deadline, absent at it, whatever the unit.
#[test]
fn every_ttl_is_exact_to_the_nanosecond() {
    for ttl in ttls() {
        let (map, clock): (Map, _) = manual_map(ttl, RandomState::new());
        clock.advance(Duration::from_nanos(12_345));
        map.insert(1, 10);
        map.insert_with_ttl(2, 20, ttl);
        map.insert_at(3, 30, clock.now() + ttl);
        map.pin().insert(4, 40);
        (1..=4).for_each(|key| assert_live(&map, key, key * 10, ttl));
        clock.advance(ttl - NS);
        (1..=4).for_each(|key| assert_live(&map, key, key * 10, NS));
        (1..=4).for_each(|key| assert_live(&map.pin(), key, key * 10, NS));
        assert_eq!(map.len(), 4);
        clock.advance(NS);
        assert_eq!((map.len(), map.pin().len(), map.is_empty()), (0, 0, true), "{ttl:?}");
        assert_absent(&map, 1);
        assert_absent(&map.pin(), 2);
        assert!(!matches!(map.insert(3, 31), Inserted::Replaced(_)));
        assert_eq!(map.remove(&4).as_deref(), None);
    }
}

#[test]
fn a_replaced_deadline_counts_no_more() {
    let (map, clock): (Map, _) = manual_map(SECOND, RandomState::new());
    map.insert_with_ttl(1, 1, DAY);
    map.insert(1, 2);
    map.insert(2, 1);
    map.insert_with_ttl(2, 2, DAY);
    clock.advance(SECOND);
    assert_absent(&map, 1);
    assert_live(&map, 2, 2, DAY - SECOND);
}

#[test]
fn zero_ttl_is_absent_at_once() {
    let (map, clock): (Map, _) = manual_map(Duration::ZERO, RandomState::new());
    let pin = map.pin();
    for round in 0..3 {
        assert!(!matches!(map.insert(1, 1), Inserted::Replaced(_)));
        assert_absent(&map, 1);
        pin.insert(2, 2);
        assert_absent(&pin, 2);
        pin.insert_with_ttl(3, 3, Duration::ZERO);
        assert_absent(&pin, 3);
        pin.insert_at(4, 4, clock.now());
        assert_absent(&pin, 4);
        assert_eq!((map.len(), pin.len()), (0, 0));
        clock.advance(NS * round);
    }
    map.insert_forever(5, 5);
    let ended = map.insert_with_ttl(5, 6, Duration::ZERO).map(|old| *old);
    assert_eq!(ended, Inserted::Replaced(5), "the live one is replaced, by one that is not");
    assert_absent(&map, 5);
}

#[test]
fn one_nanosecond_is_a_ttl() {
    let (map, clock): (Map, _) = manual_map(NS, RandomState::new());
    map.insert(1, 1);
    assert_live(&map, 1, 1, NS);
    clock.advance(NS);
    assert_absent(&map, 1);
}

#[test]
fn ttls_past_the_clocks_end_mean_never() {
    let (map, clock): (Map, _) = manual_map(Duration::MAX, RandomState::new());
    clock.advance(DAY);
    let most = Duration::from_nanos(u64::MAX);
    map.insert(0, 0);
    for (key, ttl) in [Duration::MAX, most, YEAR * 1_000, most + NS].into_iter().enumerate() {
        map.insert_with_ttl(key as u64 + 1, 0, ttl);
    }
    map.pin().insert_at(5, 0, Deadline::Never);
    map.pin().insert_forever(6, 0);
    for years in [0, 200] {
        clock.advance(YEAR * years);
        for key in 0..=6 {
            assert_live(&map, key, 0, Duration::MAX);
            assert_eq!(map.deadline(&key), Some(Deadline::Never));
        }
    }
    map.insert_with_ttl(7, 7, YEAR * 50);
    assert_live(&map, 7, 7, YEAR * 50);
    assert_eq!(map.deadline(&7), Some(Deadline::At(clock.now() + YEAR * 50)), "the scale is not at its end yet");
}

#[test]
fn instants_of_any_age_are_deadlines() {
    let (map, clock): (Map, _) = manual_map(SECOND, RandomState::new());
    let now = clock.now();
    // As far as this platform's instants reach.
    let past: Vec<_> = (0..64).filter_map(|power| now.checked_sub(Duration::from_secs(1 << power))).collect();
    for past in past.into_iter().chain([now - NS, now]) {
        map.insert_forever(1, 0);
        assert_eq!(map.insert_at(1, 1, past).map(|old| *old), Inserted::Replaced(0));
        assert_absent(&map, 1);
    }
    let future = (0..64).filter_map(|power| now.checked_add(Duration::from_secs(1 << power)));
    for future in future.collect::<Vec<_>>() {
        map.insert_at(2, 2, future);
        let told = map.deadline(&2).unwrap();
        let representable = future - now < YEAR * 290;
        assert_eq!(told, if representable { Deadline::At(future) } else { Deadline::Never });
        assert_eq!(map.get_cloned(&2), Some(2));
    }
}

#[test]
fn deadline_and_ttl_make_the_round_trip() {
    let (map, clock): (Map, _) = manual_map(SECOND, RandomState::new());
    clock.advance(DAY);
    let mut rng = Rng(1);
    for ttl in ttls().into_iter().chain((0..1_000).map(|_| Duration::from_nanos(rng.below(1 << 60) + 1))) {
        map.insert_with_ttl(1, 1, ttl);
        let deadline = map.deadline(&1).unwrap();
        assert_eq!((deadline, map.ttl(&1)), (Deadline::At(clock.now() + ttl), Some(ttl)));
        map.insert_at(2, 2, deadline);
        assert_eq!((map.deadline(&2), map.ttl(&2)), (Some(deadline), Some(ttl)));
        map.insert_with_ttl(3, 3, map.ttl(&2).unwrap());
        assert_eq!(map.deadline(&3), Some(deadline));
    }
    map.insert_forever(1, 1);
    map.insert_at(2, 2, map.deadline(&1).unwrap());
    map.insert_with_ttl(3, 3, map.ttl(&1).unwrap());
    assert_eq!([1, 2, 3].map(|key| map.deadline(&key)), [Some(Deadline::Never); 3]);
}

#[test]
fn a_clock_at_its_end_stays_there() {
    let (map, clock): (Map, _) = manual_map(SECOND, RandomState::new());
    map.insert(1, 1);
    map.insert_forever(2, 2);
    clock.advance(Duration::MAX);
    let end = clock.now();
    clock.advance(Duration::MAX);
    clock.advance(NS);
    clock.set(end + DAY);
    assert_eq!(clock.now(), end);
    assert_absent(&map, 1);
    assert_live(&map, 2, 2, Duration::MAX);
    map.insert(3, 3);
    assert_live(&map, 3, 3, Duration::MAX);
    map.insert_with_ttl(4, 4, Duration::ZERO);
    assert_absent(&map, 4);
    map.insert_at(5, 5, end);
    assert_absent(&map, 5);
    purge_all(&map);
    assert_eq!((map.len(), map.stored_len()), (2, 2));
}

#[test]
fn a_clock_that_stands_still_ends_nothing() {
    let (map, clock): (Map, _) = manual_map(NS, RandomState::new());
    map.insert(1, 1);
    for key in 2..scaled(5_000, 50_000) {
        map.insert(key, key);
        map.insert_with_ttl(0, 0, Duration::ZERO);
        assert!(map.purge_expired(16).removed <= 1, "only what had no time at all");
    }
    assert_live(&map, 1, 1, NS);
    clock.advance(Duration::ZERO);
    assert_eq!(map.len() as u64, scaled(5_000, 50_000) - 1);
}

#[test]
fn a_clock_set_back_stands_still() {
    let (map, clock): (Map, _) = manual_map(SECOND, RandomState::new());
    let start = clock.now();
    map.insert(1, 1);
    clock.advance(SECOND);
    assert_absent(&map, 1);
    let now = clock.now();
    for back in [start, now - NS, start.checked_sub(SECOND).unwrap_or(start)] {
        clock.set(back);
        assert_eq!(clock.now(), now);
        assert_absent(&map, 1);
        map.insert(2, 2);
        assert_live(&map, 2, 2, SECOND);
    }
}

/// An idle map's stale idea of time, if it had one, would end the new entry at once.
#[test]
fn an_entry_inserted_after_an_idle_hour_lives_its_time() {
    let (map, clock): (Map, _) = manual_map(SECOND, RandomState::new());
    map.insert(1, 1);
    for idle in [Duration::from_secs(3_600), DAY * 30, YEAR] {
        clock.advance(idle);
        map.insert(2, 2);
        map.purge_expired(64);
        assert_live(&map, 2, 2, SECOND);
        clock.advance(SECOND - NS);
        assert_live(&map, 2, 2, NS);
        clock.advance(NS);
        assert_absent(&map, 2);
        map.insert_with_ttl(3, 3, DAY);
        assert_live(&map, 3, 3, DAY);
    }
}

/// A machine that was suspended for a month: all has lapsed in one tick, and no call does all the work of it. For one
/// in twenty seeds a table that is halved before all is swept puts dozens of entries in one bin.
#[test]
fn a_jump_of_thirty_days_is_worked_off_in_bounded_steps() {
    (0..40).for_each(|seed| jump_thirty_days(foldhash::quality::FixedState::with_seed(seed)));
    jump_thirty_days(RandomState::new());
}

fn jump_thirty_days(hasher: impl BuildHasher) {
    const MOST: u64 = 2_048;
    let tally = tally!();
    let (map, clock) = manual_map(SECOND, hasher);
    let map: TtlMap<u64, Counted<u64>, _> = map;
    let many = 50_000;
    (0..many).for_each(|key| drop(map.insert(key, tally.count(key))));
    clock.advance(DAY * 30);
    let step = |what: &str, work: &dyn Fn()| {
        let before = tally.dropped();
        work();
        let dropped = tally.dropped() - before;
        assert!(dropped <= MOST, "{what} dropped {dropped} values");
    };
    step("get", &|| assert!(map.get(&1).is_none()));
    step("insert over a lapsed entry", &|| drop(map.insert(2, tally.count(2))));
    step("insert", &|| drop(map.insert(many + 1, tally.count(3))));
    step("remove", &|| assert!(map.remove(&3).is_none()));
    step("len", &|| assert_eq!(map.len(), 2));
    let more = Cell::new(true);
    while more.get() {
        step("purge", &|| {
            let purged = map.purge_expired(64);
            // About the budget: a bin is purged as a whole.
            assert!(purged.removed <= 64 + 64, "{purged:?}");
            more.set(purged.more);
        });
        step("get", &|| assert!(map.get(&2).is_some()));
    }
    assert_eq!((map.len(), map.stored_len()), (2, 2));
}

fn real_clocks() -> [(&'static str, Clock); 3] {
    [("hybrid", Clock::hybrid()), ("exact", Clock::exact()), ("boot time", Clock::boot_time())]
}

#[test]
fn real_clocks_bracket_what_they_say() {
    for (name, clock) in real_clocks() {
        let map: Map = TtlMap::builder().time_to_live(DAY).clock(clock.clone()).build();
        for round in 0..2_000 {
            map.insert_with_ttl(0, 0, Duration::ZERO);
            assert_absent(&map, 0);
            map.pin().insert_at(0, 0, clock.now());
            assert_absent(&map.pin(), 0);
            let before = clock.now();
            map.insert(1, round);
            let after = clock.now();
            assert_eq!(map.get_cloned(&1), Some(round), "{name}");
            let Some(Deadline::At(deadline)) = map.deadline(&1) else { panic!("{name}: no deadline") };
            assert!((before + DAY..=after + DAY).contains(&deadline), "{name}");
            let ttl = map.ttl(&1).unwrap();
            assert!(ttl <= DAY && ttl >= deadline.saturating_duration_since(clock.now()), "{name}: {ttl:?}");
            map.insert_with_ttl(2, 2, Duration::MAX);
            assert_eq!(map.ttl(&2), Some(Duration::MAX));
        }
    }
}

/// While gets spin over a deadline, each answer agrees with the clock read before and after it.
#[test]
fn real_clocks_end_an_entry_at_its_deadline() {
    for (name, clock) in real_clocks() {
        let map: Map = TtlMap::builder().clock(clock.clone()).build();
        for after in [0, 1, 50, 1_000, 100_000, 5_000_000, 20_000_000].map(Duration::from_nanos) {
            let deadline = clock.now() + after;
            map.insert_at(1, 1, deadline);
            let mut last_before = clock.now();
            loop {
                let before = clock.now();
                let by_pin = map.pin().contains_key(&1);
                let between = clock.now();
                let by_map = map.contains_key(&1);
                let end = clock.now();
                assert!(last_before <= before && before <= between && between <= end, "{name} went back");
                assert!(!by_pin || before < deadline, "{name}: expired, and seen by a pin");
                assert!(by_pin || between >= deadline, "{name}: live, and missed by a pin");
                assert!(!by_map || between < deadline, "{name}: expired, and seen");
                assert!(by_map || end >= deadline, "{name}: live, and missed");
                if before >= deadline {
                    break;
                }
                last_before = end;
            }
        }
    }
}

/// A pin's reading may be old, never newer than the present: what it misses has lapsed.
#[test]
fn a_held_pin_misses_nothing_that_is_live() {
    let (map, clock): (Map, _) = manual_map(SECOND, RandomState::new());
    let pin = map.pin();
    map.insert(1, 1);
    clock.advance(SECOND - NS);
    assert_live(&map, 1, 1, NS);
    assert_eq!(pin.get(&1), Some(&1));
    clock.advance(NS);
    assert_absent(&map, 1);
    pin.insert_with_ttl(2, 2, NS);
    assert_absent(&pin, 1);
    assert_eq!(pin.get(&2), Some(&2), "its own writes refresh it");
    assert_eq!(pin.len(), 1);
}

#[test]
fn default_and_instant_scales_agree() {
    let map: Map = TtlMap::new(DAY);
    let end = Instant::now() + DAY;
    map.insert_at(1, 1, end);
    assert_eq!(map.deadline(&1), Some(Deadline::At(end)));
    let manual = ManualClock::new();
    let other = Clock::from(&manual);
    manual.clone().advance(SECOND);
    assert_eq!(other.now(), manual.now());
}
