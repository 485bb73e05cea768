//! Stops a thread in what the map calls of the user's: `Hash`, `Eq`, `Clone`, `Drop`.

use std::cell::RefCell;
use std::sync::mpsc::{Receiver, Sender};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    Hash,
    Eq,
    Clone,
    Drop,
}

/// What a thread with a gate tells.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    Stopped,
    Done,
}

/// Stops its thread at the n-th call of a site, and tells so, until it is released.
pub struct Gate {
    pub site: Site,
    pub calls_left: u64,
    pub tell: Sender<Event>,
    pub release: Receiver<()>,
}

thread_local! {
    static GATE: RefCell<Option<Gate>> = const { RefCell::new(None) };
}

/// Does `work` with a gate that this thread may stop at.
pub fn gated<R>(gate: Gate, work: impl FnOnce() -> R) -> R {
    GATE.set(Some(gate));
    let result = work();
    GATE.set(None);
    result
}

/// Called at each site.
pub fn pass(site: Site) {
    let gate = GATE.with_borrow_mut(|gate| {
        let armed = gate.as_mut().filter(|gate| gate.site == site)?;
        armed.calls_left -= 1;
        if armed.calls_left == 0 { gate.take() } else { None }
    });
    if let Some(gate) = gate {
        gate.tell.send(Event::Stopped).expect("the test waits for it");
        // An error: the test has failed, and this thread goes on to its end.
        let _ = gate.release.recv();
    }
}
