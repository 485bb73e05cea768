//! An allocator that counts, and that stops a thread: also where the map calls nothing else of the user's.
//!
//! `#[global_allocator] static ALLOCATOR: Watching = Watching;` puts it to use.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::Add;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, LocalKey};

/// The system's allocator. Counts, and stops a thread at the n-th call.
pub struct Watching;

/// The alignment of a table's head; nothing else that a map allocates more than once has it.
const TABLE_ALIGN: usize = 32;

/// Tells that the thread stopped, and waits for its release.
type Gate = (Sender<()>, Receiver<()>);

thread_local! {
    /// How many allocations there are before the thread stops; none while 0.
    static CALLS_LEFT: Cell<u64> = const { Cell::new(0) };
    static GATE: Cell<Option<Gate>> = const { Cell::new(None) };
    static BLOCKS: Cell<i64> = const { Cell::new(0) };
    static TABLES: Cell<u64> = const { Cell::new(0) };
}

/// Called at each allocation.
fn pass() {
    let calls = CALLS_LEFT.try_with(|left| left.replace(left.get().saturating_sub(1)));
    if calls == Ok(1) {
        // Allocations from here on find that there are no calls left to count.
        if let Some((tell, release)) = GATE.take() {
            // No panic may come out of an allocator. An error: the test has failed, and this thread goes on to its end.
            let _ = tell.send(()).map(|()| release.recv());
        }
    }
}

/// Adds to a counter, while the thread has it.
fn count<T: Copy + Add<Output = T>>(counter: &'static LocalKey<Cell<T>>, by: T) {
    let _ = counter.try_with(|count| count.set(count.get() + by));
}

// SAFETY: every call goes to the system allocator as it came.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        pass();
        count(&BLOCKS, 1);
        count(&TABLES, u64::from(layout.align() >= TABLE_ALIGN));
        // SAFETY: the caller's promise is the system allocator's demand.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(&BLOCKS, -1);
        // SAFETY: every block comes from the system allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs `work` on a thread that stops at its n-th allocation, and `meanwhile` while it stands there; false when it made
/// fewer.
pub fn stopped_at(n: u64, work: impl FnOnce() + Send, meanwhile: impl FnOnce()) -> bool {
    thread::scope(|scope| {
        let ((tell, told), (free, release)) = (channel(), channel());
        scope.spawn(move || {
            GATE.set(Some((tell, release)));
            CALLS_LEFT.set(n);
            work();
            CALLS_LEFT.set(0);
            GATE.set(None);
        });
        let stopped = told.recv().is_ok();
        if stopped {
            meanwhile();
            free.send(()).expect("the thread waits");
        }
        stopped
    })
}

/// Blocks that this thread has allocated and not freed.
pub fn blocks() -> i64 {
    BLOCKS.get()
}

/// Tables that this thread has allocated, and a few things more.
pub fn tables() -> u64 {
    TABLES.get()
}
