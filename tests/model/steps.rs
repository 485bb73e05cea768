//! What may happen to a map, and how it is drawn by chance.

use std::time::Duration;

use proptest::prelude::*;
use ttlwheel::Condition;

use crate::plain::{IDLE, TTL};

/// Which face of the map does a step.
#[derive(Clone, Copy, Debug)]
pub enum Via {
    Map,
    NewPin,
    /// The held pin at this index, modulo how many there are; a new one if there is none.
    HeldPin(usize),
}

#[derive(Clone, Copy, Debug)]
pub enum When {
    Default,
    Ttl(Duration),
    /// An instant so long after (or, negative, before) the clock's start.
    At(i128),
    Never,
}

/// A verb that acts by what is there; `true` is a condition that holds.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    TryInsert,
    TryInsertWithTtl(Duration),
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

/// A load, of which the map alone is capable.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    Value,
    /// Of which the computation fails, or doesn't.
    Try(Result<(), ()>),
    /// With a grace.
    Refresh(Duration),
    TryRefresh(Duration, Result<(), ()>),
    /// While the same key is being computed.
    Nested(Duration),
}

#[derive(Clone, Copy, Debug)]
pub enum Step {
    Insert(u64, When),
    Read(u64),
    /// So many keys from the first one in one batch.
    ReadMany(u64, u64),
    Remove(u64),
    RemoveEntry(u64),
    Retime(u64, When, Condition),
    Act(u64, Act),
    Load(u64, Load),
    /// Keeps the keys that leave this remainder by three.
    Retain(u64),
    TakeAll,
    /// Takes so many of those that drain hands out, and leaves the rest.
    TakeSome(usize),
    /// So many keys from the first one, with a time to live of their own or without.
    Extend(u64, u64, Option<Duration>),
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
    let ttl = TTL.as_nanos() as u64;
    let (idle, least) = (IDLE.as_nanos() as u64, IDLE.as_nanos() as u64 / 16);
    prop_oneof![
        4 => prop::sample::select(vec![0, 1, 999, 1_000, tick - 1, tick, tick + 1, 63 * tick, 64 * tick, 65 * tick])
            .prop_map(Duration::from_nanos),
        4 => prop::sample::select(vec![ttl, idle, least])
            .prop_flat_map(|edge| edge - 1..=edge + 1)
            .prop_map(Duration::from_nanos),
        3 => (0..200u64).prop_map(Duration::from_millis),
        1 => prop::sample::select(vec![1, 3_600, 30 * 86_400, 400 * 86_400]).prop_map(Duration::from_secs),
    ]
}

fn whens() -> impl Strategy<Value = When> {
    prop_oneof![
        6 => Just(When::Default),
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
        1 => durations().prop_map(Act::TryInsertWithTtl),
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

fn loads() -> impl Strategy<Value = Load> {
    let outcome = || prop::sample::select(vec![Ok(()), Err(())]);
    prop_oneof![
        2 => Just(Load::Value),
        1 => outcome().prop_map(Load::Try),
        1 => durations().prop_map(Load::Refresh),
        1 => (durations(), outcome()).prop_map(|(grace, outcome)| Load::TryRefresh(grace, outcome)),
        2 => durations().prop_map(Load::Nested),
    ]
}

fn conditions() -> impl Strategy<Value = Condition> {
    use Condition::{Always, IfEarlier, IfLater, IfNone, IfSome};
    prop::sample::select(vec![Always, Always, IfNone, IfSome, IfLater, IfEarlier])
}

/// Steps on so many keys, of which those in bulk take up to `most`.
pub fn steps(keys: u64, most: u64) -> impl Strategy<Value = (Via, Step)> {
    let via = prop_oneof![3 => Just(Via::Map), 2 => Just(Via::NewPin), 2 => (0..4usize).prop_map(Via::HeldPin)];
    let one = prop_oneof![
        24 => (0..keys, whens()).prop_map(|(key, when)| Step::Insert(key, when)),
        24 => (0..keys).prop_map(Step::Read),
        8 => (0..keys).prop_map(Step::Remove),
        4 => (0..keys).prop_map(Step::RemoveEntry),
        12 => (0..keys, whens(), conditions()).prop_map(|(key, when, condition)| Step::Retime(key, when, condition)),
        16 => (0..keys, acts()).prop_map(|(key, act)| Step::Act(key, act)),
        8 => (0..keys, loads()).prop_map(|(key, load)| Step::Load(key, load)),
        3 => (0..keys).prop_map(Step::Hold),
        1 => Just(Step::LetGo),
        2 => Just(Step::Pin),
        2 => Just(Step::Unpin),
        12 => durations().prop_map(Step::Advance),
        // To the clock's end, where all that is finite has lapsed.
        1 => Just(Step::Advance(if keys < 100 { Duration::MAX } else { TTL * 2 })),
    ];
    let many = prop_oneof![
        1 => (0..3u64).prop_map(Step::Retain),
        1 => Just(Step::TakeAll),
        1 => (0..most as usize).prop_map(Step::TakeSome),
        4 => Just(Step::All),
        1 => Just(Step::Clear),
        4 => (1..40usize).prop_map(Step::Purge),
        3 => (0..keys, 0..most.min(100)).prop_map(|(from, n)| Step::ReadMany(from, n)),
        2 => (0..keys, 0..most, prop::option::of(durations())).prop_map(|(from, n, ttl)| Step::Extend(from, n, ttl)),
        5 => (0..keys, 0..most, whens()).prop_map(|(from, n, when)| Step::Fill(from, n, when)),
        4 => (0..keys, 0..most).prop_map(|(from, n)| Step::Drain(from, n)),
    ];
    (via, prop_oneof![5 => one, 1 => many])
}
