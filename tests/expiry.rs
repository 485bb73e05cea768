//! Policies: when they are asked, and what becomes of their answers; jitter.

mod common;

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use common::{Collide, purge_all};
use ttlwheel::{AfterRead, Deadline, Expiry, ManualClock, TtlMap};

const NS: Duration = Duration::from_nanos(1);
const SECOND: Duration = Duration::from_secs(1);
const CREATED: Duration = Duration::from_secs(100);
const UPDATED: Duration = Duration::from_secs(200);

/// What a policy was asked: a verb, the value, and what was left to live.
type Asked = (&'static str, u64, Option<Duration>);

/// Writes down what it is asked.
#[derive(Clone)]
struct Recorder {
    asked: Arc<Mutex<Vec<Asked>>>,
    on_read: Arc<Mutex<AfterRead>>,
    panics: Arc<AtomicBool>,
}

impl Recorder {
    fn note(&self, asked: Asked) {
        assert!(!self.panics.load(Relaxed), "as told");
        self.asked.lock().unwrap().push(asked);
    }

    fn answers_reads(&self, answer: AfterRead) {
        *self.on_read.lock().unwrap() = answer;
    }

    fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Expiry<u64, u64> for Recorder {
    fn after_create(&self, _: &u64, value: &u64) -> Option<Duration> {
        self.note(("create", *value, None));
        Some(CREATED)
    }

    fn after_update(&self, _: &u64, value: &u64, remaining: Option<Duration>) -> Option<Duration> {
        self.note(("update", *value, remaining));
        Some(UPDATED)
    }

    fn after_read(&self, _: &u64, value: &u64, remaining: Option<Duration>) -> AfterRead {
        self.note(("read", *value, remaining));
        *self.on_read.lock().unwrap()
    }
}

type Map = TtlMap<u64, u64>;
/// A verb, and what it does.
type Verb = (&'static str, fn(&Map));

fn recorded_map() -> (Map, ManualClock, Recorder) {
    let recorder = Recorder { asked: Arc::default(), on_read: Arc::default(), panics: Arc::default() };
    let clock = ManualClock::new();
    // A policy decides alone.
    let builder = TtlMap::builder().time_to_live(SECOND).time_to_idle(SECOND);
    let map = builder.expiry(recorder.clone()).clock(&clock).build();
    clock.advance(SECOND);
    (map, clock, recorder)
}

#[test]
fn policy_is_asked_of_each_new_value() {
    let inserts: [Verb; 7] = [
        ("insert", |map| drop(map.insert(1, 10))),
        ("try_insert", |map| drop(map.try_insert(1, 10))),
        ("insert_if", |map| assert!(map.insert_if(1, 10, |_| true).is_ok())),
        ("compute", |map| drop(map.update_or_insert_with(1, |_| unreachable!(), || 10))),
        ("load", |map| assert_eq!(*map.get_or_insert_with(1, || 10), 10)),
        ("entry", |map| assert_eq!(map.pin().entry(1).or_insert(10), &10)),
        ("over a lapsed one", |map| {
            drop(map.insert_with_ttl(1, 9, Duration::ZERO));
            assert!(map.pin().insert(1, 10).replaced().is_none());
        }),
    ];
    for (name, insert) in inserts {
        let (map, _, recorder) = recorded_map();
        insert(&map);
        assert_eq!(recorder.take(), [("create", 10, None)], "{name}");
        assert_eq!(map.ttl(&1), Some(CREATED), "{name}");
    }
}

#[test]
fn policy_is_asked_of_each_value_in_place_of_another() {
    let updates: [Verb; 6] = [
        ("insert", |map| drop(map.insert(1, 11))),
        ("replace", |map| assert!(map.replace(1, 11).is_ok())),
        ("update", |map| drop(map.update(1, |value| value + 1))),
        ("compare_exchange", |map| assert!(map.compare_exchange(1, &10, 11).is_ok())),
        ("and_update", |map| assert_eq!(map.pin().entry(1).and_update(|value| value + 1).or_default(), &11)),
        ("touch", |map| assert!(map.touch(&1).is_changed())),
    ];
    for (name, update) in updates {
        let (map, clock, recorder) = recorded_map();
        map.insert(1, 10);
        clock.advance(SECOND);
        recorder.take();
        update(&map);
        let value = if name == "touch" { 10 } else { 11 };
        // What is asked last counts.
        assert_eq!(recorder.take().last(), Some(&("update", value, Some(CREATED - SECOND))), "{name}");
        assert_eq!(map.ttl(&1), Some(UPDATED), "{name}");
        clock.advance(UPDATED - NS);
        assert!(map.contains_key(&1));
        clock.advance(NS);
        assert_eq!(purge_all(&map), 1, "{name}: reminded of in time");
    }
}

#[test]
fn read_moves_a_deadline_as_the_policy_says() {
    let set = |secs: u64| AfterRead::Set(Some(Duration::from_secs(secs)));
    let cases = [
        (AfterRead::Keep, Some(CREATED - SECOND)),
        (set(200), Some(Duration::from_secs(200))),
        (set(50), Some(Duration::from_secs(50))),
        // By less than a sixteenth.
        (set(105), Some(CREATED - SECOND)),
        (set(94), Some(CREATED - SECOND)),
        (set(106), Some(Duration::from_secs(106))),
        (set(93), Some(Duration::from_secs(93))),
        (set(0), Some(NS)),
        (AfterRead::Set(Some(Duration::MAX)), Some(Duration::MAX)),
        (AfterRead::Set(None), Some(Duration::MAX)),
    ];
    for (answer, ttl) in cases {
        let (map, clock, recorder) = recorded_map();
        map.insert(1, 10);
        clock.advance(SECOND);
        recorder.take();
        recorder.answers_reads(answer);
        assert_eq!(map.get_cloned(&1), Some(10));
        assert_eq!(recorder.take(), [("read", 10, Some(CREATED - SECOND))]);
        assert_eq!(map.ttl(&1), ttl, "{answer:?}");
        if let Some(ttl) = ttl.filter(|&ttl| ttl < CREATED) {
            clock.advance(ttl);
            assert_eq!(purge_all(&map), 1, "{answer:?}: reminded of in time");
        }
    }
}

#[test]
fn value_for_ever_comes_to_an_end_by_a_read() {
    let (map, clock, recorder) = recorded_map();
    map.insert(1, 10);
    assert!(map.persist(&1).is_changed());
    recorder.answers_reads(AfterRead::Set(Some(SECOND)));
    assert_eq!(map.get_cloned(&1), Some(10));
    assert_eq!(recorder.take().last(), Some(&("read", 10, None)));
    clock.advance(SECOND);
    assert_eq!(purge_all(&map), 1);
}

#[test]
fn entries_with_a_time_of_their_own_keep_it() {
    for answer in [AfterRead::Set(Some(SECOND)), AfterRead::Set(Some(UPDATED)), AfterRead::Set(None)] {
        let (map, clock, recorder) = recorded_map();
        recorder.answers_reads(answer);
        map.insert_with_ttl(1, 10, CREATED);
        map.insert_forever(2, 20);
        clock.advance(SECOND);
        assert_eq!((map.get_cloned(&1), map.get_cloned(&2)), (Some(10), Some(20)));
        assert_eq!(map.ttl(&1), Some(CREATED - SECOND));
        assert_eq!(map.deadline(&2), Some(Deadline::Never));
    }
}

#[test]
fn panic_of_a_policy_changes_nothing() {
    let verbs: [Verb; 8] = [
        ("insert new", |map| drop(map.insert(2, 20))),
        ("insert", |map| drop(map.insert(1, 11))),
        ("update", |map| drop(map.update(1, |value| value + 1))),
        ("load", |map| drop(map.get_or_insert_with(2, || 20))),
        ("get", |map| drop(map.get(&1))),
        ("pinned get", |map| assert!(map.pin().get(&1).is_some())),
        ("get_many", |map| map.get_many(&[1], |_, _| {})),
        ("touch", |map| assert!(map.touch(&1).is_changed())),
    ];
    let (map, clock, recorder) = recorded_map();
    map.insert(1, 10);
    for (name, verb) in verbs {
        recorder.panics.store(true, Relaxed);
        assert!(catch_unwind(AssertUnwindSafe(|| verb(&map))).is_err(), "{name}");
        recorder.panics.store(false, Relaxed);
        assert_eq!((map.peek(&1).as_deref(), map.ttl(&1)), (Some(&10), Some(CREATED)), "{name}");
        assert_eq!(map.stored_len(), 1, "{name}");
    }
    assert_eq!(*map.get_or_insert_with(2, || 20), 20, "the load that panicked holds nobody up");
    clock.advance(CREATED);
    assert_eq!(purge_all(&map), 2);
}

/// Removes the key's value while it says how long the next one lives.
#[derive(Clone, Default)]
struct Meddler(Arc<OnceLock<Weak<Map>>>);

impl Expiry<u64, u64> for Meddler {
    fn after_create(&self, _: &u64, _: &u64) -> Option<Duration> {
        Some(CREATED)
    }

    fn after_update(&self, key: &u64, _: &u64, _: Option<Duration>) -> Option<Duration> {
        let map = self.0.get().and_then(Weak::upgrade).expect("set below");
        assert!(map.remove(key).is_some());
        Some(UPDATED)
    }
}

#[test]
fn answer_for_what_was_done_counts() {
    let meddler = Meddler::default();
    let map: Arc<Map> = Arc::new(TtlMap::builder().expiry(meddler.clone()).clock(ManualClock::new()).build());
    meddler.0.set(Arc::downgrade(&map)).unwrap();
    map.insert(1, 10);
    assert_eq!(map.insert(1, 11).replaced().as_deref(), None);
    assert_eq!(map.ttl(&1), Some(CREATED), "by then it was new");
    assert_eq!(*map.update_or_insert_with(1, |_| 12, || 13), 13);
    assert_eq!(map.ttl(&1), Some(CREATED), "and again");
}

#[test]
fn closure_is_a_policy_and_may_use_the_map() {
    let clock = ManualClock::new();
    let others: Arc<Map> = Arc::new(TtlMap::builder().clock(&clock).build());
    let lives = Arc::clone(&others);
    let policy = move |key: &u64, _: &u64| lives.get_cloned(key).map(Duration::from_secs);
    let map = TtlMap::builder().expiry(policy).clock(&clock).build();
    others.insert(1, 5);
    map.insert(1, 10);
    map.insert(2, 20);
    assert_eq!((map.ttl(&1), map.ttl(&2)), (Some(5 * SECOND), Some(Duration::MAX)));
}

#[test]
fn shorter_life_in_place_of_a_longer_one_is_reminded_of() {
    let clock = ManualClock::new();
    let map = TtlMap::builder().expiry(|_: &u64, secs: &u64| Some(Duration::from_secs(*secs))).clock(&clock).build();
    map.insert(1, 100);
    map.insert(1, 5);
    clock.advance(5 * SECOND);
    assert_eq!(purge_all(&map), 1);
}

#[test]
fn no_answer_of_a_policy_is_a_bad_one() {
    for ttl in [Duration::ZERO, NS, Duration::MAX] {
        let clock = ManualClock::new();
        let map =
            TtlMap::builder().hasher(Collide::<1>).expiry(move |_: &u64, _: &u64| Some(ttl)).clock(&clock).build();
        (0..100).for_each(|n| drop(map.insert(n, n)));
        assert_eq!(map.len(), if ttl.is_zero() { 0 } else { 100 });
        clock.advance(NS);
        assert_eq!(map.len(), if ttl == Duration::MAX { 100 } else { 0 });
    }
}

fn jittered(share: f64, ttl: Duration) -> Vec<Duration> {
    let clock = ManualClock::new();
    let map = TtlMap::builder()
        .time_to_live(ttl)
        .jitter(share)
        .hasher(BuildHasherDefault::<DefaultHasher>::new())
        .clock(&clock)
        .build();
    (0..1000u64).for_each(|n| drop(map.insert(n, n)));
    (0..1000u64).map(|n| map.ttl(&n).unwrap_or(Duration::ZERO)).collect()
}

#[test]
fn jitter_shortens_by_up_to_its_share_and_evenly() {
    let mut ttls = jittered(0.1, CREATED);
    ttls.sort();
    assert!(ttls[0] >= CREATED - CREATED / 10 && ttls[999] <= CREATED);
    for tenth in 0..10 {
        let from = CREATED - CREATED / 10 + tenth * CREATED / 100;
        let within = ttls.iter().filter(|&&ttl| (from..from + CREATED / 100).contains(&ttl)).count();
        assert!((50..150).contains(&within), "{within} in tenth {tenth}");
    }
}

#[test]
fn no_jitter_is_a_bad_one() {
    for share in [0.0, -0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
        assert!(jittered(share, CREATED).iter().all(|&ttl| ttl == CREATED), "{share}");
    }
    for share in [1.0, 2.0, f64::INFINITY, f64::MAX] {
        let ttls = jittered(share, CREATED);
        assert!(ttls.iter().all(|&ttl| ttl <= CREATED), "{share}");
        assert!(ttls.iter().any(|&ttl| ttl < CREATED / 10) && ttls.iter().any(|&ttl| ttl > CREATED * 9 / 10));
    }
    for ttl in [Duration::ZERO, NS, 3 * NS, Duration::from_nanos(u64::MAX / 4), Duration::MAX] {
        assert!(jittered(0.5, ttl).iter().all(|&jittered| jittered <= ttl), "{ttl:?}");
    }
    assert!(jittered(f64::MIN_POSITIVE, CREATED).iter().all(|&ttl| ttl == CREATED));
}

#[test]
fn touched_value_gets_a_time_of_its_own_chance() {
    let clock = ManualClock::new();
    let fixed = TtlMap::<u64, u64>::builder().time_to_live(CREATED);
    let by_policy = TtlMap::<u64, u64>::builder().expiry(|_: &u64, _: &u64| Some(CREATED));
    for builder in [fixed, by_policy] {
        let map: Map = builder.jitter(0.5).clock(&clock).build();
        (0..100).for_each(|n| drop(map.insert_with_ttl(n, n, CREATED)));
        (0..100).for_each(|n| assert!(map.touch(&n).is_changed()));
        let mut ttls: Vec<_> = (0..100).filter_map(|n| map.ttl(&n)).collect();
        ttls.sort();
        ttls.dedup();
        assert!(ttls.len() > 90, "{} different times", ttls.len());
        assert!(ttls[0] >= CREATED / 2 && ttls[ttls.len() - 1] <= CREATED);
    }
}

#[test]
fn jitter_is_for_the_times_that_the_map_gives() {
    let clock = ManualClock::new();
    let map: Map = TtlMap::builder().time_to_idle(CREATED).jitter(1.0).clock(&clock).build();
    (0..20).for_each(|n| drop(map.insert(n, n)));
    (20..40).for_each(|n| drop(map.insert_with_ttl(n, n, CREATED)));
    assert!((0..40).all(|n| map.ttl(&n) == Some(CREATED)));
    let policy = |_: &u64, _: &u64| Some(CREATED);
    let map: Map = TtlMap::builder().expiry(policy).jitter(0.5).clock(&clock).build();
    (0..20).for_each(|n| drop(map.insert(n, n)));
    assert!((0..20).any(|n| map.ttl(&n) < Some(CREATED)) && (0..20).all(|n| map.ttl(&n) >= Some(CREATED / 2)));
}
