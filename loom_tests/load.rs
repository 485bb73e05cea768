//! Loads: one computes, nobody is left asleep, and after a failure the next computes.
//!
//! Who waits here waits until he is woken: a flight whose end is missed is a deadlock, which loom reports.

use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use loom::thread;

use super::check;
use super::garbage::TTL;
use crate::map::flight::{Boarding, End, Flights};
use crate::sync::{Arc, Mutex};
use crate::{ManualClock, TtlMap};

/// Flights over a map of one value.
#[derive(Default)]
struct Loads {
    flights: Flights<u8>,
    value: Mutex<Option<u8>>,
    /// How many compute at this moment, and how many ever did.
    computing: AtomicUsize,
    computed: AtomicUsize,
}

impl Loads {
    fn value(&self) -> Option<u8> {
        *self.value.lock().unwrap()
    }

    /// Loads as a caller does; the computation fails while `fails` says so.
    fn load(&self, value: u8, fails: impl Fn(usize) -> bool) -> Option<u8> {
        loop {
            match self.flights.board(0, 1, |_| self.value()) {
                Boarding::There(found) => return Some(found),
                Boarding::Follows(_, flight, _) => match flight.wait() {
                    End::Landed => return self.value(),
                    End::Failed => {}
                },
                Boarding::Leads(lead) => {
                    assert_eq!(self.computing.fetch_add(1, Relaxed), 0, "two compute at a time");
                    thread::yield_now();
                    self.computing.fetch_sub(1, Relaxed);
                    if fails(self.computed.fetch_add(1, Relaxed)) {
                        // As a panic, an error or a cancellation does.
                        drop(lead);
                        return None;
                    }
                    assert_eq!(lead.take_key(), Some(1));
                    *self.value.lock().unwrap() = Some(value);
                    lead.land();
                    return Some(value);
                }
            }
        }
    }

    /// Loads on this thread and others at once, and returns what they found.
    fn race(self, others: u8, fails: fn(usize) -> bool) -> (Vec<Option<u8>>, usize) {
        let loads = Arc::new(self);
        let threads: Vec<_> = (1..=others)
            .map(|n| {
                let loads = Arc::clone(&loads);
                thread::spawn(move || loads.load(n, fails))
            })
            .collect();
        let mut found = vec![loads.load(0, fails)];
        found.extend(threads.into_iter().map(|thread| thread.join().unwrap()));
        assert_eq!(loads.flights.len(), 0, "flights that have ended are off the list");
        (found, loads.computed.load(Relaxed))
    }
}

#[test]
fn one_of_two_who_load_a_key_computes() {
    check("load/load", None, || {
        let (found, computed) = Loads::default().race(1, |_| false);
        assert_eq!(computed, 1);
        assert!(found[0].is_some() && found[0] == found[1], "{found:?}");
    });
}

#[test]
fn one_of_three_who_load_a_key_computes() {
    check("load/load/load", Some(3), || {
        let (found, computed) = Loads::default().race(2, |_| false);
        assert_eq!(computed, 1);
        assert!(found[0].is_some() && found.iter().all(|other| *other == found[0]), "{found:?}");
    });
}

#[test]
fn next_computes_after_a_failure() {
    check("load fails/load/load", Some(3), || {
        let (found, computed) = Loads::default().race(2, |earlier| earlier == 0);
        assert_eq!(computed, 2);
        assert_eq!(found.iter().flatten().count(), 2, "the one who failed has nothing: {found:?}");
    });
}

#[test]
fn nobody_is_left_asleep_where_all_fail() {
    check("load fails/load fails/load fails", Some(3), || {
        let (found, computed) = Loads::default().race(2, |_| true);
        assert_eq!((found, computed), (vec![None; 3], 3));
    });
}

/// The whole story, on the map.
#[test]
fn one_of_two_who_load_from_a_map_computes() {
    check("map: load/load", Some(3), || {
        let computed = StdArc::new(AtomicUsize::new(0));
        let map = TtlMap::<u8, u8>::builder().time_to_live(TTL).clock(ManualClock::new()).build();
        let map = Arc::new(map);
        let (theirs, counter) = (Arc::clone(&map), StdArc::clone(&computed));
        let other = thread::spawn(move || {
            let found = *theirs.get_or_insert_with(1, || {
                counter.fetch_add(1, Relaxed);
                5
            });
            found
        });
        let mine = *map.get_or_insert_with(1, || {
            computed.fetch_add(1, Relaxed);
            6
        });
        assert_eq!(other.join().unwrap(), mine);
        assert_eq!(computed.load(Relaxed), 1);
    });
}

/// Where nothing stays, each has his own.
#[test]
fn load_of_what_is_over_at_once_ends() {
    check("map: load/load, time to live zero", Some(2), || {
        let map = TtlMap::<u8, u8>::builder().time_to_live(std::time::Duration::ZERO).clock(ManualClock::new()).build();
        let map = Arc::new(map);
        let theirs = Arc::clone(&map);
        let other = thread::spawn(move || *theirs.get_or_insert_with(1, || 5));
        assert_eq!(*map.get_or_insert_with(1, || 6), 6);
        assert_eq!(other.join().unwrap(), 5);
    });
}

#[cfg(feature = "async")]
mod futures {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Wake, Waker};

    use super::*;
    use crate::map::flight::Following;

    /// Wakes a thread of the model's.
    struct Unpark(thread::Thread);

    impl Wake for Unpark {
        fn wake(self: StdArc<Self>) {
            self.0.unpark();
        }
    }

    #[test]
    fn future_is_woken_by_the_end() {
        check("follow/end", None, || {
            let flights = Arc::new(Flights::<u8>::default());
            let Boarding::Leads(lead) = flights.board(0, 1, |_| None::<()>) else { panic!() };
            let Boarding::Follows(_, flight, _) = flights.board(0, 1, |_| None::<()>) else { panic!() };
            let other = thread::spawn(move || {
                let waker = Waker::from(StdArc::new(Unpark(thread::current())));
                let mut following = pin!(Following::new(flight));
                while following.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                    thread::park();
                }
            });
            lead.land();
            other.join().unwrap();
        });
    }
}
