//! Reminders and sweeps, on the whole map: at the end no entry is without a reminder, and no due without its ticket.

use std::hash::BuildHasherDefault;
use std::time::Duration;

use super::garbage::{Plain, spawn};
use super::{Census, Watched, check};
use crate::map::check::check as check_reminders;
use crate::{Builder, Inserted, ManualClock, TtlMap};

use loom::sync::Arc;

pub(super) type Map = TtlMap<u8, Watched, BuildHasherDefault<Plain>>;

/// A tick of the wheel.
pub(super) const TICK: Duration = Duration::from_nanos(1 << 19);
pub(super) const ALL: usize = usize::MAX;

pub(super) struct Model {
    pub(super) map: Arc<Map>,
    clock: ManualClock,
    census: Census,
}

impl Model {
    pub(super) fn new() -> Self {
        Model::of_capacity(0)
    }

    pub(super) fn of_capacity(capacity: usize) -> Self {
        Model::of(TtlMap::builder().time_to_live(TICK).initial_capacity(capacity))
    }

    pub(super) fn of(builder: Builder<u8, Watched>) -> Self {
        let clock = ManualClock::new();
        let map = builder.hasher(BuildHasherDefault::default()).clock(&clock).build();
        Model { map: Arc::new(map), clock, census: Census::default() }
    }

    pub(super) fn put(&self, key: u8, ticks: u32) {
        self.putter(key, ticks)(&self.map);
    }

    /// An insert for another thread, of ten times the key; returns what stood there and was live.
    pub(super) fn putter(&self, key: u8, ticks: u32) -> impl FnOnce(&Map) -> Option<u8> + Send + use<> {
        let births = self.census.clone();
        move |map| match map.insert_with_ttl(key, births.birth(10 * key), ticks * TICK) {
            Inserted::Replaced(old) => Some(old.read()),
            Inserted::New | Inserted::Expired(_) => None,
        }
    }

    pub(super) fn census(&self) -> Census {
        self.census.clone()
    }

    pub(super) fn now(&self) -> std::time::Instant {
        self.clock.now()
    }

    pub(super) fn pass(&self, ticks: u32) {
        self.clock.advance(ticks * TICK);
    }

    /// Runs both at once, the first on a thread of its own.
    pub(super) fn both<T: Send + 'static>(
        &self,
        one: impl FnOnce(&Map) -> T + Send + 'static,
        other: impl FnOnce(&Map) -> T,
    ) -> (T, T) {
        let thread = spawn(&self.map, one);
        let mine = other(&self.map);
        (thread.join().unwrap(), mine)
    }

    /// Demands that all that is stored has its reminder, and leaves when its time has come.
    pub(super) fn end(self) {
        check_reminders(&self.map);
        for _ in 0..7 {
            self.pass(1);
            self.map.sweep(ALL);
            check_reminders(&self.map);
        }
        assert_eq!(self.map.stored_len(), 0, "not swept");
        drop(self.map);
        self.census.assert_all_dropped();
    }
}

#[test]
fn entry_inserted_while_its_bucket_is_visited_has_a_reminder() {
    check("insert/visit", Some(3), || {
        let model = Model::new();
        model.put(1, 1);
        model.pass(2);
        model.both(model.putter(2, 3), |map| {
            map.sweep(ALL);
            None
        });
        model.end();
    });
}

#[test]
fn entry_inserted_while_its_bucket_is_swept_twice_has_a_reminder() {
    check("remind/sweep, sweep", Some(4), || {
        let model = Model::new();
        model.put(1, 1);
        model.put(2, 4);
        model.pass(2);
        // A write that has linked its entry.
        model.both(
            |map| map.remind(&3, 4, 2),
            |map| {
                map.sweep(1);
                model.pass(2);
                map.sweep(1);
            },
        );
        model.end();
    });
}

#[test]
fn value_replaced_while_it_is_swept_survives() {
    check("replace/sweep", Some(3), || {
        let model = Model::new();
        model.put(1, 1);
        model.pass(2);
        let put = model.putter(1, 4);
        model.both(put, |map| {
            map.sweep(ALL);
            None
        });
        assert_eq!(model.map.get(&1).map(|value| value.read()), Some(10));
        model.end();
    });
}

#[test]
fn value_removed_while_it_is_swept_is_dropped_once() {
    check("remove/sweep", Some(3), || {
        let model = Model::new();
        model.put(1, 1);
        model.pass(2);
        let (removed, _) = model.both(
            |map| map.remove(&1).is_some(),
            |map| {
                map.sweep(ALL);
                false
            },
        );
        assert!(!removed && model.map.stored_len() == 0);
        model.end();
    });
}

#[test]
fn lapsed_value_found_by_get_and_sweep_is_dropped_once() {
    check("get/sweep", Some(4), || {
        let model = Model::new();
        model.put(1, 1);
        model.pass(2);
        let (found, _) = model.both(
            |map| map.get(&1).is_some(),
            |map| {
                map.sweep(ALL);
                false
            },
        );
        assert!(!found && model.map.stored_len() == 0);
        model.end();
    });
}

#[test]
fn bucket_swept_by_two_keeps_its_reminder() {
    check("sweep/sweep of a bucket", Some(4), || {
        let model = Model::new();
        model.put(1, 3);
        model.put(2, 1);
        model.pass(2);
        model.both(|map| map.sweep(ALL), |map| map.sweep(ALL));
        assert_eq!(model.map.stored_len(), 1);
        model.end();
    });
}

#[test]
fn entry_inserted_during_a_purge_has_a_reminder() {
    check("insert/purge_expired", Some(2), || {
        let model = Model::new();
        model.put(1, 1);
        model.pass(1);
        model.both(model.putter(2, 1), |map| {
            while map.purge_expired(1).more {}
            None
        });
        assert_eq!(model.map.stored_len(), 1);
        model.end();
    });
}
