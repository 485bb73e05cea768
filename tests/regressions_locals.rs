//! One more of the defects that `regressions` is about: what an iterator hands out in a thread whose locals are gone.

mod common;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use common::{Counted, Identity, tally, tiny_map};
use ttlwheel::TtlMap;

type Map = TtlMap<u64, Counted<u64>, Identity>;

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Iterating,
    Iterated,
    Done,
}

/// Iterates when its thread ends.
struct Late {
    map: Arc<Map>,
    tell: Sender<Step>,
    go_on: Receiver<()>,
}

impl Late {
    /// Says so, and waits; a panic here would abort the process.
    fn say(&self, step: Step) {
        let _ = self.tell.send(step);
        let _ = self.go_on.recv();
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        let mut walk = self.map.iter();
        let first = walk.next();
        self.say(Step::Iterating);
        let second = walk.next();
        drop((first, walk));
        self.say(Step::Iterated);
        drop(second);
        let _ = self.tell.send(Step::Done);
    }
}

thread_local! {
    static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
}

/// Each guard of such a thread is a participant of its own, pinned later than the one before: what was found under the
/// first was not held by the second.
#[test]
fn what_an_iterator_hands_out_at_a_threads_end_is_held() {
    let tally = tally!();
    let map: Arc<Map> = Arc::new(tiny_map(Identity));
    (0..6).for_each(|key| drop(map.insert(key, tally.count(key))));
    (0..5).for_each(|_| _ = map.purge_expired(10));
    // An older pin keeps the epoch where it is until all was removed.
    let ((pinned, is_pinned), (unpin, is_to_unpin)) = (channel(), channel::<()>());
    let reader = thread::spawn({
        let map = Arc::clone(&map);
        move || {
            let pin = map.pin();
            pinned.send(()).unwrap();
            let _ = is_to_unpin.recv();
            drop(pin);
            pinned.send(()).unwrap();
        }
    });
    is_pinned.recv().unwrap();
    map.purge_expired(10);
    let ((tell, told), (free, go_on)) = (channel(), channel());
    let late = thread::spawn({
        let map = Arc::clone(&map);
        move || {
            LATE.set(Some(Late { map: Arc::clone(&map), tell, go_on }));
            // First used after LATE, so gone before it.
            map.contains_key(&0);
        }
    });
    assert_eq!(told.recv(), Ok(Step::Iterating));
    unpin.send(()).unwrap();
    is_pinned.recv().unwrap();
    map.clear();
    map.purge_expired(10);
    free.send(()).unwrap();
    assert_eq!(told.recv(), Ok(Step::Iterated));
    (0..20).for_each(|_| _ = map.purge_expired(100));
    let dropped = tally.dropped();
    free.send(()).unwrap();
    assert_eq!(told.recv(), Ok(Step::Done));
    late.join().unwrap();
    reader.join().unwrap();
    assert_eq!(dropped, 0, "dropped while one was held that was found with them");
    drop(map);
    tally.assert_balanced();
}
