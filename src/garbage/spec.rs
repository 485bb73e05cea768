//! The grace period as the models see it: the smallest collector that keeps the promise, and the most adversarial
//! one. It lets memory go at the first moment that is allowed, where `epoch.rs` waits for two epochs.
//!
//! A participant a thread, odd while it is pinned. A grace period is over when each participant that was pinned at
//! its start has moved.

use loom::sync::atomic::{AtomicUsize, Ordering, fence};

const PARTICIPANTS: usize = 5;

loom::lazy_static! {
    static ref JOINED: AtomicUsize = AtomicUsize::new(0);
    static ref EPOCHS: [AtomicUsize; PARTICIPANTS] = [const { () }; PARTICIPANTS].map(|()| AtomicUsize::new(0));
}

loom::thread_local! {
    static NUMBER: (usize, std::cell::Cell<usize>) =
        (JOINED.fetch_add(1, Ordering::Relaxed), std::cell::Cell::new(0));
}

/// Nothing is to be scanned here.
#[derive(Default)]
pub(crate) struct Scan;

pub(crate) struct Guard(());

pub(super) fn prepare() {}

pub(crate) fn pin() -> Guard {
    NUMBER.with(|(number, depth)| {
        if depth.replace(depth.get() + 1) == 0 {
            EPOCHS[*number].fetch_add(1, Ordering::Relaxed);
            // SeqCst fence: the pin before the first load under it; pairs with the fence in `grace`.
            fence(Ordering::SeqCst);
        }
    });
    Guard(())
}

impl Drop for Guard {
    fn drop(&mut self) {
        NUMBER.with(|(number, depth)| {
            if depth.replace(depth.get() - 1) == 1 {
                EPOCHS[*number].fetch_add(1, Ordering::Release);
            }
        });
    }
}

impl Guard {
    pub(crate) fn thread_number(&self) -> usize {
        0
    }

    pub(crate) fn grace(&self, _: &mut Scan) -> Grace {
        // SeqCst fence: the unlinking before the look at who is pinned; pairs with the fence in `pin`.
        fence(Ordering::SeqCst);
        Grace(std::array::from_fn(|number| EPOCHS[number].load(Ordering::Acquire)))
    }

    pub(crate) fn advance(&self, _: &mut Scan) {}

    pub(crate) fn flush(&self) {}
}

pub(crate) struct Grace([usize; PARTICIPANTS]);

impl Grace {
    pub(crate) fn is_over(&self) -> bool {
        let moved = |(number, &seen): (usize, &usize)| EPOCHS[number].load(Ordering::Acquire) != seen;
        self.0.iter().enumerate().filter(|(_, seen)| *seen % 2 == 1).all(moved)
    }
}
