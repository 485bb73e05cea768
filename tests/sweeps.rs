//! The wheel under races: whatever happens at once, what lapsed leaves once, and nothing that lapsed stays (P6, P10).
//!
//! One test at a time: a pin anywhere in the process delays freeing.

mod common;

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use common::{Chosen, Collide, Counted, Identity, Rng, Tally, manual_map, purge_all, race, scaled, serial};
use ttlwheel::{ManualClock, TtlMap};

const MILLI: Duration = Duration::from_millis(1);

/// Three threads write entries of all kinds of deadlines to a table that grows and shrinks, a fourth moves the clock and
/// sometimes purges; all sweep. When they have ended, no entry may have been lost sight of.
fn nothing_stays<S: BuildHasher + Clone + Sync>(hasher: S, keys: u64, tally: &'static Tally) {
    for round in 0..scaled(6, 60) {
        let (map, clock): (TtlMap<u64, Counted<u64>, S>, ManualClock) = manual_map(5 * MILLI, hasher.clone());
        race(4, |thread| {
            let mut random = Rng(round << 8 | thread as u64);
            let writes = scaled(300, 3_000);
            for n in 0..writes {
                if thread == 3 {
                    clock.advance(Duration::from_nanos(random.below(1 << 20)));
                    if n % 8 == 0 {
                        map.purge_expired(random.below(200) as usize);
                    }
                    continue;
                }
                // Few keys, many keys, few keys.
                let among = if n * 3 / writes == 1 { keys } else { keys / 50 + 1 };
                let key = random.below(among);
                match random.below(16) {
                    0 => drop(map.remove(&key)),
                    1 => drop(map.insert_with_ttl(key, tally.count(n), Duration::ZERO)),
                    2 => drop(map.insert_with_ttl(key, tally.count(n), 3600 * 1000 * MILLI)),
                    3 => drop(map.get(&key)),
                    _ => {
                        let bits = random.below(25);
                        let ttl = Duration::from_nanos(random.below(1 << bits));
                        drop(map.insert_with_ttl(key, tally.count(n), ttl));
                    }
                }
            }
        });
        // Those of an hour are still there; then nothing is.
        purge_all(&map);
        assert_eq!(map.stored_len(), map.len(), "round {round}");
        clock.advance(3600 * 1000 * MILLI);
        purge_all(&map);
        assert_eq!(
            (map.stored_len(), map.retired_len(), map.next_due()),
            (0, 0, None),
            "round {round}, {:?}",
            clock.now()
        );
        tally.assert_balanced();
    }
}

#[test]
fn nothing_that_lapsed_stays() {
    let _serial = serial();
    static TALLY: Tally = Tally::new();
    nothing_stays(Chosen::std(), 3_000, &TALLY);
}

#[test]
fn nothing_that_lapsed_stays_with_poor_hashers() {
    let _serial = serial();
    static TALLY: Tally = Tally::new();
    nothing_stays(Chosen::from(Identity), 2_000, &TALLY);
    nothing_stays(Chosen::from(Collide::<20>), 100, &TALLY);
}

/// The same by writes alone, at the wheel's pace.
#[test]
fn writes_alone_leave_nothing_that_lapsed() {
    let _serial = serial();
    for round in 0..scaled(4, 40) {
        let (map, clock): (TtlMap<u64, u64>, _) = manual_map(5 * MILLI, RandomState::new());
        race(2, |thread| {
            let mut random = Rng(round << 8 | thread as u64);
            for n in 0..scaled(2_000, 20_000) {
                map.insert_with_ttl(random.below(5_000), n, Duration::from_nanos(random.below(1 << 24)));
                if n % 16 == 0 {
                    clock.advance(Duration::from_nanos(random.below(1 << 18)));
                }
            }
        });
        clock.advance(2 * 17 * MILLI);
        // Each write retires more than it adds, so so many are enough.
        (0..10_000).for_each(|n| drop(map.insert_forever(1 << 40, n)));
        assert_eq!(map.stored_len(), 1, "round {round}");
    }
}

/// A thread that reads through an old pin sees what it saw, however much is swept meanwhile.
#[test]
fn what_is_swept_stays_readable_for_who_is_pinned() {
    let _serial = serial();
    static TALLY: Tally = Tally::new();
    let (map, clock): (TtlMap<u64, Counted<u64>>, _) = manual_map(MILLI, RandomState::new());
    (0..1_000).for_each(|key| drop(map.insert(key, TALLY.count(key))));
    let pinned = map.pin();
    let found: Vec<_> = (0..1_000).map(|key| pinned.get(&key).expect("live")).collect();
    clock.advance(10 * MILLI);
    race(2, |_| while map.purge_expired(100).removed > 0 {});
    assert_eq!(map.stored_len(), 0);
    assert!(found.iter().zip(0..).all(|(value, key)| value.is_alive() && ***value == key));
    drop(pinned);
    purge_all(&map);
    TALLY.assert_balanced();
}
