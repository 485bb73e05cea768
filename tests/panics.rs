//! A panic of the user's own code, at every call in turn, leaves a sound and usable map (P14), and a map's drop
//! drops all the rest (P8).

mod common;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::fuse::{Fuse, Injected, Site, When};
use common::{Chosen, Collide, Counted, HighBits, Identity, Rng, Tally, manual_map, scaled, tally, tiny_map};
use ttlwheel::{ManualClock, TtlMap};

type Map<S = RandomState> = TtlMap<Counted<u64>, Counted<u64>, S>;

const TTL: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
enum Step {
    Insert(u64),
    Remove(u64),
    Get(u64),
    GetCloned(u64),
    ByPin(u64),
    Clear,
    Purge,
    Lapse,
}

/// Fills up (the table grows), then mixes all, then empties (the table shrinks) and fills again.
fn script() -> Vec<Step> {
    let mut rng = Rng(7);
    let mut steps: Vec<Step> = (0..150).map(Step::Insert).collect();
    for _ in 0..300 {
        let key = rng.below(160);
        steps.push(match rng.below(20) {
            0..7 => Step::Insert(key),
            7..11 => Step::Remove(key),
            11..14 => Step::Get(key),
            14..16 => Step::GetCloned(key),
            16..18 => Step::ByPin(key),
            18 => Step::Purge,
            _ => Step::Insert(key + 100),
        });
    }
    steps.extend([Step::Lapse, Step::Get(3), Step::Purge]);
    steps.extend((0..60).map(Step::Insert));
    steps.extend([Step::Clear, Step::Purge]);
    steps.extend((0..60).rev().map(Step::Insert));
    steps.extend((0..50).map(Step::Remove));
    steps
}

/// A map of counted entries beside its model.
struct Lab<S> {
    map: Map<S>,
    clock: ManualClock,
    model: BTreeMap<u64, u64>,
    tally: &'static Tally,
    value: u64,
}

impl<S: BuildHasher> Lab<S> {
    fn new(hasher: S, tally: &'static Tally) -> Self {
        let (map, clock) = manual_map(TTL, hasher);
        Lab { map, clock, model: BTreeMap::new(), tally, value: 0 }
    }

    /// Does the step, and compares with the model what it returned. The probes are counted and fused themselves.
    fn step(&mut self, step: Step, fuse: &mut Fuse) {
        self.value += 1;
        let (map, tally, value) = (&self.map, self.tally, self.value);
        match step {
            Step::Insert(key) => {
                let (k, v) = (tally.count(key), tally.count(value));
                let done = fuse.run(|| map.insert(k, v).replaced().map(|old| **old));
                let before = self.model.insert(key, value);
                self.settle(key, before, done.map(|old| assert_eq!(old, before)));
            }
            Step::Remove(key) => {
                let probe = tally.count(key);
                let done = fuse.run(|| map.remove(&probe).map(|old| **old));
                let before = self.model.remove(&key);
                self.settle(key, before, done.map(|old| assert_eq!(old, before)));
            }
            Step::Get(key) => {
                let probe = tally.count(key);
                let done = fuse.run(|| (map.get(&probe).map(|v| **v), map.contains_key(&probe)));
                let present = self.model.get(&key).copied();
                done.into_iter().for_each(|got| assert_eq!(got, (present, present.is_some())));
            }
            Step::GetCloned(key) => {
                let done = fuse.run(|| map.get_cloned(&key).map(|v| *v));
                done.into_iter().for_each(|got| assert_eq!(got, self.model.get(&key).copied()));
            }
            Step::ByPin(key) => {
                let (k, v) = (tally.count(key), tally.count(value));
                let done = fuse.run(|| {
                    let pin = map.pin();
                    pin.insert(k, v);
                    assert_eq!(pin.get(&key).map(|v| **v), Some(value));
                });
                let before = self.model.insert(key, value);
                self.settle(key, before, done);
            }
            Step::Clear => {
                let done = fuse.run(|| map.clear());
                // Whatever part of a clear was done before the panic.
                self.model.retain(|key, _| done.is_err() && map.contains_key(key));
            }
            Step::Purge => drop(fuse.run(|| map.purge_expired(50))),
            Step::Lapse => {
                self.clock.advance(TTL);
                self.model.clear();
            }
        }
    }

    /// A step that panicked was done or was not.
    fn settle(&mut self, key: u64, before: Option<u64>, done: Result<(), Injected>) {
        if done.is_ok() {
            return;
        }
        let after = self.model.get(&key).copied();
        let now = self.map.get(&key).map(|value| **value);
        assert!(now == before || now == after, "key {key}: {before:?} before, {after:?} after, {now:?} found");
        match now {
            Some(value) => drop(self.model.insert(key, value)),
            None => drop(self.model.remove(&key)),
        }
        self.check();
    }

    fn check(&self) {
        let mut pairs: Vec<_> = self.map.iter().map(|entry| (**entry.key(), **entry.value())).collect();
        pairs.sort_unstable();
        assert!(pairs.iter().copied().eq(self.model.iter().map(|(k, v)| (*k, *v))), "iter");
        assert!((0..260).all(|key| self.map.get(&key).map(|v| **v) == self.model.get(&key).copied()), "get");
        assert_eq!(self.map.len(), self.model.len());
        assert!(self.map.stored_len() >= self.map.len());
    }
}

/// Runs the script, and the map's drop, with a fuse; returns how many calls it has seen.
fn survive<S: BuildHasher>(hasher: S, site: Site, when: When, tally: &'static Tally) -> u64 {
    let mut fuse = Fuse::new(site, when);
    let mut lab = Lab::new(hasher, tally);
    for step in script() {
        lab.step(step, &mut fuse);
    }
    lab.check();
    // Garbage that had to wait is freed under the fuse, too.
    while fuse.run(|| lab.map.purge_expired(64)).map_or(true, |purged| purged.more) {}
    assert_eq!(lab.map.stored_len(), lab.map.len());
    let _ = fuse.run(|| drop(lab.map));
    tally.assert_balanced();
    fuse.calls()
}

/// A panic at call 1, 2, 3... (of many thousands not at each) until the script is too short to reach it.
fn survive_each<S: BuildHasher + Clone>(hasher: S, site: Site, tally: &'static Tally) {
    let stride = if cfg!(debug_assertions) { 23 } else { 1 };
    let mut n = 1;
    while survive(hasher.clone(), site, When::At(n), tally) >= n {
        n += if n < 50 { 1 } else { stride.max(n / 300) };
    }
    assert!(n > 50, "only {n} calls at {site:?}");
}

#[test]
fn hash_panics_at_each_call() {
    survive_each(Chosen::from(Identity), Site::Hash, tally!());
    survive_each(Chosen::from(HighBits), Site::Hash, tally!());
}

#[test]
fn eq_panics_at_each_call() {
    survive_each(Chosen::from(Identity), Site::Eq, tally!());
    survive_each(Chosen::from(Collide::<4>), Site::Eq, tally!());
}

#[test]
fn clone_panics_at_each_call() {
    let tally = tally!();
    for n in 1.. {
        if survive(Chosen::from(Identity), Site::Clone, When::At(n), tally) < n {
            assert!(n > 5);
            break;
        }
    }
}

#[test]
fn drop_panics_at_each_call() {
    survive_each(Chosen::from(Identity), Site::Drop, tally!());
    survive_each(Chosen::from(Collide::<4>), Site::Drop, tally!());
}

#[test]
fn panics_come_again_and_again() {
    let tally = tally!();
    for site in [Site::Hash, Site::Eq, Site::Clone, Site::Drop] {
        for every in [2, 3, 5, 17] {
            survive(Chosen::from(Identity), site, When::Every(every), tally);
            survive(Chosen::from(Collide::<4>), site, When::Every(every), tally);
        }
    }
}

/// A map with live, lapsed, replaced and removed entries.
fn used_map(tally: &'static Tally) -> Map {
    let (map, clock) = manual_map(TTL, RandomState::new());
    let insert = |key: u64| drop(map.insert(tally.count(key), tally.count(key)));
    (0..100).for_each(insert);
    clock.advance(TTL);
    (50..200).for_each(insert);
    (150..250).for_each(insert);
    (200..220).for_each(|key| drop(map.remove(&key)));
    map
}

#[test]
fn a_panicking_destructor_in_the_maps_drop_spares_no_other() {
    let tally = tally!();
    for n in (1..=700).step_by(scaled(13, 1) as usize) {
        let map = used_map(tally);
        let _ = Fuse::new(Site::Drop, When::At(n)).run(|| drop(map));
        tally.assert_balanced();
    }
    for every in 1..10 {
        let map = used_map(tally);
        let mut fuse = Fuse::new(Site::Drop, When::Every(every));
        let _ = fuse.run(|| drop(map));
        assert!(fuse.calls() >= 400);
        tally.assert_balanced();
    }
}

#[test]
fn a_panicking_destructor_while_a_panic_drops_the_map_spares_no_other() {
    let tally = tally!();
    let map = used_map(tally);
    let ended = Fuse::new(Site::Drop, When::At(5)).run(move || {
        let _map = map;
        resume_unwind(Box::new(Injected));
    });
    let Err(Injected) = ended;
    tally.assert_balanced();
}

#[test]
fn key_and_value_of_each_entry_panic_in_the_maps_drop() {
    /// Counts its drop and panics, always.
    struct Grenade(&'static AtomicU64);
    impl Drop for Grenade {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            resume_unwind(Box::new(Injected));
        }
    }
    struct Key(u64, #[expect(dead_code)] Grenade);
    impl std::hash::Hash for Key {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    impl PartialEq for Key {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Key {}
    static DROPS: AtomicU64 = AtomicU64::new(0);
    let map: TtlMap<Key, Grenade> = tiny_map(RandomState::new());
    for key in 0..100 {
        map.insert(Key(key, Grenade(&DROPS)), Grenade(&DROPS));
    }
    let _ = Fuse::new(Site::Drop, When::At(0)).run(|| drop(map));
    assert_eq!(DROPS.load(Ordering::Relaxed), 200);
}
