//! What upkeep does, seen from inside: reminders, steps, debts.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use proptest::prelude::*;

use super::check::check;
use super::sweep::Upkeep;
use super::{TtlMap, UpkeepStats};
use crate::clock::{ManualClock, Stamp};
use crate::entry::Entry;
use crate::garbage::pin;

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

const SECOND: Duration = Duration::from_secs(1);
/// What one write may look at, as its documentation says.
const BUDGET: u64 = 42;

fn manual<V>(ttl: Duration) -> (TtlMap<u64, V>, ManualClock) {
    let clock = ManualClock::new();
    (TtlMap::builder().time_to_live(ttl).clock(&clock).build(), clock)
}

/// `full` times as often as the environment says, for tests that are long in a soak.
fn times(full: u64) -> u64 {
    let scale = std::env::var("TTL_STRESS").ok().and_then(|scale| scale.parse::<f64>().ok());
    (full as f64 * scale.unwrap_or(1.0)) as u64
}

fn since(before: UpkeepStats, after: UpkeepStats) -> (u64, u64) {
    (after.taken() - before.taken() + after.examined - before.examined, after.retired - before.retired)
}

impl UpkeepStats {
    fn taken(self) -> u64 {
        self.fired + self.stale
    }
}

#[test]
fn a_million_entries_of_one_deadline_go_a_few_a_write() {
    let (map, clock) = manual(SECOND);
    (0..1_000_000).for_each(|key| drop(map.insert(key, key)));
    assert!(map.upkeep_stats().reminders <= 1 << 18, "no more than buckets");
    clock.advance(2 * SECOND);
    let (mut overdue, mut writes) = (1_000_000, 0u64);
    let mut before = map.upkeep_stats();
    // Writes to one key that never expires add nothing of their own.
    while overdue > 0 {
        map.insert_forever(1 << 40, writes);
        writes += 1;
        let after = map.upkeep_stats();
        let (looked_at, retired) = since(before, after);
        assert!(looked_at <= BUDGET, "write {writes} looked at {looked_at}");
        assert!(retired >= 2 || retired == overdue || looked_at >= 40, "write {writes} retired {retired} of {overdue}");
        overdue -= retired;
        before = after;
        assert!(writes <= 1_000_000, "{overdue} are left");
    }
    assert!(before.worst <= BUDGET, "{before:?}");
    assert_eq!(map.stored_len(), 1);
}

#[test]
fn a_hot_key_has_one_reminder_however_often_it_is_written() {
    let (map, clock) = manual(3600 * SECOND);
    for n in 0..times(10_000_000) {
        map.insert(1, n);
        if n % 64 == 0 {
            clock.advance(Duration::from_nanos(100_000));
        }
        if n % 4096 == 0 {
            assert!(map.upkeep_stats().reminders <= 1);
        }
    }
    assert!(map.upkeep_stats().worst <= BUDGET);
}

/// Reminders that there may be: three for each bucket that ever was, and those too few to scrub.
fn most_reminders(map: &TtlMap<u64, u64>, buckets: &mut u64) -> u64 {
    *buckets = (map.capacity() as u64 / 4).max(*buckets);
    3 * *buckets + 2 * crate::wheel::FEW as u64
}

#[test]
fn falling_deadlines_leave_few_reminders() {
    let (map, clock) = manual(SECOND);
    let mut buckets = 0;
    for n in 0..times(500_000) {
        // Each is filed earlier than the one before, in a bucket that has reminders already.
        let ttl = Duration::from_millis(10_000_000 - n % 9_000_000);
        map.insert_with_ttl(n % 10, n, ttl);
        clock.advance(Duration::from_micros(1));
        let reminders = map.upkeep_stats().reminders;
        assert!(reminders <= most_reminders(&map, &mut buckets), "{reminders} after {n} writes");
    }
    check(&map);
    assert!(map.upkeep_stats().worst <= BUDGET);
}

#[test]
fn any_mix_of_times_to_live_leaves_few_reminders() {
    let (map, clock) = manual(SECOND);
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut buckets = 0;
    for n in 0..times(400_000) {
        // Nine decades: from a millisecond to eleven days.
        let decade = 10u64.pow(next(10) as u32);
        let key = next(5_000);
        match next(10) {
            0 => drop(map.remove(&key)),
            1 => drop(map.insert_forever(key, n)),
            _ => drop(map.insert_with_ttl(key, n, Duration::from_millis(decade + next(decade)))),
        }
        clock.advance(Duration::from_micros(next(2_000)));
        let reminders = map.upkeep_stats().reminders;
        assert!(reminders <= most_reminders(&map, &mut buckets), "{reminders} after {n} writes");
    }
    check(&map);
    assert!(map.upkeep_stats().worst <= BUDGET);
}

#[test]
fn a_long_one_among_short_ones_costs_no_more_and_no_more_reminders() {
    let (map, clock) = manual(SECOND);
    map.insert_with_ttl(0, 0, 3600 * SECOND);
    for n in 0..100_000 {
        map.insert_with_ttl(1, n, Duration::from_millis(5));
        clock.advance(Duration::from_millis(1));
        assert!(map.upkeep_stats().reminders <= 8, "{:?}", map.upkeep_stats());
    }
}

#[test]
fn what_was_removed_needs_no_reminders() {
    let (map, _clock) = manual(SECOND);
    for _ in 0..3 {
        (0..50_000).for_each(|key| drop(map.insert(key, key)));
        (0..50_000).for_each(|key| drop(map.remove(&key)));
        (0..50_000).for_each(|_| drop(map.insert_forever(1, 1)));
        let reminders = map.upkeep_stats().reminders;
        assert!(reminders <= 2 * crate::wheel::FEW as u64, "{reminders}");
    }
}

/// Expires one entry after another, alone in its map; each is gone, by a write elsewhere in the map, by the time that the
/// wheel may be late, and was looked at a few times in all.
#[test]
fn an_entry_leaves_at_most_a_64th_of_its_time_to_live_late() {
    for exponent in 0..=63 {
        for ttl in [1u64 << exponent.min(62), (1 << exponent.min(62)) - 1, 3 << exponent.min(61)] {
            let (map, clock) = manual(SECOND);
            clock.advance(Duration::from_nanos(1 << 40));
            map.insert_with_ttl(1, 1, Duration::from_nanos(ttl));
            let tick = Duration::from_nanos(1 << 19);
            clock.advance(Duration::from_nanos(ttl) + Duration::from_nanos(ttl / 64) + 2 * tick);
            map.remove(&2);
            let stored = map.stored_len();
            let stats = map.upkeep_stats();
            assert_eq!(stored, 0, "ttl {ttl}: {stats:?}");
            assert!(stats.taken() <= 3, "ttl {ttl}: {stats:?}");
        }
    }
}

/// The same with somebody who sweeps whenever the wheel says so: no reminder is touched more than a few times.
#[test]
fn a_reminder_is_touched_a_constant_number_of_times() {
    for exponent in 20..60 {
        let (map, clock) = manual(SECOND);
        let ttl = Duration::from_nanos(5 << exponent);
        map.insert_with_ttl(1, 1, ttl);
        let mut wakes = 0;
        while let Some(crate::Deadline::At(due)) = map.next_due() {
            clock.set(due);
            map.remove(&2);
            wakes += 1;
            assert!(wakes <= 4, "{ttl:?}: {:?}", map.upkeep_stats());
        }
        assert_eq!(map.stored_len(), 0);
    }
}

#[test]
fn memory_is_back_by_writes_alone_after_a_mass_expiry() {
    let (map, clock) = manual(SECOND);
    (0..200_000).for_each(|key| drop(map.insert(key, key)));
    let full = map.capacity();
    clock.advance(2 * SECOND);
    for n in 0..200_000 {
        map.insert(n % 1_000, n);
    }
    assert_eq!((map.len(), map.stored_len()), (1_000, 1_000));
    assert!(map.capacity() <= 8_192, "{} of {full}", map.capacity());
    assert!(map.upkeep_stats().reminders <= 2 * crate::wheel::FEW as u64 + 4_096, "{:?}", map.upkeep_stats());
    check(&map);
}

#[test]
fn table_that_grows_and_shrinks_again_and_again_leaves_few_reminders() {
    let (map, _clock) = manual(SECOND);
    (0..1_000).for_each(|key| drop(map.insert_with_ttl(key, key, 1_000_000 * SECOND)));
    for n in 0..8 {
        (1_000..20_000).for_each(|key| drop(map.insert_forever(key, key)));
        (1_000..20_000).for_each(|key| drop(map.remove(&key)));
        (0..20_000).for_each(|_| drop(map.insert_forever(1_000, 1)));
        check(&map);
        let (reminders, bins) = (map.upkeep_stats().reminders, map.capacity() as u64 / 4);
        assert!(reminders <= 2 * bins + crate::wheel::FEW as u64, "{n}: {reminders} of {bins}");
    }
}

std::thread_local! {
    static PANICS: Cell<bool> = const { Cell::new(false) };
}

/// A key that can't be hashed now and then.
#[derive(PartialEq, Eq)]
struct Moody(u64);

impl Hash for Moody {
    fn hash<H: Hasher>(&self, state: &mut H) {
        assert!(!PANICS.get(), "not now");
        self.0.hash(state);
    }
}

/// A write that has linked its entry, and finds that its bin is being moved, and that another key there panics.
#[test]
fn entry_has_a_reminder_though_the_hash_of_another_panics() {
    let clock = ManualClock::new();
    let map = TtlMap::builder().clock(&clock).build();
    let guard = &pin();
    // Only when the window of the tags slides, from 2^7 to 2^8 bins, are keys hashed again.
    let mut key = 0;
    while map.table.capacity(guard) < 1 << 10 {
        map.insert_forever(Moody(key), ());
        key += 1;
    }
    let upkeep = Upkeep { map: &map, guard };
    let deadline = 1 << 30;
    let hashes: Vec<u64> = (0..1_000).map(|n| map.hash(&Moody(key + n))).collect();
    for (n, &hash) in hashes.iter().enumerate() {
        let entry = Box::new(Entry::new(Moody(key + n as u64), (), hash, Stamp::open(deadline)));
        assert!(map.table.insert(hash, Box::into_raw(entry), |_| false, &upkeep, guard).is_none());
    }
    PANICS.set(true);
    (0..1_000).for_each(|_| _ = upkeep.step());
    hashes.iter().for_each(|&hash| upkeep.remind(hash, deadline, 0));
    PANICS.set(false);
    clock.advance(8 * SECOND);
    while map.purge_expired(1_000).more {}
    assert_eq!(map.stored_len(), key as usize);
    check(&map);
}

/// Likewise one that was filed while what a pause before had left was still gone through.
#[test]
fn after_two_long_pauses_no_reminder_is_relied_on() {
    for keys in 1..40 {
        let (map, clock) = manual(Duration::from_millis(50));
        (0..keys).for_each(|key| drop(map.insert(key, key)));
        for pause in 1..4 {
            clock.advance(430 * 24 * 3600 * SECOND);
            map.insert(100 + pause, 0);
        }
        clock.advance(if keys % 2 == 0 { Duration::MAX } else { 430 * 24 * 3600 * SECOND });
        while map.purge_expired(64).more {}
        assert_eq!((map.len(), map.stored_len()), (0, 0), "{keys} keys");
    }
}

/// A due from before a pause of more than a year looks like one to come; who superseded it must not count on it.
#[test]
fn after_a_long_pause_no_reminder_is_relied_on() {
    for _ in 0..50 {
        let (map, clock) = manual(Duration::from_millis(50));
        let insert = |keys: &[u64]| {
            for &key in keys {
                map.insert(key, key);
                check(&map);
            }
        };
        insert(&[0]);
        clock.advance(430 * 24 * 3600 * SECOND);
        insert(&[12, 13, 14, 15, 16, 17, 18, 19, 20, 21]);
        clock.advance(Duration::from_millis(50));
        insert(&[0, 1, 2, 3]);
        clock.advance(Duration::from_millis(1));
        insert(&[0, 3]);
        clock.advance(Duration::from_millis(50));
        insert(&[6]);
        clock.advance(3600 * SECOND);
        insert(&[2]);
        while map.purge_expired(64).more {}
        assert_eq!(map.stored_len(), map.len());
    }
}
