//! Somebody else's code, checked by loom on top of the map, through the public API alone; `docs/loom.md` tells how.
//!
//! A box office holds seats back for reservations. A reservation is taken up once, or else it ends by itself, and its
//! seat goes back on sale although nobody calls the office any more: a reaper sees to that.

use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use ttlwheel::{ManualClock, Reaper, TtlMap};

const HELD_FOR: Duration = Duration::from_secs(1);

/// The seats that are on sale.
#[derive(Default)]
struct Sale {
    seats: Mutex<u32>,
    more: Condvar,
}

impl Sale {
    fn put(&self) {
        *self.seats.lock().unwrap() += 1;
        self.more.notify_one();
    }

    fn buy(&self) {
        let mut seats = self.seats.lock().unwrap();
        while *seats == 0 {
            seats = self.more.wait(seats).unwrap();
        }
        *seats -= 1;
    }
}

/// A seat that is held back, and is on sale again when this is dropped.
struct Seat(Arc<Sale>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.put();
    }
}

/// The map is in the crate's `Arc`, where a reaper looks for it; all else may be in loom's.
struct Office {
    reservations: ttlwheel::Arc<TtlMap<u32, Seat>>,
    sale: Arc<Sale>,
}

impl Office {
    fn new(clock: &ManualClock) -> Arc<Self> {
        let reservations = TtlMap::builder().time_to_live(HELD_FOR).clock(clock).build();
        Arc::new(Office { reservations: ttlwheel::Arc::new(reservations), sale: Arc::default() })
    }

    fn reaper(&self) -> Reaper {
        let reaper = Reaper::builder().spawn().unwrap();
        reaper.watch(&self.reservations).unwrap();
        reaper
    }

    fn reserve(&self, number: u32) {
        self.reservations.insert(number, Seat(Arc::clone(&self.sale)));
    }

    fn is_reserved(&self, number: u32) -> bool {
        self.reservations.contains_key(&number)
    }

    /// True for one caller, who gets the seat.
    fn take_up(&self, number: u32) -> bool {
        self.reservations.remove(&number).is_some()
    }

    /// True for two, if both look before either removes.
    fn take_up_in_two_steps(&self, number: u32) -> bool {
        let is_there = self.is_reserved(number);
        if is_there {
            self.reservations.remove(&number);
        }
        is_there
    }
}

/// Checks a model, and says what that took. `MODEL_BOUND` tries another bound.
fn check(name: &str, bound: usize, model: impl Fn() + Send + Sync + 'static) {
    let executions = StdArc::new(AtomicU64::new(0));
    let counter = StdArc::clone(&executions);
    let bound = std::env::var("MODEL_BOUND").map_or(Some(bound), |other| other.parse().ok());
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = bound;
    builder.max_branches = 100_000;
    let start = Instant::now();
    builder.check(move || {
        counter.fetch_add(1, Relaxed);
        model();
    });
    let bound = bound.map_or("none".to_string(), |bound| bound.to_string());
    println!("model {name}: bound {bound}, {} executions, {:.1?}", executions.load(Relaxed), start.elapsed());
}

/// Two threads take up one reservation, while a reaper watches.
fn taken_up_by_two(take_up: fn(&Office, u32) -> bool) {
    let office = Office::new(&ManualClock::new());
    let reaper = office.reaper();
    office.reserve(7);
    let other = Arc::clone(&office);
    let other = thread::spawn(move || take_up(&other, 7));
    let mine = take_up(&office, 7);
    let theirs = other.join().unwrap();
    assert!(mine != theirs, "one seat, taken by me: {mine}, by the other: {theirs}");
    drop(reaper);
}

#[test]
fn reservation_is_taken_up_once() {
    check("embedder: take up/take up/reaper", 2, || taken_up_by_two(Office::take_up));
}

#[test]
fn reservation_is_not_taken_up_after_its_end() {
    check("embedder: take up/time is up, take up", 2, || {
        let clock = ManualClock::new();
        let office = Office::new(&clock);
        office.reserve(7);
        let other = Arc::clone(&office);
        let other = thread::spawn(move || other.take_up(7));
        clock.advance(HELD_FOR);
        assert!(!office.take_up(7), "its time was up for this thread");
        other.join().unwrap();
    });
}

/// One thread waits for a seat, and none calls the office once the other has let the time pass.
fn sold_again(spawn_reaper: fn(&Office) -> Option<Reaper>) {
    let clock = ManualClock::new();
    let office = Office::new(&clock);
    let reaper = spawn_reaper(&office);
    office.reserve(7);
    let other = Arc::clone(&office);
    let other = thread::spawn(move || {
        assert!(other.is_reserved(7), "it is not its time yet");
        clock.advance(10 * HELD_FOR);
    });
    office.sale.buy();
    assert!(!office.is_reserved(7), "its seat was sold");
    other.join().unwrap();
    drop(reaper);
}

#[test]
fn seat_is_sold_again_when_its_reservation_ends() {
    check("embedder: buy/look, time is up/reaper", 2, || sold_again(|office| Some(office.reaper())));
}

#[test]
#[ignore = "must fail: two steps where one is needed"]
fn control_reservation_is_taken_up_in_two_steps() {
    println!("expect: one seat, taken by me: true, by the other: true");
    check("embedder: two steps", 2, || taken_up_by_two(Office::take_up_in_two_steps));
}

#[test]
#[ignore = "must fail: nobody looks for what has ended"]
fn control_seat_is_waited_for_without_a_reaper() {
    println!("expect: deadlock");
    check("embedder: no reaper", 2, || sold_again(|_| None));
}
