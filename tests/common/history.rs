//! Records what threads do to a map, key by key, and holds it against the sequential specification (P4).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use todc_utils::linearizability::WGLChecker;
use todc_utils::{Action, History, Specification};
use ttlwheel::{Condition, Inserted};

/// The deadline that no clock reaches.
pub const NEVER: u64 = u64::MAX;

/// What an operation was asked, and what it answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Get(Option<u64>),
    Contains(bool),
    /// The deadline of what is live.
    Deadline(Option<u64>),
    Insert {
        value: u64,
        deadline: u64,
        met: Inserted<u64>,
    },
    Remove(Option<u64>),
    /// What was in the way.
    TryInsert(u64, Option<u64>),
    /// What was replaced.
    Replace(u64, Option<u64>),
    /// What was expected, what was to come, and what was there.
    CompareExchange(u64, u64, Option<u64>),
    /// What was seen, and what was put in its place, or removed; on the last run.
    Compute(Option<u64>, Option<u64>),
    /// A new deadline and when, and what became of it.
    Retime(u64, Condition, Timed),
    /// The clock has moved to this time.
    Tick(u64),
}

/// What became of a deadline that was to be changed; [`ttlwheel::Retimed`] on the history's own scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timed {
    Absent,
    Changed(u64),
    Kept(u64),
}

/// One operation on one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// The clock's reading, where it stood still during the operation; else the spec's own clock counts.
    pub now: Option<u64>,
    pub done: Done,
}

/// One key of a map beside a clock, done by one thread in atomic steps.
///
/// The entry stays when its deadline passes: an insert may then say that it met nothing or a lapsed entry, as
/// anybody may have unlinked it. All else about a lapsed entry is as if there were none.
///
/// Where the clock moved during an insert (`now` is `None`), the insert may call replaced what had lapsed by the
/// time it won: it judged by one reading, and the clock and the entry are two objects. What it met, though, must be
/// the very value that was there: a lost update shows all the same.
pub struct KeySpec;

/// The clock, and the entry's value and deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyState {
    now: u64,
    entry: Option<(u64, u64)>,
}

impl Specification for KeySpec {
    type State = KeyState;
    type Operation = Op;

    fn init() -> KeyState {
        KeyState::default()
    }

    fn apply(op: &Op, state: &KeyState) -> (bool, KeyState) {
        let now = op.now.unwrap_or(state.now);
        let live = state.entry.filter(|&(_, deadline)| now < deadline).map(|(value, _)| value);
        let stored = state.entry.map(|(value, _)| value);
        // What these verbs put never expires.
        let put = |value: Option<u64>| KeyState { entry: value.map(|value| (value, NEVER)).or(state.entry), ..*state };
        match op.done {
            Done::Get(got) => (got == live, *state),
            Done::Contains(got) => (got == live.is_some(), *state),
            Done::Deadline(got) => (got == live.and(state.entry).map(|(_, deadline)| deadline), *state),
            Done::Remove(got) => (got == live, KeyState { entry: state.entry.filter(|_| live.is_none()), ..*state }),
            Done::Insert { value, deadline, met } => {
                let right = match met {
                    Inserted::New => live.is_none(),
                    Inserted::Expired(old) => live.is_none() && stored == Some(old),
                    Inserted::Replaced(old) if op.now.is_some() => live == Some(old),
                    Inserted::Replaced(old) => stored == Some(old),
                };
                (right, KeyState { entry: Some((value, deadline)), ..*state })
            }
            Done::TryInsert(value, met) => (met == live, put(live.is_none().then_some(value))),
            Done::Replace(value, met) => (met == live, put(live.map(|_| value))),
            Done::CompareExchange(expected, value, met) => {
                (met == live, put((live == Some(expected)).then_some(value)))
            }
            Done::Compute(seen, Some(value)) => (seen == live, put(Some(value))),
            Done::Compute(seen, None) => {
                (seen == live, KeyState { entry: state.entry.filter(|_| live.is_none()), ..*state })
            }
            Done::Retime(new, condition, met) => {
                let Some((value, present)) = state.entry.filter(|_| live.is_some()) else {
                    return (met == Timed::Absent, *state);
                };
                let allowed = match condition {
                    Condition::Always => true,
                    Condition::IfNone => present == NEVER,
                    Condition::IfSome => present != NEVER,
                    Condition::IfLater => new > present,
                    Condition::IfEarlier => new < present,
                };
                let entry = Some((value, if allowed { new } else { present }));
                (
                    met == if allowed { Timed::Changed(present) } else { Timed::Kept(present) },
                    KeyState { entry, ..*state },
                )
            }
            Done::Tick(time) => (state.now < time, KeyState { now: time, ..*state }),
        }
    }
}

/// An operation with the order numbers of its call and its return.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub key: u64,
    pub call: u64,
    pub ret: u64,
    pub op: Op,
}

/// Gives out order numbers: one sequence for all threads, so that what ended before something else began shows.
#[derive(Default)]
pub struct Sequence(AtomicU64);

impl Sequence {
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// What one thread did.
#[derive(Default)]
pub struct Log(pub Vec<Event>);

impl Log {
    /// As [`Log::record`], if `work` has done anything.
    pub fn record_if(&mut self, order: &Sequence, key: u64, now: Option<u64>, work: impl FnOnce() -> Option<Done>) {
        let call = order.next();
        if let Some(done) = work() {
            self.0.push(Event { key, call, ret: order.next(), op: Op { now, done } });
        }
    }

    /// As [`Log::record`], of work that tells which keys it was done on, each once.
    pub fn record_all(&mut self, order: &Sequence, now: Option<u64>, work: impl FnOnce() -> Vec<(u64, Done)>) -> usize {
        let call = order.next();
        let (done, ret) = (work(), order.next());
        let count = done.len();
        self.0.extend(done.into_iter().map(|(key, done)| Event { key, call, ret, op: Op { now, done } }));
        count
    }

    /// Runs `work` on `key` and notes what it did.
    pub fn record(&mut self, order: &Sequence, key: u64, now: Option<u64>, work: impl FnOnce() -> Done) -> Done {
        let call = order.next();
        let done = work();
        self.0.push(Event { key, call, ret: order.next(), op: Op { now, done } });
        done
    }
}

/// Whether one key's events, by process, can be put in an order that the specification allows.
pub fn is_linearizable(events: &[(usize, Event)]) -> bool {
    let mut actions: Vec<(u64, usize, Action<Op>)> = Vec::with_capacity(2 * events.len());
    for &(process, event) in events {
        actions.push((event.call, process, Action::Call(event.op)));
        actions.push((event.ret, process, Action::Response(event.op)));
    }
    actions.sort_by_key(|action| action.0);
    let actions: Vec<_> = actions.into_iter().map(|(_, process, action)| (process, action)).collect();
    actions.is_empty() || WGLChecker::<KeySpec>::is_linearizable(History::from_actions(actions))
}

/// Checks key by key what the threads did, with the `ticks` of the clock in each key's history; returns the first
/// key that fails with its events.
pub fn check(logs: &[Log], ticks: &[Event]) -> Result<(), (u64, Vec<(usize, Event)>)> {
    let mut by_key: HashMap<u64, Vec<(usize, Event)>> = HashMap::new();
    for (process, log) in logs.iter().enumerate() {
        for &event in &log.0 {
            by_key.entry(event.key).or_default().push((process, event));
        }
    }
    for (key, mut events) in by_key {
        events.extend(ticks.iter().map(|&tick| (logs.len(), tick)));
        if !is_linearizable(&events) {
            events.sort_by_key(|(_, event)| event.call);
            return Err((key, events));
        }
    }
    Ok(())
}

/// [`check`] that panics with the offending history.
#[track_caller]
pub fn assert_linearizable(logs: &[Log], ticks: &[Event], what: &str) {
    if let Err((key, events)) = check(logs, ticks) {
        let lines: Vec<_> = events
            .iter()
            .map(|(process, e)| {
                format!("{:>8}..{:<8} thread {process}: {:?} at {:?}", e.call, e.ret, e.op.done, e.op.now)
            })
            .collect();
        panic!("{what}: key {key} is not linearizable\n{}", lines.join("\n"));
    }
}
