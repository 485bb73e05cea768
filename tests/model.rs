//! Random sequences of every verb, against a plain ordered map with a deadline beside each value.

mod common;

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use common::{Verbs, each_hasher, manual_map, purge_all, scaled};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use ttlwheel::{Computed, Condition, Deadline, Inserted, ManualClock, Operation, Pinned, Ref, Retimed, TtlMap};

const TTL: Duration = Duration::from_millis(50);

/// Which face of the map does a step.
#[derive(Clone, Copy, Debug)]
enum Via {
    Map,
    NewPin,
    /// The held pin at this index, modulo how many there are; a new one if there is none.
    HeldPin(usize),
}

#[derive(Clone, Copy, Debug)]
enum When {
    Default,
    Ttl(Duration),
    /// An instant so long after (or, negative, before) the clock's start.
    At(i128),
    Never,
}

/// A verb that acts by what is there; `true` is a condition that holds.
#[derive(Clone, Copy, Debug)]
enum Act {
    TryInsert,
    Replace,
    InsertIf(bool),
    CompareExchange(bool),
    RemoveIf(bool),
    Update,
    UpdateOrInsert,
    /// Inserts, removes, aborts.
    Compute(u8),
    OrInsert,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Insert(u64, When),
    Read(u64),
    Remove(u64),
    RemoveEntry(u64),
    Retime(u64, When, Condition),
    Act(u64, Act),
    /// Keeps the keys that leave this remainder by three.
    Retain(u64),
    TakeAll,
    /// Keeps what a get returns until `LetGo`.
    Hold(u64),
    LetGo,
    Pin,
    Unpin,
    All,
    Clear,
    Purge(usize),
    Advance(Duration),
    /// So many keys from the first one, inserted or removed: the table grows and shrinks.
    Fill(u64, u64, When),
    Drain(u64, u64),
}

fn durations() -> impl Strategy<Value = Duration> {
    let tick = 1_000_000;
    prop_oneof![
        4 => prop::sample::select(vec![0, 1, 999, 1_000, tick - 1, tick, tick + 1, 63 * tick, 64 * tick, 65 * tick])
            .prop_map(Duration::from_nanos),
        4 => (-1..=1i64).prop_map(|off| Duration::from_nanos((TTL.as_nanos() as u64).wrapping_add_signed(off))),
        2 => (0..200u64).prop_map(Duration::from_millis),
        1 => prop::sample::select(vec![1, 3_600, 30 * 86_400, 400 * 86_400]).prop_map(Duration::from_secs),
    ]
}

fn whens() -> impl Strategy<Value = When> {
    prop_oneof![
        4 => Just(When::Default),
        4 => durations().prop_map(When::Ttl),
        1 => prop::sample::select(vec![Duration::from_nanos(u64::MAX), Duration::MAX]).prop_map(When::Ttl),
        2 => (-1_000_000..300_000_000i128).prop_map(When::At),
        1 => prop::sample::select(vec![-1i128, 0, 1, 1 << 63, (1 << 64) - 2, 1 << 64, 1 << 80]).prop_map(When::At),
        2 => Just(When::Never),
    ]
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => Just(Act::TryInsert),
        1 => Just(Act::Replace),
        1 => any::<bool>().prop_map(Act::InsertIf),
        1 => any::<bool>().prop_map(Act::CompareExchange),
        1 => any::<bool>().prop_map(Act::RemoveIf),
        1 => Just(Act::Update),
        1 => Just(Act::UpdateOrInsert),
        2 => (0..3u8).prop_map(Act::Compute),
        1 => Just(Act::OrInsert),
    ]
}

fn conditions() -> impl Strategy<Value = Condition> {
    use Condition::{Always, IfEarlier, IfLater, IfNone, IfSome};
    prop::sample::select(vec![Always, Always, IfNone, IfSome, IfLater, IfEarlier])
}

fn steps(keys: u64, most: u64) -> impl Strategy<Value = (Via, Step)> {
    let via = prop_oneof![3 => Just(Via::Map), 2 => Just(Via::NewPin), 2 => (0..4usize).prop_map(Via::HeldPin)];
    let step = prop_oneof![
        24 => (0..keys, whens()).prop_map(|(key, when)| Step::Insert(key, when)),
        24 => (0..keys).prop_map(Step::Read),
        8 => (0..keys).prop_map(Step::Remove),
        4 => (0..keys).prop_map(Step::RemoveEntry),
        12 => (0..keys, whens(), conditions()).prop_map(|(key, when, condition)| Step::Retime(key, when, condition)),
        16 => (0..keys, acts()).prop_map(|(key, act)| Step::Act(key, act)),
        1 => (0..3u64).prop_map(Step::Retain),
        1 => Just(Step::TakeAll),
        3 => (0..keys).prop_map(Step::Hold),
        1 => Just(Step::LetGo),
        2 => Just(Step::Pin),
        2 => Just(Step::Unpin),
        4 => Just(Step::All),
        1 => Just(Step::Clear),
        4 => (1..40usize).prop_map(Step::Purge),
        12 => durations().prop_map(Step::Advance),
        // To the clock's end, where all that is finite has lapsed.
        1 => Just(Step::Advance(if keys < 100 { Duration::MAX } else { TTL * 2 })),
        5 => (0..keys, 0..most, whens()).prop_map(|(from, n, when)| Step::Fill(from, n, when)),
        4 => (0..keys, 0..most).prop_map(|(from, n)| Step::Drain(from, n)),
    ];
    (via, step)
}

/// Nanoseconds since the test's start; `NEVER` is past all that the clock can show.
type Time = i128;
const NEVER: Time = Time::MAX;

/// The plain map. Lapsed entries stay in it, as they may be stored, until something is known to have removed them.
struct Model {
    start: Instant,
    /// The last time that the clock can show.
    end: Time,
    now: Time,
    entries: BTreeMap<u64, (u64, Time)>,
    next_value: u64,
}

impl Model {
    fn new(clock: &ManualClock) -> Self {
        let probe = ManualClock::new();
        let start = probe.now();
        probe.advance(Duration::MAX);
        let end = (probe.now() - start).as_nanos() as Time;
        Model { start: clock.now(), end, now: 0, entries: BTreeMap::new(), next_value: 0 }
    }

    fn deadline(&self, when: When) -> Time {
        let at = match when {
            When::Default => self.now + TTL.as_nanos() as Time,
            When::Ttl(ttl) => self.now + ttl.as_nanos() as Time,
            When::At(at) => at,
            When::Never => NEVER,
        };
        if at > self.end { NEVER } else { at }
    }

    fn instant(&self, at: Time) -> Instant {
        let by = Duration::from_secs((at.unsigned_abs() / 1_000_000_000) as u64)
            + Duration::from_nanos((at.unsigned_abs() % 1_000_000_000) as u64);
        if at < 0 { self.start.checked_sub(by).unwrap_or(self.start) } else { self.start + by }
    }

    /// Live at `now`.
    fn live_at(&self, now: Time) -> Vec<(u64, u64)> {
        self.entries.iter().filter(|(_, e)| now < e.1).map(|(key, e)| (*key, e.0)).collect()
    }

    fn live(&self, key: u64) -> Option<u64> {
        self.entries.get(&key).filter(|e| self.now < e.1).map(|e| e.0)
    }
}

/// A read by a handle whose clock reading is `reading` (that of a held pin may be old).
///
/// What is live now is seen, what had lapsed at the reading is not; what lapsed since may be seen, unless somebody
/// has acted on its lapse.
fn check_read(handle: &impl Verbs, model: &Model, reading: Time, key: u64) {
    let got = handle.get(key);
    let entry = model.entries.get(&key).copied();
    match entry {
        Some((value, deadline)) if model.now < deadline => {
            assert_eq!(got, Some(value), "live key {key}");
            assert_eq!(handle.get_key_value(key), Some((key, value)));
            assert!(handle.contains_key(key));
            let at = handle.deadline(key).expect("a live entry has a deadline");
            let ttl = handle.ttl(key).expect("a live entry has a time to live");
            if deadline == NEVER {
                assert_eq!((at, ttl), (Deadline::Never, Duration::MAX));
            } else {
                assert_eq!(at, Deadline::At(model.instant(deadline)));
                let left = ttl.as_nanos() as Time;
                assert!((deadline - model.now..=deadline - reading).contains(&left), "ttl {ttl:?}");
            }
        }
        Some((value, deadline)) if reading < deadline => assert!(got.is_none() || got == Some(value)),
        _ => {
            assert_eq!(got, None, "absent or lapsed key {key}: {entry:?}");
            assert_eq!(handle.get_key_value(key), None);
            assert!(!handle.contains_key(key));
            assert_eq!((handle.deadline(key), handle.ttl(key)), (None, None));
        }
    }
}

fn check_all(handle: &impl Verbs, model: &Model, reading: Time) {
    let (now, then) = (model.live_at(model.now), model.live_at(reading));
    let got = handle.pairs();
    assert!(now.iter().all(|pair| got.binary_search(pair).is_ok()), "iter misses a live pair");
    assert!(got.iter().all(|pair| then.binary_search(pair).is_ok()), "iter shows an absent pair");
    assert!(got.windows(2).all(|pairs| pairs[0].0 < pairs[1].0), "iter shows a key twice");
    assert!((now.len()..=then.len()).contains(&handle.len()));
    assert!(if handle.is_empty() { now.is_empty() } else { !then.is_empty() });
}

fn insert(handle: &impl Verbs, model: &mut Model, key: u64, when: When) {
    model.next_value += 1;
    let value = model.next_value;
    let deadline = model.deadline(when);
    let outcome = match when {
        When::Default => handle.insert(key, value),
        When::Ttl(ttl) => handle.insert_with_ttl(key, value, ttl),
        When::At(at) => handle.insert_at(key, value, Deadline::At(model.instant(at))),
        When::Never if value % 2 == 0 => handle.insert_at(key, value, Deadline::Never),
        When::Never => handle.insert_forever(key, value),
    };
    match (model.entries.insert(key, (value, deadline)), outcome) {
        (None, outcome) => assert_eq!(outcome, Inserted::New),
        (Some((old, end)), outcome) if model.now < end => assert_eq!(outcome, Inserted::Replaced(old)),
        // A lapsed entry may have been unlinked by whoever met it.
        (Some((old, _)), outcome) => assert!(outcome == Inserted::New || outcome == Inserted::Expired(old)),
    }
}

fn remove(handle: &impl Verbs, model: &mut Model, key: u64, entry: bool) {
    let live = model.live(key);
    if entry {
        assert_eq!(handle.remove_entry(key), live.map(|value| (key, value)));
    } else {
        assert_eq!(handle.remove(key), live);
    }
    if live.is_some() {
        model.entries.remove(&key);
    }
}

fn retime(handle: &impl Verbs, model: &mut Model, key: u64, when: When, mut condition: Condition) {
    let outcome = match when {
        When::Default => {
            condition = Condition::Always;
            handle.touch(key)
        }
        When::Ttl(ttl) => handle.expire_in(key, ttl, condition),
        When::At(at) => handle.expire_at(key, Deadline::At(model.instant(at)), condition),
        When::Never if condition == Condition::IfSome => handle.persist(key),
        When::Never => handle.expire_at(key, Deadline::Never, condition),
    };
    let new = model.deadline(when);
    let Some((_, present)) = model.entries.get(&key).copied().filter(|entry| model.now < entry.1) else {
        return assert_eq!(outcome, Retimed::Absent);
    };
    let allowed = match condition {
        Condition::Always => true,
        Condition::IfNone => present == NEVER,
        Condition::IfSome => present != NEVER,
        Condition::IfLater => new > present,
        Condition::IfEarlier => new < present,
    };
    let deadline = if present == NEVER { Deadline::Never } else { Deadline::At(model.instant(present)) };
    if !allowed {
        return assert_eq!(outcome, Retimed::Kept { deadline });
    }
    assert_eq!(outcome, Retimed::Changed { before: deadline });
    if new <= model.now {
        model.entries.remove(&key);
    } else {
        model.entries.get_mut(&key).unwrap().1 = new;
    }
}

/// `reading` is that of the handle: an entry is looked for by that.
fn act(handle: &impl Verbs, model: &mut Model, reading: Time, key: u64, act: Act) {
    model.next_value += 1;
    let value = model.next_value;
    let live = model.live(key);
    let seen = |got: Option<u64>| assert_eq!(got, live);
    // Whether the value was put.
    let put = match act {
        Act::TryInsert => {
            assert_eq!(handle.try_insert(key, value), live.map_or(Ok(value), Err));
            live.is_none()
        }
        Act::Replace => {
            assert_eq!(handle.replace(key, value), live);
            live.is_some()
        }
        Act::InsertIf(holds) => {
            let outcome = handle.insert_if(key, value, |got| {
                seen(got);
                holds
            });
            assert_eq!(outcome, if holds { Ok(live) } else { Err(live) });
            holds
        }
        Act::CompareExchange(right) => {
            let current = if right { live.unwrap_or(0) } else { value };
            let holds = right && live.is_some();
            let outcome = handle.compare_exchange(key, current, value);
            assert_eq!(outcome, live.filter(|_| holds).ok_or(live));
            holds
        }
        Act::RemoveIf(holds) => {
            let removed = handle.remove_if(key, |got| {
                seen(Some(got));
                holds
            });
            assert_eq!(removed, live.filter(|_| holds));
            removed.map(|_| model.entries.remove(&key));
            false
        }
        Act::Update => {
            let updated = handle.update(key, |got| {
                seen(Some(got));
                value
            });
            assert_eq!(updated, live.map(|_| value));
            live.is_some()
        }
        Act::UpdateOrInsert => {
            let update = |got| {
                seen(Some(got));
                value
            };
            assert_eq!(handle.update_or_insert(key, update, value), value);
            true
        }
        Act::Compute(what) => {
            let outcome = handle.compute(key, |got| {
                seen(got);
                [Operation::Insert(value), Operation::Remove, Operation::Abort(value)][what as usize]
            });
            let expected = match (what, live) {
                (0, None) => Computed::Inserted(value),
                (0, Some(old)) => Computed::Updated { old, new: value },
                (1, Some(old)) => Computed::Removed(old),
                (1, None) => Computed::Absent,
                _ => Computed::Aborted(value),
            };
            assert_eq!(outcome, expected);
            if what == 1 && live.is_some() {
                model.entries.remove(&key);
            }
            what == 0
        }
        Act::OrInsert => {
            let got = handle.or_insert(key, value);
            let lapsed_since = model.entries.get(&key).is_some_and(|e| e.0 == got && reading < e.1);
            assert!(got == live.unwrap_or(value) || lapsed_since, "{got}");
            got == value
        }
    };
    if put {
        model.entries.insert(key, (value, model.deadline(When::Default)));
    }
}

fn retain(handle: &impl Verbs, model: &mut Model, remainder: u64) {
    let now = model.now;
    let mut asked = Vec::new();
    handle.retain(|key| {
        asked.push(key);
        key % 3 == remainder
    });
    asked.sort_unstable();
    assert!(asked.into_iter().eq(model.live_at(now).into_iter().map(|pair| pair.0)), "asked about what is live, once");
    model.entries.retain(|key, entry| now < entry.1 && key % 3 == remainder);
}

fn perform(handle: &impl Verbs, model: &mut Model, reading: &mut Time, step: Step) {
    match step {
        Step::Insert(key, when) => insert(handle, model, key, when),
        Step::Remove(key) => remove(handle, model, key, false),
        Step::RemoveEntry(key) => remove(handle, model, key, true),
        Step::Fill(from, n, when) => (from..from + n).for_each(|key| insert(handle, model, key, when)),
        Step::Drain(from, n) => (from..from + n).for_each(|key| remove(handle, model, key, key % 2 == 0)),
        Step::Read(key) => return check_read(handle, model, *reading, key),
        Step::All => return check_all(handle, model, *reading),
        Step::Retain(remainder) => return retain(handle, model, remainder),
        Step::TakeAll => {
            assert_eq!(handle.drained(), model.live_at(model.now));
            return model.entries.clear();
        }
        Step::Retime(key, when, condition) => retime(handle, model, key, when, condition),
        Step::Act(key, Act::OrInsert) => return act(handle, model, *reading, key, Act::OrInsert),
        Step::Act(key, what) => act(handle, model, *reading, key, what),
        _ => unreachable!("not a step of a handle"),
    }
    if !matches!(step, Step::Fill(_, 0, _) | Step::Drain(_, 0)) {
        // A write refreshes the reading of the pin it goes through.
        *reading = model.now;
    }
    if let Step::Insert(key, _)
    | Step::Remove(key)
    | Step::RemoveEntry(key)
    | Step::Retime(key, ..)
    | Step::Act(key, _) = step
    {
        check_read(handle, model, *reading, key);
    }
}

fn run<S: BuildHasher>(hasher: S, steps: &[(Via, Step)]) {
    let (map, clock): (TtlMap<u64, u64, S>, _) = manual_map(TTL, hasher);
    let mut model = Model::new(&clock);
    let mut pins: Vec<(Pinned<'_, u64, u64, S>, Time)> = Vec::new();
    let mut held: Vec<(Ref<'_, u64, u64>, u64, u64)> = Vec::new();
    for &(via, step) in steps {
        match step {
            Step::Hold(key) => {
                let found = map.get(&key);
                assert_eq!(found.as_deref().copied(), model.live(key));
                assert_eq!(map.get_cloned(&key), model.live(key));
                held.extend(found.map(|found| (found, key, model.live(key).unwrap())));
            }
            Step::LetGo => held.clear(),
            Step::Pin => pins.push((map.pin(), model.now)),
            Step::Unpin => drop(pins.pop()),
            Step::Clear => {
                map.clear();
                model.entries.clear();
                assert_eq!((map.len(), map.stored_len()), (0, 0));
            }
            Step::Purge(budget) => {
                let purged = map.purge_expired(budget);
                assert!(purged.removed <= model.entries.len() - model.live_at(model.now).len());
            }
            Step::Advance(by) => {
                clock.advance(by);
                model.now = model.now.saturating_add(by.as_nanos() as Time).min(model.end);
            }
            step => match via {
                Via::HeldPin(i) if !pins.is_empty() => {
                    let i = i % pins.len();
                    let (pin, reading) = &mut pins[i];
                    perform(pin, &mut model, reading, step);
                }
                via => {
                    let mut reading = model.now;
                    match via {
                        Via::Map => perform(&map, &mut model, &mut reading, step),
                        _ => perform(&map.pin(), &mut model, &mut reading, step),
                    }
                }
            },
        }
        assert!(held.iter().all(|(found, key, value)| found.key() == key && **found == *value), "a held pair changed");
        let stored = map.stored_len();
        assert!((map.len()..=model.entries.len()).contains(&stored), "stored_len {stored}");
    }
    check_all(&map, &model, model.now);
    purge_all(&map);
    assert_eq!((map.len(), map.stored_len()), (model.live_at(model.now).len(), map.len()));
}

/// Runs `cases` random sequences of up to `length` steps on `keys` keys; bulk steps take up to `most` of them.
fn compare<S: BuildHasher + Clone>(hasher: S, cases: u64, keys: u64, most: u64, length: usize) {
    let persistence = FileFailurePersistence::WithSource("regressions");
    let mut runner = TestRunner::new(Config {
        cases: cases as u32,
        failure_persistence: Some(Box::new(persistence)),
        source_file: Some(file!()),
        ..Config::default()
    });
    runner
        .run(&prop::collection::vec(steps(keys, most), 1..length), |steps| {
            run(hasher.clone(), &steps);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

fn few_keys_behave_like_the_model<S: BuildHasher + Clone>(hasher: S) {
    compare(hasher, scaled(400, 8_000), 20, 20, 150);
}

fn hundreds_of_keys_behave_like_the_model<S: BuildHasher + Clone>(hasher: S) {
    compare(hasher, scaled(40, 600), 200, 200, 100);
}

each_hasher!(few_keys_behave_like_the_model, hundreds_of_keys_behave_like_the_model);

#[test]
fn thousands_of_keys_behave_like_the_model_across_growth_and_shrinking() {
    compare(std::hash::RandomState::new(), scaled(10, 100), 4_000, 8_000, 60);
    compare(common::Identity, scaled(10, 100), 4_000, 8_000, 60);
}
