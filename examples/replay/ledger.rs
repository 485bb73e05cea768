//! Every value in and out: how each one ended, told by the value itself when it is dropped.
//!
//! The replay counts its calls; this counts drops. That both add up shows that the map dropped each value exactly
//! once, and under the name that it gave when it handed it out. The counters are the process's own, as a value that
//! carried a pointer to them would make the entries that are being measured larger.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::striped::Striped;

/// How a value leaves the map, as far as the replay is told.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// Nobody asked for it: it lapses, or stands until the map is dropped.
    Left,
    /// An insert put another in its place while it was live.
    Replaced,
    /// It was removed while it was live.
    Removed,
}

static ENDED: [Striped; 3] = [const { Striped::new() }; 3];

/// A value that reports its end.
pub struct Tracked<P> {
    payload: P,
    fate: AtomicU8,
}

impl<P> Tracked<P> {
    /// Wraps what the cache is to hold.
    pub fn new(payload: P) -> Self {
        Tracked { payload, fate: AtomicU8::new(Fate::Left as u8) }
    }

    /// What the cache holds.
    pub fn payload(&self) -> &P {
        &self.payload
    }

    /// Writes down that the map just gave this value out as replaced or removed.
    pub fn ends_as(&self, fate: Fate) {
        // Relaxed: read by the drop alone, which happens after every use of the reference that we hold.
        self.fate.store(fate as u8, Ordering::Relaxed);
    }
}

impl<P> Drop for Tracked<P> {
    fn drop(&mut self) {
        ENDED[usize::from(*self.fate.get_mut())].add(1);
    }
}

/// The values that have been dropped with this fate.
pub fn ended_as(fate: Fate) -> i64 {
    ENDED[fate as usize].sum()
}
