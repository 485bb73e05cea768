//! What is worked off when a great many entries lapse at once, seen from inside.

use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;
use std::time::Duration;

use super::TtlMap;
use crate::clock::ManualClock;
use crate::wheel::FEW;

const SECOND: Duration = Duration::from_secs(1);

/// Removals look, now and then, whether the table is too large: in the midst of a sweep, which leaves for last what halving would
/// put together, that must not be by much. The same each time: neither hashes nor time are random.
#[test]
fn a_write_looks_at_no_more_while_a_mass_expiry_is_worked_off_among_removals() {
    for seed in 0..4u64 {
        let clock = ManualClock::new();
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let map: TtlMap<u64, u64, _> = TtlMap::builder().time_to_live(SECOND).clock(&clock).hasher(hasher).build();
        let key = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed << 7;
        (0..500_000).for_each(|n| drop(map.insert(key(n), n)));
        clock.advance(2 * SECOND);
        for n in 0..200_000 {
            map.insert_forever(key(1 << 40 | n), n);
            map.remove(&key(1 << 40 | n));
        }
        assert_eq!(map.stored_len(), 0);
        let worst = map.upkeep_stats().worst;
        assert!(worst <= 42, "seed {seed}: {worst}");
    }
}

/// A purge that takes all reminders there are in one call counts them before it says how many there may be.
#[test]
fn reminders_that_a_long_purge_has_taken_don_t_count() {
    let clock = ManualClock::new();
    let map: TtlMap<u64, u64> = TtlMap::builder().time_to_live(SECOND).clock(&clock).build();
    for group in 1..=4u64 {
        let life = Duration::from_secs(100 * group);
        (0..50_000).for_each(|key| drop(map.insert_with_ttl(group << 40 | key, key, life)));
    }
    clock.advance(Duration::from_secs(110));
    while map.purge_expired(1000).more {}
    assert!(map.wheel.len() > 4 * FEW);
    // After so long a pause all reminders are gone through.
    clock.advance(Duration::from_secs(4 * 24 * 3600));
    while map.purge_expired(usize::MAX).more {}
    assert_eq!((map.stored_len(), map.wheel.len()), (0, 0));
    assert!(map.wheel.limit() <= 2 * FEW, "{}", map.wheel.limit());
}
