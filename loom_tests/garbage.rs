//! Reclamation, and the whole map on top of it.

use std::hash::BuildHasherDefault;
use std::time::Duration;

use loom::sync::Arc;

use super::{Census, Watched, check};
use crate::garbage::{Free, Garbage, pin};
use crate::{Inserted, ManualClock, TtlMap};

/// Hands small integers through.
#[derive(Default)]
pub(crate) struct Plain(u64);

impl std::hash::Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |sum, byte| sum << 8 | u64::from(*byte));
    }
}

type Map = TtlMap<u8, Watched, BuildHasherDefault<Plain>>;

pub(super) const TTL: Duration = Duration::from_secs(1);

fn map() -> (Arc<Map>, ManualClock, Census) {
    let clock = ManualClock::new();
    let map = TtlMap::builder().time_to_live(TTL).hasher(BuildHasherDefault::default()).clock(&clock).build();
    (Arc::new(map), clock, Census::default())
}

pub(crate) fn spawn<T: Send + 'static>(
    map: &Arc<Map>,
    f: impl FnOnce(&Map) -> T + Send + 'static,
) -> loom::thread::JoinHandle<T> {
    let map = Arc::clone(map);
    loom::thread::Builder::new().stack_size(1 << 20).spawn(move || f(&map)).unwrap()
}

#[test]
fn value_is_not_dropped_while_it_is_read() {
    check("read/replace, replace", None, || {
        let (map, _, census) = map();
        map.insert(1, census.birth(10));
        let reader = spawn(&map, |map| {
            let found = map.get(&1).expect("always there");
            assert!(matches!(found.read(), 10..=12));
        });
        // The second write may free what the first retired.
        drop(map.insert(1, census.birth(11)));
        drop(map.insert(1, census.birth(12)));
        reader.join().unwrap();
        drop(map);
        census.assert_all_dropped();
    });
}

/// As above, without the fence of an insert between the unlinking and the grace period.
#[test]
fn removed_value_is_not_dropped_while_it_is_read() {
    check("read/remove, remove", None, || {
        let (map, _, census) = map();
        map.insert(1, census.birth(10));
        map.insert(2, census.birth(20));
        let reader = spawn(&map, |map| map.get(&1).map(|found| found.read()));
        assert_eq!(map.remove(&1).map(|found| found.read()), Some(10));
        // The second write may free what the first retired.
        assert_eq!(map.remove(&2).map(|found| found.read()), Some(20));
        assert!(matches!(reader.join().unwrap(), None | Some(10)));
        drop(map);
        census.assert_all_dropped();
    });
}

#[test]
fn lapsed_entry_leaves_once() {
    check("get/insert over a lapsed entry", Some(3), || {
        let (map, clock, census) = map();
        map.insert(1, census.birth(10));
        clock.advance(TTL);
        let births = census.clone();
        let writer = spawn(&map, move |map| {
            matches!(map.insert_forever(1, births.birth(11)), Inserted::New | Inserted::Expired(_))
        });
        let seen = map.get(&1).map(|found| found.read());
        assert!(matches!(seen, None | Some(11)), "{seen:?}");
        assert!(writer.join().unwrap());
        assert_eq!(map.get(&1).map(|found| found.read()), Some(11));
        drop(map);
        census.assert_all_dropped();
    });
}

#[test]
fn removed_values_are_dropped_once() {
    check("remove/remove on one shard", Some(3), || {
        let (map, _, census) = map();
        map.insert(1, census.birth(10));
        map.insert(2, census.birth(20));
        let other = spawn(&map, |map| map.remove(&2).map(|found| found.read()));
        assert_eq!(map.remove(&1).map(|found| found.read()), Some(10));
        assert_eq!(other.join().unwrap(), Some(20));
        drop(map);
        census.assert_all_dropped();
    });
}

#[test]
fn value_removed_by_two_is_dropped_once() {
    check("remove/remove of one value", Some(4), || {
        let (map, _, census) = map();
        map.insert_forever(1, census.birth(10));
        let other = spawn(&map, |map| map.remove(&1).map(|found| found.read()));
        let mine = map.remove(&1).map(|found| found.read());
        let theirs = other.join().unwrap();
        assert!(matches!((mine, theirs), (Some(10), None) | (None, Some(10))));
        drop(map);
        census.assert_all_dropped();
    });
}

#[test]
fn what_is_spilt_is_freed_once() {
    check("retire, collect/retire", Some(3), || {
        let census = Census::default();
        let garbage = Arc::new(Garbage::new());
        let thing = |value| Box::into_raw(Box::new(census.birth(value))).cast::<()>();
        let (mine, theirs) = (thing(1), thing(2).expose_provenance());
        let other = Arc::clone(&garbage);
        // One shard only: who finds it taken spills, and who collects takes that up.
        let thread = loom::thread::spawn(move || {
            free_all(other.exchange(std::ptr::with_exposed_provenance_mut(theirs), &pin(), &mut false));
            free_all(other.collect(&pin()));
        });
        free_all(garbage.exchange(mine, &pin(), &mut false));
        thread.join().unwrap();
        let Ok(mut garbage) = Arc::try_unwrap(garbage) else { unreachable!() };
        // SAFETY: made of such boxes, and each is handed out once, which the census checks.
        garbage.drain(&mut |thing| drop(unsafe { Box::from_raw(thing.cast::<Watched>()) }));
        census.assert_all_dropped();
    });
}

fn free_all(free: Free) {
    for thing in free.into_iter() {
        // SAFETY: as above.
        drop(unsafe { Box::from_raw(thing.cast::<Watched>()) });
    }
}

#[test]
fn old_table_is_freed_after_its_last_reader() {
    check("get/last steps of a resize", Some(3), || {
        let (map, _, census) = map();
        map.insert(1, census.birth(10));
        map.start_resize(1);
        let reader = spawn(&map, |map| map.get(&1).map(|found| found.read()));
        // Each write moves a step, the second hands over, and the one after it may free the old table.
        for value in 11..14 {
            drop(map.insert(1, census.birth(value)));
        }
        assert!(matches!(reader.join().unwrap(), Some(10..=13)));
        drop(map);
        census.assert_all_dropped();
    });
}

#[test]
fn what_a_get_reported_gone_is_not_reported_replaced() {
    check("get/insert around the deadline", Some(3), || {
        let (map, clock, census) = map();
        map.insert(1, census.birth(10));
        clock.advance(TTL / 2);
        let births = census.clone();
        let writer = spawn(&map, move |map| match map.insert_forever(1, births.birth(11)) {
            Inserted::New => None,
            Inserted::Replaced(old) => Some((true, old.read())),
            Inserted::Expired(old) => Some((false, old.read())),
        });
        clock.advance(TTL / 2);
        let seen = map.get(&1).map(|found| found.read());
        let met = writer.join().unwrap();
        if seen.is_none() {
            assert_ne!(met, Some((true, 10)), "first gone, then live");
        }
        drop(map);
        census.assert_all_dropped();
    });
}
