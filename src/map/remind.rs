//! The story of reminders: where table and wheel meet.
//!
//! Every bucket whose entries will lapse has a *due*: the tick of its earliest reminder in the wheel. A write that links an
//! entry which lapses before that lowers the due, and files a reminder for it; with one time to live that is hardly ever
//! so. A reminder of which the time has come is good while the bucket's due is still its own: then the due is taken
//! back, the bucket is visited, what has lapsed is retired, and a reminder filed for the earliest deadline that is left.
//!
//! ```text
//!  write:  link ─ fence ─ read the due             sweep:  take the due back ─ fence ─ visit
//!  move:   freeze ─ fence ─ read the due           lower:  lower the due ─ fence ─ frozen? again in the child
//! ```
//!
//! So either the write sees that it must file, or the visitor sees its entry; and whatever a mover did not see of a due,
//! its writer files once more where the bucket has moved.

use std::hash::{BuildHasher, Hash};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;

use super::sweep::Upkeep;
use super::{Now, RemovalCause, judge};
use crate::clock::NEVER;
use crate::entry::Entry;
use crate::sync::{Ordering, fence, fence_after_rmw, prefetch};
use crate::table::{BinRef, Slots};
use crate::unwind::discard;
use crate::wheel::{Bucket, Due, Reminder, Sweep, start_of, tick_after, tick_at};

/// A reminder of a table that was doubled since, ever so often, becomes as many as of three doublings at a time: their bins come from
/// memory together, and there are few that stand for others.
const SPLITS_AT_ONCE: u32 = 3;

/// What a sweep has done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Reminders taken.
    pub(super) taken: usize,
    /// Those that were good, and those that were not.
    pub(super) fired: usize,
    pub(super) stale: usize,
    /// Entries looked at.
    pub(super) examined: usize,
    /// Entries retired.
    pub(super) retired: usize,
}

impl Tally {
    pub(super) fn looked_at(&self) -> usize {
        self.taken + self.examined
    }
}

/// What a sweep may do at most: it ends when it has retired so many entries, or looked at so many reminders and entries.
#[derive(Clone, Copy)]
pub(super) struct Most {
    pub(super) retired: usize,
    pub(super) looked_at: usize,
}

impl<'g, K: Hash + Eq, V, S: BuildHasher> Upkeep<'g, K, V, S> {
    /// Sees to it that the bucket of a hash is looked at when an entry lapses that was just linked there, or given
    /// this deadline.
    #[inline]
    pub(super) fn remind(&self, hash: u64, deadline: u64, now: u64) {
        if deadline == NEVER {
            return;
        }
        // The link, or the CAS of the deadline, before the look at the due; pairs with the fence in `fire` (W7).
        fence_after_rmw();
        if self.is_reminded(hash, tick_after(deadline), now) {
            return;
        }
        // The write is done by now: a panic of some other key's hash, if bins are moved, is not its caller's.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.remind_at(hash, tick_after(deadline), now))) {
            // Nor is it the entry's: another try, in a while.
            let bucket = self.map.wheel.bucket(self.map.table.number_of(hash, self.guard));
            self.tell(Reminder { bucket, due: Due::UNSET, superseded: Due::NONE });
            discard(panic);
        }
    }

    /// What nearly every write with one time to live ends with: its bucket is looked at before its entry lapses, anyway.
    #[inline]
    fn is_reminded(&self, hash: u64, tick: u64, now: u64) -> bool {
        let bin = self.map.table.first_bin(hash, self.guard);
        tick > now + 1 && !Due(bin.due()).is_after(tick, now) && !self.is_moving(bin)
    }

    #[cold]
    fn remind_at(&self, hash: u64, tick: u64, now: u64) {
        loop {
            let bin = self.map.table.locate(hash, self, self.guard);
            self.lower(bin, Due(bin.due()), tick, now);
            if !self.is_moving(bin) {
                break;
            }
        }
        if tick <= now + 1 {
            self.map.wheel.look_again();
        }
    }

    /// Lowers a bucket's due, if it is later than this tick, and files the reminder.
    #[inline]
    fn lower(&self, bin: BinRef<'_, Entry<K, V>>, mut due: Due, tick: u64, now: u64) {
        while let Some(lower) = due.lowered_to(tick, now) {
            // The round before the change: one that ends meanwhile may have dropped what is superseded (W8).
            let bucket = self.map.wheel.bucket(bin.number());
            match bin.change_due(due.0, lower.0) {
                Ok(()) => return self.file(Reminder { bucket, due: lower, superseded: due }),
                Err(seen) => due = Due(seen),
            }
        }
    }

    #[cold]
    fn file(&self, reminder: Reminder) {
        self.map.counters.filed();
        self.tell(reminder);
    }

    /// Files a reminder in the wheel, and tells the reapers.
    pub(super) fn tell(&self, reminder: Reminder) {
        let taken = self.map.wheel.file(reminder);
        self.map.alarm.note(start_of(taken), self.guard);
    }

    /// Works off reminders until `most` is reached, or none is due; true if it is the former. `exactly` at a time, else
    /// by the wheel's slots. Listeners are told at the end, when nothing is in hand.
    pub(super) fn sweep(&self, now: &Now<'_>, exactly: Option<u64>, most: Most) -> (Tally, bool) {
        self.map.then_tell(self.guard, || self.work_off(now, exactly, most))
    }

    fn work_off(&self, now: &Now<'_>, exactly: Option<u64>, most: Most) -> (Tally, bool) {
        let mut done = Tally::default();
        let Some(mut sweep) = self.map.wheel.sweep() else { return (done, false) };
        let mut more = true;
        while done.looked_at() < most.looked_at && done.retired < most.retired {
            let Some(reminder) = sweep.next(exactly) else {
                more = false;
                break;
            };
            done.taken += 1;
            self.fetch_ahead(&mut sweep, &mut done, most);
            let fire = || self.fire(reminder, &mut sweep, now, exactly, &mut done);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(fire)) {
                // The hash of a key that is to be moved. Another try, in a while.
                let again = Reminder { due: Due::UNSET, superseded: Due::NONE, ..reminder };
                self.tell(again);
                discard(panic);
            }
        }
        self.map.counters.swept(done);
        drop(sweep);
        // Not before: buckets are swept in an order that leaves those for last which halving would put together, and a few
        // that are looked at don't show them. Two who come at once both look.
        if !more && self.map.emptied.load(Relaxed) != 0 {
            self.map.emptied.store(0, Relaxed);
            self.map.table.shrink_if_due(self.map.wheel.cursor(), || self.map.wheel.is_idle(), self.guard);
        }
        if more {
            // What is left before the look at who sleeps; pairs with the fence in `Bell::fall_asleep` (R4).
            fence(Ordering::SeqCst);
            self.map.alarm.note(start_of(self.map.wheel.cursor()), self.guard);
        }
        (done, more)
    }

    /// Has what the next reminders are for come from memory while one is worked off: the next one's entries, the line of
    /// the one after it, and all lines of the parts of a next one that is of a smaller table.
    #[inline]
    fn fetch_ahead(&self, sweep: &mut Sweep<'_>, done: &mut Tally, most: Most) {
        // Not at the end: splitting counts.
        let next = sweep.next_in_list().filter(|_| done.looked_at() < most.looked_at);
        let doublings = next.map_or(0, |bucket| self.doublings_since(bucket));
        if doublings > 0 {
            done.taken += 1;
            sweep.split_next(doublings);
        }
        let [next, after] = sweep.ahead();
        if let Some(bucket) = next {
            self.map.table.prefetch_entries(bucket.number().0, self.guard);
        }
        if let Some(bucket) = after {
            self.map.table.prefetch_bin(bucket.number().0, self.guard);
        }
        if doublings > 0 {
            sweep.parts_ahead().for_each(|part| self.map.table.prefetch_bin(part.number().0, self.guard));
        }
    }

    /// How often the table was doubled since a reminder was filed, as far as that is made up for at once.
    #[inline]
    fn doublings_since(&self, bucket: Bucket) -> u32 {
        self.map.table.bits(self.guard).saturating_sub(bucket.number().1).min(SPLITS_AT_ONCE)
    }

    fn fire(&self, reminder: Reminder, sweep: &mut Sweep<'_>, now: &Now<'_>, exactly: Option<u64>, done: &mut Tally) {
        let Reminder { bucket, due, superseded } = reminder;
        let tick = tick_at(now.floor());
        let last = if exactly.is_some() { tick + 1 } else { tick };
        let wheel = &self.map.wheel;
        let is_to_come = || due != Due::UNSET && due.tick(tick) > last && !wheel.may_be_mistaken(bucket);
        if sweep.is_early() && is_to_come() {
            // It was taken with others, or before its time: to its place, which may be a finer one now.
            if self.is_to_be_scrubbed(reminder) {
                done.stale += 1;
                return;
            }
            self.tell(reminder);
            if due.tick(tick) == tick + 1 {
                wheel.look_again();
            }
            return;
        }
        let Some(bin) = self.map.table.locate_bin(bucket.number(), self, self.guard) else {
            // The table has grown since: it reminds of all parts, each of which inherited the due.
            sweep.push_parts(reminder, self.doublings_since(bucket).max(1));
            sweep.parts_ahead().for_each(|part| self.map.table.prefetch_bin(part.number().0, self.guard));
            return;
        };
        let superseded = match due {
            Due::UNSET => self.take_due(bin),
            // Stale: an earlier one was filed since, or this one was filed twice.
            _ if bin.change_due(due.0, Due::NONE.0).is_err() => {
                if self.is_moving(bin) {
                    sweep.push(reminder);
                    return;
                }
                if !wheel.is_of_an_old_round(bucket) {
                    done.stale += 1;
                    return;
                }
                self.take_due(bin)
            }
            // The one superseded is of a part of the bucket alone, since the table was halved.
            _ if bin.number().1 < bucket.number().1 => Due::NONE,
            _ => superseded,
        };
        done.fired += 1;
        // The due is taken back before the bucket is looked at; pairs with the fence in `remind` (W7).
        fence_after_rmw();
        let is_settled = match self.visit(bin, now, done) {
            Some(deadline) => self.file_again(bin, deadline, (bucket, superseded), tick),
            None => false,
        };
        if !is_settled || self.is_moving(bin) {
            // Once more, here or where it has moved, as one of the reminders that the budget is for.
            sweep.push(Reminder { bucket: wheel.bucket(bin.number()), due: Due::UNSET, superseded: Due::NONE });
        }
        // After one bucket in 64 it is seen whether the table is too large; when nothing more is due, see `work_off`.
        if bin.number().0 % 64 == 0 {
            self.map.emptied.store(1, Relaxed);
        }
    }

    /// Whether the due, as it was seen or changed just now, may not be the one that the bin's children have inherited.
    #[inline]
    fn is_moving(&self, bin: BinRef<'_, Entry<K, V>>) -> bool {
        // The due before the look whether the bin is frozen; pairs with the fence of whoever moves it (W6).
        fence_after_rmw();
        bin.is_frozen()
    }

    /// Takes back whatever due a bucket has.
    fn take_due(&self, bin: BinRef<'_, Entry<K, V>>) -> Due {
        let mut due = bin.due();
        while let Err(seen) = bin.change_due(due, Due::NONE.0) {
            due = seen;
        }
        Due(due)
    }

    /// Sees to it that a bucket that was visited is looked at again, if it needs be; false if it must be visited once more.
    fn file_again(
        &self,
        bin: BinRef<'_, Entry<K, V>>,
        deadline: u64,
        (bucket, superseded): (Bucket, Due),
        now: u64,
    ) -> bool {
        let wheel = &self.map.wheel;
        let is_ahead =
            || !superseded.is_none() && superseded.tick(now) > wheel.cursor() + 1 && wheel.is_of_this_round(bucket);
        let lowered = match is_ahead() {
            true if deadline == NEVER => None,
            true => superseded.lowered_to(tick_after(deadline), now),
            false if deadline == NEVER => return true,
            false => {
                self.lower(bin, Due(bin.due()), tick_after(deadline), now);
                return true;
            }
        };
        let due = lowered.unwrap_or(superseded);
        match bin.change_due(Due::NONE.0, due.0) {
            // Of the round of the one that fired: if it is over by now, what was superseded may be gone (W8).
            Ok(()) if lowered.is_some() => self.file(Reminder { bucket, due, superseded }),
            Ok(()) => {
                // The superseded reminder is the earliest again, unless it was taken meanwhile, and found stale (W8).
                fence_after_rmw();
                return is_ahead() || bin.change_due(due.0, Due::NONE.0).is_err();
            }
            // Somebody else has filed.
            Err(seen) if deadline != NEVER => self.lower(bin, Due(seen), tick_after(deadline), now),
            Err(_) => {}
        }
        true
    }

    /// Whether a reminder whose time has not come was superseded, and may be dropped all the same.
    fn is_to_be_scrubbed(&self, reminder: Reminder) -> bool {
        let Some(round) = self.map.wheel.scrubbing() else { return false };
        // The look at the round before that at the due; pairs with the fence in `file_again` (W8): whoever relies on this
        // reminder anew sees that he can't, or is seen to.
        fence(Ordering::SeqCst);
        let bin = self.map.table.locate_bin(reminder.bucket.number(), self, self.guard);
        bin.is_some_and(|bin| {
            bin.due() != reminder.due.0
                && !self.is_moving(bin)
                // Else others may rely on it: those who superseded it after the round had ended (W8).
                && self.map.wheel.scrubbing() == Some(round)
        })
    }

    /// Retires what has lapsed in a bucket; returns the earliest deadline of what is left, or nothing if it has moved.
    fn visit(&self, bin: BinRef<'g, Entry<K, V>>, now: &Now<'_>, done: &mut Tally) -> Option<u64> {
        if bin.is_frozen() {
            return None;
        }
        let mut standing = bin.standing();
        standing.look()?;
        // All at once: each lapse ends with a CAS, which waits for what came before it.
        standing.in_slots().for_each(|(_, found)| prefetch(found.as_ptr()));
        let (mut earliest, mut emptied, mut missed) = (NEVER, Slots::default(), Slots::default());
        for (number, found) in standing.in_slots() {
            done.examined += 1;
            match judge(found.entry(), now) {
                Some(deadline) => earliest = earliest.min(deadline),
                None if found.empty() => emptied.add(number),
                None => missed.add(number),
            }
        }
        // At once, and before anything of the user's runs.
        bin.free_all(emptied);
        let gone = emptied.numbers().map(|number| standing.occupied(number).as_ptr());
        // SAFETY: emptied by us, so unlinked by this call, each.
        unsafe { self.map.retire_all(gone, RemovalCause::Expired, self.guard) };
        done.retired += emptied.count();
        for number in missed.numbers() {
            done.retired += usize::from(self.unlink(standing.occupied(number), RemovalCause::Expired));
        }
        for found in standing.in_tail() {
            done.examined += 1;
            match judge(found.entry(), now) {
                Some(deadline) => earliest = earliest.min(deadline),
                None => done.retired += usize::from(self.unlink(found, RemovalCause::Expired)),
            }
        }
        Some(earliest)
    }
}
