//! What reads and walks say, held against the plain map.

use std::hash::BuildHasher;
use std::time::Duration;

use ttlwheel::{Deadline, TtlMap};

use crate::common::Verbs;
use crate::plain::{Model, NEVER, Time};

/// A read by a handle whose clock reading is `reading` (that of a held pin may be old, where reads move no deadlines).
///
/// What is live now is seen, what had lapsed at the reading is not; what lapsed since may be seen, unless somebody
/// has acted on its lapse.
pub fn check_read(handle: &impl Verbs, model: &mut Model, reading: Time, key: u64) {
    let entry = model.lives.get(&key).copied();
    match entry {
        Some(life) if model.now < life.deadline => {
            assert_eq!(handle.peek(key), Some(life.value), "live key {key}");
            assert!(handle.contains_key(key));
            check_deadline(handle, model, reading, key);
            assert_eq!(handle.get(key), Some(life.value), "live key {key}");
            model.read(key);
            check_deadline(handle, model, reading, key);
            // A policy may have ended it by the first read, at once: a nanosecond after.
            assert_eq!(handle.get_key_value(key), Some((key, life.value)));
            model.read(key);
            check_deadline(handle, model, reading, key);
        }
        Some(life) if reading < life.deadline => {
            let may_be = [None, Some(life.value)];
            assert!(may_be.contains(&handle.get(key)) && may_be.contains(&handle.peek(key)));
        }
        _ => {
            assert_eq!(handle.peek(key), None, "absent or lapsed key {key}: {entry:?}");
            assert_eq!(handle.get(key), None, "absent or lapsed key {key}: {entry:?}");
            assert_eq!(handle.get_key_value(key), None);
            assert!(!handle.contains_key(key));
            assert_eq!((handle.deadline(key), handle.ttl(key)), (None, None));
        }
    }
}

/// What a live key says of its time.
fn check_deadline(handle: &impl Verbs, model: &Model, reading: Time, key: u64) {
    let deadline = model.lives[&key].deadline;
    let at = handle.deadline(key).expect("a live entry has a deadline");
    let ttl = handle.ttl(key).expect("a live entry has a time to live");
    assert_eq!(at, model.told(deadline), "key {key}");
    if deadline == NEVER {
        assert_eq!(ttl, Duration::MAX);
    } else {
        let left = ttl.as_nanos() as Time;
        assert!((deadline - model.now..=deadline - reading).contains(&left), "ttl {ttl:?}");
    }
}

pub fn check_all(handle: &impl Verbs, model: &Model, reading: Time) {
    let (now, then) = (model.live_at(model.now), model.live_at(reading));
    let got = handle.pairs();
    assert!(now.iter().all(|pair| got.binary_search(pair).is_ok()), "iter misses a live pair");
    assert!(got.iter().all(|pair| then.binary_search(pair).is_ok()), "iter shows an absent pair");
    assert!(got.windows(2).all(|pairs| pairs[0].0 < pairs[1].0), "iter shows a key twice");
    assert!((now.len()..=then.len()).contains(&handle.len()));
    assert!(if handle.is_empty() { now.is_empty() } else { !then.is_empty() });
}

/// Every live key has the deadline that it should have, and nobody has read it. What has lapsed is left alone.
pub fn check_deadlines<S: BuildHasher>(map: &TtlMap<u64, u64, S>, model: &Model) {
    for (&key, life) in model.lives.iter().filter(|(_, life)| model.now < life.deadline) {
        let told: Option<Deadline> = map.deadline(&key);
        assert_eq!(told, Some(model.told(life.deadline)), "key {key}");
    }
}

/// Whatever came is there, or has left by one cause.
#[cfg(feature = "stats")]
pub fn check_balance<S: BuildHasher>(map: &TtlMap<u64, u64, S>) {
    let stats = map.stats();
    assert_eq!(stats.inserts, stats.replaced + stats.expired + stats.explicit + map.stored_len() as u64, "{stats:?}");
}
