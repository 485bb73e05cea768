//! Each step, done to the map and to the plain one.

use std::hash::BuildHasher;
use std::time::Duration;

use ttlwheel::{Computed, Condition, Deadline, Inserted, Operation, Retimed, TtlMap};

use crate::checks::{check_all, check_read};
use crate::common::Verbs;
use crate::plain::{Model, NEVER, Time};
use crate::steps::{Act, Load, Step, When};

fn insert(handle: &impl Verbs, model: &mut Model, key: u64, when: When) {
    let value = model.next_value();
    let old = model.lives.get(&key).copied();
    let outcome = match when {
        When::Default => handle.insert(key, value),
        When::Ttl(ttl) => handle.insert_with_ttl(key, value, ttl),
        When::At(at) => handle.insert_at(key, value, Deadline::At(model.instant(at))),
        When::Never if value % 2 == 0 => handle.insert_at(key, value, Deadline::Never),
        When::Never => handle.insert_forever(key, value),
    };
    match (old, outcome) {
        (None, outcome) => assert_eq!(outcome, Inserted::New),
        (Some(old), outcome) if model.now < old.deadline => assert_eq!(outcome, Inserted::Replaced(old.value)),
        // A lapsed entry may have been unlinked by whoever met it.
        (Some(old), outcome) => assert!(outcome == Inserted::New || outcome == Inserted::Expired(old.value)),
    }
    model.put(key, value, when, || handle.deadline(key));
}

fn remove(handle: &impl Verbs, model: &mut Model, key: u64, entry: bool) {
    let live = model.live(key);
    if entry {
        assert_eq!(handle.remove_entry(key), live.map(|value| (key, value)));
    } else {
        assert_eq!(handle.remove(key), live);
    }
    if live.is_some() {
        model.lives.remove(&key);
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
    let Some(life) = model.life(key) else { return assert_eq!(outcome, Retimed::Absent) };
    let present = life.deadline;
    let new = match when {
        When::Default => model.adopt(model.touched(life), || handle.deadline(key)),
        _ => *model.deadline(when, life.value, Some(present)).end(),
    };
    let allowed = match condition {
        Condition::Always => true,
        Condition::IfNone => present == NEVER,
        Condition::IfSome => present != NEVER,
        Condition::IfLater => new > present,
        Condition::IfEarlier => new < present,
    };
    if !allowed {
        return assert_eq!(outcome, Retimed::Kept { deadline: model.told(present) });
    }
    assert_eq!(outcome, Retimed::Changed { before: model.told(present) });
    model.set(key, new);
}

/// `reading` is that of the handle: an entry is looked for by that.
fn act(handle: &impl Verbs, model: &mut Model, reading: Time, key: u64, act: Act) {
    let value = model.next_value();
    let live = model.live(key);
    let mut when = When::Default;
    let seen = |got: Option<u64>| assert_eq!(got, live);
    // Whether the value was put.
    let put = match act {
        Act::TryInsert => {
            assert_eq!(handle.try_insert(key, value), live.map_or(Ok(value), Err));
            live.is_none()
        }
        Act::TryInsertWithTtl(ttl) => {
            when = When::Ttl(ttl);
            assert_eq!(handle.try_insert_with_ttl(key, value, ttl), live.map_or(Ok(value), Err));
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
            removed.map(|_| model.lives.remove(&key));
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
                model.lives.remove(&key);
            }
            what == 0
        }
        Act::OrInsert => {
            let got = handle.or_insert(key, value);
            let lapsed_since = model.lives.get(&key).is_some_and(|life| life.value == got && reading < life.deadline);
            assert!(got == live.unwrap_or(value) || lapsed_since, "{got}");
            model.read(key);
            got == value
        }
    };
    if put {
        model.put(key, value, when, || handle.deadline(key));
    }
}

/// Returns what a computation makes; `outcome` is what comes of it.
fn computed(model: &mut Model, outcome: Result<(), ()>) -> Result<u64, u64> {
    let value = model.next_value();
    outcome.map(|()| value).map_err(|()| value)
}

/// A load hands out what is live, or what it computes; nobody else computes, so that nothing lapsed will do, but to a load
/// within the computation.
pub fn load<S: BuildHasher>(map: &TtlMap<u64, u64, S>, model: &mut Model, key: u64, load: Load) {
    let outcome = match load {
        Load::Try(outcome) | Load::TryRefresh(_, outcome) => outcome,
        Load::Value | Load::Refresh(_) | Load::Nested(_) => Ok(()),
    };
    let (live, made) = (model.live(key), computed(model, outcome));
    let mut ran = 0;
    let mut run = || {
        ran += 1;
        made
    };
    let infallible = |made: Result<u64, u64>| made.expect("it doesn't fail");
    let got = match load {
        Load::Value => Ok(*map.get_or_insert_with(key, || infallible(run()))),
        Load::Try(_) => map.try_get_or_insert_with(key, run).map(|found| *found),
        Load::Refresh(grace) => Ok(*map.get_or_refresh_with(key, grace, || infallible(run()))),
        Load::TryRefresh(grace, _) => map.try_get_or_refresh_with(key, grace, run).map(|found| *found),
        Load::Nested(grace) => Ok(*map.get_or_refresh_with(key, grace, || {
            load_within(map, model, key, grace);
            infallible(run())
        })),
    };
    assert_eq!(ran, u32::from(live.is_none()), "a live value is not computed, and none twice");
    if let Some(live) = live {
        assert_eq!(got, Ok(live));
        return model.read(key);
    }
    // What a load within has inserted, and is live, stays.
    let there = model.live(key);
    assert_eq!(got, there.map_or(made, Ok));
    if let (None, Ok(made)) = (there, made) {
        model.put(key, made, When::Default, || map.deadline(&key));
    }
}

/// While the key is being computed: what has lapsed within the grace may be handed out.
fn load_within<S: BuildHasher>(map: &TtlMap<u64, u64, S>, model: &mut Model, key: u64, grace: Duration) {
    let value = model.next_value();
    let stale = model.lives.get(&key).filter(|life| model.now < life.deadline.saturating_add(grace.as_nanos() as Time));
    let stale = stale.map(|life| life.value);
    let got = *map.get_or_refresh_with(key, grace, || value);
    assert!(got == value || Some(got) == stale, "{got}");
    if got == value {
        model.put(key, value, When::Default, || map.deadline(&key));
    }
}

pub fn extend<S: BuildHasher>(
    map: &TtlMap<u64, u64, S>,
    model: &mut Model,
    keys: std::ops::Range<u64>,
    ttl: Option<Duration>,
) {
    let pairs: Vec<_> = keys.map(|key| (key, model.next_value())).collect();
    match ttl {
        Some(ttl) => (&*map).extend(pairs.iter().map(|&(key, value)| (key, value, ttl))),
        None => (&*map).extend(pairs.iter().copied()),
    }
    for (key, value) in pairs {
        model.put(key, value, ttl.map_or(When::Default, When::Ttl), || map.deadline(&key));
    }
}

fn read_many(handle: &impl Verbs, model: &mut Model, reading: Time, keys: &[u64]) {
    for (&key, got) in keys.iter().zip(handle.get_many(keys)) {
        let live = model.live(key);
        let lapsed_since = || model.lives.get(&key).filter(|life| reading < life.deadline).map(|life| life.value);
        assert!(got == live || live.is_none() && got == lapsed_since(), "key {key}: {got:?}");
        model.read(key);
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
    model.lives.retain(|key, life| now < life.deadline && key % 3 == remainder);
}

fn take(handle: &impl Verbs, model: &mut Model, most: usize) {
    let (live, taken) = (model.live_at(model.now), handle.drained(most));
    assert_eq!(taken.len(), most.min(live.len()));
    assert!(taken.iter().all(|pair| live.binary_search(pair).is_ok()), "drain hands out an absent pair");
    assert!(taken.windows(2).all(|pairs| pairs[0].0 < pairs[1].0), "drain hands out a key twice");
    taken.iter().for_each(|(key, _)| _ = model.lives.remove(key));
}

pub fn perform(handle: &impl Verbs, model: &mut Model, reading: &mut Time, step: Step) {
    match step {
        Step::Insert(key, when) => insert(handle, model, key, when),
        Step::Remove(key) => remove(handle, model, key, false),
        Step::RemoveEntry(key) => remove(handle, model, key, true),
        Step::Fill(from, n, when) => (from..from + n).for_each(|key| insert(handle, model, key, when)),
        Step::Drain(from, n) => (from..from + n).for_each(|key| remove(handle, model, key, key % 2 == 0)),
        Step::Read(key) => return check_read(handle, model, *reading, key),
        Step::All => return check_all(handle, model, *reading),
        Step::ReadMany(from, n) => {
            return read_many(handle, model, *reading, &(from..from + n).collect::<Vec<_>>());
        }
        Step::Retain(remainder) => return retain(handle, model, remainder),
        Step::TakeAll => {
            take(handle, model, usize::MAX);
            return model.lives.clear();
        }
        Step::TakeSome(most) => return take(handle, model, most),
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
