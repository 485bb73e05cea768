//! The reaper: its guard, its thread and its maps, in every order of their ends; and that no deadline is slept through.
//!
//! A thread that sleeps here sleeps until it is rung for, as models have no time: a ring that is missed is a deadlock.
//! Loom finds one, too, if a thread outlives the model.

use std::hash::BuildHasherDefault;

use loom::cell::UnsafeCell;
use loom::sync::Condvar;
use loom::thread;

use super::check;
use super::garbage::{Plain, TTL};
use crate::garbage::pin;
use crate::reaper::{Alarm, Candidate, Due, Swept, Wait, Watched};
use crate::sync::{Arc, AtomicU64, Mutex, Ordering, erase, fence};
use crate::{ManualClock, Reaper, TickedClock, TtlMap};

const NEVER: u64 = u64::MAX;
/// A time that is over, as everything is but NEVER.
const OVER: u64 = 5;

/// A map of which a reaper sees nothing but this.
struct Target {
    due: AtomicU64,
    retired: AtomicU64,
    alarm: Alarm,
    /// Read by every look at the target.
    looked_at: [UnsafeCell<()>; 2],
    /// What a sweep drops.
    guard: Mutex<Option<Reaper>>,
    swept: Signal,
}

// SAFETY: loom checks every access to the cell.
unsafe impl Sync for Target {}

impl Target {
    fn new(due: u64) -> Arc<Self> {
        let swept = Signal::default();
        let (due, retired, guard) = (AtomicU64::new(due), AtomicU64::new(0), Mutex::new(None));
        Arc::new(Target { due, retired, alarm: Alarm::default(), looked_at: Default::default(), guard, swept })
    }

    fn look(&self) {
        self.looked_at.iter().for_each(|cell| cell.with(|_| ()));
    }

    fn take_guard(&self) -> Option<Reaper> {
        self.guard.lock().unwrap().take()
    }

    /// Fails if a thread may be looking.
    fn assert_alone(&self) {
        self.looked_at.iter().for_each(|cell| cell.with_mut(|_| ()));
    }

    /// The same, for one of two who say so at once.
    fn assert_no_reaper(&self, me: usize) {
        self.looked_at[me].with_mut(|_| ());
    }

    /// What an insert does that files a deadline.
    fn file(&self, at: u64) {
        let guard = pin();
        self.due.fetch_min(at, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.alarm.note(at, &guard);
    }

    /// What a write does that retires the first thing to wait.
    fn retire(&self) {
        let guard = pin();
        self.retired.store(1, Ordering::Relaxed);
        self.alarm.note_retired(&guard);
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.assert_alone();
    }
}

impl Watched for Target {
    fn sweep(&self, _budget: usize) -> Swept {
        self.look();
        self.due.store(NEVER, Ordering::Relaxed);
        self.retired.store(0, Ordering::Relaxed);
        drop(self.take_guard());
        self.swept.give();
        Swept { retired: 1, freed: true, panics: 0, more: false }
    }

    fn due(&self) -> Due {
        self.look();
        let at = self.due.load(Ordering::Relaxed);
        let unfreed = self.retired.load(Ordering::Relaxed) > 0;
        Due { at, wait: if at == NEVER { Wait::Alarm } else { Wait::Over }, unfreed }
    }

    fn alarm(&self) -> &Alarm {
        &self.alarm
    }

    fn clock_alarm(&self) -> Option<Arc<Alarm>> {
        None
    }
}

/// Something to wait for.
#[derive(Clone)]
struct Signal(Arc<(Mutex<bool>, Condvar)>);

impl Default for Signal {
    fn default() -> Self {
        Signal(Arc::new((Mutex::new(false), Condvar::new())))
    }
}

impl Signal {
    fn give(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_one();
    }

    fn is_given(&self) -> bool {
        *self.0.0.lock().unwrap()
    }

    fn wait(&self) {
        let mut given = self.0.0.lock().unwrap();
        while !*given {
            given = self.0.1.wait(given).unwrap();
        }
    }
}

fn candidate(target: &Arc<Target>) -> Candidate {
    Candidate::Map(erase!(Arc::downgrade(target), dyn Watched))
}

fn reaper() -> Reaper {
    Reaper::builder().spawn().unwrap()
}

fn reaper_of(target: &Arc<Target>) -> Reaper {
    let new = vec![candidate(target)];
    Reaper::builder().spawn_with(new).unwrap()
}

#[test]
fn guard_is_dropped_while_the_thread_starts() {
    check("guard dropped/thread starts", None, || {
        drop(reaper());
    });
}

#[test]
fn guard_is_dropped_while_the_thread_falls_asleep() {
    check("guard dropped/thread sleeps", None, || {
        let target = Target::new(NEVER);
        drop(reaper_of(&target));
        target.assert_alone();
    });
}

#[test]
fn guard_is_dropped_while_the_thread_sweeps() {
    check("guard dropped/thread sweeps", None, || {
        let target = Target::new(OVER);
        let report = reaper_of(&target).close();
        target.assert_alone();
        assert_eq!(report.retired == 1, target.swept.is_given());
        assert_eq!(target.alarm.len(), 0);
    });
}

#[test]
fn target_is_dropped_while_the_thread_looks() {
    check("map dropped, guard dropped/thread sweeps", None, || {
        let target = Target::new(OVER);
        let reaper = reaper_of(&target);
        // Who lets go last drops it, which fails if the other may still be looking.
        drop(target);
        drop(reaper);
    });
}

#[test]
fn target_is_dropped_by_a_third_while_the_guard_is() {
    check("map dropped/guard dropped/thread sweeps", Some(3), || {
        let target = Target::new(OVER);
        let reaper = reaper_of(&target);
        let third = thread::spawn(move || drop(target));
        drop(reaper);
        third.join().unwrap();
    });
}

#[test]
fn thread_of_a_forgotten_guard_ends_with_the_map() {
    check("guard forgotten, map dropped/thread sleeps", None, || {
        let target = Target::new(NEVER);
        let thread = reaper_of(&target).forget().expect("nothing has ended it");
        drop(target);
        thread.join().unwrap();
    });
}

#[test]
fn thread_of_a_forgotten_guard_ends_without_a_map() {
    check("guard forgotten/thread starts", None, || _ = reaper().forget().map(thread::JoinHandle::join));
}

#[test]
fn nearer_deadline_is_not_slept_through() {
    check("file/thread falls asleep", Some(4), || {
        let target = Target::new(NEVER);
        let reaper = reaper_of(&target);
        target.file(OVER);
        target.swept.wait();
        drop(reaper);
        target.assert_alone();
    });
}

#[test]
fn what_was_retired_is_not_slept_through() {
    check("retire/thread falls asleep", Some(4), || {
        let target = Target::new(NEVER);
        let reaper = reaper_of(&target);
        target.retire();
        target.swept.wait();
        drop(reaper);
        target.assert_alone();
    });
}

#[test]
fn new_map_is_not_slept_through() {
    check("watch/thread falls asleep", None, || {
        let asleep = Target::new(NEVER);
        let reaper = reaper_of(&asleep);
        let target = Target::new(OVER);
        reaper.submit(candidate(&target)).unwrap();
        target.swept.wait();
        drop(reaper);
    });
}

#[test]
fn new_map_is_swept_though_the_thread_is_about_to_end() {
    check("watch/thread ends by itself", None, || {
        let reaper = reaper();
        let target = Target::new(OVER);
        reaper.submit(candidate(&target)).unwrap();
        target.swept.wait();
        drop(reaper);
        target.assert_alone();
    });
}

#[test]
fn watch_and_close_agree_on_who_was_first() {
    check("watch/close/thread", Some(4), || {
        let target = Target::new(NEVER);
        let reaper = Arc::new(reaper());
        let theirs = Arc::clone(&reaper);
        let of_theirs = Arc::clone(&target);
        let other = thread::spawn(move || theirs.submit(candidate(&of_theirs)).is_ok());
        reaper.close();
        other.join().unwrap();
        assert!(!reaper.is_running());
        target.assert_alone();
        assert_eq!(target.alarm.len(), 0);
    });
}

#[test]
fn all_who_close_return_after_the_thread_has_ended() {
    check("close/close/thread", Some(3), || {
        let target = Target::new(OVER);
        let reaper = Arc::new(reaper_of(&target));
        let (theirs, of_theirs) = (Arc::clone(&reaper), Arc::clone(&target));
        let other = thread::spawn(move || {
            theirs.close();
            of_theirs.assert_no_reaper(0);
        });
        reaper.close();
        target.assert_no_reaper(1);
        other.join().unwrap();
    });
}

#[test]
fn sweep_that_drops_its_own_guard() {
    check("sweep drops its guard, map dropped", Some(3), || {
        let target = Target::new(NEVER);
        let reaper = reaper_of(&target);
        let thread = reaper.take_handle().unwrap();
        *target.guard.lock().unwrap() = Some(reaper);
        target.file(OVER);
        target.swept.wait();
        drop(target);
        thread.join().unwrap();
    });
}

/// As above, but the thread's handle is where the guard's drop would find it.
#[test]
fn thread_that_drops_its_own_guard_joins_nobody() {
    check("sweep drops its guard with the handle", Some(3), || {
        let target = Target::new(NEVER);
        let reaper = reaper_of(&target);
        let has_ended = reaper.ending();
        *target.guard.lock().unwrap() = Some(reaper);
        target.file(OVER);
        while !has_ended() {
            thread::yield_now();
        }
    });
}

#[test]
fn two_reapers_that_drop_each_other() {
    check("each sweep drops the other's guard", Some(2), || {
        let (one, other) = (Target::new(NEVER), Target::new(NEVER));
        let (first, second) = (reaper_of(&one), reaper_of(&other));
        let threads = [first.take_handle().unwrap(), second.take_handle().unwrap()];
        *one.guard.lock().unwrap() = Some(second);
        *other.guard.lock().unwrap() = Some(first);
        one.file(OVER);
        other.file(OVER);
        // One of them may have ended the other before that one swept.
        drop(one.take_guard());
        drop(other.take_guard());
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn watches_are_freed_after_the_last_note() {
    check("note/reaper comes and goes", Some(2), || {
        let target = Target::new(NEVER);
        let first = reaper_of(&target);
        let theirs = Arc::clone(&target);
        let other = thread::spawn(move || theirs.file(NEVER - 1));
        drop(first);
        // The second change of the list frees what the first replaced.
        drop(reaper_of(&target));
        other.join().unwrap();
        assert_eq!(target.alarm.len(), 0);
    });
}

#[test]
fn alarm_is_there_for_all_who_see_it() {
    check("note/first watch", Some(3), || {
        let target = Target::new(NEVER);
        let theirs = Arc::clone(&target);
        let other = thread::spawn(move || theirs.file(NEVER - 1));
        drop(reaper_of(&target));
        other.join().unwrap();
    });
}

/// A value that says when it is dropped.
struct Farewell(Signal);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.give();
    }
}

type Map<V> = TtlMap<u8, V, BuildHasherDefault<Plain>>;

fn map<V>() -> (Arc<Map<V>>, ManualClock) {
    let clock = ManualClock::new();
    let map = TtlMap::builder().time_to_live(TTL).hasher(BuildHasherDefault::default()).clock(&clock).build();
    (Arc::new(map), clock)
}

#[test]
fn entry_that_is_over_at_once_is_swept() {
    check("insert/thread falls asleep", Some(2), || {
        let (map, clock) = map();
        let reaper = reaper();
        reaper.watch(&map).unwrap();
        let signal = Signal::default();
        drop(map.insert_with_ttl(1, Farewell(signal.clone()), std::time::Duration::ZERO));
        // To the next tick. Who was not told of the entry isn't told of this, either.
        clock.advance(std::time::Duration::from_millis(1));
        signal.wait();
        drop(reaper);
    });
}

#[test]
fn moved_clock_is_not_slept_through() {
    check("clock advanced/thread falls asleep", Some(3), || {
        let (map, clock) = map();
        let signal = Signal::default();
        drop(map.insert(1, Farewell(signal.clone())));
        let reaper = reaper();
        reaper.watch(&map).unwrap();
        clock.advance(TTL * 2);
        signal.wait();
        drop(reaper);
    });
}

#[test]
fn map_is_dropped_while_it_is_swept() {
    check("map dropped, guard dropped/sweep", Some(4), || {
        let (map, clock) = map();
        let signal = Signal::default();
        drop(map.insert(1, Farewell(signal.clone())));
        clock.advance(TTL * 2);
        let reaper = reaper();
        reaper.watch(&map).unwrap();
        drop(map);
        drop(reaper);
        assert!(signal.is_given());
    });
}

#[test]
fn map_that_owns_its_guard_is_dropped() {
    check("map dropped with its guard in it/thread", Some(3), || {
        let (map, _clock) = map();
        let reaper = reaper();
        reaper.watch(&map).unwrap();
        let thread = reaper.take_handle().unwrap();
        drop(map.insert(1, reaper));
        drop(map);
        thread.join().unwrap();
    });
}

#[test]
fn ticked_clock_never_goes_back() {
    check("clock read/driven and released", None, || {
        let clock = TickedClock::new();
        let theirs = clock.clone();
        let reader = thread::spawn(move || {
            let times = [theirs.nanos(), theirs.nanos()];
            assert!(times.is_sorted(), "{times:?}");
        });
        clock.drive_and_release();
        reader.join().unwrap();
    });
}

#[test]
fn ticked_clock_never_goes_back_for_two_readers() {
    check("clock read/clock read/driven", Some(2), || {
        let clock = TickedClock::new();
        let latest = Arc::new(AtomicU64::new(0));
        let readers = [(); 2].map(|()| {
            let (clock, latest) = (clock.clone(), Arc::clone(&latest));
            thread::spawn(move || {
                // Acquire, Release: what one has read before the other begins is not later than what that one reads.
                let before = latest.load(Ordering::Acquire);
                let now = clock.nanos();
                assert!(now >= before, "{before}, then {now}");
                latest.store(now, Ordering::Release);
            })
        });
        clock.drive_and_release();
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}
