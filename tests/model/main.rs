//! Random sequences of every verb, against a plain ordered map with a deadline beside each value: with a fixed time to live,
//! with an idle time, by a policy, and with jitter.

#[path = "../common/mod.rs"]
mod common;

mod checks;
mod plain;
mod play;
mod steps;

use std::time::Duration;

use checks::{check_all, check_deadlines};
use common::{Chosen, Collide, Identity, each_hasher, purge_all, scaled};
use plain::{IDLE, Model, Settings, TTL, Time};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use steps::{Step, Via, steps};
use ttlwheel::{ManualClock, Pinned, Ref};

fn run(settings: Settings, hasher: Chosen, steps: &[(Via, Step)]) {
    let clock = ManualClock::new();
    let map = settings.map(hasher, &clock);
    let mut model = Model::new(settings, &clock);
    let mut pins: Vec<(Pinned<'_, u64, u64, Chosen>, Time)> = Vec::new();
    let mut held: Vec<(Ref<'_, u64, u64>, u64, u64)> = Vec::new();
    for &(via, step) in steps {
        match step {
            Step::Hold(key) => {
                let live = model.live(key);
                let found = map.get(&key);
                model.read(key);
                assert_eq!(found.as_deref().copied(), live);
                assert_eq!(map.get_cloned(&key), live);
                model.read(key);
                held.extend(found.map(|found| (found, key, live.unwrap())));
            }
            Step::LetGo => held.clear(),
            // Through a pin that is held for long, reads move deadlines by an old time: not so here.
            Step::Pin if settings.slides() => {}
            Step::Pin => pins.push((map.pin(), model.now)),
            Step::Unpin => drop(pins.pop()),
            Step::Clear => {
                map.clear();
                model.lives.clear();
                assert_eq!((map.len(), map.stored_len()), (0, 0));
            }
            Step::Purge(budget) => {
                let purged = map.purge_expired(budget);
                assert!(purged.removed <= model.lives.len() - model.live_at(model.now).len());
            }
            Step::Advance(by) => {
                clock.advance(by);
                model.advance(by);
            }
            Step::Load(key, load) => play::load(&map, &mut model, key, load),
            Step::Extend(from, n, ttl) => play::extend(&map, &mut model, from..from + n, ttl),
            step => match via {
                Via::HeldPin(i) if !pins.is_empty() => {
                    let i = i % pins.len();
                    let (pin, reading) = &mut pins[i];
                    play::perform(pin, &mut model, reading, step);
                }
                via => {
                    let mut reading = model.now;
                    match via {
                        Via::Map => play::perform(&map, &mut model, &mut reading, step),
                        _ => play::perform(&map.pin(), &mut model, &mut reading, step),
                    }
                }
            },
        }
        assert!(held.iter().all(|(found, key, value)| found.key() == key && **found == *value), "a held pair changed");
        let stored = map.stored_len();
        assert!((map.len()..=model.lives.len()).contains(&stored), "stored_len {stored}");
        if model.lives.len() < 300 {
            check_deadlines(&map, &model);
        }
    }
    check_all(&map, &model, model.now);
    let clones = map.clone_into_hash_map();
    assert!(model.live_at(model.now).into_iter().all(|(key, value)| clones[&key] == value));
    assert_eq!(clones.len(), map.len());
    purge_all(&map);
    assert_eq!((map.len(), map.stored_len()), (model.live_at(model.now).len(), map.len()));
    #[cfg(feature = "stats")]
    checks::check_balance(&map);
}

/// How large a comparison is: keys, and how many of them the steps in bulk take at most; steps; and how many runs.
struct Size {
    keys: u64,
    most: u64,
    length: usize,
    cases: u64,
}

fn few() -> Size {
    Size { keys: 20, most: 20, length: 150, cases: scaled(400, 8_000) }
}

/// The same, less often.
fn seldom(size: Size) -> Size {
    Size { cases: size.cases.div_ceil(4), ..size }
}

fn hundreds() -> Size {
    Size { keys: 200, most: 200, length: 100, cases: scaled(40, 600) }
}

fn thousands() -> Size {
    Size { keys: 4_000, most: 8_000, length: 60, cases: scaled(10, 100) }
}

fn compare(settings: impl Strategy<Value = Settings> + 'static, hasher: Chosen, size: Size) {
    let persistence = FileFailurePersistence::WithSource("regressions");
    let mut runner = TestRunner::new(Config {
        cases: size.cases as u32,
        failure_persistence: Some(Box::new(persistence)),
        source_file: Some(file!()),
        ..Config::default()
    });
    let sequences = prop::collection::vec(steps(size.keys, size.most), 1..size.length);
    runner
        .run(&(settings.boxed(), sequences), |(settings, steps)| {
            run(settings, hasher.clone(), &steps);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

fn few_keys_behave_like_the_model(hasher: Chosen) {
    compare(Just(Settings::fixed()), hasher, few());
}

fn hundreds_of_keys_behave_like_the_model(hasher: Chosen) {
    compare(Just(Settings::fixed()), hasher, hundreds());
}

each_hasher!(few_keys_behave_like_the_model, hundreds_of_keys_behave_like_the_model);

#[test]
fn thousands_of_keys_behave_like_the_model_across_growth_and_shrinking() {
    compare(Just(Settings::fixed()), Chosen::std(), thousands());
    compare(Just(Settings::fixed()), Chosen::from(Identity), thousands());
}

/// An idle time, with a time to live that is longer, or shorter, or none.
fn idle() -> impl Strategy<Value = Settings> {
    prop::sample::select(vec![None, Some(TTL), Some(IDLE / 2), Some(Duration::ZERO)])
        .prop_map(|time_to_live| Settings { time_to_live, time_to_idle: Some(IDLE), ..Settings::default() })
}

fn policy() -> impl Strategy<Value = Settings> {
    Just(Settings { has_policy: true, ..Settings::default() })
}

/// Times of the map's, or of a policy's, that chance makes shorter.
fn jittered() -> impl Strategy<Value = Settings> {
    let share = prop::sample::select(vec![0.1, 0.5, 1.0]);
    let of_map = share.clone().prop_map(|jitter| Settings { jitter, ..Settings::fixed() });
    let of_policy = share.prop_map(|jitter| Settings { jitter, has_policy: true, ..Settings::default() });
    prop_oneof![of_map, of_policy]
}

#[test]
fn map_with_an_idle_time_behaves_like_the_model() {
    compare(idle(), Chosen::std(), seldom(few()));
    compare(idle(), Chosen::from(Collide::<1>), seldom(few()));
    compare(idle(), Chosen::std(), seldom(hundreds()));
}

#[test]
fn map_with_a_policy_behaves_like_the_model() {
    compare(policy(), Chosen::std(), seldom(few()));
    compare(policy(), Chosen::from(Collide::<4>), seldom(few()));
    compare(policy(), Chosen::std(), seldom(hundreds()));
}

#[test]
fn map_with_jitter_behaves_like_the_model() {
    compare(jittered(), Chosen::std(), seldom(few()));
    compare(jittered(), Chosen::std(), seldom(hundreds()));
}

#[test]
fn maps_whose_reads_move_deadlines_behave_like_the_model_across_growth_and_shrinking() {
    compare(idle(), Chosen::std(), seldom(thousands()));
    compare(policy(), Chosen::from(Identity), seldom(thousands()));
}
