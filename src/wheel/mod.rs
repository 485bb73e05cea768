//! The timer wheel: reminders to look at a bucket, in the order of time.
//!
//! ```text
//!   file ──▶ level 0  │ │ │▓│ │ │▓│ │ ...   spans of one tick        claim ──▶ lanes ──▶ whoever sweeps
//!            level 1  │ │▓│ │ │ │ │ │ ...   spans of four
//!            level 2  │ │ │ │ │▓│ │ │ ...   spans of sixteen, and so on; each level is made when first used
//! ```
//!
//! The wheel knows ticks and bucket numbers, nothing of entries and tables. A ticket that comes late, early or not at all
//! costs memory for a while, never a wrong answer.
//!
//! Two numbers say how far the wheel has turned. The *cursor* is announced: no ticket is filed at or behind it. What
//! lies between *swept* and the cursor is being emptied; whoever finds it empty moves `swept` up. So a thread that
//! stops between any two steps leaves nothing behind that others would not find.
//!
//! Reminders that were superseded, or whose entries were removed, stay until their time: nothing points at them. If they
//! become more than the others, all slots are gone through once (`scrub`), a slot at a time, and they are dropped.
//!
//! A slot's tickets are taken all at once, and there may be a million. They go to a *lane*, which one thread at a time
//! works off, as much as its budget allows; the rest stays in the lane, for whoever takes it next.

mod geometry;
mod lane;
mod slot;

use std::ptr;

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};
#[cfg(all(test, ttl_loom))]
pub(crate) use geometry::TICK_BITS;
pub(crate) use geometry::{Due, start_of, tick_after, tick_at};
use geometry::{LEVELS, NEAR, Place, REACH, SLOTS, span_bits};
pub(crate) use lane::Sweep;
use lane::{LANES, TAKEN, has_list, has_lists};
pub(crate) use slot::{Bucket, Reminder};
use slot::{Level, List, Ticket, existing, free, get_or_make};

pub(crate) struct Wheel {
    turned: CachePadded<Turned>,
    /// Each null until its first ticket.
    levels: [AtomicPtr<Level>; LEVELS],
    count: CachePadded<Count>,
}

struct Count {
    /// Lists of tickets that were taken and not worked off: null for an empty one, TAKEN while it is in somebody's hands.
    lanes: [AtomicPtr<Ticket>; LANES],
    /// How many tickets there are, but for what sweeps have taken just now.
    len: AtomicUsize,
    /// With more than these the wheel is scrubbed.
    limit: AtomicUsize,
    /// Odd while the wheel is scrubbed.
    round: AtomicUsize,
    /// The slot, counted through all levels, that is scrubbed next.
    next: AtomicUsize,
    /// The last round that began with the end of a long pause.
    after_pause: AtomicUsize,
}

/// So many stale tickets are no reason to scrub.
pub(crate) const FEW: usize = 1024;

struct Turned {
    /// Tickets are filed ahead of this tick.
    cursor: AtomicU64,
    /// Up to this tick no slot has tickets.
    swept: AtomicU64,
    /// The time for which the tick to come was last looked into.
    looked_ahead: AtomicU64,
}

impl Wheel {
    pub(crate) fn new(now: u64) -> Self {
        Wheel {
            turned: CachePadded::new(Turned {
                cursor: AtomicU64::new(now),
                swept: AtomicU64::new(now),
                looked_ahead: AtomicU64::new(0),
            }),
            levels: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            count: CachePadded::new(Count {
                lanes: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
                len: AtomicUsize::new(0),
                limit: AtomicUsize::new(FEW),
                round: AtomicUsize::new(0),
                next: AtomicUsize::new(0),
                after_pause: AtomicUsize::new(0),
            }),
        }
    }

    /// Announces that this tick has begun.
    #[inline]
    pub(crate) fn turn_to(&self, now: u64) {
        // Acquire: the round that a long pause ends with; pairs with `turn` (W10). What depends on the cursor else is
        // ordered by fences (W3).
        if self.turned.cursor.load(Ordering::Acquire) < now {
            self.turn(now);
        }
    }

    #[cold]
    fn turn(&self, now: u64) {
        if now.saturating_sub(self.cursor()) > NEAR / 2 {
            self.end_pause();
        }
        // Release: the round (W10).
        self.turned.cursor.fetch_max(now, Ordering::Release);
    }

    /// After so long a pause dues may be mistaken for ones to come. All reminders are gone through, and those from before are
    /// taken for due; what was filed meanwhile relies on nothing that it superseded.
    #[cold]
    fn end_pause(&self) {
        // A round of its own, also if one is under way: what was filed in that is from before, too.
        let of_its_own = |round: usize| round.wrapping_add(1) | 1;
        // Before and after: a scrub may end in between.
        self.count.after_pause.store(of_its_own(self.round()), Ordering::Relaxed);
        let _ = self.count.round.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |round| Some(of_its_own(round)));
        self.scrub();
        self.count.after_pause.store(self.round() | 1, Ordering::Relaxed);
    }

    pub(crate) fn cursor(&self) -> u64 {
        // Relaxed: as above.
        self.turned.cursor.load(Ordering::Relaxed)
    }

    /// Files a reminder for its due tick, or the next that is to come; returns the tick at which it will be taken. There is a
    /// SeqCst fence behind the filing.
    pub(crate) fn file(&self, reminder: Reminder) -> u64 {
        loop {
            let cursor = self.cursor();
            let tick = reminder.due.tick(cursor).max(cursor + 1);
            let place = Place::of(tick, cursor);
            // Relaxed: a statistic.
            let len = self.count.len.fetch_add(1, Ordering::Relaxed);
            if len >= self.count.limit.load(Ordering::Relaxed) && !self.is_scrubbing() {
                self.scrub();
            }
            let level = || Level::new(cursor >> span_bits(place.level));
            get_or_make(&self.levels[place.level], level).push(place.position, tick, Ticket::new(reminder));
            // SeqCst fence: the ticket's bit before the look at the cursor; pairs with that in `claim` (W3). Either the
            // cursor is seen to have passed, or whoever sweeps up to it sees the bit.
            fence(Ordering::SeqCst);
            if self.cursor() < place.tick() {
                return place.tick();
            }
            // Perhaps nobody has seen it, and it would wait for the wheel to come round: another of the same. Of two
            // the second is stale, and dropped.
        }
    }

    /// Takes the tickets of one slot that the cursor has passed.
    fn claim(&self) -> List {
        loop {
            // Relaxed, both: nothing is read on the word of `swept`.
            let (swept, cursor) = (self.turned.swept.load(Ordering::Relaxed), self.cursor());
            if swept >= cursor {
                return List::default();
            }
            // SeqCst fence: the look at the cursor before that at the bits; pairs with that in `file` (W3).
            fence(Ordering::SeqCst);
            for (number, level) in self.levels() {
                let to = cursor >> span_bits(number);
                while let Some(position) = level.first_unswept(to) {
                    let list = level.take(position);
                    level.set_swept(position);
                    if !list.is_empty() {
                        // So long after its time the slot may have been filed in for the next time round, too.
                        let is_late = to - position + REACH + 1 >= SLOTS as u64;
                        return if is_late { list.taken_early() } else { list };
                    }
                }
                level.set_swept(to);
            }
            // Relaxed: as above. A failure means that others got further.
            let _ = self.turned.swept.compare_exchange(swept, cursor, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Takes the tickets of one slot that the cursor is in, if one of them is due in this very tick.
    fn claim_early(&self, nanos: u64) -> List {
        let cursor = self.cursor();
        let early = |(number, level): (usize, &Level)| {
            let position = (cursor >> span_bits(number)) + 1;
            // What is filed again, as it hasn't lapsed yet, comes to a finer level; on the finest it would come round for
            // ever. Relaxed: who loses a race looks once more, or is spared it.
            let again = number == 0 && self.turned.looked_ahead.load(Ordering::Relaxed) == nanos;
            if again || !level.has_due(position, cursor + 1) {
                return None;
            }
            if number == 0 {
                // Acquire: what was filed before `look_again`.
                self.turned.looked_ahead.swap(nanos, Ordering::Acquire);
            }
            Some(level.take(position).taken_early()).filter(|list| !list.is_empty())
        };
        self.levels().find_map(early).unwrap_or_default()
    }

    /// Says that a reminder was filed for the next tick though its time may have come.
    #[cold]
    pub(crate) fn look_again(&self) {
        // Release: the filing, for whoever looks ahead next.
        self.turned.looked_ahead.store(0, Ordering::Release);
    }

    /// Whether there may be anything to sweep at this tick.
    #[inline]
    pub(crate) fn has_work(&self, now: u64) -> bool {
        // Relaxed, both: a hint; taking a lane or a slot decides.
        self.turned.swept.load(Ordering::Relaxed) < now || has_lists(&self.count.lanes) || self.is_scrubbing()
    }

    /// Whether all that is due by the cursor has been worked off, and nobody is at it.
    pub(crate) fn is_idle(&self) -> bool {
        // Relaxed, all: hints.
        let is_empty = |lane: &AtomicPtr<Ticket>| lane.load(Ordering::Relaxed).is_null();
        self.turned.swept.load(Ordering::Relaxed) >= self.cursor() && self.count.lanes.iter().all(is_empty)
    }

    /// The tick at which there will be something to sweep; one that has passed if there is already.
    pub(crate) fn next_due(&self) -> Option<u64> {
        // Relaxed, all: whoever must not miss a ticket has a fence between its filing and this (R4).
        let cursor = self.cursor();
        if self.count.lanes.iter().any(has_list) {
            return Some(cursor);
        }
        let of_level = |(number, level): (usize, &Level)| {
            let span = span_bits(number);
            level.first(cursor >> span).map(|position| position << span)
        };
        // What is in somebody's hands is told of when it is left.
        self.levels().filter_map(of_level).min()
    }

    /// How many tickets there are, about.
    pub(crate) fn len(&self) -> usize {
        // Relaxed: a statistic.
        self.count.len.load(Ordering::Relaxed)
    }

    /// The memory of reminders and slots.
    #[cfg(any(test, feature = "stats"))]
    pub(crate) fn bytes(&self) -> usize {
        self.len() * size_of::<Ticket>() + self.levels().map(|(_, level)| level.bytes()).sum::<usize>()
    }

    /// Starts to go through all slots, from the front: superseded reminders are dropped.
    #[cold]
    pub(crate) fn scrub(&self) {
        // Relaxed, all: the fences that order the round are where it is used (W8).
        let round = self.round();
        self.count.next.store(0, Ordering::Relaxed);
        if round % 2 == 0 {
            let _ = self.count.round.compare_exchange(round, round + 1, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Takes the tickets of the next slot that is to be scrubbed.
    fn claim_stale(&self) -> List {
        while let Some(round) = self.scrubbing() {
            // Relaxed, all: who loses a race takes an empty slot, or scrubs one again.
            let next = self.count.next.load(Ordering::Relaxed);
            let Some((number, level, slot)) = self.first_to_scrub(next) else {
                // What is left was seen to be up to 1.8 a bucket: one each, and what was filed meanwhile. So there are three, about.
                self.count.limit.store(self.len() + self.len() / 2 + FEW, Ordering::Relaxed);
                let _ = self.count.round.compare_exchange(round, round + 1, Ordering::Relaxed, Ordering::Relaxed);
                break;
            };
            self.count.next.fetch_max(number * SLOTS + slot + 1, Ordering::Relaxed);
            let list = level.take(slot as u64);
            if !list.is_empty() {
                return list.taken_early();
            }
        }
        List::default()
    }

    /// The first slot that may have tickets, counted from `next` through all levels: the level, and its number in it.
    fn first_to_scrub(&self, next: usize) -> Option<(usize, &Level, usize)> {
        self.levels().skip_while(|(number, _)| (number + 1) * SLOTS <= next).find_map(|(number, level)| {
            let from = next.saturating_sub(number * SLOTS);
            Some((number, level, level.first_occupied(from as u64, SLOTS as u64 - 1)? as usize))
        })
    }

    #[inline]
    fn round(&self) -> usize {
        self.count.round.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn is_scrubbing(&self) -> bool {
        self.scrubbing().is_some()
    }

    /// The round in which reminders that are stale may be dropped before their time, if there is one. Look whether they
    /// are after a fence, and whether it is the same round still after that (W8).
    #[inline]
    pub(crate) fn scrubbing(&self) -> Option<usize> {
        Some(self.round()).filter(|round| round % 2 == 1)
    }

    /// A bucket with the present round.
    pub(crate) fn bucket(&self, number: (usize, u32)) -> Bucket {
        Bucket::new(number, self.round() as u16)
    }

    /// Whether what a reminder of this bucket superseded is still in the wheel.
    pub(crate) fn is_of_this_round(&self, bucket: Bucket) -> bool {
        let round = self.round() as u16;
        round % 2 == 0 && bucket.round() == round
    }

    /// Whether a reminder may be from before a long pause, so that its due tells nothing.
    pub(crate) fn may_be_mistaken(&self, bucket: Bucket) -> bool {
        let is_after_pause = self.round() == self.count.after_pause.load(Ordering::Relaxed);
        self.is_of_an_old_round(bucket) && (is_after_pause || !self.is_scrubbing())
    }

    /// Whether a reminder was filed before the last scrub.
    pub(crate) fn is_of_an_old_round(&self, bucket: Bucket) -> bool {
        bucket.round() != self.round() as u16
    }

    fn levels(&self) -> impl Iterator<Item = (usize, &Level)> {
        self.levels.iter().enumerate().filter_map(|(number, level)| Some((number, existing(level)?)))
    }
}

impl Drop for Wheel {
    fn drop(&mut self) {
        for lane in self.count.lanes.iter() {
            // Relaxed: `&mut self`; likewise below.
            let list = lane.load(Ordering::Relaxed);
            if list != TAKEN {
                // SAFETY: the lane's list, which nobody has taken.
                drop(unsafe { List::from_raw(list) });
            }
        }
        // SAFETY: this is the drop.
        self.levels.iter().for_each(|level| unsafe { free(level) });
    }
}

#[cfg(test)]
impl Wheel {
    /// With more reminders than these it is scrubbed.
    #[cfg(not(ttl_loom))]
    pub(crate) fn limit(&self) -> usize {
        self.count.limit.load(Ordering::Relaxed)
    }

    /// All reminders. Nobody else may use the wheel meanwhile.
    pub(crate) fn reminders(&self) -> Vec<Reminder> {
        let lanes = self.count.lanes.iter().map(|lane| lane.load(Ordering::Relaxed));
        let slots = self.levels().flat_map(|(_, level)| level.lists());
        let mut all = Vec::new();
        for mut ticket in lanes.chain(slots) {
            // SAFETY: tickets in lists are boxes, and nobody takes them meanwhile.
            while let Some(next) = unsafe { ticket.map_addr(|bits| bits & !2).as_ref() } {
                all.push(next.reminder);
                ticket = next.next;
            }
        }
        all
    }
}
