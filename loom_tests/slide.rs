//! Reads that move deadlines, on the whole map: nothing that lapsed comes back, and nothing that was moved is swept.

use std::time::Instant;

use super::check;
use super::upkeep::{ALL, Map, Model, TICK};
use crate::{Condition, Deadline, TtlMap};

/// A map with an idle time, and a value in it.
fn idle_model(ticks: u32) -> Model {
    let model = Model::of(TtlMap::builder().time_to_idle(ticks * TICK));
    drop(model.map.insert(1, model.census().birth(10)));
    model
}

fn value(map: &Map) -> Option<u8> {
    map.peek(&1).map(|value| value.read())
}

fn read(map: &Map) -> Option<u8> {
    map.get(&1).map(|value| value.read())
}

/// Reads, and says whether the value is there then and lives for longer than that.
fn read_and_tell(until: Instant) -> impl FnOnce(&Map) -> bool + Send {
    move |map| {
        read(map);
        map.deadline(&1).is_some_and(|deadline| deadline > Deadline::At(until))
    }
}

#[test]
fn what_a_get_reported_gone_is_not_moved() {
    check("get that moves/get around the deadline", Some(3), || {
        let model = idle_model(2);
        model.pass(1);
        let thread = super::garbage::spawn(&model.map, read_and_tell(model.now() + TICK));
        model.pass(1);
        let seen = value(&model.map);
        let moved = thread.join().unwrap();
        assert_eq!(value(&model.map).is_some(), moved, "moved, and gone all the same");
        assert_eq!(seen.is_some(), moved, "first gone, then live, or the other way round");
        model.end();
    });
}

#[test]
fn value_that_a_read_has_moved_is_not_swept() {
    check("get that moves/sweep around the deadline", Some(3), || {
        let model = idle_model(3);
        model.pass(2);
        let thread = super::garbage::spawn(&model.map, read_and_tell(model.now() + 2 * TICK));
        model.pass(2);
        model.map.sweep(ALL);
        let moved = thread.join().unwrap();
        assert_eq!(value(&model.map).is_some(), moved);
        model.end();
    });
}

#[test]
fn deadline_that_was_changed_meanwhile_is_moved_as_a_later_read_would() {
    check("get that moves/expire_in", Some(3), || {
        let model = idle_model(4);
        model.pass(1);
        // The read before the change or after it: this one is later than what a read makes of it.
        let thread = super::garbage::spawn(&model.map, read);
        assert!(model.map.expire_in(&1, 6 * TICK, Condition::Always).is_changed());
        assert_eq!(thread.join().unwrap(), Some(10));
        assert_eq!(model.map.ttl(&1), Some(6 * TICK));
        model.end();
    });
}

#[test]
fn two_reads_at_once_move_a_deadline() {
    check("get that moves/get that moves", Some(3), || {
        let model = idle_model(2);
        model.pass(1);
        let (theirs, mine) = model.both(read, read);
        assert_eq!((theirs, mine), (Some(10), Some(10)));
        assert_eq!(model.map.ttl(&1), Some(2 * TICK));
        model.end();
    });
}
