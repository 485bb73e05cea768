//! Events: each entry that leaves is received once, or counted as lost; no consumer holds up a writer, and none is left
//! asleep. Threads that wait are joined; nothing here sleeps.

mod common;

use std::cell::Cell;
use std::hash::RandomState;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::mpsc::{RecvTimeoutError, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use common::fuse::{Fuse, Site as FuseSite, When};
use common::gate::{Event, Gate, Site, gated, pass};
use common::{Counted, Identity, manual_map, tally, tiny_map};
use ttlwheel::RemovalCause::{Expired, Explicit, Replaced};
use ttlwheel::{Events, ManualClock, Purged, Removal, RemovalCause, TtlMap};

const TTL: Duration = Duration::from_secs(60);

type Map = TtlMap<u64, u64, Identity>;

fn map() -> (Map, ManualClock) {
    manual_map(TTL, Identity)
}

fn short<K, V>(removal: Removal<K, V>) -> (K, V, RemovalCause) {
    (removal.key, removal.value, removal.cause)
}

fn drained<K, V>(events: &Events<K, V>) -> Vec<(K, V, RemovalCause)> {
    events.try_iter().map(short).collect()
}

#[test]
fn events_come_in_the_order_in_which_entries_left() {
    let (map, clock) = map();
    let events = map.events(20);
    map.insert(1, 10);
    map.insert(1, 11);
    map.insert(2, 20);
    map.remove(&2);
    map.remove(&2);
    map.insert(3, 30);
    map.insert_with_ttl(4, 40, Duration::from_secs(1));
    clock.advance(Duration::from_secs(1));
    assert_eq!(map.get_cloned(&4), None);
    map.insert_with_ttl(5, 50, Duration::from_secs(1));
    clock.advance(Duration::from_secs(1));
    assert!(matches!(map.purge_expired(100), Purged { removed: 1, .. }));
    map.clear();
    let left = [(1, 10, Replaced), (2, 20, Explicit), (4, 40, Expired), (5, 50, Expired)];
    let mut all = drained(&events);
    assert_eq!(all[..4], left);
    all.drain(..4);
    all.sort_by_key(|event| event.0);
    assert_eq!(all, [(1, 11, Explicit), (3, 30, Explicit)]);
    assert_eq!(events.lost(), 0);
}

#[test]
fn event_tells_deadline_and_lag() {
    let (map, clock) = map();
    let events = map.events(4);
    map.insert(1, 1);
    map.insert_forever(2, 2);
    let deadline = clock.now() + TTL;
    map.remove(&2);
    clock.advance(TTL + Duration::from_secs(5));
    map.purge_expired(10);
    let all: Vec<_> = events.try_iter().collect();
    assert_eq!((all[0].info.deadline(), all[0].info.lag()), (None, Duration::ZERO));
    assert_eq!((all[1].info.deadline(), all[1].info.lag()), (Some(deadline), Duration::from_secs(5)));
}

#[test]
fn each_stream_has_every_event_from_its_making_on() {
    let (map, _) = map();
    map.insert(0, 0);
    map.remove(&0);
    let first = map.events(4);
    map.insert(1, 1);
    map.remove(&1);
    let second = map.events(4);
    map.insert(2, 2);
    map.remove(&2);
    assert_eq!(drained(&first), [(1, 1, Explicit), (2, 2, Explicit)]);
    assert_eq!(drained(&second), [(2, 2, Explicit)]);
}

#[test]
fn clones_share_a_stream() {
    let (map, _) = map();
    let events = map.events(4);
    let other = events.clone();
    (0..3).for_each(|n| drop(map.insert(0, n)));
    assert_eq!((events.try_recv().map(|event| event.value), other.try_recv().map(|event| event.value)), (Ok(0), Ok(1)));
    assert!(events.try_recv().is_err() && other.try_recv().is_err());
    drop(events);
    map.insert(0, 3);
    assert_eq!(other.try_recv().map(|event| event.value), Ok(2));
}

#[test]
fn what_finds_no_room_is_counted_and_the_oldest_stay() {
    let (map, _) = map();
    let events = map.events(3);
    (0..10).for_each(|n| drop(map.insert(0, n)));
    assert_eq!(events.lost(), 6);
    assert_eq!(drained(&events).iter().map(|event| event.1).collect::<Vec<_>>(), [0, 1, 2]);
    map.insert(0, 10);
    assert_eq!((drained(&events), events.lost()), (vec![(0, 9, Replaced)], 6));
}

#[test]
fn any_capacity_will_do() {
    for capacity in [0, 1, 2, usize::MAX / 2, usize::MAX - 1, usize::MAX] {
        let (map, _) = map();
        let events = map.events(capacity);
        assert!(events.capacity() <= capacity.max(1));
        (0..3).for_each(|n| drop(map.insert(0, n)));
        let found = drained(&events).len();
        assert_eq!((found, events.lost()), (capacity.clamp(1, 2), 2 - found as u64), "{capacity}");
    }
}

#[test]
fn dropped_map_sends_what_is_left_and_then_the_end() {
    let (map, clock) = map();
    let (events, other) = (map.events(10), map.events(1));
    map.insert_with_ttl(1, 1, Duration::from_secs(1));
    map.insert(2, 2);
    clock.advance(Duration::from_secs(1));
    assert_eq!(events.try_recv(), Err(TryRecvError::Empty));
    drop(map);
    let mut all = drained(&events);
    all.sort_by_key(|event| event.0);
    assert_eq!(all, [(1, 1, Expired), (2, 2, Explicit)]);
    assert_eq!(events.try_recv(), Err(TryRecvError::Disconnected));
    assert!(events.recv().is_err());
    assert_eq!(events.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Disconnected));
    assert_eq!((other.iter().count(), other.lost()), (1, 1));
    assert!(other.clone().recv().is_err(), "a clone made after the end knows of it");
}

#[test]
fn time_that_is_over_ends_the_waiting() {
    let (map, _) = map();
    let events = map.events(1);
    for timeout in [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(1)] {
        assert_eq!(events.recv_timeout(timeout), Err(RecvTimeoutError::Timeout));
    }
    (0..2).for_each(|n| drop(map.insert(0, n)));
    assert_eq!(events.recv_timeout(Duration::ZERO).map(|event| event.value), Ok(0));
    map.insert(0, 2);
    assert_eq!(events.recv_timeout(Duration::MAX).map(|event| event.value), Ok(1));
}

#[test]
fn clone_that_panics_is_counted_and_hurts_nobody() {
    let events;
    {
        let map: TtlMap<u64, Counted<u64>> = tiny_map(RandomState::new());
        events = map.events(100);
        let value = |value| tally!().count(value);
        (0..10).for_each(|n| drop(map.insert(n, value(n))));
        let mut fuse = Fuse::new(FuseSite::Clone, When::Every(2));
        let panicked = fuse.run(|| (0..10).for_each(|n| assert_eq!(**map.remove(&n).unwrap(), n)));
        assert!(panicked.is_ok(), "the panic ends with the event");
        assert_eq!(events.lost(), 5);
        map.insert(11, value(11));
    }
    let all: Vec<_> = events.iter().map(|event| *event.value).collect();
    assert_eq!(all, [0, 2, 4, 6, 8, 11]);
}

#[test]
fn maps_and_streams_may_be_used_after_a_panic() {
    fn assert_unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}
    assert_unwind_safe::<TtlMap<u64, u64>>();
    assert_unwind_safe::<Events<u64, Cell<u64>>>();
}

#[test]
fn streams_that_nobody_receives_from_cost_no_clones() {
    let tally = tally!();
    let (map, _) = manual_map::<u64, Counted<u64>, _>(TTL, Identity);
    let (left, kept) = (map.events(10), map.events(10));
    (0..5).for_each(|n| drop(map.insert(0, tally.count(n))));
    assert_eq!(tally.born(), 5 + 2 * 4);
    let dropped = tally.dropped();
    drop(left.clone());
    assert_eq!(tally.dropped(), dropped, "another one receives still");
    drop(left);
    assert_eq!(tally.dropped(), dropped + 4, "what nobody will receive is dropped at once");
    let born = tally.born();
    map.insert(0, tally.count(5));
    assert_eq!(tally.born(), born + 2, "the new value, and a clone for the other stream");
    assert_eq!(kept.try_iter().count(), 5);
    drop(kept);
    let born = tally.born();
    (0..5).for_each(|n| drop(map.insert(0, tally.count(n))));
    assert_eq!(tally.born(), born + 5);
    drop(map);
    tally.assert_balanced();
}

#[test]
fn all_clones_are_dropped_though_their_destructors_panic() {
    let tally = tally!();
    let (map, _) = manual_map::<u64, Counted<u64>, _>(TTL, Identity);
    let events = map.events(4);
    let mut fuse = Fuse::new(FuseSite::Drop, When::Every(1));
    (0..8).for_each(|n| drop(map.insert(0, tally.count(n))));
    let dropped = fuse.run(|| drop(events));
    assert!(dropped.is_ok(), "the panic of a value that nobody received is nobody's");
    drop(map);
    tally.assert_balanced();
}

/// The stream is a part of the values: each event has a clone of it.
#[test]
fn stream_may_be_in_the_map_itself() {
    #[derive(Clone)]
    struct Value(Arc<Mutex<Option<Events<u64, Value>>>>);
    let alive = Arc::new(Mutex::new(None));
    let (map, _) = manual_map::<u64, Value, _>(TTL, Identity);
    *alive.lock().unwrap() = Some(map.events(4));
    map.insert(1, Value(Arc::clone(&alive)));
    map.insert(1, Value(Arc::clone(&alive)));
    drop(map);
    assert_eq!(Arc::strong_count(&alive), 3, "two events");
    // Taken out, the circle is open.
    let events = alive.lock().unwrap().take().unwrap();
    assert_eq!(events.iter().filter(|event| Arc::ptr_eq(&event.value.0, &alive)).count(), 2);
    assert_eq!(Arc::strong_count(&alive), 1);
}

/// A consumer may use the map, own it, and be its last owner.
#[test]
fn consumer_may_own_the_map() {
    let (map, _) = map();
    let map = Arc::new(map);
    let events = map.events(100);
    map.insert(0, 0);
    map.remove(&0);
    let weak = Arc::downgrade(&map);
    let consumer = thread::spawn(move || {
        // Each event leads to the next.
        while let Ok(event) = events.recv() {
            if event.value == 50 {
                break;
            }
            map.insert(0, event.value + 1);
            map.remove(&0);
        }
        drop(map);
        events.recv().is_err()
    });
    assert!(consumer.join().unwrap());
    assert!(weak.upgrade().is_none());
}

#[test]
fn keys_and_values_may_borrow() {
    let text = "a b c".to_string();
    let (map, _) = manual_map::<&str, &str, _>(TTL, RandomState::new());
    let events = map.events(10);
    text.split(' ').for_each(|word| drop(map.insert(word, word)));
    drop(map);
    let mut all: Vec<_> = events.iter().map(|event| event.value).collect();
    all.sort();
    assert_eq!(all, ["a", "b", "c"]);
}

/// Stops its thread in `Clone`.
#[derive(Debug)]
struct Gated(u64);

impl Clone for Gated {
    fn clone(&self) -> Self {
        pass(Site::Clone);
        Gated(self.0)
    }
}

#[test]
fn thread_stopped_in_clone_stops_nobody() {
    let map: TtlMap<u64, Gated, Identity> = tiny_map(Identity);
    let events = map.events(10_000);
    (0..2).for_each(|n| drop(map.insert(n, Gated(n))));
    let ((tell, told), (release, released)) = (channel(), channel());
    thread::scope(|scope| {
        let map = &map;
        let done = tell.clone();
        scope.spawn(move || {
            let gate = Gate { site: Site::Clone, calls_left: 1, tell, release: released };
            gated(gate, || drop(map.remove(&0)));
            done.send(Event::Done).unwrap();
        });
        assert_eq!(told.recv().unwrap(), Event::Stopped);
        // Others write, also that key, and receive.
        (0..1_000).for_each(|n| drop(map.insert(n % 3, Gated(n))));
        // The first of each key replaced nothing but key 1's.
        assert_eq!(events.try_iter().count(), 1_000 - 2);
        release.send(()).unwrap();
        assert_eq!(told.recv().unwrap(), Event::Done);
    });
    assert_eq!(events.try_iter().map(|event| event.value.0).collect::<Vec<_>>(), [0]);
}
