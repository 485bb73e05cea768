//! Snapshots: what is left of the times to live, in two formats; what was cut or altered; saving while others write.

mod common;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::{BuildHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use common::fuse::{Fuse, Site, When, spark};
use common::{Identity, Rng, Stop, each_hasher, manual_map, race, scaled};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use ttlwheel::{LoadError, ManualClock, Snapshot, TtlMap};

const TTL: Duration = Duration::from_secs(60);
const NANO: Duration = Duration::from_nanos(1);

type Map<S> = TtlMap<u64, String, S>;
type Saved = Snapshot<u64, String>;

/// The formats, each writing and reading back.
fn json<K: Serialize, V: Serialize>(snapshot: &Snapshot<&K, &V>) -> Vec<u8> {
    serde_json::to_vec(snapshot).expect("can be written as JSON")
}

fn binary<K: Serialize, V: Serialize>(snapshot: &Snapshot<&K, &V>) -> Vec<u8> {
    postcard::to_stdvec(snapshot).expect("can be written")
}

fn of_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

fn of_binary<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    postcard::from_bytes(bytes).map_err(|error| error.to_string())
}

type Format = (fn(&Snapshot<&u64, &String>) -> Vec<u8>, fn(&[u8]) -> Result<Saved, String>);
const FORMATS: [Format; 2] = [(json, of_json), (binary, of_binary)];

fn word(key: u64) -> String {
    format!("word {key}")
}

/// Each fourth key lives for ever, the others for 20, 40 and 60 seconds, of which ten are over.
fn filled<S: BuildHasher>(hasher: S) -> Map<S> {
    let (map, clock): (Map<S>, _) = manual_map(TTL, hasher);
    for key in 0..40 {
        match key % 4 {
            0 => drop(map.insert_forever(key, word(key))),
            n => drop(map.insert_with_ttl(key, word(key), Duration::from_secs(20 * n))),
        }
    }
    map.insert_with_ttl(40, word(40), Duration::from_secs(10));
    clock.advance(Duration::from_secs(10));
    map
}

/// All of a map: values and what is left of their times to live.
fn contents<V: Clone + Debug, S: BuildHasher>(map: &TtlMap<u64, V, S>) -> BTreeMap<u64, (V, Duration)> {
    let pinned = map.pin();
    let ttl = |key: &u64| pinned.ttl(key).expect("the clock stands still");
    pinned.iter().map(|(key, value)| (*key, (value.clone(), ttl(key)))).collect()
}

fn remaining_time_survives_every_format<S: BuildHasher + Clone>(hasher: S) {
    for (write, read) in FORMATS {
        let map = filled(hasher.clone());
        let snapshot = read(&write(&map.pin().snapshot())).unwrap();
        assert_eq!(snapshot.len(), 40, "what has lapsed isn't saved");
        let (loaded, clock): (Map<S>, _) = manual_map(TTL, hasher.clone());
        // A clock that shows something else.
        clock.advance(Duration::from_secs(1_000));
        let now = snapshot.saved_at();
        assert_eq!(snapshot.load_into_at(&loaded, now), 40);
        assert_eq!(contents(&loaded), contents(&map));
    }
}

fn time_on_disk_counts<S: BuildHasher + Clone>(hasher: S) {
    let map = filled(hasher.clone());
    let bytes = json(&map.pin().snapshot());
    // What has 10, 30 and 50 seconds left, and what lives for ever.
    for (spent, live) in [
        (Duration::ZERO, 40),
        (Duration::from_secs(10) - NANO, 40),
        (Duration::from_secs(10), 30),
        (Duration::from_secs(30) - NANO, 30),
        (Duration::from_secs(30), 20),
        (Duration::from_secs(50) - NANO, 20),
        (Duration::from_secs(50), 10),
        (Duration::from_secs(50) + NANO, 10),
        (Duration::from_secs(1 << 32), 10),
    ] {
        let snapshot: Saved = of_json(&bytes).unwrap();
        let (loaded, _clock): (Map<S>, _) = manual_map(TTL, hasher.clone());
        let now = snapshot.saved_at() + spent;
        assert_eq!((snapshot.load_into_at(&loaded, now), loaded.stored_len()), (live, live), "after {spent:?}");
        for (key, (value, left)) in contents(&map) {
            let left = if left == Duration::MAX { left } else { left.saturating_sub(spent) };
            assert_eq!(loaded.get_cloned(&key), (left > Duration::ZERO).then_some(value));
            assert_eq!(loaded.ttl(&key), (left > Duration::ZERO).then_some(left));
        }
    }
}

each_hasher!(remaining_time_survives_every_format, time_on_disk_counts);

#[test]
fn a_wall_clock_that_went_back_counts_as_no_time() {
    let map = filled(Identity);
    let (loaded, _clock): (Map<_>, _) = manual_map(TTL, Identity);
    for now in [Duration::ZERO, Duration::from_secs(1)] {
        let snapshot: Saved = of_binary(&binary(&map.pin().snapshot())).unwrap();
        assert_eq!(snapshot.load_into_at(&loaded, SystemTime::UNIX_EPOCH + now), 40);
        assert_eq!(contents(&loaded), contents(&map));
    }
}

#[test]
fn the_longest_times_neither_wrap_nor_end() {
    let (map, clock): (TtlMap<u64, u64, _>, _) = manual_map(TTL, Identity);
    clock.advance(Duration::from_nanos(u64::MAX / 4));
    map.insert_with_ttl(1, 1, Duration::from_nanos(u64::MAX / 4 - 10));
    map.insert_with_ttl(2, 2, Duration::MAX);
    let snapshot: Snapshot<u64, u64> = of_json(&json(&map.pin().snapshot())).unwrap();
    let (loaded, late): (TtlMap<u64, u64, _>, _) = manual_map(TTL, Identity);
    late.advance(Duration::from_nanos(u64::MAX / 2 - 100));
    let now = snapshot.saved_at();
    assert_eq!(snapshot.load_into_at(&loaded, now), 2);
    assert_eq!((loaded.ttl(&1), loaded.ttl(&2)), (Some(Duration::MAX), Some(Duration::MAX)), "past the clock's scale");
}

#[test]
fn what_is_loaded_replaces_and_what_lapsed_does_not() {
    let (map, _clock): (TtlMap<u64, u64, _>, _) = manual_map(TTL, Identity);
    map.insert_with_ttl(1, 10, Duration::from_secs(1));
    map.insert(2, 20);
    let (other, _clock): (TtlMap<u64, u64, _>, _) = manual_map(TTL, Identity);
    (1..4).for_each(|key| drop(other.insert(key, key)));
    let snapshot: Snapshot<u64, u64> = of_binary(&binary(&map.pin().snapshot())).unwrap();
    let now = snapshot.saved_at() + Duration::from_secs(1);
    assert_eq!(snapshot.load_into_at(&other, now), 1);
    let left = TTL - Duration::from_secs(1);
    assert_eq!(contents(&other), [(1, (1, TTL)), (2, (20, left)), (3, (3, TTL))].into());
}

/// Tries to load each of `all`, and demands that it fails and leaves the map as it was.
fn all_fail(all: impl Iterator<Item = Vec<u8>>, read: fn(&[u8]) -> Result<Saved, String>) {
    let (map, _clock): (Map<_>, _) = manual_map(TTL, Identity);
    (30..50).for_each(|key| drop(map.insert(key, "old".to_string())));
    let before = contents(&map);
    for bytes in all {
        assert!(map.load_snapshot(&bytes, read).is_err(), "loaded: {bytes:?}");
        assert_eq!(contents(&map), before);
    }
}

#[test]
fn a_snapshot_cut_anywhere_is_an_error() {
    for (write, read) in FORMATS {
        let sealed = filled(Identity).save_snapshot(|snapshot| Ok::<_, String>(write(snapshot))).unwrap();
        all_fail((0..sealed.len()).map(|end| sealed[..end].to_vec()), read);
        all_fail((1..sealed.len()).map(|start| sealed[start..].to_vec()), read);
        // Without a seal it is the format that notices.
        let bare = write(&filled(Identity).pin().snapshot());
        for end in 0..bare.len() {
            assert!(read(&bare[..end]).is_err(), "read {end} bytes of {}", bare.len());
        }
    }
}

#[test]
fn a_snapshot_altered_anywhere_is_an_error() {
    for (write, read) in FORMATS {
        let sealed = filled(Identity).save_snapshot(|snapshot| Ok::<_, String>(write(snapshot))).unwrap();
        let flipped = |bit: usize| {
            let mut bytes = sealed.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        };
        all_fail((0..8 * sealed.len()).map(flipped), read);
        let doubled = [&sealed[..], &sealed[..]].concat();
        all_fail([doubled, vec![0; sealed.len()], [&sealed[..], b" "].concat()].into_iter(), read);
    }
}

#[test]
fn altered_times_and_counts_are_noticed_without_a_seal() {
    let json = serde_json::to_value(filled(Identity).pin().snapshot()).unwrap();
    assert!(serde_json::from_value::<Saved>(json.clone()).is_ok());
    let refused = |alter: &dyn Fn(&mut serde_json::Value)| {
        let mut altered = json.clone();
        alter(&mut altered);
        serde_json::from_value::<Saved>(altered).expect_err("altered").to_string()
    };
    assert!(refused(&|all| all[0] = 2.into()).contains("format 2"));
    assert!(refused(&|all| all[1] = (all[1].as_u64().unwrap() + 1).into()).contains("altered"), "time of saving");
    assert!(refused(&|all| all[3] = (all[3].as_u64().unwrap() ^ 1).into()).contains("altered"), "checksum");
    for at in 0..40 {
        assert!(refused(&|all| all[2][at][2] = 77.into()).contains("altered"), "time to live");
        assert!(refused(&|all| drop(all[2].as_array_mut().unwrap().remove(at))).contains("altered"), "one less");
    }
}

#[test]
fn other_types_are_an_error_of_the_format() {
    let sealed = filled(Identity).save_snapshot(|snapshot| serde_json::to_vec(snapshot)).unwrap();
    let map: TtlMap<u64, u64> = TtlMap::new(TTL);
    let failed = map.load_snapshot(&sealed, of_json).unwrap_err();
    assert!(matches!(&failed, LoadError::Format(message) if message.contains("invalid type")), "{failed}");
    assert!(map.is_empty());
}

#[test]
fn an_error_of_the_writer_is_handed_on() {
    assert_eq!(filled(Identity).save_snapshot(|_| Err("disk full")), Err("disk full"));
}

/// A key whose `Hash` may be told to panic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
struct Touchy(u64);

impl Hash for Touchy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        spark(Site::Hash);
        state.write_u64(self.0);
    }
}

#[test]
fn a_panic_while_loading_leaves_what_was_inserted_so_far() {
    let (map, clock): (TtlMap<Touchy, u64, _>, _) = manual_map(TTL, Identity);
    (0..100).for_each(|key| drop(map.insert(Touchy(key), key)));
    let bytes = map.save_snapshot(|snapshot| serde_json::to_vec(snapshot)).unwrap();
    let loaded: TtlMap<Touchy, u64> = TtlMap::builder().clock(&clock).build();
    let load = || loaded.load_snapshot(&bytes, serde_json::from_slice).unwrap();
    let broken = |_: &[u8]| -> Result<Snapshot<Touchy, u64>, String> { resume_unwind(Box::new("reader")) };
    let ended = catch_unwind(AssertUnwindSafe(|| loaded.load_snapshot(&bytes, broken)));
    assert!(ended.is_err() && loaded.stored_len() == 0);
    assert!(Fuse::new(Site::Hash, When::At(31)).run(load).is_err());
    assert_eq!((loaded.len(), loaded.stored_len()), (30, 30));
    assert_eq!(load(), 100);
    assert_eq!(loaded.len(), 100);
}

/// What a value was may grow: its new fields have defaults.
#[test]
fn a_value_with_new_fields_loads() {
    #[derive(Serialize)]
    struct Old {
        name: String,
    }
    #[derive(Deserialize)]
    struct New {
        name: String,
        #[serde(default)]
        visits: u32,
    }
    let (map, clock): (TtlMap<u64, Old, _>, _) = manual_map(Duration::MAX, Identity);
    map.insert(1, Old { name: "a".to_string() });
    let bytes = map.save_snapshot(|snapshot| serde_json::to_vec(snapshot)).unwrap();
    let loaded: TtlMap<u64, New> = TtlMap::builder().clock(&clock).build();
    assert_eq!(loaded.load_snapshot(&bytes, serde_json::from_slice).unwrap(), 1);
    assert!(loaded.get(&1).is_some_and(|new| new.name == "a" && new.visits == 0));
}

#[test]
fn saving_stops_nobody_and_misses_nothing_that_stays() {
    const STAYING: u64 = 500;
    let map: TtlMap<u64, u64> = TtlMap::builder().initial_capacity(1).clock(ManualClock::new()).build();
    (0..STAYING).for_each(|key| drop(map.insert(key, 0)));
    let (stop, writes) = (Stop::default(), AtomicU64::new(0));
    race(3, |thread| {
        if thread == 0 {
            let _at_end = stop.at_end();
            for _ in 0..scaled(10, 100) {
                let bytes = map.save_snapshot(|snapshot| postcard::to_stdvec(snapshot)).unwrap();
                let loaded: TtlMap<u64, u64> = TtlMap::new(TTL);
                assert!(loaded.load_snapshot(&bytes, postcard::from_bytes).unwrap() >= STAYING as usize);
                assert!((0..STAYING).all(|key| loaded.contains_key(&key)));
            }
        } else {
            let mut rng = Rng(thread as u64);
            while !stop.is_set() {
                let key = rng.below(2 * STAYING);
                let value = writes.fetch_add(1, Ordering::Relaxed);
                // Those that stay are replaced, the others come and go, so that the table grows and shrinks.
                if key < STAYING || value % 2 == 0 {
                    map.insert(key, value);
                } else {
                    map.remove(&key);
                }
            }
        }
    });
}
