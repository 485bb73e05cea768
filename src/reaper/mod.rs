//! The reaper: a thread that sweeps maps which nobody writes to any more, and the guard that owns it.
//!
//! ```text
//!  Reaper (guard) ──▶ Shared: inbox, counts ◀── Worker (thread) ──weak──▶ map
//!                       │                          │                      │
//!                       └───────▶ Bell ◀── Watch ◀─┴──────────────────── Alarm
//! ```
//!
//! The thread holds every map weakly, so it keeps none alive, and nothing that it needs is owned by the guard, so a
//! guard that is forgotten keeps no thread alive. What is rung for: a stop, a new watch, a map's drop, a deadline
//! nearer than the one for which the thread sleeps, and something retired where nothing waited to be freed. Locks are
//! taken by guards and threads of reapers only; an insert that files a deadline reads a few atomics, and at most unparks
//! the thread.
//!
//! A reaper knows maps as [`Watched`] and clocks as [`Driven`]. It is not generic.

mod alarm;
mod bell;
mod builder;
mod worker;

use std::fmt;
use std::io;
use std::time::Duration;

pub(crate) use alarm::Alarm;
use bell::Bell;
pub use builder::ReaperBuilder;
use builder::Settings;
use worker::Worker;

use crate::sync::thread::{self, JoinHandle, ThreadId};
use crate::sync::{Arc, Count, Mutex, Ordering, Weak, lock, reaping};
use crate::unwind::discard;

/// What a reaper can do with a map.
pub(crate) trait Watched: Send + Sync {
    /// Retires what is overdue, looking at about `budget` entries. Does not unwind.
    fn sweep(&self, budget: usize) -> Swept;

    /// When there will be something to do.
    fn due(&self) -> Due;

    /// Who is to be told of nearer deadlines.
    fn alarm(&self) -> &Alarm;

    /// Who is to be told of time passing, if time doesn't pass by itself.
    fn clock_alarm(&self) -> Option<Arc<Alarm>>;
}

/// What a sweep did.
pub(crate) struct Swept {
    pub(crate) retired: usize,
    /// Memory was freed.
    pub(crate) freed: bool,
    /// Panics of the user's code that ended in it.
    pub(crate) panics: u64,
    /// More is overdue.
    pub(crate) more: bool,
}

/// When a map has something to do: the time on its own clock, and how long that is.
pub(crate) struct Due {
    pub(crate) at: u64,
    pub(crate) wait: Wait,
    /// Something retired waits to be freed.
    pub(crate) unfreed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// It is time.
    Over,
    For(Duration),
    /// Nobody can tell; there will be an alarm.
    Alarm,
}

/// What a reaper can do with a clock that it drives.
pub(crate) trait Driven: Send + Sync {
    /// Sets it to the present.
    fn drive(&self);

    /// Leaves it to itself.
    fn release(&self);
}

/// What is handed to the thread.
pub(crate) enum Candidate {
    Map(Weak<dyn Watched>),
    Clock(Weak<dyn Driven>),
}

/// A thread that removes expired entries from maps and frees their memory, and the guard that stops it.
///
/// No map needs one: reads are exact without, and writes give memory back. A reaper is for maps that go quiet, so that
/// what they held is dropped and freed soon after it expired, and not at the next write.
///
/// **What it costs.** The thread sleeps until the earliest deadline of all that it watches. It wakes at no fixed rate,
/// and for an idle map not at all. When it wakes it looks through all the maps, some 100 ns each, and sweeps those
/// that have something overdue, a [`budget`](ReaperBuilder::budget) at a time. An insert whose deadline is nearer than
/// the one that the thread sleeps for unparks it; no map operation ever waits for a reaper. What writes replace or remove
/// they also free; what they leave, as nobody writes any more, the thread frees some 32 ms later, or when the last reader
/// lets go of it.
///
/// **When it ends.** [`close`](Reaper::close) and `Drop` stop the thread and wait for its end. They wait for a destructor
/// or a listener of yours that it may be running, so hold no lock then that one of these takes. On the thread of any reaper (in
/// a destructor that runs there) they only ask for the end.
///
/// The thread also ends by itself when nothing is left to watch, since nobody could tell a guard that is merely idle
/// from one that was [forgotten](std::mem::forget): then a later [`watch`](Reaper::watch) starts it again. It waits some
/// 10 ms before it ends, so that one reaper may serve maps that come and go. A forgotten guard thus leaks no thread and
/// no map, only its own bookkeeping of a few hundred bytes.
///
/// Maps are held weakly: a reaper never keeps one alive. If the last handle of a map is dropped while the thread looks
/// at the map, the map is dropped on that thread. Panics of destructors there are caught and
/// [counted](ReaperReport::panics).
///
/// A child process made by `fork` has none of its parent's threads: there a guard does nothing at all, and maps work as
/// if they had no reaper.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use ttlwheel::{ManualClock, Reaper, TtlMap};
///
/// # fn main() -> std::io::Result<()> {
/// let clock = ManualClock::new();
/// let map = Arc::new(TtlMap::builder().time_to_live(Duration::from_secs(60)).clock(&clock).build());
/// let reaper = Reaper::builder().name("sessions").spawn()?;
/// reaper.watch(&map)?;
///
/// map.insert("a", vec![0; 1000]);
/// clock.advance(Duration::from_secs(62));
/// while map.stored_len() > 0 {
///     std::thread::yield_now(); // the reaper is on its way
/// }
/// assert_eq!(reaper.close().retired, 1);
/// # Ok(())
/// # }
/// ```
pub struct Reaper {
    shared: Arc<Shared>,
}

/// What guard and thread share.
struct Shared {
    settings: Settings,
    /// The process that it was made in; a fork's child has no thread.
    process: u32,
    inbox: Mutex<Inbox>,
    /// Held while somebody waits for the thread's end.
    joining: Mutex<()>,
    passes: Count,
    retired: Count,
    panics: Count,
}

struct Inbox {
    is_stopped: bool,
    new: Vec<Candidate>,
    /// Of the thread that runs; none if none does.
    bell: Option<Arc<Bell>>,
    /// Of the thread that runs, or was stopped; a thread that ends by itself takes it away.
    handle: Option<JoinHandle<()>>,
    /// Of the latest thread.
    thread: Option<ThreadId>,
}

/// What a reaper has done.
///
/// ```
/// use ttlwheel::{Reaper, ReaperReport};
///
/// let report: ReaperReport = Reaper::builder().spawn()?.close();
/// assert_eq!((report.retired, report.panics), (0, 0));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReaperReport {
    /// How often it looked through all that it watches.
    pub passes: u64,
    /// Expired entries that it removed.
    pub retired: u64,
    /// Panics of destructors (and of hashes, when a table was resized) that ended on its thread.
    pub panics: u64,
}

/// Starts a thread where none runs. It waits for the inbox, so that it finds its handle there.
fn start(shared: &Arc<Shared>, inbox: &mut Inbox) -> io::Result<()> {
    let mut thread = thread::Builder::new().name(shared.settings.name.clone());
    if let Some(bytes) = shared.settings.stack_size {
        thread = thread.stack_size(bytes);
    }
    let bell = Arc::new(Bell::new());
    let worker = Worker::new(Arc::clone(shared), Arc::clone(&bell));
    let handle = thread.spawn(|| worker.run())?;
    inbox.thread = Some(handle.thread().id());
    inbox.handle = Some(handle);
    inbox.bell = Some(bell);
    Ok(())
}

impl Shared {
    fn new(settings: Settings, new: Vec<Candidate>) -> Self {
        Shared {
            settings,
            process: std::process::id(),
            inbox: Mutex::new(Inbox { is_stopped: false, new, bell: None, handle: None, thread: None }),
            joining: Mutex::new(()),
            passes: Count::new(0),
            retired: Count::new(0),
            panics: Count::new(0),
        }
    }
}

impl Reaper {
    /// Starts to make a reaper.
    ///
    /// ```
    /// let reaper = ttlwheel::Reaper::builder().spawn()?;
    /// assert_eq!(reaper.close().retired, 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn builder() -> ReaperBuilder {
        ReaperBuilder::new()
    }

    /// Hands something to the thread, which is started again if it had ended by itself.
    pub(crate) fn submit(&self, candidate: Candidate) -> io::Result<()> {
        if self.is_forked() {
            return Err(io::Error::other("the reaper's thread is in the parent process"));
        }
        let mut inbox = lock(&self.shared.inbox);
        if inbox.is_stopped {
            return Err(io::Error::other("the reaper was closed"));
        }
        let clock = match &candidate {
            Candidate::Clock(clock) => clock.upgrade(),
            Candidate::Map(_) => None,
        };
        inbox.new.push(candidate);
        if let Some(bell) = &inbox.bell {
            bell.ring();
        } else if let Err(error) = start(&self.shared, &mut inbox) {
            inbox.new.clear();
            return Err(error);
        }
        if let Some(clock) = clock {
            // Still under the lock: whoever closes the reaper now has the thread release the clock after this.
            clock.drive();
        }
        Ok(())
    }

    /// Stops the thread, waits for its end, and tells what it has done.
    ///
    /// May be called any number of times, by many threads at once: all return when the thread has ended. It waits for
    /// nothing but the sweep of one budget and the destructors that runs. On a reaper's own thread it only asks for
    /// the end. A closed reaper watches nothing any more.
    ///
    /// ```
    /// let reaper = ttlwheel::Reaper::builder().spawn()?;
    /// assert_eq!(reaper.close().retired, 0);
    /// assert!(!reaper.is_running());
    /// assert_eq!(reaper.close().retired, 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn close(&self) -> ReaperReport {
        if !self.is_forked() {
            self.stop();
        }
        self.report()
    }

    fn stop(&self) {
        let mut inbox = lock(&self.shared.inbox);
        inbox.is_stopped = true;
        if let Some(bell) = &inbox.bell {
            bell.stop();
        }
        drop(inbox);
        // Two reapers that wait for each other's end would wait for ever.
        if reaping::is_under_way() {
            return;
        }
        let _joining = lock(&self.shared.joining);
        let handle = lock(&self.shared.inbox).handle.take();
        if let Some(Err(panic)) = handle.map(JoinHandle::join) {
            discard(panic);
        }
    }

    /// Tells what the reaper has done so far.
    ///
    /// ```
    /// let reaper = ttlwheel::Reaper::builder().spawn()?;
    /// assert_eq!(reaper.report().panics, 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn report(&self) -> ReaperReport {
        // Relaxed, all: counts; final once the thread was joined.
        ReaperReport {
            passes: self.shared.passes.load(Ordering::Relaxed),
            retired: self.shared.retired.load(Ordering::Relaxed),
            panics: self.shared.panics.load(Ordering::Relaxed),
        }
    }

    /// The thread's identifier: of the one that runs, or ran last.
    ///
    /// ```
    /// let reaper = ttlwheel::Reaper::builder().spawn()?;
    /// assert_ne!(reaper.thread_id(), std::thread::current().id());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn thread_id(&self) -> ThreadId {
        let thread = lock(&self.shared.inbox).thread;
        thread.unwrap_or_else(|| thread::current().id())
    }

    /// Says whether the thread runs. It doesn't once the reaper was closed, or the thread has ended by itself because
    /// nothing is left to watch.
    ///
    /// ```
    /// let map: std::sync::Arc<ttlwheel::TtlMap<u32, u32>> = ttlwheel::TtlMap::builder().build().into();
    /// let reaper = map.spawn_reaper()?;
    /// assert!(reaper.is_running());
    /// reaper.close();
    /// assert!(!reaper.is_running());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn is_running(&self) -> bool {
        !self.is_forked() && lock(&self.shared.inbox).bell.is_some()
    }

    /// Takes the handle, as models must not end before their threads; none if the thread has ended by itself.
    #[cfg(all(test, ttl_loom))]
    pub(crate) fn take_handle(&self) -> Option<JoinHandle<()>> {
        lock(&self.shared.inbox).handle.take()
    }

    /// Tells, whatever becomes of the guard, whether the thread has done all that it does.
    #[cfg(all(test, ttl_loom))]
    pub(crate) fn ending(&self) -> impl Fn() -> bool + use<> {
        let shared = Arc::clone(&self.shared);
        move || lock(&shared.inbox).bell.is_none()
    }

    /// Forgets the guard, as far as the thread can tell; but not its memory, which a model would call leaked.
    #[cfg(all(test, ttl_loom))]
    pub(crate) fn forget(self) -> Option<JoinHandle<()>> {
        let handle = self.take_handle();
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: taken out once, and never used again.
        drop(unsafe { std::ptr::read(&this.shared) });
        handle
    }

    /// Whether this is another process than the one that the thread is in. Then somebody who isn't there may hold the
    /// locks.
    fn is_forked(&self) -> bool {
        self.shared.process != std::process::id()
    }
}

impl Drop for Reaper {
    /// As [`Reaper::close`].
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Reaper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reaper").field("running", &self.is_running()).field("report", &self.report()).finish()
    }
}
