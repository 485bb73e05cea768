//! Reads write nothing of the map's (P2), shown by the processor: while they run, all memory that the map has ever
//! been given is read-only. A write ends the process, so each test does its work in a child process.
//! Not where reads are counted.
#![cfg(all(target_os = "linux", not(feature = "stats")))]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::c_void;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use common::{Collide, Identity, Rng};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};
use ttlwheel::{Clock, ManualClock, Pages, TtlMap};

/// The system's allocator, but on a thread that says so a bump allocator over one mapping, which never frees.
struct Arena;

const ARENA: usize = 512 << 20;
static START: AtomicUsize = AtomicUsize::new(0);
static USED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static IN_ARENA: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: blocks of the mapping are handed out once and never taken back; all others are the system allocator's.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !IN_ARENA.get() {
            // SAFETY: the caller's promise is the system allocator's demand.
            return unsafe { System.alloc(layout) };
        }
        // One thread at a time is in the arena. The mapping is aligned to pages, and no layout to more.
        let at = USED.load(Relaxed).next_multiple_of(layout.align());
        if layout.align() > 4096 || at + layout.size() > ARENA {
            return null_mut();
        }
        USED.store(at + layout.size(), Relaxed);
        (START.load(Relaxed) + at) as *mut u8
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let start = START.load(Relaxed);
        if start == 0 || !(start..start + ARENA).contains(&(pointer as usize)) {
            // SAFETY: what is not in the arena came from the system allocator.
            unsafe { System.dealloc(pointer, layout) }
        }
    }
}

#[global_allocator]
static ALLOCATOR: Arena = Arena;

/// Runs `work` with all of this thread's allocations in the arena.
fn in_arena<R>(work: impl FnOnce() -> R) -> R {
    if START.load(Relaxed) == 0 {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address of the system's choice.
        let start = unsafe { mmap_anonymous(null_mut(), ARENA, ProtFlags::READ | ProtFlags::WRITE, flags) };
        START.store(start.expect("address space") as usize, Relaxed);
    }
    IN_ARENA.set(true);
    let result = work();
    IN_ARENA.set(false);
    result
}

fn protect(flags: MprotectFlags) {
    // SAFETY: the range is the arena's mapping, and `read_only` lets no write to it be compiled in between.
    unsafe { mprotect(START.load(Relaxed) as *mut c_void, ARENA, flags) }.expect("mprotect");
}

/// Runs `work` with the arena read-only.
fn read_only(work: impl FnOnce()) {
    /// Also when an assertion fails, so that unwinding may drop the map.
    struct Writable;
    impl Drop for Writable {
        fn drop(&mut self) {
            protect(MprotectFlags::READ | MprotectFlags::WRITE);
        }
    }
    protect(MprotectFlags::READ);
    let _writable = Writable;
    work();
}

/// Runs the test `name` again in a process of its own, in which `None` is returned.
fn in_child(name: &str) -> Option<ExitStatus> {
    const IN_CHILD: &str = "TTLWHEEL_SILENT_READS_CHILD";
    if std::env::var_os(IN_CHILD).is_some() {
        return None;
    }
    let mut child = Command::new(std::env::current_exe().expect("this test's program"));
    // A sanitizer must leave the signal alone.
    for options in ["ASAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"] {
        child.env(options, std::env::var(options).unwrap_or_default() + ":handle_segv=0");
    }
    Some(child.args(["--exact", name, "--nocapture"]).env(IN_CHILD, "1").status().expect("a child process"))
}

type Map<S> = TtlMap<u64, u64, S>;

/// The collector's own memory is not the map's: this thread's part of it comes to be here, outside the arena.
fn warm_up() {
    let map: Map<RandomState> = TtlMap::new(Duration::from_secs(1));
    map.insert(1, 1);
    map.insert(1, 2);
    many_pins(&map);
}

/// Enough for the collector to run what writes have left with it: the reads that follow find nothing to do.
fn many_pins<S: BuildHasher>(map: &Map<S>) {
    (0..2_048).for_each(|_| assert!(!map.contains_key(&u64::MAX)));
}

/// A boxed map in the arena, with its clock.
fn map_in_arena<S: BuildHasher>(clock: impl FnOnce() -> Clock, hasher: S) -> Box<Map<S>> {
    warm_up();
    in_arena(|| {
        let builder = TtlMap::<u64, u64>::builder().time_to_live(Duration::from_secs(86_400)).pages(Pages::Allocator);
        Box::new(builder.initial_capacity(1).clock(clock()).hasher(hasher).build())
    })
}

/// Reads by every verb and face; keys below `present` are there.
fn read<S: BuildHasher>(map: &Map<S>, present: u64, reads: u64, rng: &mut Rng) {
    let pin = map.pin();
    for _ in 0..reads {
        let key = rng.below(present * 5 / 4 + 1);
        let expected = (key < present).then_some(key + 1);
        match rng.below(12) {
            0 => assert_eq!(map.get(&key).map(|value| *value), expected),
            1 => assert_eq!(map.pin().get(&key).copied(), expected),
            2 => assert_eq!(map.get_cloned(&key), expected),
            3 => assert_eq!(map.contains_key(&key), expected.is_some()),
            4 => assert_eq!(pin.get(&key).copied(), expected),
            5 => assert_eq!(map.get_key_value(&key).map(|entry| *entry.value()), expected),
            6 => map.get_many(&[key, key], |_, value| assert_eq!(value.copied(), expected)),
            7 => pin.get_many(&[key, key], |_, value| assert_eq!(value.copied(), expected)),
            8 => assert_eq!(map.peek(&key).as_deref().copied(), expected),
            9 if key < present => {
                assert_eq!(Some(*map.get_or_insert_with(key, || unreachable!("it is there"))), expected)
            }
            10 => assert_eq!(pin.deadline(&key).is_some(), expected.is_some()),
            _ => assert_eq!(map.ttl(&key).is_some(), expected.is_some()),
        }
    }
}

/// Reads between any two inserts, whatever growth has come to, and between any two removals.
fn read_at_each_size<S: BuildHasher>(map: &Map<S>, most: u64) {
    let mut rng = Rng(1);
    for size in 1..=most {
        in_arena(|| drop(map.insert(size - 1, size)));
        many_pins(map);
        read_only(|| read(map, size, 40, &mut rng));
    }
    read_only(|| read(map, most, 100_000, &mut rng));
    for size in (0..most).rev() {
        in_arena(|| drop(map.remove(&size).expect("it was inserted")));
        many_pins(map);
        read_only(|| read(map, size, 40, &mut rng));
    }
}

const SIZE: u64 = if cfg!(debug_assertions) { 700 } else { 4_000 };

#[test]
fn reads_write_nothing_while_the_table_grows_and_shrinks() {
    match in_child("reads_write_nothing_while_the_table_grows_and_shrinks") {
        Some(status) => assert!(status.success(), "a read wrote to the map: {status}"),
        None => {
            read_at_each_size(&map_in_arena(Clock::hybrid, RandomState::new()), SIZE);
            read_at_each_size(&map_in_arena(|| Clock::from(ManualClock::new()), Identity), SIZE);
        }
    }
}

#[test]
fn reads_write_nothing_where_keys_collide() {
    match in_child("reads_write_nothing_where_keys_collide") {
        Some(status) => assert!(status.success(), "a read wrote to the map: {status}"),
        None => {
            read_at_each_size(&map_in_arena(Clock::exact, Collide::<1>), 100);
            read_at_each_size(&map_in_arena(Clock::boot_time, Collide::<4>), 200);
        }
    }
}

/// All other reads of live entries are silent too: whole iterations, and the counting of them.
#[test]
fn iterations_write_nothing() {
    match in_child("iterations_write_nothing") {
        Some(status) => assert!(status.success(), "an iteration wrote to the map: {status}"),
        None => {
            let map = map_in_arena(Clock::hybrid, RandomState::new());
            in_arena(|| (0..1_000).for_each(|key| drop(map.insert(key, key + 1))));
            many_pins(&map);
            read_only(|| {
                for _ in 0..10 {
                    assert_eq!(map.iter().map(|value| *value).sum::<u64>(), 500_500);
                    assert_eq!(map.pin().iter().count(), 1_000);
                    assert_eq!((map.len(), map.stored_len(), map.is_empty()), (1_000, 1_000, false));
                }
            });
        }
    }
}

/// A map with an idle time, a value, and the time that makes a read move its deadline.
fn idle_map_in_arena() -> (Box<Map<RandomState>>, ManualClock) {
    warm_up();
    const IDLE: Duration = Duration::from_secs(16);
    let clock = ManualClock::new();
    let map = in_arena(|| Box::new(TtlMap::builder().time_to_idle(IDLE).clock(&clock).build()));
    in_arena(|| drop(map.insert(1, 1)));
    many_pins(&map);
    clock.advance(IDLE / 16 - Duration::from_nanos(1));
    (map, clock)
}

#[test]
fn reads_that_move_no_deadline_write_nothing() {
    match in_child("reads_that_move_no_deadline_write_nothing") {
        Some(status) => assert!(status.success(), "a read wrote to the map: {status}"),
        None => {
            let (map, clock) = idle_map_in_arena();
            read_only(|| assert_eq!(map.get_cloned(&1), Some(1)));
            clock.advance(Duration::from_secs(10));
            read_only(|| {
                assert_eq!(map.peek(&1).as_deref(), Some(&1));
                assert_eq!(map.pin().peek(&1), Some(&1));
                assert!(map.contains_key(&1));
            });
        }
    }
}

#[test]
fn a_read_that_moves_a_deadline_is_caught() {
    const SEGMENTATION_FAULT: i32 = 11;
    match in_child("a_read_that_moves_a_deadline_is_caught") {
        Some(status) => assert_eq!(status.signal(), Some(SEGMENTATION_FAULT), "{status}"),
        None => {
            let (map, clock) = idle_map_in_arena();
            clock.advance(Duration::from_nanos(1));
            read_only(|| assert_eq!(map.get_cloned(&1), Some(1)));
        }
    }
}

/// The control: what does write is caught, for each kind of write.
fn is_caught(name: &str, write: impl FnOnce(&Map<RandomState>)) {
    const SEGMENTATION_FAULT: i32 = 11;
    match in_child(name) {
        Some(status) => assert_eq!(status.signal(), Some(SEGMENTATION_FAULT), "{status}"),
        None => {
            let map = map_in_arena(Clock::hybrid, RandomState::new());
            in_arena(|| (0..100).for_each(|key| drop(map.insert(key, key))));
            many_pins(&map);
            read_only(|| write(&map));
        }
    }
}

#[test]
fn an_insert_is_caught() {
    is_caught("an_insert_is_caught", |map| drop(map.insert(1_000, 1)));
}

#[test]
fn an_overwrite_is_caught() {
    is_caught("an_overwrite_is_caught", |map| drop(map.insert(1, 1)));
}

#[test]
fn a_removal_is_caught() {
    is_caught("a_removal_is_caught", |map| drop(map.remove(&1)));
}
