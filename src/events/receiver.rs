//! Receiving: at once, by a thread that waits, or by a task.

use std::sync::mpsc::{RecvError, RecvTimeoutError, TryRecvError};
use std::task::{Poll, Wake, Waker};
use std::time::{Duration, Instant};

use super::channel::{Channel, Waiting};
use crate::sync::{Arc, park_timeout, thread};

/// One of those who share a stream.
pub(crate) struct Receiver<T> {
    channel: Arc<Channel<T>>,
    /// For [`Receiver::poll`], from its first call on.
    waiting: Option<Waiting<T>>,
}

/// Wakes a thread that is parked.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }
}

impl<T> Receiver<T> {
    /// The first receiver of a new stream, and where to send.
    pub(crate) fn new(capacity: usize) -> (Arc<Channel<T>>, Self) {
        let channel = Arc::new(Channel::new(capacity));
        (Arc::clone(&channel), Receiver { channel, waiting: None })
    }

    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        self.channel.try_recv()
    }

    /// Waits for an event, or for the end.
    pub(crate) fn recv(&self) -> Result<T, RecvError> {
        match self.recv_until(None) {
            Ok(event) => Ok(event),
            // It has no time to be over.
            Err(_) => Err(RecvError),
        }
    }

    /// The same, no longer than `timeout`. A zero one is a look.
    pub(crate) fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_until(Some(timeout))
    }

    fn recv_until(&self, timeout: Option<Duration>) -> Result<T, RecvTimeoutError> {
        match self.channel.try_recv() {
            Ok(event) => return Ok(event),
            Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) if timeout == Some(Duration::ZERO) => return Err(RecvTimeoutError::Timeout),
            Err(TryRecvError::Empty) => {}
        }
        // What overflows is never.
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let waker = Waker::from(std::sync::Arc::new(Unpark(thread::current())));
        let mut waiting = Waiting::new(&self.channel);
        loop {
            if let Poll::Ready(found) = waiting.poll(&waker) {
                return found.map_err(|_| RecvTimeoutError::Disconnected);
            }
            match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                // Dropped, it passes on what it was woken for.
                Some(Duration::ZERO) => return Err(RecvTimeoutError::Timeout),
                Some(left) => park_timeout(left),
            }
        }
    }

    /// Waits as a task does.
    #[cfg(any(feature = "async", all(test, ttl_loom)))]
    pub(crate) async fn recv_async(&self) -> Result<T, RecvError> {
        let mut waiting = Waiting::new(&self.channel);
        std::future::poll_fn(|context| waiting.poll(context.waker())).await
    }

    /// Takes an event, or has the task woken when there is one; the receiver waits from then on, till it is polled again
    /// or dropped.
    #[cfg(any(feature = "async", all(test, ttl_loom)))]
    pub(crate) fn poll(&mut self, context: &mut std::task::Context<'_>) -> Poll<Result<T, RecvError>> {
        self.waiting.get_or_insert_with(|| Waiting::new(&self.channel)).poll(context.waker())
    }

    pub(crate) fn lost(&self) -> u64 {
        self.channel.lost()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.channel.capacity()
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.channel.join();
        Receiver { channel: Arc::clone(&self.channel), waiting: None }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // First: what it was woken for is for another, if there is one.
        self.waiting = None;
        self.channel.leave();
    }
}
