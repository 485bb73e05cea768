//! What upkeep does, seen from inside: reminders, steps, debts.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use proptest::prelude::*;

use super::TtlMap;
use crate::clock::{ManualClock, NEVER};
use crate::garbage::pin;
use crate::wheel::{Due, tick_after};

/// Demands that every entry that will lapse has a reminder in time, and every due its reminder.
fn check<K: Hash + Eq, V, S: BuildHasher>(map: &TtlMap<K, V, S>) {
    let guard = &pin();
    let mut reminders: HashMap<u32, Vec<_>> = HashMap::new();
    for reminder in map.wheel.reminders() {
        reminders.entry(reminder.due.0).or_default().push(reminder.bucket.number());
    }
    let now = map.wheel.cursor();
    for bin in map.table.present_bins(guard) {
        let (index, bits) = bin.number();
        let due = Due(bin.due());
        let is_covered = [due, Due::UNSET].iter().filter_map(|due| reminders.get(&due.0)).flatten().any(|bucket| {
            let common = (1 << bits.min(bucket.1)) - 1;
            (bucket.0 ^ index) & common == 0
        });
        assert!(due.is_none() || is_covered, "no reminder of bin {index} of 2^{bits} at {}, now {now}", due.tick(now));
        let mut entries = Vec::new();
        if !bin.is_frozen() && bin.snapshot(&mut entries).is_some() {
            for entry in entries {
                let deadline = entry.entry().deadline();
                let tick = tick_after(deadline).max(now);
                let latest = tick + (tick - now) / 64 + 1;
                assert!(
                    deadline == NEVER || is_covered && (due.is_none() || due.tick(now) <= latest),
                    "an entry of bin {index} of 2^{bits} lapses at {tick}, reminded of at {}, now {now}",
                    due.tick(now)
                );
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert { keys: std::ops::Range<u64>, ttl: u64 },
    Remove { keys: std::ops::Range<u64> },
    Advance { by: u64 },
    Purge { budget: usize, times: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let keys = (0u64..1_000, 1u64..1_000).prop_map(|(from, many)| from..from + many);
    let nanos = (0u32..50, any::<u64>()).prop_map(|(bits, random)| random % (1 << bits));
    prop_oneof![
        (keys.clone(), nanos.clone()).prop_map(|(keys, ttl)| Step::Insert { keys, ttl }),
        keys.prop_map(|keys| Step::Remove { keys }),
        nanos.prop_map(|by| Step::Advance { by }),
        (1usize..200, 1usize..100).prop_map(|(budget, times)| Step::Purge { budget, times }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_entry_is_without_a_reminder(steps in prop::collection::vec(step(), 1..40)) {
        let clock = ManualClock::new();
        let map: TtlMap<u64, u64> = TtlMap::builder().clock(&clock).build();
        for step in steps {
            match step {
                Step::Insert { keys, ttl } => keys.for_each(|key| drop(map.insert_with_ttl(key, key, Duration::from_nanos(ttl)))),
                Step::Remove { keys } => keys.for_each(|key| drop(map.remove(&key))),
                Step::Advance { by } => {
                    // Dues that nobody has looked at for nine days may be mistaken for ones to come.
                    while by > 1 << 45 && map.purge_expired(1000).more {}
                    clock.advance(Duration::from_nanos(by));
                }
                Step::Purge { budget, times } => (0..times).for_each(|_| _ = map.purge_expired(budget)),
            }
            check(&map);
        }
    }
}
