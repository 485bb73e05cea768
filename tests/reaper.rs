//! The reaper's thread comes, sweeps and goes, in every order of drops (P9).
//!
//! Threads are counted by the system. Nothing sleeps for luck: tests wait for a condition, and fail if it does not come.

mod common;

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use common::tasks::{await_no_thread, threads_named, unique_name, until};
use common::{race, scaled};
use ttlwheel::{ManualClock, Reaper, TickedClock, TtlMap};

const TTL: Duration = Duration::from_secs(300);
/// The time to live, and by how much the wheel may be late.
const LATE: Duration = Duration::from_secs(306);

fn map<V>() -> (Arc<TtlMap<u64, V>>, ManualClock) {
    let clock = ManualClock::new();
    (Arc::new(TtlMap::builder().time_to_live(TTL).clock(&clock).build()), clock)
}

/// A reaper whose thread can be told from all others.
fn reaper() -> (Reaper, String) {
    let name = unique_name();
    (Reaper::builder().name(&name).spawn().unwrap(), name)
}

/// Waits for the reaper to be through with what there was to do.
fn settle<V: Send + Sync>(map: &TtlMap<u64, V>) {
    until("the map is swept", || map.stored_len() == 0 && map.retired_len() == 0);
}

#[test]
fn guard_dropped_before_the_map() {
    let (map, clock) = map();
    let (reaper, name) = reaper();
    reaper.watch(&map).unwrap();
    map.insert(1, 1);
    // It names itself when it starts.
    until("the thread is there", || threads_named(&name).is_none_or(|threads| threads == 1));
    drop(reaper);
    await_no_thread(&name);
    clock.advance(LATE);
    map.insert(2, 2);
    assert_eq!(map.get_cloned(&2), Some(2));
}

#[test]
fn guard_dropped_after_the_map() {
    let (map, _) = map();
    let (reaper, name) = reaper();
    reaper.watch(&map).unwrap();
    map.insert(1, 1);
    let gone = Arc::downgrade(&map);
    drop(map);
    drop(reaper);
    assert!(gone.upgrade().is_none());
    await_no_thread(&name);
}

#[test]
fn guard_dropped_while_the_map_goes() {
    for _ in 0..scaled(100, 1_000) {
        let (map, clock) = map();
        let (reaper, name) = reaper();
        reaper.watch(&map).unwrap();
        map.insert(1, Arc::new(()));
        let value = map.get_cloned(&1).unwrap();
        let (map, reaper) = (Mutex::new(Some(map)), Mutex::new(Some(reaper)));
        race(3, |n| match n {
            0 => drop(map.lock().unwrap().take()),
            1 => drop(reaper.lock().unwrap().take()),
            _ => clock.advance(LATE),
        });
        assert_eq!(Arc::strong_count(&value), 1);
        await_no_thread(&name);
    }
}

#[test]
fn guard_forgotten_and_the_map_dropped() {
    let (map, _) = map();
    let (reaper, name) = reaper();
    reaper.watch(&map).unwrap();
    // It sleeps until something is due in five minutes of a clock that stands still.
    map.insert(1, 1);
    mem::forget(reaper);
    let gone = Arc::downgrade(&map);
    drop(map);
    await_no_thread(&name);
    until("the map is gone", || gone.upgrade().is_none());
}

#[test]
fn guard_forgotten_with_an_hour_to_sleep_on_a_real_clock() {
    let name = unique_name();
    let map: Arc<TtlMap<u64, u64>> = Arc::new(TtlMap::new(Duration::from_secs(3600)));
    let reaper = Reaper::builder().name(&name).interval(Duration::ZERO).spawn().unwrap();
    reaper.watch(&map).unwrap();
    map.insert(1, 1);
    mem::forget(reaper);
    drop(map);
    await_no_thread(&name);
}

#[test]
fn guard_forgotten_with_nothing_to_watch() {
    let (reaper, name) = reaper();
    mem::forget(reaper);
    await_no_thread(&name);
}

#[test]
fn a_maps_own_reaper_ends_with_either() {
    let count = || threads_named("ttlwheel-reaper");
    let (first, _) = map::<u64>();
    let reaper = first.spawn_reaper().unwrap();
    until("the thread is there", || count().is_none_or(|threads| threads == 1));
    drop(first);
    until("the thread ends", || !reaper.is_running());
    let (second, _) = map::<u64>();
    drop(second.spawn_reaper().unwrap());
    mem::forget(second.spawn_reaper().unwrap());
    drop(second);
    await_no_thread("ttlwheel-reaper");
}

#[test]
fn a_thousand_maps_with_forgotten_guards_leave_no_thread() {
    let name = unique_name();
    for _ in 0..scaled(200, 1_000) {
        let (map, _) = map();
        let reaper = Reaper::builder().name(&name).spawn().unwrap();
        reaper.watch(&map).unwrap();
        map.insert(1, 1);
        mem::forget(reaper);
    }
    await_no_thread(&name);
}

#[test]
fn the_thread_comes_back_for_a_new_map() {
    let (reaper, name) = reaper();
    for round in 0..5 {
        let (map, clock) = map();
        reaper.watch(&map).unwrap();
        map.insert(1, 1);
        clock.advance(LATE);
        settle(&map);
        // The report comes when the pass is over.
        until("it is reported", || reaper.report().retired > round);
        assert_eq!(reaper.report().retired, round + 1);
        drop(map);
        until("the thread ends", || !reaper.is_running());
        await_no_thread(&name);
    }
    assert_eq!(reaper.close().retired, 5);
}

/// Whom to tell of a stop, and who ends it.
type Stop = Option<(Sender<()>, Mutex<Receiver<()>>)>;

/// Says where and whether it was dropped, and may stop there.
struct Told {
    on: Arc<Mutex<Vec<ThreadId>>>,
    stop: Stop,
}

impl Drop for Told {
    fn drop(&mut self) {
        self.on.lock().unwrap().push(thread::current().id());
        if let Some((stopped, go)) = self.stop.take() {
            stopped.send(()).unwrap();
            let _ = go.into_inner().unwrap().recv();
        }
    }
}

/// What a stop in a destructor is told by, and ended with.
fn stop() -> (Stop, Receiver<()>, Sender<()>) {
    let ((stopped, is_stopped), (go, goes)) = (channel(), channel());
    (Some((stopped, Mutex::new(goes))), is_stopped, go)
}

#[test]
fn the_last_handle_dropped_on_the_reapers_thread() {
    let (map, clock) = map();
    let (reaper, name) = reaper();
    reaper.watch(&map).unwrap();
    let on = Arc::new(Mutex::new(Vec::new()));
    let (stop, is_stopped, go) = stop();
    map.insert_with_ttl(1, Told { on: Arc::clone(&on), stop }, TTL / 2);
    map.insert(2, Told { on: Arc::clone(&on), stop: None });
    clock.advance(LATE / 2);
    // The thread is in the destructor of the first value, so it holds the map.
    is_stopped.recv().unwrap();
    drop(map);
    assert_eq!(on.lock().unwrap().len(), 1, "not the last handle, yet");
    go.send(()).unwrap();
    until("the map is dropped", || on.lock().unwrap().len() == 2);
    let id = reaper.thread_id();
    assert_eq!(*on.lock().unwrap(), [id, id]);
    assert_eq!(reaper.close().panics, 0);
    await_no_thread(&name);
}

/// Holds a reaper's guard; tells when it has been dropped.
struct Owner(Option<Reaper>, Arc<AtomicUsize>);

impl Drop for Owner {
    fn drop(&mut self) {
        drop(self.0.take());
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_map_that_owns_its_reaper() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let owning = || {
        let (map, clock) = map();
        let (reaper, name) = reaper();
        reaper.watch(&map).unwrap();
        map.insert(1, Owner(Some(reaper), Arc::clone(&dropped)));
        (map, clock, name)
    };
    // Dropped with the map: here, or there if the reaper was looking at the map.
    let (map, _, name) = owning();
    drop(map);
    until("the guard is dropped", || dropped.load(Ordering::SeqCst) == 1);
    await_no_thread(&name);
    // Removed, here.
    let (map, _, name) = owning();
    map.remove(&1);
    (2..600).for_each(|key| drop(map.insert(key % 9 + 2, Owner(None, Arc::default()))));
    until("the guard is dropped", || {
        map.purge_expired(100);
        dropped.load(Ordering::SeqCst) == 2
    });
    await_no_thread(&name);
    // Expired, there.
    let (map, clock, name) = owning();
    clock.advance(LATE);
    until("the guard is dropped", || dropped.load(Ordering::SeqCst) == 3);
    await_no_thread(&name);
    drop(map);
}

#[test]
fn a_map_that_owns_its_reaper_is_dropped_on_its_thread() {
    let (map, clock) = map::<(Option<Told>, Option<Owner>)>();
    let (reaper, name) = reaper();
    reaper.watch(&map).unwrap();
    let dropped = Arc::new(AtomicUsize::new(0));
    let (stop, is_stopped, go) = stop();
    map.insert_with_ttl(1, (Some(Told { on: Arc::default(), stop }), None), TTL / 2);
    map.insert(2, (None, Some(Owner(Some(reaper), Arc::clone(&dropped)))));
    clock.advance(LATE / 2);
    is_stopped.recv().unwrap();
    drop(map);
    go.send(()).unwrap();
    until("the guard is dropped", || dropped.load(Ordering::SeqCst) == 1);
    await_no_thread(&name);
}

/// Two threads that would wait for each other's end for ever.
#[test]
fn two_reapers_that_own_each_other() {
    for _ in 0..scaled(20, 300) {
        let clock = ManualClock::new();
        let dropped = Arc::new(AtomicUsize::new(0));
        let map = || Arc::new(TtlMap::builder().time_to_live(TTL).clock(&clock).build());
        let (one, other) = (map(), map());
        let ((first, name), (second, other_name)) = (reaper(), reaper());
        first.watch(&one).unwrap();
        second.watch(&other).unwrap();
        one.insert(1, Owner(Some(second), Arc::clone(&dropped)));
        other.insert(1, Owner(Some(first), Arc::clone(&dropped)));
        clock.advance(LATE);
        until("both guards are dropped", || {
            // One may have ended the other before that one swept.
            one.purge_expired(10);
            other.purge_expired(10);
            dropped.load(Ordering::SeqCst) == 2
        });
        await_no_thread(&name);
        await_no_thread(&other_name);
    }
}

#[test]
fn a_destructor_closes_its_own_reaper() {
    let (map, clock) = map();
    let (reaper, name) = reaper();
    reaper.watch(&map).unwrap();
    let reaper = Arc::new(reaper);
    struct Closes(Arc<Reaper>);
    impl Drop for Closes {
        fn drop(&mut self) {
            self.0.close();
            let other: Arc<TtlMap<u64, u64>> = Arc::new(TtlMap::new(TTL));
            assert!(self.0.watch(&other).is_err());
        }
    }
    map.insert(1, Closes(Arc::clone(&reaper)));
    clock.advance(LATE);
    await_no_thread(&name);
    until("it has ended", || !reaper.is_running());
    assert_eq!(reaper.close().panics, 0);
}

#[test]
fn panicking_destructors_are_counted_and_the_sweep_goes_on() {
    struct Panics(bool, Arc<AtomicUsize>);
    impl Drop for Panics {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::SeqCst);
            assert!(!self.0, "on purpose");
        }
    }
    let (map, clock) = map();
    let (reaper, name) = reaper();
    reaper.watch(&map).unwrap();
    let dropped = Arc::new(AtomicUsize::new(0));
    (0..100).for_each(|key| drop(map.insert(key, Panics(key % 10 == 0, Arc::clone(&dropped)))));
    clock.advance(LATE);
    until("all are dropped", || dropped.load(Ordering::SeqCst) == 100);
    settle(&map);
    until("all are counted", || reaper.report().panics == 10);
    // Once more, for the thread lives on.
    map.insert(1, Panics(true, Arc::clone(&dropped)));
    clock.advance(LATE);
    until("this one, too", || dropped.load(Ordering::SeqCst) == 101);
    let report = reaper.close();
    assert_eq!((report.retired, report.panics), (101, 11));
    await_no_thread(&name);
}

#[test]
fn a_map_that_panics_when_it_is_dropped_on_the_reapers_thread() {
    struct Panics(Option<Told>);
    impl Drop for Panics {
        fn drop(&mut self) {
            if self.0.take().is_none() {
                panic!("on purpose");
            }
        }
    }
    let ((map, clock), (reaper, name)) = (map(), reaper());
    reaper.watch(&map).unwrap();
    let (stop, is_stopped, go) = stop();
    map.insert_with_ttl(1, Panics(Some(Told { on: Arc::default(), stop })), TTL / 2);
    (2..5).for_each(|key| drop(map.insert(key, Panics(None))));
    clock.advance(LATE / 2);
    is_stopped.recv().unwrap();
    drop(map);
    go.send(()).unwrap();
    until("it has ended", || !reaper.is_running());
    assert_eq!(reaper.close().panics, 3);
    await_no_thread(&name);
}

#[test]
fn closed_from_many_threads() {
    for _ in 0..scaled(50, 500) {
        let (map, clock) = map();
        let (reaper, name) = reaper();
        reaper.watch(&map).unwrap();
        map.insert(1, 1);
        clock.advance(LATE);
        let reports = race(4, |_| {
            let report = reaper.close();
            assert!(!reaper.is_running());
            report
        });
        assert!(reports.iter().all(|report| *report == reaper.report()), "final: {reports:?}");
        await_no_thread(&name);
    }
}

#[test]
fn closed_twice_and_dropped_in_a_panic() {
    let (reaper, name) = reaper();
    let (map, _) = map::<u64>();
    reaper.watch(&map).unwrap();
    reaper.close();
    reaper.close();
    assert!(reaper.watch(&map).is_err());
    drop(reaper);
    let unwound = thread::spawn(move || {
        let _reaper = Reaper::builder().name(&name).spawn().unwrap();
        std::panic::panic_any(name);
    });
    let name = unwound.join().unwrap_err().downcast::<String>().unwrap();
    await_no_thread(&name);
}

#[test]
fn a_thread_that_cannot_be_had() {
    let name = unique_name();
    let impossible = Reaper::builder().name(&name).stack_size(1 << 47);
    let error = impossible.clone().spawn().err();
    if cfg!(target_pointer_width = "64") {
        assert!(error.is_some());
    }
    assert_eq!(Reaper::builder().name("zero\0byte").spawn().unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    await_no_thread(&name);
}

#[test]
fn watching_races_closing() {
    for _ in 0..scaled(100, 1_000) {
        let (reaper, name) = reaper();
        let maps: Vec<_> = (0..2).map(|_| map::<u64>()).collect();
        let is_closed = AtomicBool::new(false);
        race(3, |n| match maps.get(n) {
            Some((map, _)) => {
                let was_closed = is_closed.load(Ordering::SeqCst);
                assert!(reaper.watch(map).is_err() || !was_closed);
            }
            None => {
                reaper.close();
                is_closed.store(true, Ordering::SeqCst);
            }
        });
        assert!(!reaper.is_running());
        await_no_thread(&name);
        for (map, clock) in maps {
            map.insert(1, 1);
            clock.advance(LATE);
            drop(map);
        }
    }
}

/// A child made by `fork` has no reaper thread: nothing may wait for it there.
#[cfg(target_os = "linux")]
#[test]
fn in_a_forked_child_a_guard_does_nothing() {
    unsafe extern "C" {
        fn fork() -> i32;
        fn waitpid(process: i32, status: *mut i32, options: i32) -> i32;
        fn _exit(status: i32) -> !;
        fn alarm(seconds: u32) -> u32;
    }
    let (map, clock) = map();
    let (reaper, _) = reaper();
    reaper.watch(&map).unwrap();
    map.insert(1, 1);
    // SAFETY: the child does nothing but use this crate, and exits without running anything of the parent's.
    let child = unsafe { fork() };
    if child == 0 {
        // SAFETY: plain system calls.
        unsafe { alarm(60) };
        clock.advance(LATE);
        let works = map.get_cloned(&1).is_none() && !reaper.is_running() && reaper.watch(&map).is_err();
        reaper.close();
        drop(reaper);
        // SAFETY: as above.
        unsafe { _exit(i32::from(!works)) };
    }
    let mut status = -1;
    // SAFETY: a child of ours, and a valid place for its status.
    assert_eq!(unsafe { waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
    assert!(reaper.is_running());
}

#[test]
fn the_driver_of_a_forgotten_clock_ends() {
    let (clock, name) = (TickedClock::new(), unique_name());
    let reaper = Reaper::builder().name(&name).spawn().unwrap();
    reaper.drive(&clock).unwrap();
    let map: TtlMap<u64, u64> = TtlMap::builder().clock(&clock).build();
    mem::forget(reaper);
    drop(clock);
    let start = map.clock().now();
    until("time passes", || map.clock().now() > start + Duration::from_millis(20));
    drop(map);
    await_no_thread(&name);
}
