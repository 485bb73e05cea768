//! The threads of this process, as the system counts them.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A thread's name that no other test has, short enough for the system to keep it whole.
pub fn unique_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("reap-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// How many threads of that name there are; None where the system doesn't tell.
pub fn threads_named(name: &str) -> Option<usize> {
    let tasks = fs::read_dir("/proc/self/task").ok()?;
    let is_named =
        |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name);
    Some(tasks.filter_map(Result::ok).filter(|task| task.path().exists()).map(is_named).filter(|is| *is).count())
}

/// Waits for the last thread of that name to go; says so where it can't.
pub fn await_no_thread(name: &str) {
    if threads_named(name).is_none() {
        println!("SKIPPED: no /proc/self/task, so threads can't be counted");
        return;
    }
    until("the thread is gone", || threads_named(name) == Some(0));
}

/// Waits for something that must come, and comes at once but for a busy machine.
pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < Duration::from_secs(120), "waited in vain: {what}");
        std::thread::yield_now();
    }
}
