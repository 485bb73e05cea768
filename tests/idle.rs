//! The idle time: what a read does to the deadline, how often, and how far.

mod common;

use std::cell::Cell;
use std::hash::{BuildHasher, DefaultHasher};
use std::rc::Rc;
use std::time::{Duration, Instant};

use common::purge_all;
use ttlwheel::{Condition, Deadline, ManualClock, TtlMap};

type Map = TtlMap<u64, u64>;

const NS: Duration = Duration::from_nanos(1);
const SECOND: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(16);
const LIVE: Duration = Duration::from_secs(100);

fn idle_map(time_to_live: Option<Duration>) -> (Map, ManualClock) {
    let clock = ManualClock::new();
    let builder = TtlMap::builder().time_to_idle(IDLE).clock(&clock);
    let map = match time_to_live {
        Some(ttl) => builder.time_to_live(ttl).build(),
        None => builder.build(),
    };
    clock.advance(SECOND);
    (map, clock)
}

fn deadline(map: &Map) -> Instant {
    match map.deadline(&1) {
        Some(Deadline::At(at)) => at,
        other => panic!("{other:?}"),
    }
}

/// A verb, and what it does to key 1.
type Verb = (&'static str, fn(&Map));

const READS: [Verb; 12] = [
    ("get", |map| assert!(map.get(&1).is_some())),
    ("read", |map| assert_eq!(map.read(&1, |value| *value), Some(10))),
    ("get_key_value", |map| assert!(map.get_key_value(&1).is_some())),
    ("get_cloned", |map| assert!(map.get_cloned(&1).is_some())),
    ("get_many", |map| map.get_many(&[1], |_, value| assert!(value.is_some()))),
    ("get_or_insert_with", |map| assert_eq!(*map.get_or_insert_with(1, || unreachable!()), 10)),
    ("get_or_refresh_with", |map| assert_eq!(*map.get_or_refresh_with(1, SECOND, || unreachable!()), 10)),
    ("pinned get", |map| assert!(map.pin().get(&1).is_some())),
    ("pinned get_key_value", |map| assert!(map.pin().get_key_value(&1).is_some())),
    ("pinned get_many", |map| map.pin().get_many(&[1], |_, value| assert!(value.is_some()))),
    ("entry", |map| assert_eq!(map.pin().entry(1).or_insert(11), &10)),
    ("touch", |map| assert!(map.touch(&1).is_changed())),
];

const LOOKS: [Verb; 10] = [
    ("peek", |map| assert!(map.peek(&1).is_some())),
    ("pinned peek", |map| assert!(map.pin().peek(&1).is_some())),
    ("contains_key", |map| assert!(map.contains_key(&1))),
    ("pinned contains_key", |map| assert!(map.pin().contains_key(&1))),
    ("ttl", |map| assert!(map.ttl(&1).is_some())),
    ("iter", |map| assert_eq!(map.iter().count(), 1)),
    ("try_insert", |map| assert!(map.try_insert(1, 11).is_err())),
    ("remove_if", |map| assert!(map.remove_if(&1, |_, _| false).is_none())),
    ("retain", |map| map.retain(|_, _| true)),
    ("purge_expired", |map| assert_eq!(purge_all(map), 0)),
];

#[test]
fn each_read_moves_the_deadline_and_no_look_does() {
    for (verbs, after) in [(&READS[..], IDLE), (&LOOKS[..], IDLE - 5 * SECOND)] {
        for (name, verb) in verbs {
            let (map, clock) = idle_map(None);
            map.insert(1, 10);
            clock.advance(5 * SECOND);
            verb(&map);
            assert_eq!(map.ttl(&1), Some(after), "{name}");
        }
    }
}

/// Shown to the nanosecond: after a read an entry lives for more than 15/16 of the idle time, and at most for all of it.
#[test]
fn deadline_moves_by_a_sixteenth_or_not_at_all() {
    let (map, clock) = idle_map(None);
    map.insert(1, 10);
    let first = deadline(&map);
    clock.advance(SECOND - NS);
    assert!(map.get(&1).is_some());
    assert_eq!(deadline(&map), first, "less than a sixteenth");
    clock.advance(NS);
    assert!(map.get(&1).is_some());
    assert_eq!(deadline(&map), first + SECOND, "a sixteenth");
    clock.advance(SECOND - NS);
    assert!(map.get(&1).is_some());
    clock.advance(IDLE - SECOND);
    assert!(map.contains_key(&1), "15/16 after the last read");
    clock.advance(NS);
    assert!(!map.contains_key(&1), "the read before the last was the one that counted");
}

#[test]
fn hot_key_lives_on_and_one_that_goes_quiet_expires() {
    let (map, clock) = idle_map(None);
    map.insert(1, 10);
    map.insert(2, 20);
    for _ in 0..1000 {
        clock.advance(IDLE - NS);
        assert_eq!(map.get_cloned(&1), Some(10));
        purge_all(&map);
    }
    assert_eq!(map.stored_len(), 1, "the other one went quiet");
    clock.advance(IDLE);
    assert_eq!(map.get_cloned(&1), None);
}

#[test]
fn reads_move_no_deadline_past_the_time_to_live() {
    let (map, clock) = idle_map(Some(LIVE));
    map.insert(1, 10);
    let bound = clock.now() + LIVE;
    while clock.now() + SECOND < bound {
        clock.advance(SECOND);
        assert!(map.get(&1).is_some());
        assert_eq!(deadline(&map), bound.min(clock.now() + IDLE));
    }
    clock.advance(SECOND - NS);
    assert!(map.get(&1).is_some());
    clock.advance(NS);
    assert!(map.get(&1).is_none());
    assert_eq!(map.stored_len(), 0);
}

#[test]
fn shorter_of_both_times_is_the_first_deadline() {
    for (live, first) in [(LIVE, IDLE), (SECOND, SECOND), (Duration::ZERO, Duration::ZERO)] {
        let (map, clock) = idle_map(Some(live));
        map.insert(1, 10);
        assert_eq!(map.ttl(&1), Some(first).filter(|ttl| !ttl.is_zero()));
        clock.advance(first);
        assert!(map.get(&1).is_none());
    }
}

#[test]
fn new_value_has_a_new_bound() {
    let (map, clock) = idle_map(Some(LIVE));
    map.insert(1, 10);
    for _ in 0..9 {
        clock.advance(10 * SECOND);
        assert!(map.get(&1).is_some());
    }
    assert!(map.update(1, |value| value + 1).is_some());
    for _ in 0..9 {
        clock.advance(10 * SECOND);
        assert!(map.get(&1).is_some());
    }
}

#[test]
fn entries_with_a_time_of_their_own_keep_it() {
    let inserts: [Verb; 3] = [
        ("insert_with_ttl", |map| drop(map.insert_with_ttl(1, 10, 2 * SECOND))),
        ("insert_at", |map| drop(map.insert_at(1, 10, map.clock().now() + LIVE))),
        ("insert_forever", |map| drop(map.insert_forever(1, 10))),
    ];
    for (name, insert) in inserts {
        let (map, clock) = idle_map(Some(LIVE));
        insert(&map);
        let before = map.deadline(&1);
        clock.advance(SECOND);
        READS[..10].iter().for_each(|(_, read)| read(&map));
        assert_eq!(map.deadline(&1), before, "{name}");
    }
}

#[test]
fn later_read_prolongs_a_life_that_was_shortened_and_shortens_none() {
    let (map, clock) = idle_map(None);
    map.insert(1, 10);
    assert!(map.expire_in(&1, SECOND, Condition::Always).is_changed());
    assert_eq!(map.ttl(&1), Some(SECOND));
    assert!(map.get(&1).is_some());
    assert_eq!(map.ttl(&1), Some(IDLE));
    assert!(map.expire_in(&1, LIVE, Condition::Always).is_changed());
    clock.advance(SECOND);
    assert!(map.get(&1).is_some());
    assert_eq!(map.ttl(&1), Some(LIVE - SECOND));
    assert!(map.persist(&1).is_changed());
    assert!(map.get(&1).is_some());
    assert_eq!(map.deadline(&1), Some(Deadline::Never));
}

/// P11. A pin that is older than the lapse shows the value, and doesn't bring it back.
#[test]
fn what_lapsed_is_not_brought_back_by_an_older_pin() {
    let (map, clock) = idle_map(None);
    map.insert(1, 10);
    clock.advance(IDLE - NS);
    let pinned = map.pin();
    clock.advance(NS);
    assert_eq!(pinned.get(&1), Some(&10), "as of the pin");
    assert!(map.get(&1).is_none());
    assert_eq!(map.stored_len(), 0);
}

#[test]
fn no_idle_time_is_a_bad_one() {
    for idle in [Duration::ZERO, NS, 15 * NS, Duration::from_nanos(u64::MAX), Duration::MAX] {
        for live in [None, Some(Duration::ZERO), Some(SECOND), Some(Duration::MAX)] {
            let clock = ManualClock::new();
            let builder = TtlMap::builder().time_to_idle(idle).clock(&clock);
            let map = live.map_or(builder.clone(), |live| builder.time_to_live(live)).build();
            map.insert(1, 10);
            let lives = idle.min(live.unwrap_or(Duration::MAX));
            assert_eq!(map.get(&1).is_some(), !lives.is_zero(), "{idle:?} {live:?}");
            clock.advance(lives.min(Duration::from_secs(1 << 32)));
            assert_eq!(map.get(&1).is_some(), lives > Duration::from_secs(1 << 32), "{idle:?} {live:?}");
        }
    }
}

/// Entries with a bound are larger than their type says: all ways on which one leaves, for Miri and the sanitizers.
#[test]
fn entries_leave_with_all_their_memory() {
    let (map, clock) = idle_map(Some(LIVE));
    let text = |n: u64| std::iter::repeat_n(n, 100).collect::<Vec<_>>();
    let texts = TtlMap::builder().time_to_idle(IDLE).clock(&clock).build();
    for n in 0..200 {
        texts.insert(n % 50, text(n));
        map.insert(n, n);
    }
    assert!(texts.try_insert(1, text(1)).is_err());
    assert!(texts.remove(&1).is_some());
    clock.advance(SECOND);
    texts.iter().for_each(|found| assert_eq!(texts.get(found.key()).unwrap()[0], found[0]));
    assert_eq!(map.ttl(&7), Some(IDLE - SECOND));
    clock.advance(IDLE);
    assert_eq!(purge_all(&texts), 49);
    texts.insert(1, text(1));
}

/// Counts the hashings.
#[derive(Clone, Default)]
struct Counted(Rc<Cell<u32>>);

impl BuildHasher for Counted {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        self.0.set(self.0.get() + 1);
        DefaultHasher::new()
    }
}

#[test]
fn read_hashes_its_key_once() {
    let hashings = Counted::default();
    let plain = TtlMap::builder().time_to_live(LIVE).hasher(hashings.clone()).build();
    let idle = TtlMap::builder().time_to_idle(IDLE).hasher(hashings.clone()).build();
    for map in [plain, idle] {
        map.insert(1, 1);
        let count = |read: &dyn Fn()| {
            let before = hashings.0.get();
            read();
            hashings.0.get() - before
        };
        assert_eq!(count(&|| assert!(map.get(&1).is_some())), 1);
        assert_eq!(count(&|| assert!(map.pin().get(&1).is_some())), 1);
        assert_eq!(count(&|| assert!(map.peek(&1).is_some())), 1);
        assert_eq!(count(&|| assert!(map.contains_key(&1))), 1);
    }
}
