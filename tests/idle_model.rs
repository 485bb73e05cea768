//! Random sequences of verbs on a map with an idle time, against a plain map with a deadline and a bound beside each value.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{purge_all, scaled};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use ttlwheel::{Condition, Deadline, ManualClock, TtlMap};

/// Nanoseconds, of times and of durations.
const IDLE: u64 = 16_000_000;
const LIVE: u64 = 100_000_000;
const NEVER: u64 = u64::MAX;

#[derive(Clone, Copy, Debug)]
enum Step {
    Insert(u64),
    InsertWithTtl(u64, u64),
    Get(u64),
    Peek(u64),
    Update(u64),
    ExpireIn(u64, u64),
    Touch(u64),
    Persist(u64),
    Advance(u64),
    Purge,
}

fn steps() -> impl Strategy<Value = Step> {
    let key = || 0..6u64;
    let time = || {
        prop_oneof![
            2 => prop::sample::select(vec![0, 1, IDLE / 16 - 1, IDLE / 16, IDLE / 16 + 1, IDLE - 1, IDLE, LIVE]),
            3 => 0..IDLE,
            1 => 0..2 * LIVE,
        ]
    };
    prop_oneof![
        4 => key().prop_map(Step::Insert),
        2 => (key(), time()).prop_map(|(key, ttl)| Step::InsertWithTtl(key, ttl)),
        12 => key().prop_map(Step::Get),
        4 => key().prop_map(Step::Peek),
        2 => key().prop_map(Step::Update),
        2 => (key(), time()).prop_map(|(key, ttl)| Step::ExpireIn(key, ttl)),
        1 => key().prop_map(Step::Touch),
        1 => key().prop_map(Step::Persist),
        8 => time().prop_map(Step::Advance),
        1 => Just(Step::Purge),
    ]
}

struct Life {
    deadline: u64,
    /// How far reads may move the deadline; zero if they may not.
    bound: u64,
}

/// What a map with these settings has, by key.
struct Model {
    time_to_live: Option<u64>,
    now: u64,
    lives: BTreeMap<u64, Life>,
}

impl Model {
    fn insert(&mut self, key: u64) {
        let bound = self.time_to_live.map_or(NEVER, |live| self.now + live);
        self.lives.insert(key, Life { deadline: bound.min(self.now + IDLE), bound });
    }

    fn read(&mut self, key: u64) {
        let Some(life) = self.lives.get_mut(&key) else { return };
        let to = life.bound.min(self.now + IDLE);
        // What a read would add to the deadline were there no bound.
        if (self.now + IDLE).saturating_sub(life.deadline) >= IDLE / 16 && to > life.deadline {
            life.deadline = to;
        }
    }

    fn set(&mut self, key: u64, deadline: u64) {
        self.lives.entry(key).and_modify(|life| life.deadline = deadline);
    }

    fn bury(&mut self) {
        self.lives.retain(|_, life| self.now < life.deadline);
    }
}

fn run(time_to_live: Option<u64>, steps: &[Step]) {
    let clock = ManualClock::new();
    let start = clock.now();
    let builder = TtlMap::<u64, u64>::builder().time_to_idle(Duration::from_nanos(IDLE)).clock(&clock);
    let map = match time_to_live {
        Some(live) => builder.time_to_live(Duration::from_nanos(live)).build(),
        None => builder.build(),
    };
    let mut model = Model { time_to_live, now: 0, lives: BTreeMap::new() };
    for &step in steps {
        let is_live = |key| model.lives.contains_key(&key);
        match step {
            Step::Insert(key) => {
                assert_eq!(map.insert(key, key).replaced().is_some(), is_live(key));
                model.insert(key);
            }
            Step::InsertWithTtl(key, ttl) => {
                assert_eq!(map.insert_with_ttl(key, key, Duration::from_nanos(ttl)).replaced().is_some(), is_live(key));
                model.lives.insert(key, Life { deadline: model.now + ttl, bound: 0 });
            }
            Step::Get(key) => {
                assert_eq!(map.get(&key).is_some(), is_live(key));
                model.read(key);
            }
            Step::Peek(key) => assert_eq!(map.peek(&key).is_some(), is_live(key)),
            Step::Update(key) => {
                let was_live = is_live(key);
                assert_eq!(map.update(key, |value| *value).is_some(), was_live);
                if was_live {
                    model.insert(key);
                }
            }
            Step::ExpireIn(key, ttl) => {
                let outcome = map.expire_in(&key, Duration::from_nanos(ttl), Condition::Always);
                assert_eq!(outcome.is_changed(), is_live(key));
                model.set(key, model.now + ttl);
            }
            Step::Touch(key) => {
                assert_eq!(map.touch(&key).is_changed(), is_live(key));
                model.set(key, model.now + time_to_live.map_or(IDLE, |live| live.min(IDLE)));
            }
            Step::Persist(key) => {
                map.persist(&key);
                model.set(key, NEVER);
            }
            Step::Advance(by) => {
                clock.advance(Duration::from_nanos(by));
                model.now += by;
            }
            Step::Purge => drop(purge_all(&map)),
        }
        model.bury();
        for key in 0..6 {
            let expected = model.lives.get(&key).map(|life| match life.deadline {
                NEVER => Deadline::Never,
                at => Deadline::At(start + Duration::from_nanos(at)),
            });
            assert_eq!(map.deadline(&key), expected, "key {key} after {step:?}");
        }
    }
    purge_all(&map);
    assert_eq!(map.stored_len(), model.lives.len());
}

#[test]
fn map_with_an_idle_time_behaves_like_the_model() {
    let persistence = FileFailurePersistence::WithSource("regressions");
    let config = Config {
        cases: scaled(300, 2_000) as u32,
        failure_persistence: Some(Box::new(persistence)),
        ..Config::default()
    };
    let time_to_live = prop_oneof![Just(None), Just(Some(LIVE)), Just(Some(IDLE / 2))];
    let sequences = (time_to_live, prop::collection::vec(steps(), 1..150));
    TestRunner::new(config)
        .run(&sequences, |(time_to_live, steps)| {
            run(time_to_live, &steps);
            Ok(())
        })
        .unwrap();
}
