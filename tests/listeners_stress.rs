//! Listeners beside every verb at once, sweeps and growth: each entry is told of once, by the cause that its verb told.
//! (Loads, which lock, are in `listeners`: ThreadSanitizer doesn't know the precompiled std's locks.)

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use common::ledger::Ledger;
use common::{Collide, Identity, Rng, Stop, race, scaled};
use ttlwheel::{
    Builder, Computed, Condition::Always, Inserted, ManualClock, Operation, RemovalCause, RemovalInfo, TtlMap,
};

const TTL: Duration = Duration::from_millis(20);
const THREADS: usize = 3;

type Map<S> = TtlMap<u64, usize, S>;

/// One verb; what it tells is written down.
fn act<S: std::hash::BuildHasher>(map: &Map<S>, ledger: &Ledger, keys: u64, rng: &mut Rng) {
    let key = rng.below(keys);
    let ttl = [Duration::ZERO, TTL / 4, TTL, TTL * 4][rng.below(4) as usize];
    let taken = |value: usize| ledger.left(value, RemovalCause::Explicit);
    match rng.below(20) {
        0..=4 => {
            let value = ledger.fresh();
            let met = map.insert_with_ttl(key, value, ttl).map(|old| *old);
            ledger.inserted(value);
            match met {
                Inserted::New => {}
                Inserted::Replaced(old) => ledger.left(old, RemovalCause::Replaced),
                Inserted::Expired(old) => ledger.left(old, RemovalCause::Expired),
            }
        }
        5 | 6 => map.remove(&key).map(|old| *old).into_iter().for_each(taken),
        7 => map.remove_if(&key, |_, value| value % 2 == 0).map(|old| *old).into_iter().for_each(taken),
        8 => {
            let value = ledger.fresh();
            if map.try_insert(key, value).is_ok() {
                ledger.inserted(value);
            }
        }
        9 => {
            let value = ledger.fresh();
            if let Ok(old) = map.replace(key, value).map(|old| *old) {
                ledger.inserted(value);
                ledger.left(old, RemovalCause::Replaced);
            }
        }
        10 | 11 => {
            let mut last = 0;
            let computed = map.compute(key, |live| match live {
                Some(value) if value % 3 == 0 => Operation::<_>::Remove,
                Some(value) if value % 3 == 1 => Operation::Abort(()),
                _ => {
                    last = ledger.fresh();
                    Operation::Insert(last)
                }
            });
            match computed {
                Computed::Inserted(_) => ledger.inserted(last),
                Computed::Updated { old, .. } => {
                    ledger.inserted(last);
                    ledger.left(*old, RemovalCause::Replaced);
                }
                Computed::Removed(old) => taken(*old),
                Computed::Absent | Computed::Aborted(()) => {}
            }
        }
        12 | 13 => _ = map.expire_in(&key, ttl, Always),
        14 | 15 => _ = map.touch(&key),
        16 if key % 64 == 0 => map.drain().take(20).for_each(|old| taken(*old)),
        16 if key % 64 == 1 => map.retain(|_, value| value % 5 != 0),
        16 if key % 64 == 2 => map.clear(),
        17 => _ = map.len(),
        _ => drop(map.get(&key)),
    }
}

fn every_entry_is_told_of_once<S: std::hash::BuildHasher + Clone + Send + Sync>(
    settings: impl FnOnce(Builder<u64, usize>) -> Builder<u64, usize, S>,
    keys: u64,
    many: u64,
) {
    let ledger = Arc::new(Ledger::new(3 * THREADS * many as usize + 1_000_000));
    let teller = Arc::clone(&ledger);
    let clock = ManualClock::new();
    let listener = move |_: &u64, value: &usize, cause, info: &RemovalInfo| {
        teller.tell(*value, cause);
        assert!(info.lag().is_zero() || cause == RemovalCause::Expired);
    };
    let builder = TtlMap::builder().time_to_live(TTL).clock(&clock).on_removal(listener);
    let map: Map<S> = settings(builder.initial_capacity(1)).build();
    let stop = Stop::default();
    race(THREADS + 1, |n| {
        let mut rng = Rng(n as u64);
        if n == THREADS {
            while !stop.is_set() {
                clock.advance(TTL / 16);
                map.purge_expired(rng.below(100) as usize);
                std::thread::yield_now();
            }
        } else {
            let _end = stop.at_end();
            (0..many).for_each(|_| act(&map, &ledger, keys, &mut rng));
        }
    });
    assert_eq!(map.listener_panics(), 0);
    let (before, stored) = (ledger.check(), map.stored_len());
    assert_eq!(before.1, stored, "those that were not told of are there");
    drop(map);
    assert_eq!(ledger.check(), (before.0 + stored, 0));
}

#[test]
fn every_entry_is_told_of_once_while_the_table_grows() {
    every_entry_is_told_of_once(|builder| builder.hasher(Identity), 5_000, scaled(20_000, 100_000));
}

#[test]
fn every_entry_is_told_of_once_on_a_few_keys() {
    every_entry_is_told_of_once(|builder| builder.hasher(Identity), 16, scaled(20_000, 200_000));
}

#[test]
fn every_entry_is_told_of_once_where_reads_move_deadlines() {
    every_entry_is_told_of_once(|builder| builder.time_to_idle(TTL / 2), 64, scaled(10_000, 100_000));
}

#[test]
fn every_entry_is_told_of_once_where_hashes_collide() {
    every_entry_is_told_of_once(|builder| builder.hasher(Collide::<2>), 40, scaled(5_000, 30_000));
}

/// Listeners that write, remove and panic, in all threads.
#[test]
fn every_entry_is_told_of_once_though_listeners_write() {
    let ledger = Arc::new(Ledger::new(8_000_000));
    let (teller, clock) = (Arc::clone(&ledger), ManualClock::new());
    let slot = Arc::new(std::sync::OnceLock::<std::sync::Weak<TtlMap<u64, usize>>>::new());
    let its = Arc::clone(&slot);
    let listener = move |key: &u64, value: &usize, cause, _: &RemovalInfo| {
        teller.tell(*value, cause);
        let Some(map) = its.get().and_then(std::sync::Weak::upgrade) else { return };
        match value % 16 {
            0 | 1 => {
                let value = teller.fresh();
                map.insert(*key, value);
                teller.inserted(value);
            }
            2 => drop(map.remove(&(key ^ 1))),
            3 => _ = map.expire_in(&(key ^ 1), Duration::ZERO, Always),
            4 => _ = map.purge_expired(3),
            5 => std::panic::resume_unwind(Box::new("of no account")),
            _ => {}
        }
    };
    let map = Arc::new(TtlMap::builder().time_to_live(TTL).clock(&clock).on_removal(listener).build());
    slot.set(Arc::downgrade(&map)).unwrap();
    race(THREADS, |n| {
        let mut rng = Rng(n as u64);
        for _ in 0..scaled(10_000, 100_000) {
            let (key, value) = (rng.below(500), ledger.fresh());
            drop(map.insert_with_ttl(key, value, TTL * rng.below(3) as u32));
            ledger.inserted(value);
            drop(map.get(&rng.below(500)));
            clock.advance(TTL / 500);
        }
    });
    assert!(map.listener_panics() > 0);
    let (before, stored) = (ledger.check(), map.stored_len());
    assert_eq!(before.1, stored, "those that were not told of are there");
    catch_unwind(AssertUnwindSafe(|| drop(map))).expect("no panic of a listener's comes out");
    assert_eq!(ledger.check(), (before.0 + stored, 0));
}
