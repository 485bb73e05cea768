//! The story of loads once more, where futures compute and wait. No executor is needed in particular.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, Hash};
use std::pin::pin;
use std::time::Duration;

use super::flight::{Following, Stage};
use super::load::{Caller, Next, Patience};
use super::{Ref, TtlMap};

impl<K, V, S> TtlMap<K, V, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    /// Returns the live value of a key; if there is none, a future computes it, and it is inserted for the map's time to
    /// live. [`get_or_insert_with`](TtlMap::get_or_insert_with) for asynchronous code, of any executor.
    ///
    /// Of callers who miss the same key at the same time **one computes**, and the others, threads and futures alike, wait
    /// for it. All that is said there holds here, and this:
    ///
    /// - **Cancellation.** A caller may be dropped at any time. If it was the one that computes, the others wake up, and the
    ///   next of them computes, from the start; its waker is nobody's any more. (One that is neither polled nor dropped, or
    ///   forgotten, keeps those who want its key waiting, as with any asynchronous lock.)
    /// - The future is `Send` if keys, values, hasher and closure are, and what the closure returns. The [`Ref`] that it
    ///   returns is not, and holds up the freeing of memory while it is held: take what you need of it, and let it go
    ///   before the next `await`, as in the example.
    /// - Do not wait by the other verb, which stops the thread, where that thread is to run the future that computes.
    ///
    /// # Panics
    ///
    /// Only if the closure or its future does. The others wake up, and the next of them computes.
    ///
    /// ```
    /// # futures::executor::block_on(async {
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let name = map.get_or_insert_with_async(1, || async { "one".to_string() }).await.clone();
    /// assert_eq!(name, "one");
    /// assert_eq!(map.get_or_insert_with_async(1, || async { unreachable!("it is there") }).await.len(), 3);
    /// # });
    /// ```
    pub async fn get_or_insert_with_async<F>(&self, key: K, compute: impl FnOnce() -> F) -> Ref<'_, K, V>
    where
        F: Future<Output = V>,
    {
        let Ok(found) = self.load_async(key, Patience::FRESH, || never_fails(compute())).await;
        found
    }

    /// As [`get_or_insert_with_async`](TtlMap::get_or_insert_with_async), with a computation that may fail.
    ///
    /// An error is for the caller alone whose future returned it: nothing is inserted, the others wake up, and the next of
    /// them computes.
    ///
    /// # Errors
    ///
    /// Those of the computation.
    ///
    /// # Panics
    ///
    /// Only if the closure or its future does.
    ///
    /// ```
    /// # futures::executor::block_on(async {
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// let failed = map.try_get_or_insert_with_async("a", || async { "one".parse::<u32>() }).await;
    /// assert!(failed.is_err() && map.is_empty());
    /// let found = map.try_get_or_insert_with_async("a", || async { "1".parse::<u32>() }).await;
    /// assert_eq!(found.as_deref(), Ok(&1));
    /// # });
    /// ```
    pub async fn try_get_or_insert_with_async<E, F>(
        &self,
        key: K,
        compute: impl FnOnce() -> F,
    ) -> Result<Ref<'_, K, V>, E>
    where
        F: Future<Output = Result<V, E>>,
    {
        self.load_async(key, Patience::FRESH, compute).await
    }

    /// Returns the live value of a key, or for a `grace` after its end the **lapsed** one while a caller's future renews
    /// it: [`get_or_refresh_with`](TtlMap::get_or_refresh_with), and what is said of it, for asynchronous code.
    ///
    /// If the caller that renews is dropped, the lapsed value stays as it was, and the next caller tries again.
    ///
    /// # Panics
    ///
    /// Only if the closure or its future does.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{ManualClock, TtlMap};
    ///
    /// # futures::executor::block_on(async {
    /// let clock = ManualClock::new();
    /// let map = TtlMap::builder().time_to_live(Duration::from_secs(60)).clock(&clock).build();
    /// map.insert("a", 1);
    /// clock.advance(Duration::from_secs(60));
    /// let renewed = *map.get_or_refresh_with_async("a", Duration::from_secs(5), || async { 2 }).await;
    /// assert_eq!(renewed, 2);
    /// # });
    /// ```
    pub async fn get_or_refresh_with_async<F>(
        &self,
        key: K,
        grace: Duration,
        compute: impl FnOnce() -> F,
    ) -> Ref<'_, K, V>
    where
        F: Future<Output = V>,
    {
        let Ok(found) = self.load_async(key, Patience::stale_for(grace), || never_fails(compute())).await;
        found
    }

    /// As [`get_or_refresh_with_async`](TtlMap::get_or_refresh_with_async), with a computation that may fail.
    ///
    /// # Errors
    ///
    /// Those of the computation, for the caller alone whose future it was.
    ///
    /// # Panics
    ///
    /// Only if the closure or its future does.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # futures::executor::block_on(async {
    /// let map = ttlwheel::TtlMap::<_, u32>::new(Duration::from_secs(60));
    /// let grace = Duration::from_secs(5);
    /// let failed = map.try_get_or_refresh_with_async("a", grace, || async { Err("offline") }).await;
    /// assert_eq!(failed.err(), Some("offline"));
    /// # });
    /// ```
    pub async fn try_get_or_refresh_with_async<E, F>(
        &self,
        key: K,
        grace: Duration,
        compute: impl FnOnce() -> F,
    ) -> Result<Ref<'_, K, V>, E>
    where
        F: Future<Output = Result<V, E>>,
    {
        self.load_async(key, Patience::stale_for(grace), compute).await
    }

    async fn load_async<E, F>(
        &self,
        key: K,
        patience: Patience,
        compute: impl FnOnce() -> F,
    ) -> Result<Ref<'_, K, V>, E>
    where
        F: Future<Output = Result<V, E>>,
    {
        // What is found is not held across an await, here and below: it would take `Send` away.
        let caller = match self.arrive(key, patience) {
            Ok(found) => return Ok(found),
            Err(caller) => caller,
        };
        caller.load_async(compute).await
    }
}

impl<'m, K, V, S> Caller<'m, K, V, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    async fn load_async<E, F>(mut self, compute: impl FnOnce() -> F) -> Result<Ref<'m, K, V>, E>
    where
        F: Future<Output = Result<V, E>>,
    {
        let ticket = loop {
            let (flight, whose) = match self.next() {
                Next::Return(found) => return Ok(found),
                Next::Compute(ticket) => break ticket,
                Next::Wait(flight, whose) => (flight, whose),
            };
            self.waited(Following::new(flight).await, whose);
        };
        let mut computation = pin!(Stage::Computing.within(compute));
        // Declared later, dropped earlier: a computation that loads in its destructor must not wait for itself.
        let ticket = ticket;
        let value = poll_fn(|context| Stage::Computing.within(|| computation.as_mut().poll(context))).await?;
        Ok(self.put(ticket, value))
    }
}

async fn never_fails<T>(future: impl Future<Output = T>) -> Result<T, Infallible> {
    Ok(future.await)
}
