//! Following a flight without a thread of one's own.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::{End, Flight};
use crate::sync::{Arc, lock};
use crate::unwind::contain;

/// Whom to wake when a flight ends: each future has at most one waker here, by a number of its own.
#[derive(Default)]
pub(super) struct Wakers {
    wakers: BTreeMap<u64, Waker>,
    next: u64,
}

impl Wakers {
    /// Wakes all, whatever one of them does.
    pub(super) fn wake(self) {
        for waker in self.wakers.into_values() {
            contain(|| waker.wake());
        }
    }
}

/// Is ready when the flight has ended. Dropped before, it takes its waker along.
pub(crate) struct Following {
    flight: Arc<Flight>,
    number: Option<u64>,
}

impl Following {
    pub(crate) fn new(flight: Arc<Flight>) -> Self {
        Following { flight, number: None }
    }
}

impl Future for Following {
    type Output = End;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<End> {
        let this = &mut *self;
        // A waker's code runs outside the lock: that of its clone, and that of its drop.
        let waker = context.waker().clone();
        let mut state = lock(&this.flight.state);
        if let Some(end) = state.end {
            return Poll::Ready(end);
        }
        let wakers = &mut state.wakers;
        let number = *this.number.get_or_insert_with(|| {
            wakers.next += 1;
            wakers.next
        });
        let replaced = wakers.wakers.insert(number, waker);
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let waker = lock(&self.flight.state).wakers.wakers.remove(&number);
        drop(waker);
    }
}
