//! The verbs that act by what is there, on the whole map: of two at once, one acts on what the other has done.

use std::time::Duration;

use super::check;
use super::garbage::spawn;
use super::upkeep::{Map, Model};
use crate::{Condition, Operation};

fn value(map: &Map) -> Option<u8> {
    map.get(&1).map(|value| value.read())
}

#[test]
fn two_updates_of_a_value_are_both_made() {
    check("update/compute", Some(3), || {
        let model = Model::new();
        model.put(1, 4);
        let births = model.census();
        let count = move |map: &Map| drop(map.update(1, |value| births.birth(value.read() + 1)));
        let thread = spawn(&model.map, count);
        let births = model.census();
        let _ = model.map.compute(1, |value| Operation::<_>::Insert(births.birth(value.unwrap().read() + 1)));
        thread.join().unwrap();
        assert_eq!(value(&model.map), Some(12));
        model.end();
    });
}

#[test]
fn one_of_two_tries_puts_its_value_over_a_lapsed_one() {
    check("try_insert/try_insert", Some(2), || {
        let model = Model::new();
        model.put(1, 1);
        model.pass(1);
        let births = model.census();
        let thread = spawn(&model.map, move |map| map.try_insert(1, births.birth(11)).is_ok());
        let mine = model.map.try_insert(1, model.census().birth(12)).is_ok();
        let theirs = thread.join().unwrap();
        assert_ne!(mine, theirs);
        assert_eq!(value(&model.map), Some(if mine { 12 } else { 11 }));
        model.end();
    });
}

#[test]
fn one_of_two_tries_puts_its_value_where_there_is_none() {
    check("try_insert/try_insert of a new key", Some(3), || {
        let model = Model::new();
        let births = model.census();
        let thread = spawn(&model.map, move |map| map.try_insert(1, births.birth(11)).is_ok());
        let mine = model.map.try_insert(1, model.census().birth(12)).is_ok();
        assert_ne!(mine, thread.join().unwrap());
        assert_eq!(value(&model.map), Some(if mine { 12 } else { 11 }));
        model.end();
    });
}

#[test]
fn value_that_was_expired_is_not_updated() {
    check("update/expire_in zero", Some(3), || {
        let model = Model::new();
        model.put(1, 4);
        let births = model.census();
        let thread = spawn(&model.map, move |map| map.update(1, |value| births.birth(value.read() + 1)).is_some());
        assert!(model.map.expire_in(&1, Duration::ZERO, Condition::Always).is_changed());
        let _ = thread.join().unwrap();
        // Updated and then expired, or expired before.
        assert_eq!(value(&model.map), None);
        model.end();
    });
}

#[test]
fn value_is_removed_only_as_it_was_seen() {
    check("remove_if/replace", Some(3), || {
        let model = Model::new();
        model.put(1, 4);
        let births = model.census();
        let thread = spawn(&model.map, move |map| map.replace(1, births.birth(11)).is_ok());
        let removed = model.map.remove_if(&1, |_, value| value.read() == 10).is_some();
        assert_ne!(thread.join().unwrap(), removed);
        assert_eq!(value(&model.map), (!removed).then_some(11));
        model.end();
    });
}
