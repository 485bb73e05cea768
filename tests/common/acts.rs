//! Verbs that act by what is there, and what they tell a history.

use std::cell::Cell;
use std::hash::{BuildHasher, Hash};
use std::time::{Duration, Instant};

use ttlwheel::{Condition, Deadline, MapEntry, Operation, Retimed, TtlMap};

use super::history::{Done, NEVER, Timed};

/// A verb that acts by what is there.
#[derive(Clone, Copy)]
pub enum Act {
    TryInsert,
    Replace,
    CompareExchange,
    Put,
    Take,
    Upsert,
    Update,
    /// If the value is even.
    InsertIf,
    /// If what is there is odd.
    RemoveIf,
    OrInsert,
    EntryInsert,
    EntryRemove,
    Load,
    Peek,
    /// On the scale of the history that starts then.
    Deadline(Instant),
    Touch(Instant),
    /// To this deadline, on the scale of the history that starts then.
    Retime(u64, Instant, Condition),
}

pub fn act<K: Hash + Eq, S: BuildHasher>(
    map: &TtlMap<K, u64, S>,
    act: Act,
    key: K,
    value: u64,
    seen: Option<u64>,
) -> Done {
    match act {
        Act::TryInsert => Done::TryInsert(value, map.try_insert(key, value).err().map(|refused| *refused.current)),
        Act::Replace => Done::Replace(value, map.replace(key, value).ok().map(|old| *old)),
        Act::CompareExchange => {
            let expected = seen.unwrap_or(value);
            let met = match map.compare_exchange(key, &expected, value) {
                Ok(old) => Some(*old),
                Err(refused) => refused.current.map(|current| *current),
            };
            Done::CompareExchange(expected, value, met)
        }
        Act::Put | Act::Take => {
            let (mut last, put) = (None, matches!(act, Act::Put).then_some(value));
            let _ = map.compute(key, |live| {
                last = live.copied();
                put.map_or(Operation::<_>::Remove, Operation::Insert)
            });
            Done::Compute(last, put)
        }
        Act::Upsert => {
            let last = Cell::new(None);
            let update = |live: &u64| {
                last.set(Some(*live));
                value
            };
            let insert = || {
                last.set(None);
                value
            };
            assert_eq!(*map.update_or_insert_with(key, update, insert), value);
            Done::Compute(last.get(), Some(value))
        }
        Act::Update => {
            let last = Cell::new(None);
            let update = |live: &u64| {
                last.set(Some(*live));
                value
            };
            // What a run has seen that came to nothing doesn't count.
            Done::Replace(value, map.update(key, update).and(last.get()))
        }
        Act::InsertIf => match map.insert_if(key, value, |_| value % 2 == 0) {
            Ok(old) => Done::Compute(old.map(|old| *old), Some(value)),
            Err(refused) => Done::Get(refused.current.map(|current| *current)),
        },
        Act::RemoveIf => {
            let mut kept = None;
            let removed = map.remove_if(&key, |_, live| {
                kept = Some(*live).filter(|live| live % 2 == 0);
                kept.is_none()
            });
            if kept.is_some() { Done::Get(kept) } else { Done::Remove(removed.map(|removed| *removed)) }
        }
        Act::OrInsert => got_or_inserted(*map.pin().entry(key).or_insert(value), value),
        Act::Load => got_or_inserted(*map.get_or_insert_with(key, || value), value),
        Act::EntryInsert => match map.pin().entry(key) {
            MapEntry::Vacant(seen) => Done::TryInsert(value, seen.insert(value).err().map(|refused| *refused.current)),
            MapEntry::Occupied(seen) => {
                let expected = *seen.get();
                let met = seen.insert(value).map(|_| expected).map_err(|(current, _)| live(&current));
                Done::CompareExchange(expected, value, met.map_or_else(|current| current, Some))
            }
        },
        Act::EntryRemove => match map.pin().entry(key) {
            MapEntry::Vacant(_) => Done::Get(None),
            MapEntry::Occupied(seen) => {
                let expected = *seen.get();
                // It removes that or nothing.
                seen.remove().map_or_else(|current| Done::Get(live(&current)), |_| Done::Remove(Some(expected)))
            }
        },
        Act::Peek => Done::Get(map.peek(&key).map(|value| *value)),
        Act::Deadline(start) => Done::Deadline(map.deadline(&key).map(|deadline| on_scale(deadline, start))),
        // Of a map without a time to live.
        Act::Touch(start) => Done::Retime(NEVER, Condition::Always, timed(map.touch(&key), start)),
        Act::Retime(deadline, start, condition) => {
            let met = match deadline {
                NEVER => map.expire_at(&key, Deadline::Never, condition),
                _ => map.expire_at(&key, start + Duration::from_nanos(deadline), condition),
            };
            Done::Retime(deadline, condition, timed(met, start))
        }
    }
}

/// Values are unique: one that was put is known by itself.
fn got_or_inserted(got: u64, value: u64) -> Done {
    if got == value { Done::TryInsert(value, None) } else { Done::Get(Some(got)) }
}

fn live<K, S>(entry: &MapEntry<'_, '_, K, u64, S>) -> Option<u64>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    match entry {
        MapEntry::Occupied(seen) => Some(*seen.get()),
        MapEntry::Vacant(_) => None,
    }
}

/// A deadline on the scale of the history that starts then.
fn on_scale(deadline: Deadline, start: Instant) -> u64 {
    match deadline {
        Deadline::At(at) => (at - start).as_nanos() as u64,
        Deadline::Never => NEVER,
    }
}

fn timed(met: Retimed, start: Instant) -> Timed {
    match met {
        Retimed::Absent => Timed::Absent,
        Retimed::Changed { before } => Timed::Changed(on_scale(before, start)),
        Retimed::Kept { deadline } => Timed::Kept(on_scale(deadline, start)),
    }
}
