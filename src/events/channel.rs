//! A stream: the queue, and those who sleep until there is something in it.
//!
//! The rule that no event is slept through: *whoever makes an event the first that can be taken wakes a sleeper for it.*
//! That is who sent it, mostly. If an earlier one was still being put in, it is who takes the earlier one: so everyone who
//! takes an event looks for the next, and wakes another for it ([`Channel::pass_on`]). And whoever was chosen, and leaves
//! without a look, passes on what he was woken for.

use std::sync::mpsc::{RecvError, TryRecvError};
use std::task::{Poll, Waker};

use super::ring::Ring;
use super::sleepers::{Seat, Sleepers};
use crate::sync::{Arc, AtomicU32, AtomicUsize, Count, Ordering, fence};
use crate::unwind::contain;

pub(crate) struct Channel<T> {
    ring: Ring<T>,
    sleepers: Sleepers,
    /// What was sent and found no room.
    lost: Count,
    /// How many receive. Never rises again from none.
    receivers: AtomicUsize,
    /// 1 when nothing more will be sent. Set by the sender.
    closed: AtomicU32,
}

impl<T> Channel<T> {
    /// For one receiver to start with.
    pub(super) fn new(capacity: usize) -> Self {
        Channel {
            ring: Ring::new(capacity),
            sleepers: Sleepers::default(),
            lost: Count::new(0),
            receivers: AtomicUsize::new(1),
            closed: AtomicU32::new(0),
        }
    }

    /// Sends what `make` makes, and wakes one who waits for it. Never waits: where there is no room, or `make` panics, it
    /// is counted as lost.
    pub(crate) fn send(&self, make: impl FnOnce() -> T) {
        let mut made = None;
        // What has no room is not even made, but for a race.
        if !self.ring.looks_full() {
            contain(|| made = Some(make()));
        }
        match made.map(|value| self.ring.push(value)) {
            Some(Ok(())) => {}
            refused => {
                // Relaxed: a count.
                self.lost.fetch_add(1, Ordering::Relaxed);
                contain(|| drop(refused));
            }
        }
        // Also if it is full: whoever was woken for what is there may be long in coming.
        self.sleepers.wake_one();
    }

    /// Says that nothing more will be sent. All that was, was before this.
    pub(crate) fn close(&self) {
        // Release: all that was sent; pairs with the load in `look` (E8).
        self.closed.store(1, Ordering::Release);
        self.sleepers.wake_all();
    }

    /// Whether anybody receives.
    #[inline]
    pub(crate) fn is_wanted(&self) -> bool {
        // Relaxed: a hint, to whom it concerns sooner or later.
        self.receivers.load(Ordering::Relaxed) != 0
    }

    pub(super) fn join(&self) {
        // Relaxed: the one who joins comes from one who receives.
        self.receivers.fetch_add(1, Ordering::Relaxed);
    }

    /// The last one who leaves drops what is left.
    pub(super) fn leave(&self) {
        // Relaxed: the queue orders what it hands out.
        if self.receivers.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.ring.drain();
        }
    }

    pub(super) fn lost(&self) -> u64 {
        // Relaxed: a count.
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn capacity(&self) -> usize {
        self.ring.capacity()
    }

    /// Takes an event, if there is one.
    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        let event = self.look()?;
        self.pass_on();
        Ok(event)
    }

    /// The same, by one who passes on what comes next.
    fn look(&self) -> Result<T, TryRecvError> {
        // Acquire: all that was sent; pairs with the store in `close` (E8). First of all: what comes between a look into
        // the queue and this would be missed.
        let is_closed = self.closed.load(Ordering::Acquire) != 0;
        match self.ring.pop() {
            Some(event) => Ok(event),
            None if is_closed => Err(TryRecvError::Disconnected),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Wakes another if there is an event to take: by who has taken one, or was woken for it and leaves.
    fn pass_on(&self) {
        // SeqCst fence: the event that was taken before the look at the next; pairs with the one in `arm` (E3): a sleeper
        // whose last look found an earlier event still unfinished is seen below, or sees the one that is ready.
        fence(Ordering::SeqCst);
        if self.ring.is_ready() {
            self.sleepers.wake_one();
        }
    }
}

/// One who waits for events: a seat, as soon as he has to. Dropped, he passes on what he was woken for.
pub(crate) struct Waiting<T> {
    channel: Arc<Channel<T>>,
    seat: Option<Seat>,
    /// There is a waker in the seat, or he was chosen.
    is_armed: bool,
}

impl<T> Waiting<T> {
    pub(super) fn new(channel: &Arc<Channel<T>>) -> Self {
        Waiting { channel: Arc::clone(channel), seat: None, is_armed: false }
    }

    /// Takes an event, or leaves the waker to be woken when there is one.
    pub(crate) fn poll(&mut self, waker: &Waker) -> Poll<Result<T, RecvError>> {
        // Whether chosen or not: he looks now.
        self.disarm();
        if let Some(found) = ready(self.channel.try_recv()) {
            return Poll::Ready(found);
        }
        // The user's code, while nothing is armed.
        let waker = waker.clone();
        let seat = self.seat.get_or_insert_with(|| self.channel.sleepers.take_seat());
        self.channel.sleepers.arm(seat, waker);
        self.is_armed = true;
        let Some(found) = ready(self.channel.look()) else { return Poll::Pending };
        // He is no sleeper any more; else the wake that he passes on might be his own.
        self.disarm();
        self.channel.pass_on();
        Poll::Ready(found)
    }

    /// Stops waiting; true if he was chosen, and is to look for an event or pass that on.
    pub(super) fn disarm(&mut self) -> bool {
        let Some(seat) = &self.seat else { return false };
        std::mem::take(&mut self.is_armed) && !self.channel.sleepers.disarm(seat)
    }
}

/// What ends the waiting.
fn ready<T>(found: Result<T, TryRecvError>) -> Option<Result<T, RecvError>> {
    match found {
        Ok(event) => Some(Ok(event)),
        Err(TryRecvError::Disconnected) => Some(Err(RecvError)),
        Err(TryRecvError::Empty) => None,
    }
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        let was_chosen = self.disarm();
        if let Some(seat) = self.seat.take() {
            self.channel.sleepers.give_back(seat);
        }
        if was_chosen {
            self.channel.pass_on();
        }
    }
}
