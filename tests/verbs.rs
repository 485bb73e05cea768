//! The verbs that act by what is there: what they find, what they leave, and how they rerun.

mod common;

use std::cell::Cell;
use std::hash::RandomState;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use common::{Counted, Tally, manual_map, race, scaled, tally, tiny_map};
use ttlwheel::{Computed, Inserted, ManualClock, MapEntry, NotInserted, Operation, TtlMap};

type Map = TtlMap<u64, u64>;

const TTL: Duration = Duration::from_secs(60);

fn map() -> (Map, ManualClock) {
    manual_map(TTL, RandomState::new())
}

/// What each verb makes of a key that was never there, and of one whose value has lapsed: the same.
#[test]
fn lapsed_values_are_absent_to_every_verb() {
    for lapsed in [false, true] {
        let fresh = || {
            let (map, clock) = map();
            if lapsed {
                map.insert(1, 10);
            }
            clock.advance(TTL);
            map
        };
        let refused = |current| NotInserted { current, key: 1, not_inserted: 11 };
        assert_eq!(fresh().pin().try_insert(1, 11), Ok(&11));
        assert_eq!(fresh().pin().replace(1, 11), Err((1, 11)));
        assert_eq!(fresh().pin().insert_if(1, 11, |live| live.is_none()), Ok(None));
        assert_eq!(fresh().pin().insert_if(1, 11, |live| live.is_some()), Err(refused(None)));
        assert_eq!(fresh().pin().compare_exchange(1, &10, 11), Err(refused(None)));
        assert_eq!(fresh().pin().remove_if(&1, |_, _| true), None);
        assert_eq!(fresh().pin().update(1, |_| unreachable!()), None);
        assert_eq!(fresh().pin().update_or_insert_with(1, |_| unreachable!(), || 11), &11);
        assert_eq!(fresh().pin().compute(1, |_| Operation::<_>::Remove), Computed::Absent);
        assert_eq!(fresh().pin().compute(1, |_| Operation::<_>::Insert(11)), Computed::Inserted(&11));
        assert!(matches!(fresh().pin().entry(1), MapEntry::Vacant(_)));
        for map in [fresh(), fresh()] {
            assert_eq!(map.replace(1, 11).err(), Some((1, 11)));
            assert_eq!(map.stored_len(), 0, "what was reported absent has left");
        }
    }
}

#[test]
fn what_is_put_lives_for_the_maps_time_to_live() {
    let puts: [fn(&Map); 7] = [
        |map| assert!(map.replace(1, 11).is_ok()),
        |map| assert!(map.insert_if(1, 11, |_| true).is_ok()),
        |map| assert!(map.compare_exchange(1, &10, 11).is_ok()),
        |map| assert_eq!(map.update(1, |old| old + 1).as_deref(), Some(&11)),
        |map| assert_eq!(*map.update_or_insert_with(1, |old| old + 1, || 0), 11),
        |map| assert_eq!(map.compute(1, |_| Operation::<_>::Insert(11)).value().as_deref(), Some(&11)),
        |map| assert!(matches!(map.pin().entry(1).and_update(|old| old + 1), MapEntry::Occupied(_))),
    ];
    for put in puts {
        let (map, clock) = map();
        map.insert(1, 10);
        clock.advance(TTL / 2);
        put(&map);
        assert_eq!((map.get_cloned(&1), map.ttl(&1)), (Some(11), Some(TTL)));
        clock.advance(TTL);
        assert_eq!(map.get_cloned(&1), None);
        common::purge_all(&map);
        assert_eq!(map.stored_len(), 0, "swept");
    }
}

/// A closure that runs again sees what another has put there meanwhile, each time.
#[test]
fn closures_run_again_when_another_is_first() {
    let (map, _) = map();
    map.insert(1, 0);
    let runs = Cell::new(0);
    let disturb = |seen: &u64| {
        assert_eq!(*seen, runs.get());
        runs.set(runs.get() + 1);
        if runs.get() < 5 {
            map.insert(1, runs.get());
        }
    };
    let updated = map.update(1, |seen| {
        disturb(seen);
        100 + seen
    });
    assert_eq!((updated.as_deref(), runs.get()), (Some(&104), 5));
    map.insert(1, 0);
    runs.set(0);
    assert_eq!(
        map.remove_if(&1, |_, seen| {
            disturb(seen);
            true
        })
        .as_deref(),
        Some(&4)
    );
    map.insert(1, 0);
    runs.set(0);
    let refused = map
        .insert_if(1, 9, |seen| {
            disturb(seen.unwrap());
            runs.get() < 5
        })
        .unwrap_err();
    assert_eq!((refused.current.as_deref(), refused.not_inserted), (Some(&4), 9));
}

#[test]
fn a_value_that_lapses_while_its_update_is_made_is_found_lapsed_by_others() {
    let (map, clock) = map();
    map.insert(1, 1);
    let runs = Cell::new(0);
    let updated = map.update_or_insert_with(
        1,
        |_| {
            runs.set(runs.get() + 1);
            clock.advance(TTL);
            assert_eq!(map.get_cloned(&1), None);
            2
        },
        || 3,
    );
    assert_eq!((*updated, runs.get()), (3, 1), "reported gone, so it is gone");
}

/// The last run decides, and not what an earlier one has said.
#[test]
fn what_a_closure_said_before_it_ran_again_is_forgotten() {
    let (map, clock) = map();
    map.insert(1, 10);
    clock.advance(TTL);
    let runs = Cell::new(0);
    let computed = map.compute(1, |live| {
        assert_eq!(live, None);
        runs.set(runs.get() + 1);
        if runs.get() > 1 {
            return Operation::Remove;
        }
        // The lapsed entry leaves, and so the look was in vain.
        assert_eq!(map.get_cloned(&1), None);
        Operation::Abort("at first")
    });
    assert!(matches!(computed, Computed::Absent), "{computed:?}");
    assert_eq!(runs.get(), 2);
}

#[test]
fn entries_act_on_what_they_saw() {
    let (map, _) = map();
    let pinned = map.pin();
    let occupied = || match pinned.entry(1) {
        MapEntry::Occupied(seen) => seen,
        MapEntry::Vacant(_) => panic!("vacant"),
    };
    let MapEntry::Vacant(vacant) = pinned.entry(1) else { panic!("occupied") };
    assert_eq!(vacant.insert(1), Ok(&1));
    let seen = occupied();
    // The same value, but another entry.
    map.insert(1, 1);
    let Err((MapEntry::Occupied(seen), 5)) = seen.insert(5) else { panic!() };
    assert_eq!(seen.insert(5).ok(), Some(&5));
    let seen = occupied();
    map.remove(&1);
    let Err((MapEntry::Vacant(seen), 6)) = seen.insert(6) else { panic!() };
    map.insert(1, 7);
    assert_eq!(seen.insert(6).unwrap_err().current, &7);
    let made = pinned.entry(2).or_insert_with(|| {
        map.insert(2, 20);
        21
    });
    assert_eq!(made, &20, "another was first");
    assert_eq!(pinned.entry(3).and_update(|_| unreachable!()).or_default(), &0);
}

/// A closure that panics leaves all as it was, also when it has run before.
#[test]
fn a_panicking_closure_leaves_all_as_it_was() {
    type Map = TtlMap<Counted<u64>, Counted<u64>>;
    type Verb = fn(&Map, Counted<u64>, &dyn Fn() -> Counted<u64>, &'static Tally);
    let tally = tally!();
    let map: Map = tiny_map(RandomState::new());
    let verbs: [Verb; 6] = [
        |map, key, make, _| drop(map.update(key, |_| make())),
        |map, key, make, tally| drop(map.insert_if(key, tally.count(9), |_| *make() == 99)),
        |map, key, make, _| drop(map.remove_if(&key, |_, _| *make() == 99)),
        |map, key, make, _| drop(map.compute(key, |_| Operation::<_>::Insert(make()))),
        |map, key, make, _| drop(map.update_or_insert_with(key, |_| make(), make)),
        |map, key, make, _| _ = map.pin().entry(key).and_update(|_| make()).or_insert_with(make),
    ];
    for (n, verb) in verbs.into_iter().enumerate() {
        for (present, quiet_runs) in [(true, 0), (true, 3), (false, 0)] {
            drop(map.remove(&1));
            let insert = || drop(map.insert(tally.count(1), tally.count(10)));
            if present {
                insert();
            }
            let runs = Cell::new(0);
            let make = || {
                runs.set(runs.get() + 1);
                if runs.get() > quiet_runs {
                    resume_unwind(Box::new("injected"));
                }
                // Another is first, so that what is made is made in vain.
                insert();
                tally.count(99)
            };
            let ended = catch_unwind(AssertUnwindSafe(|| verb(&map, tally.count(1), &make, tally)));
            let is_asked = present || ![0, 2].contains(&n);
            assert_eq!((ended.is_err(), runs.get()), (is_asked, if is_asked { quiet_runs + 1 } else { 0 }));
            assert_eq!(map.get(&1).map(|value| **value), present.then_some(10));
        }
    }
    drop(map);
    tally.assert_balanced();
}

#[test]
fn concurrent_updates_are_all_counted() {
    let (map, _) = map();
    let each = scaled(2_000, 100_000);
    race(4, |thread| {
        for n in 0..each {
            match (n + thread as u64) % 4 {
                0 => drop(map.update_or_insert_with(1, |n| n + 1, || 1)),
                1 => drop(map.compute(1, |n| Operation::<_>::Insert(n.map_or(1, |n| n + 1)))),
                2 => drop(map.pin().entry(1).and_update(|n| n + 1)),
                _ => {
                    while map.get_cloned(&1).is_none_or(|n| map.compare_exchange(1, &n, n + 1).is_err()) {
                        if map.try_insert(1, 1).is_ok() {
                            break;
                        }
                    }
                }
            }
        }
    });
    let counted = map.get_cloned(&1).unwrap();
    assert!(counted <= 4 * each && counted >= 4 * each - 4, "and_update of what is absent counts nothing: {counted}");
}

#[test]
fn one_of_many_tries_inserts() {
    for _ in 0..scaled(200, 2_000) {
        let (map, _) = map();
        let won = race(4, |thread| map.try_insert(1, thread as u64).is_ok());
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
        let won = race(4, |_| map.remove_if(&1, |_, _| true).is_some());
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
        assert!(matches!(map.insert(1, 0), Inserted::New));
    }
}
