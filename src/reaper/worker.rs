//! The reaper's thread: look for what is due, then sleep until the next.
//!
//! [`Worker::step`] looks through all that is watched once. [`Worker::wait`] falls asleep: it says for each map until when
//! it will sleep, then looks once more, so that a deadline filed meanwhile is seen by one side or the other (R4).
//!
//! A map is held only while it is looked at. Whoever drops the last handle meanwhile leaves the map's drop to this
//! thread, so every such look ends in [`contain`], as destructors may panic.

use std::time::{Duration, Instant};

use super::alarm::{Alarm, Watch};
use super::bell::Bell;
use super::{Candidate, Driven, Shared, Wait, Watched};
use crate::sync::{Arc, Ordering, Weak, lock, reaping, thread};
use crate::unwind::contain;

/// How soon memory that a reader holds up is looked at again; twice as late each time that nothing is overdue, up to
/// [`NEXT_RETRY`] if some was freed, and to [`LAST_RETRY`] if none was.
const FIRST_RETRY: Duration = Duration::from_millis(1);
/// How soon memory is looked at that a write retired: the next writes may free it till then.
const NEXT_RETRY: Duration = Duration::from_millis(32);
const LAST_RETRY: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    shared: Arc<Shared>,
    bell: Arc<Bell>,
    maps: Vec<Entry>,
    clocks: Vec<Weak<dyn Driven>>,
    looked: Instant,
}

struct Entry {
    map: Weak<dyn Watched>,
    watch: Arc<Watch>,
    /// The alarm of a clock that doesn't go by itself.
    clock: Option<Arc<Alarm>>,
    /// When to come back for what couldn't be done, and how much later the next time.
    retry: Option<(Instant, Duration)>,
    /// Whether what couldn't be done is overdue entries, as the user's code panics, and not memory alone.
    is_stuck: bool,
    /// Whether the last sweep has left more to do, be it bins to move alone.
    again: bool,
}

/// What a step leaves to do.
pub(super) enum Step {
    /// More of the same.
    Again,
    /// Nothing before something is due.
    Wait,
    /// Nothing is left to watch.
    Idle,
    Stopped,
}

/// What a look at a map found.
enum Look {
    Gone,
    More,
    Done,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, bell: Arc<Bell>) -> Self {
        Worker { shared, bell, maps: Vec::new(), clocks: Vec::new(), looked: Instant::now() }
    }

    /// What the thread does all its life.
    pub(super) fn run(mut self) {
        reaping::begin();
        self.bell.begin();
        loop {
            match self.step() {
                Step::Again => {}
                Step::Wait => self.wait(),
                Step::Idle => {
                    self.linger();
                    if self.end() {
                        return;
                    }
                }
                Step::Stopped => return self.leave(),
            }
        }
    }

    /// Looks once through all that is watched, and sweeps a budget of each map that has something overdue.
    pub(super) fn step(&mut self) -> Step {
        self.bell.wake();
        self.take_in();
        self.drive();
        // Relaxed: counts.
        self.shared.passes.fetch_add(1, Ordering::Relaxed);
        let (mut more, mut n) = (false, 0);
        while n < self.maps.len() {
            if self.bell.is_stopped() {
                return Step::Stopped;
            }
            match self.look(n) {
                Look::Gone => self.maps.swap_remove(n).end(),
                look => {
                    more |= matches!(look, Look::More);
                    n += 1;
                }
            }
        }
        self.looked = Instant::now();
        match () {
            () if self.bell.is_stopped() => Step::Stopped,
            () if more => Step::Again,
            () if self.maps.is_empty() && self.clocks.is_empty() => Step::Idle,
            () => Step::Wait,
        }
    }

    /// Sleeps until something is due, or somebody rings.
    pub(super) fn wait(&mut self) {
        self.nap();
        let Some(until) = self.plan() else { return };
        self.bell.fall_asleep();
        if !self.is_nearer() {
            self.sleep(until);
        }
    }

    /// Lets the time pass that is to be between two looks, whoever rings. In a model it has passed.
    fn nap(&mut self) {
        if cfg!(ttl_loom) {
            return;
        }
        let settings = &self.shared.settings;
        let (interval, tick) = (settings.interval, settings.tick);
        while !self.bell.is_stopped() {
            let left = interval.saturating_sub(self.looked.elapsed());
            if left.is_zero() {
                return;
            }
            self.bell.nap(if self.clocks.is_empty() { left } else { left.min(tick) });
            self.drive();
        }
    }

    /// Takes in what is newly to be watched.
    fn take_in(&mut self) {
        let new = std::mem::take(&mut lock(&self.shared.inbox).new);
        for candidate in new {
            match candidate {
                Candidate::Clock(clock) => self.clocks.push(clock),
                Candidate::Map(map) => self.admit(map),
            }
        }
    }

    fn admit(&mut self, map: Weak<dyn Watched>) {
        let watch = Arc::new(Watch::new(&self.bell));
        let mut clock = None;
        let mut is_new = false;
        self.with(&map, |map| {
            is_new = map.alarm().add(&watch);
            clock = map.clock_alarm();
        });
        if is_new {
            if let Some(alarm) = &clock {
                alarm.add_another(&watch);
            }
            self.maps.push(Entry { map, watch, clock, retry: None, is_stuck: false, again: false });
        }
    }

    /// Does something with a map that is still there, and lets go of it, perhaps as the last.
    fn with<R>(&self, map: &Weak<dyn Watched>, of: impl FnOnce(&dyn Watched) -> R) -> Option<R> {
        let map = map.upgrade()?;
        let result = of(&*map);
        self.count_panics(contain(|| drop(map)));
        Some(result)
    }

    fn count_panics(&self, panics: u64) {
        if panics > 0 {
            // Relaxed: a count.
            self.shared.panics.fetch_add(panics, Ordering::Relaxed);
        }
    }

    fn look(&mut self, n: usize) -> Look {
        let entry = &self.maps[n];
        // A model's time is always come.
        let again = entry.again;
        let retry = entry.retry.is_some_and(|(at, _)| cfg!(ttl_loom) || at <= Instant::now());
        let budget = self.shared.settings.budget;
        let looked = self.with(&entry.map, |map| {
            let due = map.due();
            let swept = (retry || again || due.wait == Wait::Over).then(|| map.sweep(budget));
            (if swept.is_some() { map.due().unfreed } else { due.unfreed }, swept)
        });
        match looked {
            None => Look::Gone,
            Some((unfreed, None)) => {
                if unfreed {
                    self.maps[n].retry.get_or_insert_with(|| (Instant::now() + NEXT_RETRY, FIRST_RETRY));
                }
                Look::Done
            }
            Some((unfreed, Some(swept))) => {
                // Relaxed: a count.
                self.shared.retired.fetch_add(swept.retired as u64, Ordering::Relaxed);
                self.count_panics(swept.panics);
                // A sweep takes its time, and the clocks are not to stand still meanwhile.
                self.drive();
                // Where the user's code panics, trying again at once might never end.
                let stuck = swept.more && swept.panics > 0;
                let later = match self.maps[n].retry {
                    Some((_, after)) if swept.retired == 0 => {
                        (after * 2).min(if swept.freed { NEXT_RETRY } else { LAST_RETRY })
                    }
                    _ => FIRST_RETRY,
                };
                self.maps[n].is_stuck = stuck;
                self.maps[n].again = swept.more && !stuck;
                self.maps[n].retry = (stuck || unfreed).then(|| (Instant::now() + later, later));
                if swept.more && !stuck { Look::More } else { Look::Done }
            }
        }
    }

    /// Says to each map until when this thread will sleep; returns it, or nothing if it won't. Time is what passes here:
    /// None is until somebody rings.
    fn plan(&mut self) -> Option<Option<Instant>> {
        if cfg!(ttl_loom) && self.maps.iter().any(|entry| entry.retry.is_some()) {
            // A model has no time to wait for.
            thread::yield_now();
            return None;
        }
        let now = Instant::now();
        let mut until = None::<Instant>;
        for entry in &self.maps {
            let due = self.with(&entry.map, |map| map.due())?;
            let retry = entry.retry.map(|(at, _)| at);
            let wakes = match due.wait {
                // What is overdue and could not be done waits for its next try.
                Wait::Over if entry.is_stuck => Some(retry?),
                // It came due since the look.
                Wait::Over => return None,
                Wait::For(time) => now.checked_add(time),
                Wait::Alarm => None,
            };
            entry.watch.wake_at(due.at);
            until = until.into_iter().chain(wakes).chain(retry).min();
        }
        Some(until)
    }

    /// The last look before sleep: whether something is due earlier than planned.
    fn is_nearer(&self) -> bool {
        self.maps.iter().any(|entry| {
            // A map that has gone has rung.
            let due = self.with(&entry.map, |map| map.due());
            due.is_some_and(|due| {
                let is_overdue = due.wait == Wait::Over && !entry.is_stuck;
                entry.watch.is_later_than(due.at) || is_overdue || (due.unfreed && entry.retry.is_none())
            })
        })
    }

    /// Sleeps, and keeps the clocks going that this thread drives. In a model no time comes: only a ring ends this.
    fn sleep(&mut self, until: Option<Instant>) {
        if cfg!(ttl_loom) {
            return self.bell.sleep(None);
        }
        loop {
            let tick =
                (!self.clocks.is_empty()).then(|| Instant::now().checked_add(self.shared.settings.tick)).flatten();
            let next = until.into_iter().chain(tick).min();
            self.bell.sleep(next);
            if self.clocks.is_empty() || self.bell.is_rung() || next == until {
                return;
            }
            if !self.drive() {
                return;
            }
        }
    }

    /// Sets the clocks that this thread drives; false if one of them has gone.
    fn drive(&mut self) -> bool {
        let before = self.clocks.len();
        self.clocks.retain(|clock| clock.upgrade().map(|clock| clock.drive()).is_some());
        before == self.clocks.len()
    }

    /// With nothing to watch, waits a moment for something new.
    fn linger(&mut self) {
        let Some(until) = Instant::now().checked_add(self.shared.settings.linger) else { return };
        while Instant::now() < until && !self.bell.is_stopped() {
            self.bell.wake();
            if !lock(&self.shared.inbox).new.is_empty() {
                return;
            }
            self.bell.fall_asleep();
            self.bell.sleep(Some(until));
        }
    }

    /// Ends the thread's life with nothing to watch, unless something has come; false then.
    fn end(&mut self) -> bool {
        let mut inbox = lock(&self.shared.inbox);
        if inbox.is_stopped || !inbox.new.is_empty() {
            return false;
        }
        inbox.bell = None;
        // Detached: the guard may have been forgotten.
        inbox.handle = None;
        true
    }

    /// Ends the thread's life because it was told to: no map, and no clock, has anything of it any more.
    fn leave(mut self) {
        self.take_in();
        for entry in std::mem::take(&mut self.maps) {
            self.with(&entry.map, |map| map.alarm().remove(&entry.watch));
            entry.end();
        }
        self.clocks.iter().filter_map(Weak::upgrade).for_each(|clock| clock.release());
        lock(&self.shared.inbox).bell = None;
    }
}

impl Entry {
    /// For a map that has gone.
    fn end(self) {
        self.watch.end();
        if let Some(clock) = &self.clock {
            clock.remove(&self.watch);
        }
    }
}

#[cfg(all(test, not(ttl_loom)))]
mod tests {
    use super::*;
    use crate::reaper::{Due, Swept};
    use crate::sync::AtomicU32;
    use crate::{ManualClock, TtlMap};

    /// A map with memory that a reader holds up, and something that may be overdue.
    #[derive(Default)]
    struct Held {
        alarm: Alarm,
        overdue: AtomicU32,
    }

    impl Watched for Held {
        fn sweep(&self, _budget: usize) -> Swept {
            Swept { retired: 0, freed: false, panics: 0, more: false }
        }

        fn due(&self) -> Due {
            let wait = if self.overdue.load(Ordering::Relaxed) > 0 { Wait::Over } else { Wait::Alarm };
            Due { at: 1, wait, unfreed: true }
        }

        fn alarm(&self) -> &Alarm {
            &self.alarm
        }

        fn clock_alarm(&self) -> Option<Arc<Alarm>> {
            None
        }
    }

    /// The buckets of a table that is too large are moved to a smaller one also where nobody writes.
    #[test]
    fn a_quiet_map_is_left_with_nothing_to_do() {
        let (clock, life) = (ManualClock::new(), Duration::from_secs(1));
        let map = Arc::new(TtlMap::builder().time_to_live(life).clock(&clock).build());
        (0..200_000u64).for_each(|key| drop(map.insert(key, key)));
        let watched: Arc<dyn Watched> = map.clone();
        let shared = Arc::new(Shared::new(crate::Reaper::builder().budget(100).settings, Vec::new()));
        let mut worker = Worker::new(shared, Arc::new(Bell::new()));
        worker.admit(Arc::downgrade(&watched));
        clock.advance(2 * life);
        while matches!(worker.step(), Step::Again) {}
        assert_eq!(map.stored_len(), 0);
        // What was retired last may be left, for later.
        let calls = (0..200).take_while(|_| map.purge_expired(1).more).count();
        assert!(calls < 200 && map.capacity() < 100, "after {calls} calls there is room for {}", map.capacity());
    }

    #[test]
    fn what_comes_due_is_not_held_up_by_memory_that_is() {
        let map = Arc::new(Held::default());
        let watched: Arc<dyn Watched> = map.clone();
        let shared = Arc::new(Shared::new(crate::Reaper::builder().settings, Vec::new()));
        let mut worker = Worker::new(shared, Arc::new(Bell::new()));
        worker.admit(Arc::downgrade(&watched));
        assert!(matches!(worker.step(), Step::Wait));
        assert!(matches!(worker.plan(), Some(Some(_))), "the memory is looked at again");
        // Between the look and the plan.
        map.overdue.store(1, Ordering::Relaxed);
        assert!(worker.plan().is_none(), "there is something to sweep");
        assert!(worker.is_nearer(), "also after the plan");
    }
}
