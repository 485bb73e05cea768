//! Changed deadlines, on the whole map: nothing that lapsed comes back, and no entry is left without a reminder.

use super::check;
use super::upkeep::{ALL, Map, Model, TICK};
use crate::{Condition, Retimed};

fn expire_in(ticks: u32) -> impl FnOnce(&Map) -> Retimed + Send {
    move |map| map.expire_in(&1, ticks * TICK, Condition::Always)
}

fn value(map: &Map) -> Option<u8> {
    map.get(&1).map(|value| value.read())
}

#[test]
fn what_a_get_reported_gone_is_not_prolonged() {
    check("expire_in/get around the deadline", Some(3), || {
        let model = Model::new();
        model.put(1, 1);
        let thread = super::garbage::spawn(&model.map, expire_in(4));
        model.pass(1);
        let seen = value(&model.map);
        let changed = thread.join().unwrap().is_changed();
        assert_eq!(value(&model.map).is_some(), changed);
        assert_eq!(seen.is_some(), changed, "first gone, then live, or the other way round");
        model.end();
    });
}

#[test]
fn value_that_lapses_once_it_was_replaced_hides_no_live_one() {
    check("get by a call/replace, then time passes", Some(3), || {
        let model = Model::new();
        model.put(1, 1);
        let thread = super::garbage::spawn(&model.map, value);
        model.put(1, 6);
        model.pass(2);
        assert!(thread.join().unwrap().is_some(), "live all the time");
        model.end();
    });
}

#[test]
fn value_that_was_prolonged_is_not_swept() {
    check("expire_in/sweep around the deadline", Some(2), || {
        let model = Model::new();
        model.put(1, 1);
        let thread = super::garbage::spawn(&model.map, expire_in(6));
        model.pass(2);
        model.map.sweep(ALL);
        let changed = thread.join().unwrap().is_changed();
        assert_eq!(value(&model.map).is_some(), changed);
        model.end();
    });
}

#[test]
fn entry_with_a_shorter_life_has_a_reminder() {
    check("expire_in/visit", Some(2), || {
        let model = Model::new();
        model.put(1, 6);
        model.put(2, 1);
        model.pass(2);
        let thread = super::garbage::spawn(&model.map, expire_in(1));
        model.map.sweep(ALL);
        assert!(thread.join().unwrap().is_changed());
        model.end();
    });
}

#[test]
fn value_that_was_expired_is_not_reported_replaced() {
    check("expire_in zero/replace", Some(3), || {
        let model = Model::new();
        model.put(1, 4);
        let thread = super::garbage::spawn(&model.map, expire_in(0));
        let replaced = model.putter(1, 5)(&model.map).is_some();
        assert!(thread.join().unwrap().is_changed(), "there is a live value all the time");
        // Whichever came first.
        assert_eq!(value(&model.map).is_none(), replaced, "replaced, and expired");
        model.end();
    });
}

#[test]
fn value_that_was_expired_is_not_reported_removed() {
    check("expire_in zero/remove", Some(3), || {
        let model = Model::new();
        model.put(1, 4);
        let thread = super::garbage::spawn(&model.map, expire_in(0));
        let removed = model.map.remove(&1).is_some();
        assert_ne!(thread.join().unwrap().is_changed(), removed, "who ended its life?");
        assert!(value(&model.map).is_none());
        model.end();
    });
}

#[test]
fn value_that_was_touched_is_the_one_that_is_there() {
    check("expire_in/replace", Some(3), || {
        let model = Model::new();
        model.put(1, 1);
        let thread = super::garbage::spawn(&model.map, expire_in(3));
        assert!(model.putter(1, 1)(&model.map).is_some());
        assert!(thread.join().unwrap().is_changed());
        // Whichever came first.
        let ttl = model.map.ttl(&1).unwrap();
        assert!(ttl == TICK || ttl == 3 * TICK);
        model.end();
    });
}

#[test]
fn two_changes_of_a_deadline_come_one_after_the_other() {
    check("expire_in/expire_in", Some(3), || {
        let model = Model::new();
        model.put(1, 6);
        let before = |ttl: u32| Retimed::Changed { before: crate::Deadline::At(model.now() + ttl * TICK) };
        let thread = super::garbage::spawn(&model.map, expire_in(1));
        let mine = expire_in(3)(&model.map);
        let theirs = thread.join().unwrap();
        assert!((mine, theirs) == (before(6), before(3)) || (mine, theirs) == (before(1), before(6)));
        model.end();
    });
}

#[test]
fn deadline_is_not_changed_after_its_end() {
    check("expire_in/expire_in zero", Some(3), || {
        let model = Model::new();
        model.put(1, 6);
        let before = |ttl: u32| Retimed::Changed { before: crate::Deadline::At(model.now() + ttl * TICK) };
        let thread = super::garbage::spawn(&model.map, expire_in(3));
        let mine = expire_in(0)(&model.map);
        let theirs = thread.join().unwrap();
        assert!((mine, theirs) == (before(3), before(6)) || (mine, theirs) == (before(6), Retimed::Absent));
        assert_eq!(value(&model.map), None);
        model.end();
    });
}
