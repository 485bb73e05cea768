//! Loads from threads: who computes, who waits, and that all come to an end.
//!
//! No test waits for time: a key tells when it is compared, and so when somebody follows a flight.

mod common;

use std::cell::RefCell;
use std::hash::{BuildHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use common::{Collide, Counted, Identity, manual_map, race, tally};
use ttlwheel::TtlMap;

const TTL: Duration = Duration::from_secs(60);
const NANO: Duration = Duration::from_nanos(1);

/// A key whose comparisons run the hook of the thread that compares.
#[derive(Clone, Copy, Debug)]
struct Key(u64);

thread_local! {
    static HOOK: RefCell<Option<Rc<dyn Fn()>>> = const { RefCell::new(None) };
}

fn on_eq(hook: impl Fn() + 'static) {
    HOOK.set(Some(Rc::new(hook)));
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let hook = HOOK.with_borrow(Option::clone);
        if let Some(hook) = hook {
            hook();
        }
        self.0 == other.0
    }
}

impl Eq for Key {}

/// Tells when followers compare keys.
struct Meetings(Mutex<Receiver<()>>);

impl Meetings {
    fn wait(&self, count: usize) {
        (0..count).for_each(|_| self.0.lock().unwrap().recv().unwrap());
    }
}

/// Runs `lead` on this thread, and one `follow` each on `count` others that meet its flight. To `lead` it gives what
/// waits until all have met it; to `follow` its number, and what waits until so many have met something once more.
fn followed<A, B: Send>(
    count: usize,
    lead: impl FnOnce(&dyn Fn()) -> A,
    follow: impl Fn(usize, &Meetings) -> B + Sync,
) -> (A, Vec<B>) {
    let (meet, met) = channel();
    let met = Meetings(Mutex::new(met));
    thread::scope(|scope| {
        let (follow, met) = (&follow, &met);
        let started = RefCell::new(Vec::new());
        let start = || {
            started.borrow_mut().extend((0..count).map(|n| {
                let meet: Sender<()> = meet.clone();
                scope.spawn(move || {
                    on_eq(move || meet.send(()).unwrap());
                    let result = follow(n, met);
                    HOOK.set(None);
                    result
                })
            }));
            met.wait(count);
        };
        let led = lead(&start);
        (led, started.into_inner().into_iter().map(|follower| follower.join().unwrap()).collect())
    })
}

#[test]
fn one_computes_and_all_get_its_value() {
    let (map, _clock) = manual_map::<Key, u64, _>(TTL, Identity);
    let load = |value| *map.get_or_insert_with(Key(1), || value);
    let lead = |wait: &dyn Fn()| {
        *map.get_or_insert_with(Key(1), || {
            wait();
            7
        })
    };
    let (led, followed) = followed(4, lead, |n, _| load(n as u64));
    assert_eq!((led, followed), (7, vec![7; 4]));
    assert_eq!(map.len(), 1);
}

#[test]
fn one_of_many_who_start_at_once_computes() {
    for round in 0..common::scaled(200, 2_000) {
        let (map, _clock) = manual_map::<u64, u64, _>(TTL, Identity);
        let computed = AtomicU64::new(0);
        let found = race(4, |_| *map.get_or_insert_with(round, || computed.fetch_add(1, SeqCst)));
        assert_eq!((found, computed.into_inner()), (vec![0; 4], 1));
    }
}

#[test]
fn no_other_key_is_held_up() {
    fn of<S: BuildHasher + Send + Sync>(hasher: S) {
        let (map, _clock) = manual_map::<u64, u64, _>(TTL, hasher);
        let ((ask, asked), (answer, answered)) = (channel(), channel());
        thread::scope(|scope| {
            scope.spawn(|| {
                for () in asked {
                    let others: u64 = (1..100).map(|key| *map.get_or_insert_with(key, || key)).sum();
                    answer.send(others).unwrap();
                }
            });
            let found = map.get_or_insert_with(0, || {
                ask.send(()).unwrap();
                answered.recv().unwrap()
            });
            drop(ask);
            assert_eq!(*found, 4950);
        });
    }
    of(Identity);
    of(Collide::<1>);
}

#[test]
fn hit_waits_for_nobody() {
    let (map, _clock) = manual_map::<u64, u64, _>(TTL, Identity);
    let found = map.get_or_insert_with(1, || {
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                map.insert(1, 5);
                *map.get_or_insert_with(1, || unreachable!("it is there"))
            });
            other.join().unwrap()
        }) + 1
    });
    assert_eq!(*found, 5, "what was inserted meanwhile stays");
    assert_eq!(map.get_cloned(&1), Some(5));
}

#[test]
fn panic_wakes_all_and_the_next_computes() {
    let (map, _clock) = manual_map::<Key, u64, _>(TTL, Identity);
    let computed = AtomicU64::new(0);
    let lead = |wait: &dyn Fn()| {
        let load = || {
            map.get_or_insert_with(Key(1), || {
                wait();
                resume_unwind(Box::new("injected"))
            });
        };
        *catch_unwind(AssertUnwindSafe(load)).unwrap_err().downcast::<&str>().unwrap()
    };
    let (led, followed) = followed(4, lead, |_, met| {
        *map.get_or_insert_with(Key(1), || {
            // The others follow the next flight, as they did the first.
            met.wait(3);
            computed.fetch_add(1, SeqCst)
        })
    });
    assert_eq!((led, followed), ("injected", vec![0; 4]));
    assert_eq!(computed.into_inner(), 1);
}

#[test]
fn error_is_for_its_caller_alone() {
    let (map, _clock) = manual_map::<Key, u64, _>(TTL, Identity);
    let lead = |wait: &dyn Fn()| {
        let failed = map.try_get_or_insert_with(Key(1), || {
            wait();
            Err(100)
        });
        failed.err()
    };
    let (led, followed) =
        followed(4, lead, |n, _| map.try_get_or_insert_with(Key(1), || Err(n)).expect_err("nobody succeeds"));
    assert_eq!((led, followed), (Some(100), vec![0, 1, 2, 3]));
    assert_eq!(map.stored_len(), 0);
}

#[test]
fn error_wakes_all_and_the_next_computes() {
    let (map, _clock) = manual_map::<Key, u64, _>(TTL, Identity);
    let computed = AtomicU64::new(0);
    let lead = |wait: &dyn Fn()| {
        let failed = map.try_get_or_insert_with(Key(1), || {
            wait();
            Err("mine")
        });
        failed.err()
    };
    let follow = |_, _: &Meetings| {
        map.try_get_or_insert_with(Key(1), || Ok::<_, ()>(computed.fetch_add(1, SeqCst))).map(|found| *found)
    };
    let (led, followed) = followed(4, lead, follow);
    assert_eq!((led, followed), (Some("mine"), vec![Ok(0); 4]));
    assert_eq!(computed.into_inner(), 1);
}

#[test]
fn error_of_one_key_is_not_seen_by_another_of_the_same_hash() {
    let (map, _clock) = manual_map::<Key, u64, _>(TTL, Collide::<1>);
    let failed = map.try_get_or_insert_with(Key(1), || {
        let other = thread::scope(|scope| {
            let load = || map.try_get_or_insert_with(Key(2), || Ok::<_, &str>(2)).map(|found| *found);
            scope.spawn(load).join().unwrap()
        });
        assert_eq!(other, Ok(2));
        Err("of key 1")
    });
    assert_eq!(failed.err(), Some("of key 1"));
    assert_eq!((map.get_cloned(&Key(1)), map.get_cloned(&Key(2))), (None, Some(2)));
}

#[test]
fn value_that_is_over_at_once_is_for_who_computed_it() {
    let (map, _clock) = manual_map::<Key, u64, _>(Duration::ZERO, Identity);
    let lead = |wait: &dyn Fn()| {
        *map.get_or_insert_with(Key(1), || {
            wait();
            100
        })
    };
    // Those who have followed in vain don't wait for each other: all compute at once.
    let all_compute = Barrier::new(4);
    let follow = |n, _: &Meetings| {
        *map.get_or_insert_with(Key(1), || {
            all_compute.wait();
            n as u64
        })
    };
    assert_eq!(followed(4, lead, follow), (100, vec![0, 1, 2, 3]));
    assert!(map.is_empty());
}

#[test]
fn expired_value_is_computed_anew() {
    let (map, clock) = manual_map::<u64, u64, _>(TTL, Identity);
    map.insert(1, 1);
    clock.advance(TTL - NANO);
    assert_eq!(*map.get_or_insert_with(1, || unreachable!("still live")), 1);
    clock.advance(NANO);
    assert_eq!(*map.get_or_insert_with(1, || 2), 2);
    assert_eq!(map.ttl(&1), Some(TTL), "it lives from when it was computed");
    let slowly = map.get_or_insert_with(2, || {
        clock.advance(TTL);
        3
    });
    assert_eq!((*slowly, map.ttl(&2), map.get_cloned(&1)), (3, Some(TTL), None));
}

#[test]
fn load_of_the_key_that_is_being_computed_computes_as_well() {
    let (map, _clock) = manual_map::<u64, u64, _>(TTL, Identity);
    let found =
        map.get_or_insert_with(1, || *map.get_or_insert_with(1, || *map.get_or_insert_with(1, || 5) + 10) + 100);
    assert_eq!(*found, 5, "the first that is inserted stays");
    assert_eq!((map.len(), map.get_cloned(&1)), (1, Some(5)));
}

#[test]
fn closures_load_other_keys() {
    fn fibonacci(map: &TtlMap<u64, u64, Identity>, n: u64) -> u64 {
        *map.get_or_insert_with(n, || if n < 2 { n } else { fibonacci(map, n - 1) + fibonacci(map, n - 2) })
    }
    let (map, _clock) = manual_map(TTL, Identity);
    assert_eq!(race(4, |_| fibonacci(&map, 80)), [23_416_728_348_467_685; 4]);
    assert_eq!(map.len(), 81);
}

/// Two threads, each computing what the other's computation needs.
fn circle(one: &TtlMap<u64, u64, Identity>, other: &TtlMap<u64, u64, Identity>) {
    let both_compute = Barrier::new(2);
    let loads = [(one, 0, other, 1), (other, 1, one, 0)];
    let found = race(2, |n| {
        let (mine, my_key, theirs, their_key) = loads[n];
        *mine.get_or_insert_with(my_key, || {
            both_compute.wait();
            *theirs.get_or_insert_with(their_key, || 10) + 1
        })
    });
    // Who loads within is first, or finds what the other has computed by then.
    assert!(found.iter().all(|value| [10, 11, 12].contains(value)), "{found:?}");
}

#[test]
fn circle_of_loads_ends() {
    let [one, two, three] = [(); 3].map(|()| manual_map(TTL, Identity).0);
    circle(&one, &one);
    circle(&two, &three);
}

#[test]
fn comparison_that_loads_waits_for_nobody() {
    let map = Rc::new(manual_map::<Key, u64, _>(TTL, Collide::<1>).0);
    let found = map.get_or_insert_with(Key(1), || {
        let theirs = Rc::clone(&map);
        // Key 2 is compared with the key that is being computed, and with no other.
        on_eq(move || {
            HOOK.set(None);
            assert_eq!(*theirs.get_or_insert_with(Key(3), || 3), 3);
        });
        *map.get_or_insert_with(Key(2), || 2) - 1
    });
    assert_eq!(*found, 1);
    assert_eq!([1, 2, 3].map(|key| map.get_cloned(&Key(key))), [Some(1), Some(2), Some(3)]);
}

#[test]
fn panic_of_a_comparison_leaves_the_flight_alone() {
    let (map, _clock) = manual_map::<Key, u64, _>(TTL, Identity);
    let found = map.get_or_insert_with(Key(1), || {
        on_eq(|| resume_unwind(Box::new("injected")));
        let load = || *map.get_or_insert_with(Key(1), || unreachable!("it panics before"));
        assert!(catch_unwind(AssertUnwindSafe(load)).is_err());
        HOOK.set(None);
        4
    });
    assert_eq!((*found, *map.get_or_insert_with(Key(1), || 5)), (4, 4));
}

#[test]
fn each_key_and_value_is_dropped_once() {
    let (keys, values) = (tally!(), tally!());
    let (map, clock) = manual_map::<Counted<u64>, Counted<u64>, _>(TTL, Identity);
    let load = |key: u64, value: Result<u64, ()>| {
        let found = map.try_get_or_insert_with(keys.count(key), || value.map(|value| values.count(value)));
        found.map(|found| **found).ok()
    };
    assert_eq!([load(1, Err(())), load(1, Ok(1)), load(1, Ok(2)), load(2, Ok(3))], [None, Some(1), Some(1), Some(3)]);
    assert_eq!((keys.live(), values.live()), (2, 2), "one of each an entry");
    clock.advance(TTL);
    assert_eq!(load(1, Ok(4)), Some(4));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        map.get_or_insert_with(keys.count(9), || resume_unwind(Box::new("injected")));
    }));
    assert!(panicked.is_err());
    drop(map);
    keys.assert_balanced();
    values.assert_balanced();
}

#[test]
fn lapsed_value_is_handed_out_while_one_renews_it() {
    let (map, clock) = manual_map::<u64, u64, _>(TTL, Identity);
    let grace = Duration::from_secs(5);
    map.insert(1, 1);
    clock.advance(TTL - NANO);
    assert_eq!(*map.get_or_refresh_with(1, grace, || unreachable!("still live")), 1);
    clock.advance(NANO);
    let meanwhile = || {
        let load = || *map.get_or_refresh_with(1, grace, || 100);
        thread::scope(|scope| scope.spawn(load).join().unwrap())
    };
    let renewed = map.get_or_refresh_with(1, grace, || {
        assert_eq!(meanwhile(), 1, "at its end");
        clock.advance(grace - NANO);
        assert_eq!(meanwhile(), 1, "at the end of the grace");
        2
    });
    assert_eq!(*renewed, 2);
    assert_eq!((map.get_cloned(&1), map.ttl(&1)), (Some(2), Some(TTL)));
}

#[test]
fn lapsed_value_is_not_handed_out_after_the_grace() {
    for grace in [Duration::ZERO, NANO, Duration::from_secs(5)] {
        let (map, clock) = manual_map::<u64, u64, _>(TTL, Identity);
        map.insert(1, 1);
        clock.advance(TTL);
        let renewed = map.get_or_refresh_with(1, grace, || {
            clock.advance(grace);
            // Within a computation nobody waits: what is over is computed.
            *map.get_or_refresh_with(1, grace, || 2)
        });
        assert_eq!(*renewed, 2);
    }
}

#[test]
fn lapsed_value_is_handed_out_by_no_other_verb() {
    let (map, clock) = manual_map::<u64, u64, _>(TTL, Identity);
    map.insert(1, 1);
    clock.advance(TTL);
    let renewed = map.get_or_refresh_with(1, TTL, || {
        assert_eq!((map.len(), map.stored_len()), (0, 1));
        assert_eq!(*map.get_or_insert_with(1, || 2), 2);
        3
    });
    assert_eq!(*renewed, 2);
    clock.advance(TTL);
    map.get_or_refresh_with(1, TTL, || {
        assert!(map.get(&1).is_none());
        assert_eq!(map.stored_len(), 0, "a get removes it");
        assert_eq!(*map.get_or_refresh_with(1, TTL, || 4), 4, "so nothing is left to be handed out");
        5
    });
}

#[test]
fn renewal_that_fails_leaves_the_lapsed_value() {
    let (map, clock) = manual_map::<u64, u64, _>(TTL, Identity);
    map.insert(1, 1);
    clock.advance(TTL);
    for attempt in 0..3 {
        let failed = map.try_get_or_refresh_with(1, TTL, || {
            assert_eq!(*map.get_or_refresh_with(1, TTL, || unreachable!("handed out")), 1);
            Err(attempt)
        });
        assert_eq!(failed.err(), Some(attempt));
    }
    assert_eq!(*map.get_or_refresh_with(1, TTL, || 2), 2);
}

#[test]
fn no_grace_is_too_long() {
    let (map, clock) = manual_map::<u64, u64, _>(TTL, Identity);
    map.insert(1, 1);
    clock.advance(TTL * 1000);
    let renewed = map.get_or_refresh_with(1, Duration::MAX, || {
        assert_eq!(*map.get_or_refresh_with(1, Duration::MAX, || unreachable!("handed out")), 1);
        2
    });
    assert_eq!(*renewed, 2);
    map.insert_forever(2, 3);
    clock.advance(Duration::MAX);
    assert_eq!(*map.get_or_refresh_with(2, Duration::MAX, || unreachable!("never over")), 3);
}

#[test]
fn value_that_was_over_from_the_start_has_its_grace() {
    let (map, clock) = manual_map::<u64, u64, _>(Duration::ZERO, Identity);
    map.insert(1, 1);
    map.get_or_refresh_with(1, TTL, || {
        assert_eq!(*map.get_or_refresh_with(1, TTL, || unreachable!("handed out")), 1);
        clock.advance(TTL);
        assert_eq!(*map.get_or_refresh_with(1, TTL, || 2), 2, "the grace is over");
        3
    });
}

#[test]
fn value_that_walks_have_passed_over_has_its_grace() {
    let (map, clock) = manual_map::<u64, u64, _>(TTL, Identity);
    map.insert(1, 1);
    clock.advance(TTL);
    assert_eq!((map.len(), map.iter().count(), map.stored_len()), (0, 0, 1));
    let handed_out = |map: &TtlMap<_, _, _>| *map.get_or_refresh_with(1, TTL, || unreachable!("handed out"));
    let renewed = map.get_or_refresh_with(1, TTL, || {
        assert_eq!(handed_out(&map), 1);
        clock.advance(TTL - Duration::from_nanos(1));
        assert_eq!((handed_out(&map), map.len()), (1, 0));
        clock.advance(Duration::from_nanos(1));
        assert_eq!(*map.get_or_refresh_with(1, TTL, || 2), 2, "the grace is over");
        3
    });
    assert_eq!(*renewed, 2);
}

#[test]
fn callers_without_a_lapsed_value_wait() {
    let (map, _clock) = manual_map::<Key, u64, _>(TTL, Identity);
    let lead = |wait: &dyn Fn()| {
        *map.get_or_refresh_with(Key(1), TTL, || {
            wait();
            7
        })
    };
    assert_eq!(followed(4, lead, |_, _| *map.get_or_refresh_with(Key(1), TTL, || 8)), (7, vec![7; 4]));
}

/// A key that tells of each comparison.
#[derive(Clone)]
struct Told(u64, Arc<dyn Fn([u64; 2]) + Send + Sync>);

impl Hash for Told {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

impl PartialEq for Told {
    fn eq(&self, other: &Self) -> bool {
        (self.1)([self.0.min(other.0), self.0.max(other.0)]);
        self.0 == other.0
    }
}

impl Eq for Told {}

/// Two callers who want a key follow the flight of another key of the same hash, whose value is just being put. When it
/// has landed one of them computes.
#[test]
fn one_computes_also_after_the_flight_of_another_key() {
    let (map, _clock) = manual_map::<Told, u64, _>(TTL, Collide::<1>);
    let (compare, compared) = channel();
    let (stop, stopped) = channel();
    let (release, released) = channel::<()>();
    let is_landing = Arc::new(AtomicU64::new(0));
    let hook: Arc<dyn Fn([u64; 2]) + Send + Sync> = {
        let (is_landing, released) = (Arc::clone(&is_landing), Mutex::new(released));
        Arc::new(move |pair| {
            if pair == [1, 9] && is_landing.swap(0, SeqCst) == 1 {
                stop.send(()).unwrap();
                released.lock().unwrap().recv().unwrap();
            }
            compare.send(pair).unwrap();
        })
    };
    let key = |n| Told(n, Arc::clone(&hook));
    map.insert(key(9), 9);
    let compared = Mutex::new(compared);
    let until = |pair, times: usize| {
        let compared = compared.lock().unwrap();
        (0..times).for_each(|_| while compared.recv().unwrap() != pair {});
    };
    let computations = AtomicU64::new(0);
    thread::scope(|scope| {
        let (map, until, computations) = (&map, &until, &computations);
        let [one, two, three] = [key(1), key(2), key(2)];
        scope.spawn(move || {
            map.get_or_insert_with(one, || {
                is_landing.store(1, SeqCst);
                1
            });
        });
        stopped.recv().unwrap();
        let followers = [two, three].map(|key| {
            scope.spawn(move || {
                *map.get_or_insert_with(key, || {
                    if computations.fetch_add(1, SeqCst) == 0 {
                        // The other has met this flight, and has looked into the map once more.
                        until([2, 2], 1);
                        until([1, 2], 1);
                    }
                    2
                })
            })
        });
        // Each has looked, met the flight, and looked once more, with two comparisons a look.
        until([2, 9], 8);
        release.send(()).unwrap();
        followers.into_iter().for_each(|follower| assert_eq!(follower.join().unwrap(), 2));
    });
    assert_eq!(computations.load(SeqCst), 1);
}
