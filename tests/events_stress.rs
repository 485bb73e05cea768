//! Events under many threads: each entry that leaves is received once, or counted as lost, in order, and nobody who waits is
//! left asleep. Threads that wait are joined: one who is slept through is a test without an end.

mod common;

use std::collections::HashSet;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::Duration;

use common::{Identity, race, scaled, tiny_map};
use ttlwheel::RemovalCause::Explicit;
use ttlwheel::{Events, TtlMap};

fn map() -> TtlMap<u64, u64, Identity> {
    tiny_map(Identity)
}

#[test]
fn event_wakes_one_who_waits() {
    for _ in 0..scaled(200, 2_000) {
        let map = map();
        let events = map.events(1);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| events.recv().map(|event| (event.key, event.value, event.cause)));
            map.insert(1, 1);
            map.remove(&1);
            assert_eq!(waiter.join().unwrap(), Ok((1, 1, Explicit)));
        });
    }
}

#[test]
fn every_event_wakes_one_of_those_who_wait() {
    for _ in 0..scaled(50, 500) {
        let map = map();
        let events = map.events(4);
        thread::scope(|scope| {
            // As many as there are events: if one is slept through, the scope has no end.
            (0..4).for_each(|_| _ = scope.spawn(|| events.recv().unwrap()));
            (0..2).for_each(|n| {
                let map = &map;
                scope.spawn(move || {
                    (0..3).for_each(|value| drop(map.insert(n, value)));
                });
            });
        });
        assert!(events.try_recv().is_err());
    }
}

#[test]
fn end_wakes_all_who_wait() {
    for _ in 0..scaled(50, 500) {
        let map = map();
        let events = map.events(1);
        let waiters: Vec<_> = (0..4)
            .map(|n| {
                let events = events.clone();
                thread::spawn(move || if n % 2 == 0 { events.recv().is_err() } else { events.iter().count() == 0 })
            })
            .collect();
        drop(map);
        assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap()));
    }
}

/// More than have seats in one word.
#[test]
fn a_hundred_wait_at_once() {
    let map = map();
    let events = map.events(200);
    let waiters: Vec<_> = (0..100)
        .map(|_| {
            let events = events.clone();
            thread::spawn(move || events.recv().unwrap().value)
        })
        .collect();
    (0..101).for_each(|n| drop(map.insert(0, n)));
    let found: HashSet<_> = waiters.into_iter().map(|waiter| waiter.join().unwrap()).collect();
    assert_eq!(found, (0..100).collect());
}

/// Consumers that wait, that give up, and that only look, beside writers who overrun them.
#[test]
fn each_removal_is_received_once_or_counted() {
    let (writers, each) = (3, scaled(5_000, 100_000));
    for capacity in [1, 8, 1_000] {
        let map = map();
        let events = map.events(capacity);
        let consumers: Vec<_> = (0..4)
            .map(|n| {
                let events = events.clone();
                thread::spawn(move || consume(&events, n))
            })
            .collect();
        race(writers, |n| {
            let first = n as u64 * each;
            (first..first + each).for_each(|value| drop(map.insert(value % 7, value)));
        });
        drop(map);
        let mut received: Vec<_> = consumers.into_iter().flat_map(|consumer| consumer.join().unwrap()).collect();
        received.extend(events.iter().map(|event| event.value));
        let distinct: HashSet<_> = received.iter().collect();
        assert_eq!(distinct.len(), received.len(), "received twice");
        assert_eq!(received.len() as u64 + events.lost(), writers as u64 * each);
    }
}

fn consume(events: &Events<u64, u64>, n: u32) -> Vec<u64> {
    let mut received = Vec::new();
    loop {
        let event = match n {
            0 | 1 => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            2 => events.recv_timeout(Duration::from_micros(50)),
            _ => events.recv_timeout(Duration::ZERO),
        };
        match event {
            Ok(event) => received.push(event.value),
            Err(RecvTimeoutError::Timeout) => thread::yield_now(),
            Err(RecvTimeoutError::Disconnected) => return received,
        }
    }
}

/// What one thread removes comes in order, though others remove at the same time.
#[test]
fn events_of_a_thread_stay_in_order() {
    let map = map();
    let each = scaled(5_000, 50_000);
    let events = map.events(2 * each as usize);
    race(2, |n| (0..each).for_each(|value| drop(map.insert(n as u64, value))));
    let all: Vec<_> = events.try_iter().map(|event| (event.key, event.value)).collect();
    assert_eq!((all.len() as u64, events.lost()), (2 * (each - 1), 0));
    for key in 0..2 {
        assert!(all.iter().filter(|event| event.0 == key).map(|event| event.1).eq(0..each - 1));
    }
}
