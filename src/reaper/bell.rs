//! What wakes a reaper's thread: one word, and a park.
//!
//! Whoever has news rings. A ring while the thread is awake is remembered, and keeps it from falling asleep; one while
//! it sleeps unparks it. Ringing never waits, so that an insert may do it.

use std::time::{Duration, Instant};

use crate::sync::{AtomicU32, Ordering, Plain, fence, park_timeout, thread};

/// The thread sleeps until it is rung for, or is about to.
const ASLEEP: u32 = 1;
/// It naps, and is rung for in vain; only a stop wakes it.
const NAPPING: u32 = 2;
/// There is news. Taken back by the thread before it looks for them.
const RUNG: u32 = 4;
/// The thread is to end. Never taken back.
const STOP: u32 = 8;

/// One bell a thread; the thread it wakes is the one that called [`Bell::begin`].
pub(crate) struct Bell {
    /// Set by anyone, taken back by the thread.
    state: AtomicU32,
    /// Set once by the thread, before it first sleeps.
    sleeper: Plain<Option<thread::Thread>>,
}

// SAFETY: `sleeper` is written before the word first says ASLEEP or NAPPING, and read only by who has seen that (R3).
unsafe impl Sync for Bell {}

impl Bell {
    pub(super) fn new() -> Self {
        Bell { state: AtomicU32::new(0), sleeper: Plain::default() }
    }

    /// Wakes the thread, or keeps it awake: there is news.
    pub(super) fn ring(&self) {
        // Acquire: the sleeper; pairs with the Release in `fall_asleep` (R3). The news are under a lock, in the counts of
        // an `Arc`, or behind fences; the word's changes have one order, and that is all they need of it.
        let before = self.state.fetch_or(RUNG, Ordering::Acquire);
        if before & (ASLEEP | RUNG) == ASLEEP {
            self.unpark();
        }
    }

    /// Rings if the thread sleeps. A thread that is awake sees the news before it sleeps again, if they were there
    /// before a SeqCst fence that the caller has behind it.
    pub(super) fn ring_sleeper(&self) {
        // Relaxed: ordered by the fence, which pairs with that of `fall_asleep` (R4).
        if self.state.load(Ordering::Relaxed) & (ASLEEP | RUNG) == ASLEEP {
            self.ring();
        }
    }

    /// Tells the thread to end, and wakes it.
    pub(super) fn stop(&self) {
        // Acquire: the sleeper (R3).
        if self.state.fetch_or(STOP | RUNG, Ordering::Acquire) & (ASLEEP | NAPPING) != 0 {
            self.unpark();
        }
    }

    fn unpark(&self) {
        // SAFETY: the word said ASLEEP or NAPPING, so the sleeper was written before (R3), and won't be again.
        if let Some(sleeper) = unsafe { self.sleeper.get() } {
            sleeper.unpark();
        }
    }

    /// Says whose bell this is. By the thread itself, once, before anything else.
    pub(super) fn begin(&self) {
        // SAFETY: nobody reads it before the word says ASLEEP or NAPPING, which only this thread makes it say, later.
        unsafe { self.sleeper.set(Some(thread::current())) };
    }

    /// The thread looks for news now: what is rung for from here on will make it look again.
    pub(super) fn wake(&self) {
        // Relaxed: see `ring`.
        self.state.fetch_and(!(ASLEEP | NAPPING | RUNG), Ordering::Relaxed);
    }

    pub(super) fn is_rung(&self) -> bool {
        // Relaxed: see `ring`.
        self.state.load(Ordering::Relaxed) & RUNG != 0
    }

    pub(super) fn is_stopped(&self) -> bool {
        // Relaxed: see `ring`.
        self.state.load(Ordering::Relaxed) & STOP != 0
    }

    /// Says that the thread sleeps. It must look once more for news that nobody rings for unless it sleeps.
    pub(super) fn fall_asleep(&self) {
        // Release: the sleeper; pairs with the Acquire in `ring` and `stop` (R3).
        self.state.fetch_or(ASLEEP, Ordering::Release);
        // SeqCst fence: "asleep", and until when, before the last look; pairs with the one between a note's news and
        // its look at this word (R4):
        // - if ours comes first, the note sees that we sleep, and rings;
        // - if theirs comes first, we see the news.
        fence(Ordering::SeqCst);
    }

    /// Sleeps, after [`Bell::fall_asleep`], until somebody rings or has rung, or the time has come.
    pub(super) fn sleep(&self, until: Option<Instant>) {
        while !self.is_rung() {
            match until {
                None => thread::park(),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return;
                    }
                    park_timeout(left);
                }
            }
        }
    }

    /// Sleeps for a while, whoever rings, unless it is to stop.
    pub(super) fn nap(&self, time: Duration) {
        let start = Instant::now();
        // Release: the sleeper (R3).
        self.state.fetch_or(NAPPING, Ordering::Release);
        while !self.is_stopped() {
            let left = time.saturating_sub(start.elapsed());
            if left.is_zero() {
                return;
            }
            park_timeout(left);
        }
    }
}
