//! The linearizability checker of `linearizable.rs`, held against broken histories and broken maps: it must see them.

mod common;

use std::hash::RandomState;
use std::thread;

use common::history::{Done, Event, NEVER, Op, Timed, check, is_linearizable};
use common::record::{Subject, Trial, map_on, phases, running};
use ttlwheel::{Condition, Deadline, Inserted, ManualClock, TtlMap};

/// Events of one key, one after the other, on one thread.
fn sequence(ops: &[(u64, Done)]) -> Vec<(usize, Event)> {
    let event = |(i, &(now, done)): (usize, &(u64, Done))| {
        let order = 2 * i as u64;
        (0, Event { key: 0, call: order, ret: order + 1, op: Op { now: Some(now), done } })
    };
    ops.iter().enumerate().map(event).collect()
}

/// The same with all operations overlapping, each on a thread of its own.
fn overlapping(ops: &[(u64, Done)]) -> Vec<(usize, Event)> {
    let many = ops.len() as u64;
    let stretch =
        |(i, (_, event)): (usize, (usize, Event))| (i, Event { call: i as u64, ret: many + i as u64, ..event });
    sequence(ops).into_iter().enumerate().map(stretch).collect()
}

fn put(value: u64, deadline: u64, met: Inserted<u64>) -> Done {
    Done::Insert { value, deadline, met }
}

#[test]
fn the_checker_accepts_what_is_right() {
    use Done::{Contains, Get, Remove};
    use Inserted::{Expired, New, Replaced};
    let right: [&[(u64, Done)]; 5] = [
        &[(0, put(1, 10, New)), (9, Get(Some(1))), (10, Get(None)), (10, Contains(false)), (10, Remove(None))],
        &[(0, put(1, 10, New)), (0, put(2, 20, Replaced(1))), (10, Get(Some(2))), (10, Remove(Some(2)))],
        &[(0, put(1, 10, New)), (10, put(2, 20, Expired(1))), (10, Get(Some(2)))],
        &[(0, put(1, 10, New)), (10, put(2, 20, New)), (10, Contains(true))],
        &[(0, put(1, 0, New)), (0, Get(None)), (0, put(2, NEVER, Expired(1))), (NEVER - 1, Get(Some(2)))],
    ];
    for history in right {
        assert!(is_linearizable(&sequence(history)), "{history:?}");
    }
    assert!(is_linearizable(&overlapping(&[
        (0, Get(Some(1))),
        (0, Remove(Some(1))),
        (0, put(1, 10, New)),
        (0, Get(None))
    ])));
}

#[test]
fn the_checker_rejects_what_is_wrong() {
    use Done::{Contains, Get, Remove};
    use Inserted::{Expired, New, Replaced};
    let wrong: [(&str, &[(u64, Done)]); 12] = [
        ("lapsed, and read", &[(0, put(1, 10, New)), (10, Get(Some(1)))]),
        ("lapsed, and contained", &[(0, put(1, 10, New)), (10, Contains(true))]),
        ("lapsed, and removed", &[(0, put(1, 10, New)), (10, Remove(Some(1)))]),
        ("lapsed, and replaced", &[(0, put(1, 10, New)), (10, put(2, 20, Replaced(1)))]),
        ("live, and missed", &[(0, put(1, 10, New)), (9, Get(None))]),
        ("live, and called expired", &[(0, put(1, 10, New)), (9, put(2, 20, Expired(1)))]),
        ("live, and called new", &[(0, put(1, 10, New)), (9, put(2, 20, New))]),
        ("a lost update", &[(0, put(1, 10, New)), (0, put(2, 10, Replaced(1))), (0, Get(Some(1)))]),
        ("replaced twice", &[(0, put(1, 9, New)), (0, put(2, 9, Replaced(1))), (0, put(3, 9, Replaced(1)))]),
        ("removed twice", &[(0, put(1, 10, New)), (0, Remove(Some(1))), (0, Remove(Some(1)))]),
        ("back from the dead", &[(0, put(1, 10, New)), (0, Remove(Some(1))), (0, Get(Some(1)))]),
        ("out of nowhere", &[(0, Get(Some(1)))]),
    ];
    for (what, history) in wrong {
        assert!(!is_linearizable(&sequence(history)), "{what}");
    }
    // Wrong also when nothing orders the calls but their outcomes.
    let twice: [(u64, Done); 3] = [(0, put(1, 9, New)), (0, put(2, 9, Replaced(1))), (0, put(3, 9, Replaced(1)))];
    assert!(!is_linearizable(&overlapping(&twice)));
    let both: [(u64, Done); 3] = [(0, put(1, 9, New)), (0, Remove(Some(1))), (0, Remove(Some(1)))];
    assert!(!is_linearizable(&overlapping(&both)));
}

#[test]
fn the_checker_knows_what_verbs_do() {
    use Condition::{Always, IfLater, IfNone};
    use Done::{CompareExchange, Compute, Deadline, Get, Replace, Retime, TryInsert};
    use Inserted::{New, Replaced};
    let first = (0, put(1, 10, New));
    type Two = [(u64, Done); 2];
    let cases: [(Two, Two); 11] = [
        ([(9, Deadline(Some(10))), (10, Deadline(None))], [(9, Deadline(Some(10))), (10, Deadline(Some(10)))]),
        ([(9, TryInsert(2, Some(1))), (9, Get(Some(1)))], [(9, TryInsert(2, None)), (9, Get(Some(2)))]),
        ([(10, TryInsert(2, None)), (99, Get(Some(2)))], [(10, TryInsert(2, None)), (99, Get(None))]),
        ([(9, Replace(2, Some(1))), (9, Get(Some(2)))], [(10, Replace(2, Some(1))), (10, Get(Some(2)))]),
        (
            [(9, CompareExchange(1, 2, Some(1))), (9, Get(Some(2)))],
            [(9, CompareExchange(3, 2, Some(1))), (9, Get(Some(2)))],
        ),
        ([(9, Compute(Some(1), None)), (9, Get(None))], [(9, Compute(Some(1), None)), (9, Get(Some(1)))]),
        ([(9, Compute(Some(1), Some(2))), (99, Get(Some(2)))], [(9, Compute(None, Some(2))), (99, Get(Some(2)))]),
        (
            [(9, Retime(20, IfLater, Timed::Changed(10))), (19, Get(Some(1)))],
            [(9, Retime(20, IfLater, Timed::Changed(10))), (19, Get(None))],
        ),
        (
            [(9, Retime(20, IfNone, Timed::Kept(10))), (10, Get(None))],
            [(9, Retime(20, IfNone, Timed::Kept(10))), (10, Get(Some(1)))],
        ),
        (
            [(10, Retime(20, Always, Timed::Absent)), (10, Get(None))],
            [(10, Retime(20, Always, Timed::Changed(10))), (10, Get(Some(1)))],
        ),
        (
            [(9, Retime(0, Always, Timed::Changed(10))), (9, put(2, 20, New))],
            [(9, Retime(0, Always, Timed::Changed(10))), (9, put(2, 20, Replaced(1)))],
        ),
    ];
    for (right, wrong) in cases {
        assert!(is_linearizable(&sequence(&[first, right[0], right[1]])), "{right:?}");
        assert!(!is_linearizable(&sequence(&[first, wrong[0], wrong[1]])), "{wrong:?}");
    }
}

#[test]
fn the_checker_follows_a_running_clock() {
    let tick = |call, ret, time| (9, Event { key: 0, call, ret, op: Op { now: None, done: Done::Tick(time) } });
    let event = |process, call, ret, done| (process, Event { key: 0, call, ret, op: Op { now: None, done } });
    let get_beside_the_tick =
        |got| [event(0, 0, 1, put(1, 10, Inserted::New)), event(0, 2, 5, Done::Get(got)), tick(3, 4, 10)];
    assert!(is_linearizable(&get_beside_the_tick(Some(1))) && is_linearizable(&get_beside_the_tick(None)));
    let get_after_the_tick =
        |got| [event(0, 0, 1, put(1, 10, Inserted::New)), tick(2, 3, 10), event(0, 4, 5, Done::Get(got))];
    assert!(is_linearizable(&get_after_the_tick(None)) && !is_linearizable(&get_after_the_tick(Some(1))));
    let back_and_forth = [
        event(0, 0, 1, put(1, 10, Inserted::New)),
        tick(2, 9, 10),
        event(0, 3, 4, Done::Get(None)),
        event(0, 5, 6, Done::Get(Some(1))),
    ];
    assert!(!is_linearizable(&back_and_forth), "gone, and back again");
}

type Inner = TtlMap<u64, u64, RandomState>;

/// Replaces by a remove and an insert: for a moment the key is missed.
struct Gap(Inner);

/// Reports what a get saw before the insert: an update between the two is lost.
struct ReadThenWrite(Inner);

/// Never looks at the clock when it reads.
struct Timeless(Inner, Inner);

impl Subject for Gap {
    fn get(&self, key: u64) -> Option<u64> {
        self.0.get_cloned(&key)
    }

    fn insert_at(&self, key: u64, value: u64, deadline: Deadline) -> Inserted<u64> {
        let old = Subject::remove(&self.0, key);
        thread::yield_now();
        let met = Subject::insert_at(&self.0, key, value, deadline);
        old.map_or(met, Inserted::Replaced)
    }

    fn remove(&self, key: u64) -> Option<u64> {
        Subject::remove(&self.0, key)
    }
}

impl Subject for ReadThenWrite {
    fn get(&self, key: u64) -> Option<u64> {
        self.0.get_cloned(&key)
    }

    fn insert_at(&self, key: u64, value: u64, deadline: Deadline) -> Inserted<u64> {
        let old = self.0.get_cloned(&key);
        thread::yield_now();
        match Subject::insert_at(&self.0, key, value, deadline) {
            Inserted::Expired(lapsed) => Inserted::Expired(lapsed),
            _ => old.map_or(Inserted::New, Inserted::Replaced),
        }
    }

    fn remove(&self, key: u64) -> Option<u64> {
        Subject::remove(&self.0, key)
    }
}

impl Subject for Timeless {
    fn get(&self, key: u64) -> Option<u64> {
        self.1.get_cloned(&key)
    }

    fn insert_at(&self, key: u64, value: u64, deadline: Deadline) -> Inserted<u64> {
        self.1.insert_forever(key, value);
        Subject::insert_at(&self.0, key, value, deadline)
    }

    fn remove(&self, key: u64) -> Option<u64> {
        self.1.remove(&key);
        Subject::remove(&self.0, key)
    }
}

/// Some of the first histories of a broken map must be rejected, in phases and beside a running clock.
fn assert_caught<B: Subject>(broken: impl Fn(&ManualClock) -> B, what: &str) {
    let caught = (0..10).any(|seed| {
        let batch = phases(&Trial::batch(&broken), seed, 3, 40);
        batch.iter().any(|logs| check(logs, &[]).is_err())
    });
    assert!(caught, "{what}: no history was rejected");
    let caught = (0..10).any(|seed| {
        let batch = running(&Trial::batch(&broken), seed, 2, 150);
        batch.iter().any(|logs| check(&logs[..2], &logs[2].0).is_err())
    });
    assert!(caught, "{what}: no history beside a running clock was rejected");
}

#[test]
fn broken_maps_are_caught() {
    let inner = |clock: &ManualClock| map_on(clock, RandomState::new());
    assert_caught(|clock| Gap(inner(clock)), "a gap in replace");
    assert_caught(|clock| ReadThenWrite(inner(clock)), "read, then write");
    assert_caught(|clock| Timeless(inner(clock), inner(clock)), "lapsed entries read");
}
