//! What leaves is told of once, by the cause that its verb told, on the whole map.

use std::sync::{Arc as StdArc, Mutex};

use super::upkeep::{ALL, Map, Model, TICK};
use super::{Watched, check};
use crate::{Condition, RemovalCause, TtlMap};

/// What was told: values and causes. Values are ten times their key, and a digit.
#[derive(Clone, Default)]
struct Told(StdArc<Mutex<Vec<(u8, RemovalCause)>>>);

impl Told {
    /// The causes by which a value left.
    fn of(&self, value: u8) -> Vec<RemovalCause> {
        self.0.lock().unwrap().iter().filter(|told| told.0 == value).map(|told| told.1).collect()
    }
}

/// A map that is listened to.
fn listening() -> (Model, Told) {
    let told = Told::default();
    let teller = told.clone();
    let listener = move |_: &u8, value: &Watched, cause, _: &crate::RemovalInfo| {
        teller.0.lock().unwrap().push((value.read(), cause));
    };
    (Model::of(TtlMap::builder().time_to_live(TICK).on_removal(listener)), told)
}

/// Puts value 11 for key 1; returns what it replaced.
fn insert(model: &Model) -> impl FnOnce(&Map) -> Option<u8> + Send + use<> {
    let births = model.census();
    move |map| map.insert_with_ttl(1, births.birth(11), 4 * TICK).replaced().map(|old| old.read())
}

#[test]
fn lapsed_entry_that_all_meet_is_told_of_once() {
    check("get/sweep/insert over a lapsed entry, told of", Some(1), || {
        let (model, told) = listening();
        model.put(1, 1);
        model.pass(2);
        let getter = super::garbage::spawn(&model.map, |map| map.get(&1).map(|found| found.read()));
        let sweeper = super::garbage::spawn(&model.map, |map| map.sweep(ALL));
        assert_eq!(insert(&model)(&model.map), None);
        assert!(matches!(getter.join().unwrap(), None | Some(11)));
        sweeper.join().unwrap();
        assert_eq!((told.of(10), told.of(11)), (vec![RemovalCause::Expired], vec![]));
        model.end();
        assert_eq!((told.of(10).len(), told.of(11)), (1, vec![RemovalCause::Expired]));
    });
}

#[test]
fn lapsed_entry_that_two_meet_is_told_of_once() {
    check("get/sweep of a lapsed entry, told of", Some(3), || {
        let (model, told) = listening();
        model.put(1, 1);
        model.pass(2);
        let sweeper = super::garbage::spawn(&model.map, |map| map.sweep(ALL));
        assert!(model.map.get(&1).is_none());
        sweeper.join().unwrap();
        assert_eq!(told.of(10), [RemovalCause::Expired]);
        model.end();
    });
}

#[test]
fn entry_that_lapses_meanwhile_is_told_of_once() {
    check("get/insert around the deadline, told of", Some(3), || {
        let (model, told) = listening();
        model.put(1, 1);
        let writer = super::garbage::spawn(&model.map, insert(&model));
        model.pass(1);
        drop(model.map.get(&1));
        let replaced = writer.join().unwrap().is_some();
        let cause = if replaced { RemovalCause::Replaced } else { RemovalCause::Expired };
        assert_eq!(told.of(10), [cause], "as the insert told");
        model.end();
    });
}

#[test]
fn live_entry_leaves_by_one_of_two_causes() {
    check("remove/insert, told of", Some(3), || {
        let (model, told) = listening();
        model.put(1, 4);
        let writer = super::garbage::spawn(&model.map, insert(&model));
        let removed = model.map.remove(&1).map(|old| old.read());
        let cause = match (writer.join().unwrap(), removed) {
            (Some(10), Some(11)) => RemovalCause::Replaced,
            (None, Some(10)) => RemovalCause::Explicit,
            others => unreachable!("{others:?}"),
        };
        assert_eq!(told.of(10), [cause]);
        assert_eq!(told.of(11).len(), usize::from(removed == Some(11)));
        model.end();
        assert_eq!(told.of(11).len(), 1);
    });
}

#[test]
fn entry_that_is_expired_by_hand_is_told_of_once() {
    check("expire_in zero/insert, told of", Some(3), || {
        let (model, told) = listening();
        model.put(1, 4);
        let writer = super::garbage::spawn(&model.map, insert(&model));
        assert!(model.map.expire_in(&1, 0 * TICK, Condition::Always).is_changed());
        let replaced = writer.join().unwrap().is_some();
        let cause = if replaced { RemovalCause::Replaced } else { RemovalCause::Expired };
        assert_eq!(told.of(10), [cause]);
        assert_eq!(told.of(11).len(), usize::from(replaced));
        model.end();
        assert_eq!(told.of(11), [RemovalCause::Expired]);
    });
}
