//! Events: a bounded stream of what leaves a map, for any number of consumers.

use std::fmt;
use std::sync::mpsc::{RecvError, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use super::listen::RemovalInfo;
use super::streams::Stream;
use super::{RemovalCause, TtlMap};
use crate::events::Receiver;
use crate::garbage::pin;

/// An entry that has left a map; see [`TtlMap::events`].
///
/// ```
/// use std::time::Duration;
/// use ttlwheel::{ManualClock, Removal, RemovalCause, TtlMap};
///
/// let clock = ManualClock::new();
/// let map = TtlMap::builder().time_to_live(Duration::from_secs(60)).clock(&clock).build();
/// let events = map.events(10);
/// map.insert("a", 1);
/// let deadline = clock.now() + Duration::from_secs(60);
/// clock.advance(Duration::from_secs(63));
/// assert!(map.get("a").is_none());
///
/// let Removal { key, value, cause, info, .. } = events.try_recv().unwrap();
/// assert_eq!((key, value, cause), ("a", 1, RemovalCause::Expired));
/// assert_eq!((info.deadline(), info.lag()), (Some(deadline), Duration::from_secs(3)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removal<K, V> {
    /// A clone of its key.
    pub key: K,
    /// A clone of its value.
    pub value: V,
    /// Why it has left.
    pub cause: RemovalCause,
    /// Its deadline, and how long after that it left.
    pub info: RemovalInfo,
}

impl<K: Clone, V: Clone, S> TtlMap<K, V, S> {
    /// Makes a stream of events: one for each entry that leaves the map from now on, with clones of its key and value.
    ///
    /// [Clones](Events::clone) share a stream, each event of which goes to one of them; further calls make further streams, each of
    /// which has every event. For what runs in the thread that removes an entry, see
    /// [`Builder::on_removal`](crate::Builder::on_removal).
    ///
    /// - **What.** Every entry that leaves, once, with its one [cause](RemovalCause): what expires, what is replaced, what is removed,
    ///   and what is in the map when that is cleared or dropped. An expired entry leaves when somebody meets it, not before; on a map
    ///   that goes quiet that is the business of a [`Reaper`](crate::Reaper) or of [`purge_expired`](TtlMap::purge_expired).
    /// - **Nobody waits for a consumer.** There is room for `capacity` events. An event that finds none is dropped and counted
    ///   ([`lost`](Events::lost)), as is one whose `Clone` panics, and the verb goes on. Sending takes no lock, and wakes one
    ///   consumer at most. That goes for the drop of the map, too: what finds no room then is lost.
    /// - **Order.** What one thread unlinks comes in that order. Between threads there is none, also not for one key.
    /// - **The end.** The drop of the map sends what is left in it, and then ends the stream: its consumers get all that was sent
    ///   to the last event, and are told of the end after that.
    /// - **The other end.** When the last of those who share a stream is dropped, what is in it is dropped, too; the map clones
    ///   nothing for it any more, and forgets it with the next event.
    ///
    /// A capacity of zero is taken for one. Where memory for so many can't be had, there is room for fewer
    /// ([`capacity`](Events::capacity)).
    ///
    /// No thread that is stopped, anywhere, keeps a write waiting. One that is stopped while it puts an event in, or wakes a
    /// consumer for it, holds back that event, those behind it and that consumer until it goes on; one that is stopped while it
    /// takes an event out makes the queue look full.
    ///
    /// `Clone` runs in the midst of the map's own work, in whatever thread unlinks an entry: it had best not use the map.
    ///
    /// # Complexity
    ///
    /// Each entry that leaves costs each stream a clone of key and value, and a few atomic operations, and a look at one word more for every 64
    /// consumers that wait. A map without streams pays a branch for it, and nothing on reads.
    ///
    /// ```
    /// use ttlwheel::RemovalCause;
    ///
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let events = map.events(100);
    /// let printer = std::thread::spawn(move || {
    ///     events.iter().map(|removal| (removal.key, removal.value, removal.cause)).collect::<Vec<_>>()
    /// });
    /// map.insert("a", 1);
    /// map.insert("a", 2);
    /// map.remove("a");
    /// map.insert("b", 3);
    /// drop(map);
    /// let all = [
    ///     ("a", 1, RemovalCause::Replaced),
    ///     ("a", 2, RemovalCause::Explicit),
    ///     ("b", 3, RemovalCause::Explicit),
    /// ];
    /// assert_eq!(printer.join().unwrap(), all);
    /// ```
    pub fn events(&self, capacity: usize) -> Events<K, V> {
        let (channel, receiver) = Receiver::new(capacity);
        let copy = |key: &K, value: &V| (key.clone(), value.clone());
        self.retire_list(self.leaving.streams().add(&Stream { channel, copy }), &pin());
        Events(receiver)
    }
}

/// A stream of the entries that leave a map; made by [`TtlMap::events`].
///
/// Any number of threads may receive, by reference or from clones; each event goes to one of them. A stream doesn't keep its
/// map alive, and may outlive it.
///
/// With the feature `async` it is a `futures_core::Stream`, too.
///
/// # Who waits for ever
///
/// A stream ends with its map. A thread that waits without a timeout and owns the map itself (the last `Arc` of it) keeps the
/// end from coming. If events hold what holds the stream (values that have an [`Events`] of their own map), a stream that nobody
/// reads is a circle of owners, which is never freed.
///
/// ```
/// use std::sync::mpsc::TryRecvError;
///
/// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
/// let events = map.events(10);
/// map.insert(1, "one");
/// assert_eq!(events.try_recv(), Err(TryRecvError::Empty));
/// drop(map);
/// assert_eq!(events.try_recv().unwrap().value, "one");
/// assert_eq!(events.try_recv(), Err(TryRecvError::Disconnected));
/// ```
pub struct Events<K, V>(Receiver<Removal<K, V>>);

impl<K, V> Events<K, V> {
    /// Takes the next event, and waits for it if there is none.
    ///
    /// # Errors
    ///
    /// The map is gone, and all its events were taken.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let events = map.events(10);
    /// std::thread::spawn(move || {
    ///     map.insert("a", 1);
    /// });
    /// assert_eq!(events.recv().map(|removal| removal.key), Ok("a"));
    /// assert!(events.recv().is_err());
    /// ```
    pub fn recv(&self) -> Result<Removal<K, V>, RecvError> {
        self.0.recv()
    }

    /// Takes the next event, and waits for it no longer than `timeout` if there is none; zero is a look, and what overflows
    /// is for ever.
    ///
    /// # Errors
    ///
    /// None came in time, or the map is gone and all its events were taken.
    ///
    /// ```
    /// use std::sync::mpsc::RecvTimeoutError;
    /// use std::time::Duration;
    ///
    /// let map = ttlwheel::TtlMap::new(Duration::from_secs(60));
    /// let events = map.events(10);
    /// map.insert("a", 1);
    /// assert_eq!(events.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    /// drop(map);
    /// assert_eq!(events.recv_timeout(Duration::MAX).map(|removal| removal.value), Ok(1));
    /// assert_eq!(events.recv_timeout(Duration::MAX), Err(RecvTimeoutError::Disconnected));
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Removal<K, V>, RecvTimeoutError> {
        self.0.recv_timeout(timeout)
    }

    /// Takes the next event if it is there. Takes no lock, and never waits.
    ///
    /// # Errors
    ///
    /// There is none yet, or the map is gone and all its events were taken.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let events = map.events(10);
    /// map.insert("a", 1);
    /// assert!(events.try_recv().is_err());
    /// map.insert("a", 2);
    /// assert_eq!(events.try_recv().map(|removal| removal.value), Ok(1));
    /// ```
    pub fn try_recv(&self) -> Result<Removal<K, V>, TryRecvError> {
        self.0.try_recv()
    }

    /// Takes the next event, and waits for it as a future does. Dropped before it is ready, it has taken nothing, and what it
    /// was woken for wakes another.
    ///
    /// # Errors
    ///
    /// The map is gone, and all its events were taken.
    ///
    /// ```
    /// # futures::executor::block_on(async {
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let events = map.events(10);
    /// map.insert("a", 1);
    /// map.clear();
    /// assert_eq!(events.recv_async().await.map(|removal| removal.key), Ok("a"));
    /// drop(map);
    /// assert!(events.recv_async().await.is_err());
    /// # });
    /// ```
    #[cfg(feature = "async")]
    pub async fn recv_async(&self) -> Result<Removal<K, V>, RecvError> {
        self.0.recv_async().await
    }

    /// Takes events as they come, to the end, and waits for each.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let events = map.events(10);
    /// (0..3).for_each(|n| drop(map.insert(n, n)));
    /// drop(map);
    /// assert_eq!(events.iter().map(|removal| removal.value).sum::<u32>(), 3);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = Removal<K, V>> {
        std::iter::from_fn(|| self.recv().ok())
    }

    /// Takes the events that are there, and waits for none.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let events = map.events(10);
    /// (0..3).for_each(|n| drop(map.insert("a", n)));
    /// assert_eq!(events.try_iter().map(|removal| removal.value).collect::<Vec<_>>(), [0, 1]);
    /// ```
    pub fn try_iter(&self) -> impl Iterator<Item = Removal<K, V>> {
        std::iter::from_fn(|| self.try_recv().ok())
    }

    /// Counts the events of this stream that were lost so far: those that found no room, and those whose `Clone` panicked.
    /// What was received and what was lost is together all that has left the map, once nobody removes anything and the
    /// stream is empty.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let events = map.events(2);
    /// (0..5).for_each(|n| drop(map.insert("a", n)));
    /// assert_eq!((events.try_iter().count(), events.lost()), (2, 2));
    /// ```
    pub fn lost(&self) -> u64 {
        self.0.lost()
    }

    /// For how many events there is room.
    ///
    /// ```
    /// let map: ttlwheel::TtlMap<u32, u32> = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// assert_eq!((map.events(0).capacity(), map.events(10).capacity()), (1, 10));
    /// assert!(map.events(usize::MAX).capacity() < usize::MAX);
    /// ```
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl<K, V> Clone for Events<K, V> {
    /// Another consumer of the same stream.
    fn clone(&self) -> Self {
        Events(self.0.clone())
    }
}

impl<K, V> fmt::Debug for Events<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("capacity", &self.capacity()).field("lost", &self.lost()).finish_non_exhaustive()
    }
}

/// Ready with None when the map is gone and all its events were taken.
///
/// A task that polls it waits from then on, until it polls again, or drops it. One that was woken and does neither is
/// holding on to what it was woken for: the event stays where it is until somebody takes it, those that are sent at the same
/// moment may wait with it, and a later one wakes another. Where that matters, wait by
/// [`recv_async`](Events::recv_async), whose futures pass it on when they are dropped.
#[cfg(feature = "async")]
impl<K, V> futures_core::Stream for Events<K, V> {
    type Item = Removal<K, V>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Removal<K, V>>> {
        self.get_mut().0.poll(context).map(Result::ok)
    }
}
