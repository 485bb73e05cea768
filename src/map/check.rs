//! What must hold of reminders while nobody is at work on the map; for tests and models.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

use super::TtlMap;
use crate::clock::NEVER;
use crate::garbage::pin;
use crate::wheel::{Due, tick_after};

/// Demands that every entry that will lapse has a reminder in time, and every due its reminder.
pub(crate) fn check<K: Hash + Eq, V, S: BuildHasher>(map: &TtlMap<K, V, S>) {
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
