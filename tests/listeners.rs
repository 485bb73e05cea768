//! Listeners: each entry that leaves is told of once, with its cause, whatever the listener does.

mod common;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::time::Duration;

use RemovalCause::{Expired, Explicit, Replaced};
use common::ledger::Ledger;
use common::{Collide, Rng, purge_all, race, scaled};
use ttlwheel::{Builder, Condition::Always, ManualClock, MapEntry, Operation, RemovalCause, RemovalInfo, TtlMap};

const TTL: Duration = Duration::from_secs(64);
/// By so much the wheel may be late, and a tick.
const LATE: Duration = Duration::from_millis(1_002);
const NS: Duration = Duration::from_nanos(1);
const SECOND: Duration = Duration::from_secs(1);

type Map = TtlMap<u64, u64>;
type Event = (u64, u64, RemovalCause, RemovalInfo);

/// What was told, in order.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Event>>>);

impl Told {
    fn listener(&self) -> impl Fn(&u64, &u64, RemovalCause, &RemovalInfo) + Send + Sync + use<> {
        let told = self.clone();
        move |key, value, cause, info| told.0.lock().unwrap().push((*key, *value, cause, *info))
    }

    fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// Of a key: values and causes.
    fn of(&self, key: u64) -> Vec<(u64, RemovalCause)> {
        self.take().into_iter().filter(|event| event.0 == key).map(|(_, value, cause, _)| (value, cause)).collect()
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

fn builder(clock: &ManualClock) -> Builder<u64, u64> {
    TtlMap::builder().time_to_live(TTL).clock(clock)
}

fn map() -> (Map, ManualClock, Told) {
    let (clock, told) = (ManualClock::new(), Told::default());
    (builder(&clock).on_removal(told.listener()).build(), clock, told)
}

/// A map whose listener gets the map.
fn map_with(listener: impl Fn(&Map, u64, u64, RemovalCause) + Send + Sync + 'static) -> (Arc<Map>, ManualClock, Told) {
    let (clock, told) = (ManualClock::new(), Told::default());
    let slot = Arc::new(OnceLock::<Weak<Map>>::new());
    let its = Arc::clone(&slot);
    let builder = builder(&clock).on_removal(told.listener()).on_removal(move |key, value, cause, _| {
        if let Some(map) = its.get().and_then(Weak::upgrade) {
            listener(&map, *key, *value, cause);
        }
    });
    let map = Arc::new(builder.build());
    slot.set(Arc::downgrade(&map)).unwrap();
    (map, clock, told)
}

type Verb = (&'static str, fn(&Map), Option<RemovalCause>);

/// Verbs on key 1, which has the value 10, and the cause by which that leaves if it is live.
const VERBS: &[Verb] = &[
    ("insert", |map| drop(map.insert(1, 11)), Some(Replaced)),
    ("insert_with_ttl zero", |map| drop(map.insert_with_ttl(1, 11, Duration::ZERO)), Some(Replaced)),
    ("extend", |mut map| map.extend([(1, 11)]), Some(Replaced)),
    ("replace", |map| drop(map.replace(1, 11)), Some(Replaced)),
    ("insert_if", |map| drop(map.insert_if(1, 11, |_| true)), Some(Replaced)),
    ("insert_if not", |map| drop(map.insert_if(1, 11, |_| false)), None),
    ("compare_exchange", |map| drop(map.compare_exchange(1, &10, 11)), Some(Replaced)),
    ("compare_exchange of another", |map| drop(map.compare_exchange(1, &9, 11)), None),
    ("update", |map| drop(map.update(1, |value| value + 1)), Some(Replaced)),
    ("update_or_insert_with", |map| drop(map.update_or_insert_with(1, |value| value + 1, || 12)), Some(Replaced)),
    ("compute insert", |map| drop(map.compute(1, |_| Operation::<_>::Insert(11))), Some(Replaced)),
    ("compute remove", |map| drop(map.compute(1, |_| Operation::<_>::Remove)), Some(Explicit)),
    ("compute abort", |map| drop(map.compute(1, |_| Operation::<_>::Abort(()))), None),
    ("remove", |map| drop(map.remove(&1)), Some(Explicit)),
    ("remove_entry", |map| drop(map.remove_entry(&1)), Some(Explicit)),
    ("remove_if", |map| drop(map.remove_if(&1, |_, _| true)), Some(Explicit)),
    ("retain", |map| map.retain(|_, _| false), Some(Explicit)),
    ("drain", |map| assert!(map.drain().count() <= 1), Some(Explicit)),
    ("clear", |map| map.clear(), Some(Explicit)),
    ("entry insert", |map| _ = map.pin().entry(1).and_update(|value| value + 1), Some(Replaced)),
    (
        "entry remove",
        |map| {
            if let MapEntry::Occupied(entry) = map.pin().entry(1) {
                assert_eq!(entry.remove().ok(), Some(&10));
            }
        },
        Some(Explicit),
    ),
    ("expire_in zero", |map| _ = map.expire_in(&1, Duration::ZERO, Always), Some(Expired)),
    ("expire_at the past", |map| _ = map.expire_at(&1, map.clock().now() - NS, Always), Some(Expired)),
    ("get", |map| drop(map.get(&1)), None),
    ("get_many", |map| map.pin().get_many(&[1], |_, _| ()), None),
    ("contains_key", |map| _ = map.contains_key(&1), None),
    ("ttl", |map| _ = map.ttl(&1), None),
    ("touch", |map| _ = map.touch(&1), None),
    ("try_insert", |map| drop(map.try_insert(1, 11)), None),
    ("get_or_insert_with", |map| drop(map.get_or_insert_with(1, || 11)), None),
    ("get_or_refresh_with", |map| drop(map.get_or_refresh_with(1, TTL, || 11)), None),
    ("purge_expired", |map| _ = purge_all(map), None),
];

#[test]
fn live_entry_leaves_by_the_cause_of_the_verb() {
    for &(name, verb, cause) in VERBS {
        let (map, _clock, told) = map();
        map.insert(1, 10);
        verb(&map);
        // Those that stay leave with the map.
        let at_verb: Vec<_> = told.of(1).into_iter().filter(|event| event.0 == 10).collect();
        assert_eq!(at_verb, cause.map(|cause| (10, cause)).into_iter().collect::<Vec<_>>(), "{name}");
        let stays = map.get_cloned(&1);
        drop(map);
        let at_drop: Vec<_> = told.of(1).into_iter().filter(|event| event.1 == Explicit).collect();
        assert_eq!(at_drop, stays.map(|value| (value, Explicit)).into_iter().collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn lapsed_entry_leaves_as_expired_whatever_the_verb() {
    for &(name, verb, _) in VERBS {
        for walks_before in [false, true] {
            let (map, clock, told) = map();
            map.insert(1, 10);
            let deadline = clock.now() + TTL;
            clock.advance(TTL + 3 * NS);
            if walks_before {
                assert_eq!((map.len(), map.iter().count()), (0, 0));
            }
            verb(&map);
            clock.advance(TTL);
            drop(map);
            let of_value: Vec<_> = told.take().into_iter().filter(|event| event.1 == 10).collect();
            let [(1, 10, Expired, info)] = of_value[..] else { panic!("{name}: {of_value:?}") };
            assert_eq!(info.deadline(), Some(deadline), "{name}");
            assert_eq!(info.lag(), 3 * NS, "{name}: by the verb, not by the drop");
        }
    }
}

#[test]
fn upkeep_of_writes_and_purges_tell_with_deadline_and_lag() {
    let (map, clock, told) = map();
    (0..100).for_each(|key| drop(map.insert(key, key)));
    let deadline = clock.now() + TTL;
    clock.advance(TTL + LATE);
    map.remove(&1_000);
    let swept = told.take();
    assert!((1..=17).contains(&swept.len()), "a few a write: {}", swept.len());
    clock.advance(SECOND);
    assert_eq!(map.len(), 0);
    purge_all(&map);
    let purged = told.take();
    assert_eq!((swept.len() + purged.len(), map.stored_len()), (100, 0));
    for (events, lag) in [(swept, LATE), (purged, LATE + SECOND)] {
        for (key, value, cause, info) in events {
            assert_eq!((key, cause, info.deadline(), info.lag()), (value, Expired, Some(deadline), lag));
        }
    }
}

/// When listeners are told, a sweep has nothing in hand: all that is overdue can be purged.
#[test]
fn sweep_tells_when_it_is_done() {
    let left = Arc::new(AtomicU64::new(u64::MAX));
    let its = Arc::clone(&left);
    let (map, clock, told) = map_with(move |map, _, _, _| {
        purge_all(map);
        _ = its.compare_exchange(u64::MAX, map.stored_len() as u64, SeqCst, SeqCst);
    });
    (0..1_000).for_each(|key| drop(map.insert_with_ttl(key, key, SECOND * (1 + key as u32 % 60))));
    clock.advance(TTL);
    map.insert(1_000, 0);
    assert_eq!((left.load(SeqCst), map.stored_len(), told.len()), (1, 1, 1_000));
}

#[test]
fn info_tells_the_last_deadline() {
    let (map, clock, told) = map();
    let start = clock.now();
    let told_of = |verb: &dyn Fn()| {
        verb();
        let events = told.take();
        let [(_, _, cause, info)] = events[..] else { panic!("{events:?}") };
        (cause, info.deadline().map(|deadline| deadline - start), info.lag())
    };
    map.insert(1, 1);
    assert_eq!(told_of(&|| drop(map.remove(&1))), (Explicit, Some(TTL), Duration::ZERO));
    map.insert_forever(1, 1);
    assert_eq!(told_of(&|| drop(map.insert(1, 2))), (Replaced, None, Duration::ZERO));
    map.insert(1, 2);
    told.take();
    clock.advance(SECOND);
    assert!(map.touch(&1).is_changed());
    assert_eq!(told_of(&|| drop(map.remove(&1))), (Explicit, Some(TTL + SECOND), Duration::ZERO));
    // What is expired by hand ends then, or when it is said to have ended.
    map.insert_forever(1, 2);
    let now = || _ = map.expire_in(&1, Duration::ZERO, Always);
    assert_eq!(told_of(&now), (Expired, Some(SECOND), Duration::ZERO));
    map.insert(1, 2);
    let before = || _ = map.expire_at(&1, start + 3 * NS, Always);
    assert_eq!(told_of(&before), (Expired, Some(3 * NS), SECOND - 3 * NS));
    // The same for what is over from the start.
    map.insert_at(1, 3, start + 3 * NS);
    map.insert_with_ttl(2, 3, Duration::ZERO);
    clock.advance(NS);
    assert_eq!(told_of(&|| drop(map.get(&1))), (Expired, Some(3 * NS), SECOND - 2 * NS));
    assert_eq!(told_of(&|| drop(map.get(&2))), (Expired, Some(SECOND), NS));
}

#[test]
fn stale_value_is_told_of_when_it_is_renewed() {
    let (map, clock, told) = map();
    map.insert(1, 10);
    clock.advance(TTL + SECOND);
    let renewed = map.get_or_refresh_with(1, TTL, || {
        assert_eq!(*map.get_or_refresh_with(1, TTL, || unreachable!("handed out")), 10);
        assert_eq!(told.len(), 0, "it is there still");
        11
    });
    assert_eq!(*renewed, 11);
    let events = told.take();
    let [(1, 10, Expired, info)] = events[..] else { panic!("{events:?}") };
    assert_eq!(info.lag(), SECOND);
}

#[test]
fn drop_tells_of_all_that_is_left() {
    let (map, clock, told) = map_with(|_, _, _, _| unreachable!("the map can't be had any more"));
    (0..100).for_each(|key| drop(map.insert_with_ttl(key, key, if key % 2 == 0 { SECOND } else { TTL })));
    clock.advance(SECOND + NS);
    drop(map);
    let mut events = told.take();
    events.sort_by_key(|event| event.0);
    assert_eq!(events.len(), 100);
    for (n, (key, value, cause, info)) in events.into_iter().enumerate() {
        assert_eq!((key, value, cause), (n as u64, n as u64, if n % 2 == 0 { Expired } else { Explicit }));
        assert_eq!(info.lag(), if n % 2 == 0 { NS } else { Duration::ZERO });
    }
}

#[test]
fn listeners_are_told_in_their_order_and_clones_have_the_same() {
    let (clock, order) = (ManualClock::new(), Arc::new(Mutex::new(Vec::new())));
    let listener = |n: u64| {
        let order = Arc::clone(&order);
        move |key: &u64, _: &u64, _, _: &RemovalInfo| order.lock().unwrap().push((*key, n))
    };
    let builder = builder(&clock).on_removal(listener(1)).on_removal(listener(2)).on_removal(listener(3));
    for map in [builder.clone().build(), builder.build()] {
        map.insert(1, 1);
        map.insert(1, 2);
        map.remove(&1);
        assert_eq!(std::mem::take(&mut *order.lock().unwrap()), [(1, 1), (1, 2), (1, 3), (1, 1), (1, 2), (1, 3)]);
    }
}

#[test]
fn listener_that_inserts_the_key_again_keeps_it_there() {
    let (map, clock, told) = map_with(|map, key, value, cause| {
        if cause != Replaced && value < 20 {
            assert_ne!(map.get_cloned(&key), Some(value), "it has left");
            map.insert(key, value + 1);
        }
    });
    map.insert(1, 10);
    assert_eq!(map.remove(&1).as_deref(), Some(&10));
    assert_eq!(map.get_cloned(&1), Some(11));
    clock.advance(TTL);
    assert_eq!(map.get_cloned(&1), None, "as it was found");
    assert_eq!(map.get_cloned(&1), Some(12));
    assert!(map.expire_in(&1, Duration::ZERO, Always).is_changed());
    assert_eq!(map.get_cloned(&1), Some(13));
    clock.advance(TTL);
    assert_eq!(map.insert(1, 100).replaced().as_deref(), None);
    assert_eq!(map.get_cloned(&1), Some(14), "the listener came last");
    map.clear();
    assert_eq!(
        told.of(1),
        [(10, Explicit), (11, Expired), (12, Expired), (13, Expired), (100, Replaced), (14, Explicit)]
    );
    assert_eq!((map.get_cloned(&1), map.listener_panics()), (Some(15), 0));
}

/// Each write tells of a few, though what the listener inserts is over at once.
#[test]
fn listener_that_inserts_keeps_the_writes_within_their_budget() {
    for ttl in [TTL, Duration::ZERO] {
        let nested = Cell::new(0);
        let (map, clock, told) = map_with(move |map, key, value, _| {
            if value < 3 {
                map.insert_with_ttl(key, value + 1, ttl);
            }
        });
        (0..1_000).for_each(|key| drop(map.insert(key, 0)));
        clock.advance(TTL + LATE);
        let mut writes = 0;
        while told.0.lock().unwrap().iter().filter(|event| event.1 == 0).count() < 1_000 {
            let before = told.len();
            map.remove(&5_000);
            nested.set(nested.get().max(told.len() - before));
            writes += 1;
            assert!(writes < 1_000, "they all go");
        }
        assert!((1..=17).contains(&nested.get()), "{} told of in one write", nested.get());
    }
}

#[test]
fn listeners_never_run_inside_each_other() {
    thread_local! { static DEPTH: Cell<u32> = const { Cell::new(0) } }
    let (map, clock, told) = map_with(|map, key, _, _| {
        DEPTH.set(DEPTH.get() + 1);
        assert_eq!(DEPTH.get(), 1);
        if key < 100_000 {
            map.remove(&(key + 1));
            drop(map.get(&(key + 2)));
            map.insert(key + 100_000, 0);
            map.insert(key + 100_000, 1);
            map.purge_expired(10);
        }
        DEPTH.set(DEPTH.get() - 1);
    });
    // In a chain it would need a stack for 20,000 of them.
    (0..20_000).for_each(|key| drop(map.insert_with_ttl(key, key, if key % 3 == 0 { SECOND } else { TTL })));
    clock.advance(SECOND);
    let worker = thread::Builder::new().stack_size(256 << 10);
    let theirs = Arc::clone(&map);
    worker.spawn(move || drop(theirs.remove(&1))).unwrap().join().unwrap();
    let events = told.take();
    assert!(events.iter().filter(|event| event.0 < 20_000).count() > 10_000, "{}", events.len());
    assert_eq!(map.listener_panics(), 0);
}

#[test]
fn listener_that_clears_the_map_is_told_of_all_once() {
    let (map, clock, told) = map_with(|map, _, _, _| map.clear());
    (0..2_000).for_each(|key| drop(map.insert(key, key)));
    map.remove(&77);
    assert_eq!((map.stored_len(), told.take().len()), (0, 2_000));
    (0..2_000).for_each(|key| drop(map.insert(key, key)));
    clock.advance(TTL + LATE);
    let mut removed = told.len();
    map.insert(5_000, 0);
    removed = told.len() - removed;
    assert_eq!(removed, 2_001, "by a sweep that found one");
    (0..100).for_each(|key| drop(map.insert(key, key)));
    map.retain(|key, _| *key != 50);
    assert_eq!((map.stored_len(), map.listener_panics()), (0, 0));
}

#[test]
fn listener_that_panics_is_counted_and_told_again() {
    let (clock, told) = (ManualClock::new(), Told::default());
    let calls = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&calls);
    let panics = move |key: &u64, _: &u64, _, _: &RemovalInfo| {
        counter.fetch_add(1, SeqCst);
        if *key % 2 == 0 {
            resume_unwind(Box::new("of no account"));
        }
    };
    let map = builder(&clock).on_removal(panics).on_removal(told.listener()).build();
    (0..100).for_each(|key| drop(map.insert(key, 0)));
    (0..10).for_each(|key| drop(map.insert(key, 1)));
    (0..10).for_each(|key| drop(map.remove(&key)));
    assert_eq!((map.listener_panics(), told.len()), (10, 20));
    clock.advance(TTL + LATE);
    assert_eq!(map.get_cloned(&10), None);
    map.remove(&1_000);
    purge_all(&map);
    assert_eq!((map.listener_panics(), told.len(), map.stored_len()), (10 + 45, 110, 0));
    (0..10).for_each(|key| drop(map.insert(key, 0)));
    map.clear();
    assert_eq!(map.listener_panics(), 60);
    (0..10).for_each(|key| drop(map.insert(key, 0)));
    // Also in a drop while another panic is under way.
    let dropped = catch_unwind(AssertUnwindSafe(|| {
        let _map = map;
        resume_unwind(Box::new("the first"));
    }));
    assert!(dropped.is_err());
    assert_eq!((told.len(), calls.load(SeqCst)), (130, 130));
}

/// A load that boards finds what lapsed under the lock of a list: what is told of it then must not be told there.
#[test]
fn listener_is_told_outside_the_lock_of_loads() {
    let clock = ManualClock::new();
    let slot = Arc::new(OnceLock::<Weak<TtlMap<u64, u64, Collide<1>>>>::new());
    let its = Arc::clone(&slot);
    let listener = move |key: &u64, value: &u64, _, _: &RemovalInfo| {
        let Some(map) = its.get().and_then(Weak::upgrade) else { return };
        match value {
            // The load's first look; what is there at its second is over, too.
            10 => drop(map.insert_with_ttl(*key, 11, Duration::ZERO)),
            11 => {
                // Another key of the same list, in another thread; and this very one, which nobody may wait for.
                thread::scope(|scope| _ = scope.spawn(|| drop(map.get_or_insert_with(2, || 20))));
                assert_eq!(*map.get_or_insert_with(*key, || 12), 12);
            }
            _ => {}
        }
    };
    let builder = TtlMap::builder().time_to_live(TTL).clock(&clock).on_removal(listener).hasher(Collide::<1>);
    let map = Arc::new(builder.build());
    slot.set(Arc::downgrade(&map)).unwrap();
    map.insert(1, 10);
    clock.advance(TTL);
    assert_eq!(*map.get_or_insert_with(1, || 13), 12);
    assert_eq!((map.get_cloned(&2), map.listener_panics()), (Some(20), 0));
}

#[test]
fn what_loads_put_is_told_of_once() {
    let many = scaled(2_000, 50_000) as usize;
    let (ledger, clock) = (Arc::new(Ledger::new(3 * many)), ManualClock::new());
    let teller = Arc::clone(&ledger);
    let listener = move |_: &u64, value: &usize, cause, _: &RemovalInfo| teller.tell(*value, cause);
    let map = TtlMap::builder().time_to_live(TTL).clock(&clock).on_removal(listener).build();
    race(3, |n| {
        let mut rng = Rng(n as u64);
        for _ in 0..many {
            let (key, value) = (rng.below(16), ledger.fresh());
            let found = match rng.below(2) {
                0 => *map.get_or_insert_with(key, || value),
                _ => *map.get_or_refresh_with(key, TTL / 2, || value),
            };
            if found == value {
                ledger.inserted(value);
            }
            clock.advance(TTL / 64);
        }
    });
    let ((told, silent), stored) = (ledger.check(), map.stored_len());
    assert_eq!(silent, stored);
    drop(map);
    assert_eq!(ledger.check(), (told + stored, 0));
}

/// Maps whose listeners write to each other.
#[test]
fn listeners_of_two_maps_may_write_to_both() {
    let clock = ManualClock::new();
    let other = Arc::new(OnceLock::<Weak<Map>>::new());
    let (of_one, told) = (Arc::clone(&other), Told::default());
    let pong = map_with(move |one, key, value, _| {
        let other = of_one.get().and_then(Weak::upgrade).unwrap();
        other.insert(key, value + 1);
        other.insert(key, value + 2);
        one.remove(&(key + 1));
    });
    let one = Arc::downgrade(&pong.0);
    let ping = move |key: &u64, value: &u64, _, _: &RemovalInfo| {
        let Some(one) = one.upgrade() else { return };
        if *key < 100 {
            one.insert(*key + 10, *value);
            one.insert(*key + 10, *value);
        }
    };
    let two = Arc::new(builder(&clock).on_removal(told.listener()).on_removal(ping).build());
    other.set(Arc::downgrade(&two)).unwrap();
    pong.0.insert(1, 1);
    pong.0.insert(2, 1);
    pong.0.remove(&1);
    // 1 leaves the one, 2 follows when its listener has returned; each makes one replacement in the other, and that one more.
    assert!(pong.0.get(&2).is_none() && told.len() > 0);
    assert_eq!((pong.0.listener_panics(), two.listener_panics()), (0, 0));
}

/// What leaves other maps by a listener is told of by those, and their writes sweep.
#[test]
fn graveyard_that_only_a_listener_writes_to_is_swept() {
    let clock = ManualClock::new();
    let graves: Arc<TtlMap<u64, u64>> = Arc::new(builder(&clock).build());
    let theirs = Arc::clone(&graves);
    let map = builder(&clock).on_removal(move |key, value, _, _| drop(theirs.insert(*key, *value))).build();
    for round in 0..50 {
        (0..100).for_each(|key| drop(map.insert(round * 100 + key, 0)));
        clock.advance(2 * TTL);
        while map.purge_expired(100).more {}
    }
    assert!(graves.stored_len() <= 300, "{} of 5,000 are there still", graves.stored_len());
}

/// A value whose destructor writes to its map, whose listener writes, too.
#[test]
fn destructors_and_listeners_may_both_write() {
    struct Writes(Weak<TtlMap<u64, Writes>>, u64);
    impl Drop for Writes {
        fn drop(&mut self) {
            if let Some(map) = self.0.upgrade().filter(|_| self.1 < 3) {
                map.insert(1_000 + self.1, Writes(self.0.clone(), self.1 + 1));
            }
        }
    }
    let (clock, count) = (ManualClock::new(), Arc::new(AtomicU64::new(0)));
    let counter = Arc::clone(&count);
    let listener = move |key: &u64, value: &Writes, _, _: &RemovalInfo| {
        counter.fetch_add(1, SeqCst);
        if let Some(map) = value.0.upgrade().filter(|_| *key < 100) {
            map.insert(key + 100, Writes(value.0.clone(), 0));
        }
    };
    let map = Arc::new(TtlMap::builder().time_to_live(TTL).clock(&clock).on_removal(listener).build());
    (0..100).for_each(|key| drop(map.insert(key, Writes(Arc::downgrade(&map), 0))));
    clock.advance(TTL + LATE);
    while map.purge_expired(64).more {}
    assert!(count.load(SeqCst) >= 100);
    assert_eq!((map.len(), map.listener_panics()), (map.stored_len(), 0));
}

#[test]
fn keys_and_values_may_borrow() {
    let (names, count) = (["a".to_string(), "b".to_string()], Arc::new(AtomicU64::new(0)));
    let counter = Arc::clone(&count);
    let listener = move |_: &&str, value: &&str, _, _: &RemovalInfo| _ = counter.fetch_add(value.len() as u64, SeqCst);
    let map = TtlMap::<&str, &str>::builder().on_removal(listener).build();
    map.insert(&names[0], &names[1]);
    map.insert(&names[0], &names[0]);
    drop(map);
    assert_eq!(count.load(SeqCst), 2);
}

/// On a reaper's thread, a listener lets go of the map's last handle: the rest is told of by the drop, there.
#[test]
fn listener_on_a_reapers_thread_may_drop_the_map() {
    let (clock, told) = (ManualClock::new(), Told::default());
    let slot = Arc::new(Mutex::new(None::<Arc<Map>>));
    let its = Arc::clone(&slot);
    let listener = move |_: &u64, _: &u64, _, _: &RemovalInfo| drop(its.lock().unwrap().take());
    let map = Arc::new(builder(&clock).on_removal(listener).on_removal(told.listener()).build());
    let reaper = map.spawn_reaper().unwrap();
    map.insert(1, 1);
    map.insert_forever(2, 2);
    *slot.lock().unwrap() = Some(map);
    clock.advance(TTL + LATE);
    common::tasks::until("it has reaped and dropped the map", || told.len() == 2);
    let causes: Vec<_> = told.take().into_iter().map(|(key, _, cause, _)| (key, cause)).collect();
    assert_eq!(causes, [(1, Expired), (2, Explicit)]);
    drop(reaper);
}

/// A value that owns its map's reaper, which the listener closes on that reaper's own thread.
#[test]
fn listener_may_close_the_reaper_that_runs_it() {
    let (clock, closed) = (ManualClock::new(), Arc::new(AtomicU64::new(0)));
    let counter = Arc::clone(&closed);
    let listener = move |_: &u64, reaper: &Mutex<Option<ttlwheel::Reaper>>, _, _: &RemovalInfo| {
        drop(reaper.lock().unwrap().take());
        counter.fetch_add(1, SeqCst);
    };
    let map = Arc::new(TtlMap::builder().time_to_live(TTL).clock(&clock).on_removal(listener).build());
    map.insert(1, Mutex::new(Some(map.spawn_reaper().unwrap())));
    clock.advance(TTL + LATE);
    common::tasks::until("it is closed", || closed.load(SeqCst) == 1);
}
