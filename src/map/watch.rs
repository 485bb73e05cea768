//! The map as reapers see it: the only file that knows both.

use std::hash::{BuildHasher, Hash};
use std::io::Result;

use super::TtlMap;
use crate::clock::NEVER;
use crate::reaper::{Alarm, Candidate, Due, Reaper, Swept, Watched};
use crate::sync::{Arc, erase};
use crate::unwind::contain;
use crate::wheel::start_of;

impl<K, V, S> Watched for TtlMap<K, V, S>
where
    K: Hash + Eq + Send + Sync,
    V: Send + Sync,
    S: BuildHasher + Send + Sync,
{
    fn sweep(&self, budget: usize) -> Swept {
        let before = self.retired_len();
        let mut purged = None;
        let panics = contain(|| purged = Some(self.sweep_due(budget)));
        let (retired, more) = purged.map_or((0, true), |purged| (purged.removed, purged.more));
        Swept { retired, freed: self.retired_len() < before + retired, panics, more }
    }

    fn due(&self) -> Due {
        let at = self.wheel.next_due().map_or(NEVER, start_of);
        Due { at, wait: self.clock.wait_until(at), unfreed: !self.garbage.is_empty() }
    }

    fn alarm(&self) -> &Alarm {
        &self.alarm
    }

    fn clock_alarm(&self) -> Option<Arc<Alarm>> {
        self.clock.alarm()
    }
}

impl Reaper {
    /// Watches a map: what expires in it is removed and freed soon after, also if nobody uses the map.
    ///
    /// Any number of maps of any types, and any number of reapers a map; a map that this reaper watches already makes
    /// no difference. The map is held weakly, and forgotten when its last handle is dropped. What expires is removed at
    /// its deadline, plus 1/64 of its time to live and half a millisecond at most, plus the [interval](crate::ReaperBuilder::interval) and what the system takes to run the thread; on a
    /// [manual clock](crate::ManualClock), when that is moved.
    ///
    /// Takes a lock that nobody holds for long but another call of this, when it has to start a thread.
    ///
    /// # Errors
    ///
    /// If the reaper was closed; or if its thread had ended, because nothing was left to watch, and can't be started
    /// again. The map is not watched then.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use ttlwheel::{Reaper, TtlMap};
    ///
    /// let sessions: Arc<TtlMap<String, u32>> = Arc::new(TtlMap::new(Duration::from_secs(60)));
    /// let tokens: Arc<TtlMap<u64, Vec<u8>>> = Arc::new(TtlMap::new(Duration::from_secs(5)));
    /// let reaper = Reaper::builder().spawn()?;
    /// reaper.watch(&sessions)?;
    /// reaper.watch(&tokens)?;
    /// assert!(reaper.is_running(), "as long as the maps are there");
    /// reaper.close();
    /// assert!(reaper.watch(&sessions).is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn watch<K, V, S>(&self, map: &Arc<TtlMap<K, V, S>>) -> Result<()>
    where
        K: Hash + Eq + Send + Sync + 'static,
        V: Send + Sync + 'static,
        S: BuildHasher + Send + Sync + 'static,
    {
        self.submit(candidate(map))
    }
}

fn candidate<K, V, S>(map: &Arc<TtlMap<K, V, S>>) -> Candidate
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    Candidate::Map(erase!(Arc::downgrade(map), dyn Watched))
}

#[cfg(not(ttl_loom))]
impl<K, V, S> TtlMap<K, V, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    /// Starts a reaper of this map's own: [`Reaper::builder`], `spawn` and [`watch`](Reaper::watch) in one call.
    ///
    /// Its thread ends when the guard or the last handle of the map is dropped, whichever comes first. One
    /// reaper for many maps costs less than one for each.
    ///
    /// # Errors
    ///
    /// If the system can't start a thread.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use ttlwheel::{ManualClock, TtlMap};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let clock = ManualClock::new();
    /// let map = Arc::new(TtlMap::builder().time_to_live(Duration::from_secs(60)).clock(&clock).build());
    /// let reaper = map.spawn_reaper()?;
    /// map.insert("a", 1);
    /// clock.advance(Duration::from_secs(62));
    /// while map.stored_len() > 0 {
    ///     std::thread::yield_now(); // the reaper is on its way
    /// }
    /// drop(reaper); // stops the thread
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_reaper(self: &Arc<Self>) -> Result<Reaper> {
        spawn_reaper_of(self)
    }
}

/// The same for a handle that isn't std's, and can't be a method's `self`.
#[cfg(ttl_loom)]
impl<K, V, S> Arc<TtlMap<K, V, S>>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    #[allow(missing_docs)]
    pub fn spawn_reaper(&self) -> Result<Reaper> {
        spawn_reaper_of(self)
    }
}

fn spawn_reaper_of<K, V, S>(map: &Arc<TtlMap<K, V, S>>) -> Result<Reaper>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    Reaper::builder().without_lingering().spawn_with(vec![candidate(map)])
}
