//! A thread stopped anywhere in the user's code that the map calls stops no other (P3): not its readers, not writers
//! of other keys or of its own, not growth. A map that waits for it makes these tests hang.

mod common;

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::mpsc::channel;
use std::thread;

use common::gate::{Event, Gate, Site, gated, pass};
use common::{Collide, Identity, scaled, tiny_map};
use ttlwheel::{Inserted, TtlMap};

#[derive(Clone, Copy, Debug)]
struct Key(u64);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        pass(Site::Hash);
        self.0.hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        pass(Site::Eq);
        self.0 == other.0
    }
}

impl Eq for Key {}

struct Value(u64);

impl Drop for Value {
    fn drop(&mut self) {
        pass(Site::Drop);
    }
}

type Map<S> = TtlMap<Key, Value, S>;

/// The key that the stopped thread works on; below it are those that are there before.
const SHARED: u64 = 500;
/// What the stopped thread would write.
const STOPPED: u64 = 1_000_000;

fn value_of<S: BuildHasher>(map: &Map<S>, key: u64) -> Option<u64> {
    map.get(&Key(key)).map(|value| value.0)
}

#[derive(Clone, Copy, Debug)]
enum Verb {
    Insert,
    Remove,
    Get,
    Clear,
}

/// All that others do while the thread is stopped, to its end.
fn go_on<S: BuildHasher>(map: &Map<S>, present: u64, verb: Verb, extra: u64) {
    // What a clear met before it was stopped is gone; what comes now stays, until it goes on.
    let cleared = matches!(verb, Verb::Clear);
    assert!(cleared || (0..present).all(|key| value_of(map, key) == Some(key)), "a present key is missed");
    for key in 1_000..1_000 + extra {
        assert!(matches!(map.insert(Key(key), Value(key)), Inserted::New));
        map.insert(Key(key), Value(key + 1));
        assert_eq!(value_of(map, key), Some(key + 1));
    }
    map.insert(Key(SHARED), Value(1));
    map.remove(&Key(SHARED));
    map.insert(Key(SHARED), Value(2));
    assert_eq!(value_of(map, SHARED), Some(2));
    for key in 1_000..1_000 + extra {
        assert_eq!(map.remove(&Key(key)).map(|value| value.0), Some(key + 1));
    }
    map.purge_expired(10);
    assert!(map.len() as u64 >= if cleared { 0 } else { present + 1 });
}

/// Stops a thread at the n-th call of `site` in `verb`; false when it has no such call.
fn stop_at<S: BuildHasher + Sync + Send>(map: &Map<S>, present: u64, verb: Verb, (site, n): (Site, u64)) -> bool {
    let extra = 40;
    let stopped = thread::scope(|scope| {
        let ((tell, told), (free, release)) = (channel(), channel());
        scope.spawn(move || {
            let done = tell.clone();
            gated(Gate { site, calls_left: n, tell, release }, || match verb {
                Verb::Insert => drop(map.insert(Key(SHARED), Value(STOPPED))),
                Verb::Remove => drop(map.remove(&Key(SHARED))),
                Verb::Get => drop(map.get(&Key(SHARED))),
                Verb::Clear => map.clear(),
            });
            // Nobody listens any more if it was stopped once.
            let _ = done.send(Event::Done);
        });
        let stopped = told.recv().expect("the thread tells") == Event::Stopped;
        if stopped {
            go_on(map, present, verb, extra);
            free.send(()).expect("the thread waits");
        }
        stopped
    });
    if !stopped {
        return false;
    }
    let last = value_of(map, SHARED);
    let right = match verb {
        Verb::Insert => last == Some(STOPPED) || last == Some(2),
        Verb::Remove | Verb::Clear => last.is_none() || last == Some(2),
        Verb::Get => last == Some(2),
    };
    assert!(right, "{verb:?} stopped at {site:?} {n} left {last:?}");
    let shown = map.iter().filter(|entry| entry.key().0 == SHARED).count();
    assert_eq!(shown, usize::from(last.is_some()), "shown as often as it is there");
    assert_eq!(map.len(), map.iter().count());
    true
}

fn stop_everywhere<S: BuildHasher + Sync + Send + Clone>(hasher: S, site: Site, verbs: &[Verb], sizes: u64) {
    let mut stops = 0;
    // Sizes at which the table is about to grow, and those at which it has just grown.
    for present in (0..sizes).step_by(scaled(5, 1) as usize) {
        for &verb in verbs {
            for (shared_is_there, n) in (1..20).flat_map(|n| [(false, n), (true, n)]) {
                let map: Map<S> = tiny_map(hasher.clone());
                (0..present).for_each(|key| drop(map.insert(Key(key), Value(key))));
                if shared_is_there {
                    map.insert(Key(SHARED), Value(0));
                }
                stops += u64::from(stop_at(&map, present, verb, (site, n)));
            }
        }
    }
    assert!(stops > 3, "hardly stopped anywhere: {stops} times");
}

#[test]
fn a_thread_stopped_in_hash_stops_no_other() {
    stop_everywhere(Identity, Site::Hash, &[Verb::Insert, Verb::Remove, Verb::Get], 70);
    stop_everywhere(Collide::<2>, Site::Hash, &[Verb::Insert], 30);
}

#[test]
fn a_thread_stopped_in_eq_stops_no_other() {
    stop_everywhere(Identity, Site::Eq, &[Verb::Insert, Verb::Remove, Verb::Get], 70);
    stop_everywhere(Collide::<2>, Site::Eq, &[Verb::Insert, Verb::Remove, Verb::Get], 40);
}

/// Upkeep runs destructors: whoever does it may be stopped in one.
#[test]
fn a_thread_stopped_in_drop_stops_no_other() {
    let (map, tell_free) = (tiny_map(Identity), channel::<()>());
    let map: &Map<Identity> = &map;
    let mut stops = 0;
    let (free, release) = tell_free;
    thread::scope(|scope| {
        let (tell, told) = channel();
        scope.spawn(move || {
            let done = tell.clone();
            // Sooner or later one of these frees a replaced value, or has a value of its own to drop.
            let overwrite = || (0..50_000).for_each(|round| drop(map.insert(Key(round % 8), Value(round))));
            gated(Gate { site: Site::Drop, calls_left: 1, tell, release }, overwrite);
            let _ = done.send(Event::Done);
        });
        if told.recv().expect("the thread tells") == Event::Stopped {
            stops += 1;
            for round in 0..10_000 {
                map.insert(Key(100 + round % 300), Value(round));
                assert_eq!(value_of(map, 100 + round % 300), Some(round));
                if round % 3 == 0 {
                    assert!(map.remove(&Key(100 + round % 300)).is_some());
                }
            }
            free.send(()).expect("the thread waits");
        }
    });
    assert_eq!(stops, 1, "upkeep never dropped a value");
    assert!((0..8).all(|key| value_of(map, key).is_some_and(|round| round % 8 == key)));
}

#[test]
fn a_thread_stopped_while_it_clears_stops_no_other() {
    stop_everywhere(Identity, Site::Hash, &[Verb::Insert, Verb::Clear], 20);
}
