//! The verbs that change a deadline: their conditions, their edges, and that what lapsed stays so (P11).

mod common;

use std::cell::Cell;
use std::hash::{Hash, Hasher, RandomState};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use common::{manual_map, purge_all};
use equivalent::Equivalent;
use ttlwheel::Condition::{Always, IfEarlier, IfLater, IfNone, IfSome};
use ttlwheel::{Condition, Deadline, ManualClock, Retimed, TtlMap};

type Map = TtlMap<u64, u64>;

const TTL: Duration = Duration::from_secs(60);
const NS: Duration = Duration::from_nanos(1);
const CONDITIONS: [Condition; 5] = [Always, IfNone, IfSome, IfLater, IfEarlier];

fn map() -> (Map, ManualClock) {
    let (map, clock) = manual_map(TTL, RandomState::new());
    clock.advance(Duration::from_secs(1));
    (map, clock)
}

/// What each condition makes of a deadline that is there and a new one.
#[test]
fn conditions_are_those_of_redis() {
    // Seconds to the present deadline and to the new one, and the conditions that allow it.
    let cases: [(Option<u64>, Option<u64>, &[Condition]); 7] = [
        (Some(10), Some(5), &[Always, IfSome, IfEarlier]),
        (Some(10), Some(10), &[Always, IfSome]),
        (Some(10), Some(15), &[Always, IfSome, IfLater]),
        (Some(10), None, &[Always, IfSome, IfLater]),
        (None, Some(10), &[Always, IfNone, IfEarlier]),
        (None, None, &[Always, IfNone]),
        (Some(10), Some(0), &[Always, IfSome, IfEarlier]),
    ];
    for (present, new, allowed) in cases {
        for condition in CONDITIONS {
            let (map, clock) = map();
            let deadline = |ttl: Option<u64>| {
                ttl.map_or(Deadline::Never, |ttl| Deadline::At(clock.now() + Duration::from_secs(ttl)))
            };
            map.insert_at(1, 10, deadline(present));
            let outcome = map.expire_at(&1, deadline(new), condition);
            let case = format!("{present:?} to {new:?} {condition:?}");
            if allowed.contains(&condition) {
                assert_eq!(outcome, Retimed::Changed { before: deadline(present) }, "{case}");
                assert_eq!(map.deadline(&1), Some(deadline(new)).filter(|_| new != Some(0)), "{case}");
            } else {
                assert_eq!(outcome, Retimed::Kept { deadline: deadline(present) }, "{case}");
                assert_eq!(map.deadline(&1), Some(deadline(present)), "{case}");
            }
        }
    }
}

#[test]
fn what_lapsed_is_not_brought_back() {
    for condition in CONDITIONS {
        let (map, clock) = map();
        map.insert(1, 10);
        clock.advance(TTL);
        let pinned = map.pin();
        assert_eq!(pinned.expire_in(&1, TTL, condition), Retimed::Absent);
        assert_eq!(pinned.expire_at(&1, Deadline::Never, condition), Retimed::Absent);
        assert_eq!((pinned.persist(&1), pinned.touch(&1)), (Retimed::Absent, Retimed::Absent));
        assert_eq!(map.get_cloned(&1), None);
        assert_eq!(map.touch(&2), Retimed::Absent, "never there");
    }
}

#[test]
fn deadlines_are_exact_to_the_nanosecond() {
    for ttl in [1, 2, 999_999, 1 << 19, (1 << 19) + 1, 1 << 40].map(Duration::from_nanos) {
        let (map, clock) = map();
        (1..=3).for_each(|key| drop(map.insert(key, key)));
        map.persist(&2);
        assert!(map.expire_in(&1, ttl, Always).is_changed());
        assert!(map.expire_in(&2, ttl, IfNone).is_changed());
        assert!(map.expire_at(&3, clock.now() + ttl, IfSome).is_changed());
        clock.advance(ttl - NS);
        assert_eq!(map.len(), 3, "{ttl:?}");
        clock.advance(NS);
        assert_eq!((map.len(), map.get_cloned(&1), map.get_cloned(&2)), (0, None, None), "{ttl:?}");
    }
}

#[test]
fn durations_of_any_length_saturate() {
    let (map, clock) = map();
    map.insert(1, 10);
    for ttl in [Duration::MAX, Duration::from_nanos(u64::MAX)] {
        assert!(map.expire_in(&1, ttl, Always).is_changed());
        assert_eq!(map.deadline(&1), Some(Deadline::Never));
    }
    assert!(map.expire_at(&1, clock.now() - Duration::from_secs(1), Always).is_changed());
    assert_eq!(map.get_cloned(&1), None);
}

#[test]
fn what_is_expired_at_once_is_gone_for_readers_with_an_older_reading() {
    let (map, clock) = map();
    map.insert(1, 10);
    let early = map.pin();
    clock.advance(Duration::from_secs(5));
    assert!(map.expire_in(&1, Duration::ZERO, Always).is_changed());
    assert_eq!(early.get(&1), None);
    assert_eq!(map.expire_in(&1, TTL, Always), Retimed::Absent);
}

/// The reminders follow: what lapses sooner is swept in time, what lapses later is not lost.
#[test]
fn sweeps_keep_to_the_new_deadlines() {
    let (map, clock) = map();
    const N: u64 = 1_000;
    (0..N).for_each(|key| drop(map.insert(key, key)));
    for key in 0..N {
        let ttl = Duration::from_secs(1 + key % 3 * 200);
        assert!(map.expire_in(&key, ttl, Always).is_changed());
    }
    let stored = |after: u64| {
        clock.advance(Duration::from_secs(after));
        purge_all(&map);
        map.stored_len() as u64
    };
    assert_eq!(stored(1), N - N.div_ceil(3));
    assert_eq!(stored(60), N - N.div_ceil(3));
    assert_eq!(stored(140), N / 3);
    assert_eq!(stored(200), 0);
}

/// A key that is touched for ever adds nothing to the wheel (P7).
#[test]
fn touching_files_nothing() {
    let (map, clock) = map();
    map.insert(1, 1);
    let next = map.next_due();
    for _ in 0..50 {
        clock.advance(Duration::from_secs(1));
        assert!(map.touch(&1).is_changed());
        assert_eq!(map.next_due(), next);
    }
}

#[test]
fn a_map_without_a_time_to_live_is_touched_for_ever() {
    let map: Map = TtlMap::builder().clock(ManualClock::new()).build();
    map.insert_with_ttl(1, 1, TTL);
    assert!(map.touch(&1).is_changed());
    assert_eq!(map.deadline(&1), Some(Deadline::Never));
}

/// Finds the key 1; what `at_look` does comes between the clock reading and the change.
struct Looking<F>(Cell<Option<F>>);

impl<F> Hash for Looking<F> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        1u64.hash(state);
    }
}

impl<F: FnOnce()> Equivalent<u64> for Looking<F> {
    fn equivalent(&self, key: &u64) -> bool {
        if let Some(at_look) = self.0.take() {
            at_look();
        }
        *key == 1
    }
}

/// The clock passes the deadline after a touch has read it, and a walk shows nothing: that stays so.
#[test]
fn what_a_walk_has_shown_gone_is_not_prolonged() {
    let walks: [fn(&Map) -> usize; 4] = [
        |map| map.len(),
        |map| usize::from(!map.is_empty()),
        |map| map.iter().count(),
        |map| map.pin().clone_into_hash_map().len(),
    ];
    for walk in walks {
        let (map, clock) = map();
        map.insert(1, 10);
        let at_look = || {
            clock.advance(TTL);
            assert_eq!(walk(&map), 0);
        };
        assert_eq!(map.touch(&Looking(Cell::new(Some(at_look)))), Retimed::Absent);
        assert_eq!((walk(&map), map.get_cloned(&1)), (0, None));
    }
}

/// The clock passes the new deadline before the change is made. What comes after the change finds the value over, also if
/// it had judged by the old deadline.
#[test]
fn change_that_the_clock_overtakes_ends_the_value() {
    let (map, clock) = map();
    map.insert_forever(1, 10);
    let deadline = clock.now() + NS;
    let ((looks, has_looked), (go_on, may_go_on), (change, has_changed)) = (channel(), channel(), channel());
    thread::scope(|scope| {
        let map = &map;
        scope.spawn(move || {
            let at_look = move || {
                looks.send(()).unwrap();
                may_go_on.recv().unwrap();
            };
            change.send(map.expire_at(&Looking(Cell::new(Some(at_look))), deadline, Always)).unwrap();
        });
        has_looked.recv().unwrap();
        clock.advance(NS);
        let updated = map.update(1, |value| {
            go_on.send(()).unwrap();
            assert_eq!(has_changed.recv(), Ok(Retimed::Changed { before: Deadline::Never }));
            value + 1
        });
        assert_eq!(updated.as_deref(), None, "made of a value that had expired");
    });
    assert_eq!((map.get_cloned(&1), map.stored_len()), (None, 0));
}
