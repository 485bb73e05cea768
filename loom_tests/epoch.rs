//! The collector itself, without the map: readers of one slot, and writers who change it and free what was there.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize as Place, Ordering::Relaxed};

use loom::sync::Arc;
use loom::sync::atomic::{AtomicPtr, Ordering};

use super::{Census, Watched, check};
use crate::garbage::epoch::{Collector, Grace, Record, Scan};

/// A slot of one value, behind a collector of its own.
struct Slot {
    collector: Collector,
    value: AtomicPtr<Watched>,
    census: Census,
    /// What was not freed before the end.
    left: Mutex<Vec<usize>>,
}

/// A writer: what it has unlinked, and how far its scan is.
struct Writer<'s> {
    slot: &'s Slot,
    record: &'s Record,
    scan: Scan,
    waiting: Vec<(Grace, *mut Watched)>,
}

/// A record on its way to its owner.
struct Claimed(*const Record);

// SAFETY: whoever claimed it doesn't use it.
unsafe impl Send for Claimed {}

impl Claimed {
    fn of(self, _: &Slot) -> &Record {
        // SAFETY: the slot's collector has it, and is there while the slot is.
        unsafe { &*self.0 }
    }
}

impl Slot {
    fn new() -> Arc<Self> {
        let census = Census::default();
        let value = AtomicPtr::new(Box::into_raw(Box::new(census.birth(0))));
        Arc::new(Slot { collector: Collector::new(), value, census, left: Mutex::default() })
    }

    /// A record whose pins are ended by whoever wants the epoch to move on.
    fn claim(&self) -> &Record {
        self.collector.claim(true)
    }

    fn writer(&self) -> Writer<'_> {
        self.writer_of(self.claim())
    }

    fn writer_of<'s>(&'s self, record: &'s Record) -> Writer<'s> {
        Writer { slot: self, record, scan: Scan::default(), waiting: Vec::new() }
    }

    /// A record for a thread that is yet to be spawned.
    fn claimed(&self) -> Claimed {
        Claimed(std::ptr::from_ref(self.claim()))
    }

    /// Reads the value under a pin.
    fn read(&self, record: &Record) -> u8 {
        record.pin(&self.collector);
        let value = self.look();
        record.unpin();
        value
    }

    /// Reads the value; the caller is pinned.
    fn look(&self) -> u8 {
        // SAFETY: the caller is pinned, and loom watches.
        unsafe { &*self.value.load(Ordering::Acquire) }.read()
    }
}

impl Writer<'_> {
    /// Puts another value in the slot, and starts the old one's grace period.
    fn replace(&mut self, value: u8) {
        self.record.pin(&self.slot.collector);
        let new = Box::into_raw(Box::new(self.slot.census.birth(value)));
        let old = self.slot.value.swap(new, Ordering::AcqRel);
        self.waiting.push((self.slot.collector.grace(&mut self.scan), old));
        self.record.unpin();
    }

    /// Takes a step of the scan, and frees what may be freed.
    fn step(&mut self) {
        self.slot.collector.advance(&mut self.scan);
        self.free();
    }

    fn free(&mut self) {
        let collector = &self.slot.collector;
        self.waiting.retain(|&(grace, value)| {
            let over = collector.is_over(grace);
            if over {
                // SAFETY: out of reach, and its grace period is over; loom watches.
                drop(unsafe { Box::from_raw(value) });
            }
            !over
        });
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        let left = self.waiting.drain(..).map(|(_, value)| value.expose_provenance());
        self.slot.left.lock().unwrap().extend(left);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let last = self.value.with_mut(|value| value.expose_provenance());
        for value in std::mem::take(self.left.get_mut().unwrap()).into_iter().chain([last]) {
            // SAFETY: put there once, and everybody is gone.
            drop(unsafe { Box::from_raw(std::ptr::with_exposed_provenance_mut::<Watched>(value)) });
        }
        self.census.assert_all_dropped();
    }
}

fn spawn<T: Send + 'static>(
    slot: &Arc<Slot>,
    f: impl FnOnce(&Slot) -> T + Send + 'static,
) -> loom::thread::JoinHandle<T> {
    let slot = Arc::clone(slot);
    loom::thread::spawn(move || f(&slot))
}

/// Whether some execution freed something while others ran; a model in which none does shows nothing.
#[derive(Clone, Default)]
struct Freed(std::sync::Arc<Place>);

impl Freed {
    fn note(&self, writer: &Writer<'_>) {
        self.0.fetch_add(usize::from(writer.waiting.is_empty()), Relaxed);
    }

    fn assert_some(&self) {
        assert!(self.0.load(Relaxed) > 0, "nothing was ever freed");
    }
}

#[test]
fn reader_is_waited_for() {
    let freed = Freed::default();
    let noted = freed.clone();
    check("read/replace, three steps", Some(4), move || {
        let slot = Slot::new();
        let reader = spawn(&slot, |slot| slot.read(slot.claim()));
        let mut writer = slot.writer();
        writer.replace(1);
        // With two records two looks move the epoch, and the first is that of `replace`.
        (0..3).for_each(|_| writer.step());
        noted.note(&writer);
        drop(writer);
        assert!(reader.join().unwrap() <= 1);
    });
    freed.assert_some();
}

#[test]
fn reader_that_pins_again_is_waited_for() {
    let freed = Freed::default();
    let noted = freed.clone();
    check("read, pin/replace, four steps", Some(4), move || {
        let slot = Slot::new();
        let reader = spawn(&slot, |slot| {
            let record = slot.claim();
            let value = slot.read(record);
            // Left pinned: the scan may see this pin where it never saw the first one end.
            record.pin(&slot.collector);
            value
        });
        let mut writer = slot.writer();
        writer.replace(1);
        (0..4).for_each(|_| writer.step());
        noted.note(&writer);
        drop(writer);
        assert!(reader.join().unwrap() <= 1);
    });
    freed.assert_some();
}

#[test]
fn reader_with_a_fence_a_pin_is_waited_for() {
    let freed = Freed::default();
    let noted = freed.clone();
    check("read, read/replace, three steps, fenced", Some(3), move || {
        let slot = Slot::new();
        let reader = spawn(&slot, |slot| {
            let record = slot.collector.claim(false);
            (slot.read(record), slot.read(record))
        });
        let mut writer = slot.writer_of(slot.collector.claim(false));
        writer.replace(1);
        (0..3).for_each(|_| writer.step());
        noted.note(&writer);
        drop(writer);
        let (first, second) = reader.join().unwrap();
        assert!(first <= second && second <= 1);
    });
    freed.assert_some();
}

/// A reader that has let go, its record still pinned, comes back while `others` do something; a value is replaced then.
fn comes_back(name: &str, bound: usize, before: fn(&Slot, &Record), others: fn(&Slot)) {
    then_leaves(name, bound, before, others, |_| ());
}

/// The same, and does something with its record at the end.
fn then_leaves(name: &str, bound: usize, before: fn(&Slot, &Record), others: fn(&Slot), leave: fn(&Record)) {
    let freed = Freed::default();
    let noted = freed.clone();
    check(name, Some(bound), move || {
        let slot = Slot::new();
        let (first, last) = (slot.claimed(), slot.claimed());
        let theirs = last.of(&slot);
        assert_eq!(slot.read(theirs), 0);
        before(&slot, theirs);
        let theirs = Claimed(theirs);
        let reader = spawn(&slot, move |slot| {
            let record = theirs.of(slot);
            let value = slot.read(record);
            leave(record);
            value
        });
        others(&slot);
        let mut writer = slot.writer_of(first.of(&slot));
        writer.replace(1);
        (0..2).for_each(|_| slot.collector.flush());
        writer.free();
        noted.note(&writer);
        drop(writer);
        assert!(reader.join().unwrap() <= 1);
    });
    freed.assert_some();
}

#[test]
fn reader_that_comes_back_is_waited_for() {
    comes_back("read, then read/replace, flush, flush", 3, |_, _| (), |_| ());
}

#[test]
fn reader_whose_pin_is_revoked_pins_anew() {
    let revoke = |slot: &Slot| (0..2).for_each(|_| slot.collector.flush());
    comes_back("read, then read/flush, flush, replace, flush, flush", 3, |_, _| (), revoke);
}

#[test]
fn reader_ahead_of_who_revokes_is_waited_for() {
    let go_ahead = |slot: &Slot, record: &Record| {
        slot.collector.flush();
        assert_eq!(slot.read(record), 0);
    };
    // One that was stopped after it had read the first epoch.
    let revoke = |slot: &Slot| slot.collector.revoke_behind(0);
    comes_back("read, flush, read, then read/revoke, replace, flush, flush", 3, go_ahead, revoke);
}

#[test]
fn reader_that_leaves_is_waited_for() {
    then_leaves("read, then read, leave/replace, flush, flush", 3, |_, _| (), |_| (), Record::leave);
}

#[test]
fn record_given_up_and_claimed_again_is_revoked_once() {
    check("read, flush, then leave, claim, read/revoke, replace, flush, flush", Some(2), || {
        let slot = Slot::new();
        let (first, last) = (slot.claimed(), slot.claimed());
        let theirs = last.of(&slot);
        assert_eq!(slot.read(theirs), 0);
        slot.collector.flush();
        let theirs = Claimed(theirs);
        let reader = spawn(&slot, |slot| {
            theirs.of(slot).leave();
            slot.read(slot.claim())
        });
        slot.collector.revoke_behind(1);
        let mut writer = slot.writer_of(first.of(&slot));
        writer.replace(1);
        (0..2).for_each(|_| slot.collector.flush());
        writer.free();
        drop(writer);
        assert!(reader.join().unwrap() <= 1);
    });
}

#[test]
fn pin_revoked_by_another_is_over() {
    let freed = Freed::default();
    let noted = freed.clone();
    check("read, then read/flush/replace, flush, flush", Some(3), move || {
        let slot = Slot::new();
        let (first, last) = (slot.claimed(), slot.claimed());
        let theirs = last.of(&slot);
        assert_eq!(slot.read(theirs), 0);
        let theirs = Claimed(theirs);
        let reader = spawn(&slot, |slot| slot.read(theirs.of(slot)));
        let helper = spawn(&slot, |slot| slot.collector.flush());
        let mut writer = slot.writer_of(first.of(&slot));
        writer.replace(1);
        (0..2).for_each(|_| slot.collector.flush());
        writer.free();
        noted.note(&writer);
        drop(writer);
        helper.join().unwrap();
        assert!(reader.join().unwrap() <= 1);
    });
    freed.assert_some();
}

#[test]
fn nested_pins_are_one() {
    check("pin, pin, unpin, read, unpin/replace, four steps", Some(4), || {
        let slot = Slot::new();
        let reader = spawn(&slot, |slot| {
            let record = slot.claim();
            record.pin(&slot.collector);
            let first = slot.value.load(Ordering::Acquire);
            assert!(slot.read(record) <= 1);
            // SAFETY: found under the outer pin, which lasts; loom watches.
            let value = unsafe { &*first }.read();
            record.unpin();
            value
        });
        let mut writer = slot.writer();
        writer.replace(1);
        (0..4).for_each(|_| writer.step());
        drop(writer);
        assert!(reader.join().unwrap() <= 1);
    });
}

/// A reader, a helper that flushes so often, and a writer that does, too, before it looks whether it may free.
fn helped(name: &str, bound: Option<usize>, helps: usize, own: usize) {
    let freed = Freed::default();
    let noted = freed.clone();
    check(name, bound, move || {
        let slot = Slot::new();
        // Claimed beforehand, so that scans have records to look at whoever runs first. They begin with the one claimed
        // last: the reader's, unless only the helper is to see it.
        let (first, last) = (slot.claimed(), slot.claimed());
        let (others, theirs) = if own == 0 { (first, last) } else { (last, first) };
        let reader = spawn(&slot, |slot| slot.read(others.of(slot)));
        let helper = spawn(&slot, move |slot| (0..helps).for_each(|_| slot.collector.flush()));
        let mut writer = slot.writer_of(theirs.of(&slot));
        writer.replace(1);
        (0..own).for_each(|_| slot.collector.flush());
        writer.free();
        noted.note(&writer);
        drop(writer);
        helper.join().unwrap();
        assert!(reader.join().unwrap() <= 1);
    });
    freed.assert_some();
}

#[test]
fn epoch_moved_by_another_is_enough() {
    helped("read/flush, flush/replace", Some(3), 2, 0);
}

#[test]
fn epoch_moved_by_two_is_enough() {
    helped("read/flush/replace, flush", Some(3), 1, 1);
}

#[test]
fn records_are_claimed_again() {
    check("read, leave/read, leave/replace, steps", Some(2), || {
        let slot = Slot::new();
        let read = |slot: &Slot| {
            let record = slot.claim();
            let value = slot.read(record);
            record.leave();
            value
        };
        let one = spawn(&slot, read);
        let other = spawn(&slot, read);
        let mut writer = slot.writer();
        writer.replace(1);
        writer.step();
        writer.step();
        drop(writer);
        assert!(one.join().unwrap() <= 1 && other.join().unwrap() <= 1);
        // Not more records were made than threads were there, and each has a number of its own.
        let [one, other] = [(); 2].map(|()| slot.claim().number());
        assert!(one != other && one.max(other) < 3, "{one} and {other}");
    });
}

#[test]
fn record_of_a_pinned_guard_is_kept() {
    check("pin, leave, read, unpin/claim, replace, steps", Some(3), || {
        let slot = Slot::new();
        let record = slot.claim();
        record.pin(&slot.collector);
        let writer = spawn(&slot, |slot| {
            let mut writer = slot.writer();
            writer.replace(1);
            (0..4).for_each(|_| writer.step());
        });
        // The thread's locals end here, but a guard is left in one of those that end later.
        record.leave();
        assert!(slot.look() <= 1);
        record.unpin();
        writer.join().unwrap();
    });
}

#[test]
fn forgotten_guard_holds_what_it_might_see() {
    check("pin, leave/replace, flushes, claims", Some(3), || {
        let slot = Slot::new();
        let forgetful = slot.claim();
        forgetful.pin(&slot.collector);
        forgetful.leave();
        let first = slot.value.load(Ordering::Acquire);
        let other = spawn(&slot, |slot| {
            let mut writer = slot.writer();
            writer.replace(1);
            (0..3).for_each(|_| slot.collector.flush());
            writer.free();
        });
        slot.collector.flush();
        // SAFETY: found under the pin, which nobody ends; loom watches.
        assert_eq!(unsafe { &*first }.read(), 0);
        other.join().unwrap();
        // SAFETY: likewise.
        assert_eq!(unsafe { &*first }.read(), 0);
    });
}
