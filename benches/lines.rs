//! Which cache lines does an operation get from another thread's processor? A program for lackey, a tool of valgrind;
//! `benches/lines.sh` runs it.
//!
//! `lines QUESTION COUNT` makes a map of 1,000 entries, and two threads that do an operation by turns, so many times each, with
//! keys of their own. It prints where a mark is stored at the start and at the end of each operation. Without arguments each
//! question is asked a few times and its answer checked.

// A program, not an API.
#![allow(missing_docs)]

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ttlwheel::{ManualClock, TtlMap};

type Map = TtlMap<u64, u64, foldhash::quality::FixedState>;

/// Keys a thread.
const KEYS: u64 = 500;

/// A question: its name, and what a thread of this number does to a map, for the n-th time. Tells whether that went as it should.
type Question = (&'static str, fn(&Map, u64, u64) -> bool);

const QUESTIONS: [Question; 4] = [
    ("hit", |map, thread, n| map.get(&key(thread, n)).is_some()),
    ("miss", |map, thread, n| map.get(&key(thread + 2, n)).is_none()),
    ("overwrite", |map, thread, n| map.insert(key(thread, n), n).replaced().is_some()),
    // Every other time what was removed is inserted again.
    ("churn", |map, thread, n| match n % 2 {
        0 => map.remove(&key(thread, n)).is_some(),
        _ => map.insert(key(thread, n - 1), n).replaced().is_none(),
    }),
];

/// A key that no other thread has.
fn key(thread: u64, n: u64) -> u64 {
    (4 * (n * 619 % KEYS) + thread + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

static START: AtomicU64 = AtomicU64::new(0);
static END: AtomicU64 = AtomicU64::new(0);

fn ask((name, question): Question, count: u64) {
    // Time stands still: under lackey each operation would meet a new tick of the wheel.
    let (clock, hasher) = (ManualClock::new(), foldhash::quality::FixedState::with_seed(1));
    let map: Map = TtlMap::builder().time_to_live(Duration::from_secs(3600)).clock(&clock).hasher(hasher).build();
    let turns = Barrier::new(2);
    let take_turns = |thread| {
        (0..KEYS).for_each(|n| _ = map.insert(key(thread, n), n));
        for turn in 0..2 * count {
            turns.wait();
            if turn % 2 != thread {
                continue;
            }
            // Till the other waits again.
            (0..4).for_each(|_| std::thread::yield_now());
            START.store(turn, Ordering::SeqCst);
            let went = black_box(question(&map, thread, turn / 2));
            END.store(turn, Ordering::SeqCst);
            assert!(went, "{name}");
        }
    };
    std::thread::scope(|threads| {
        threads.spawn(|| take_turns(1));
        threads.spawn(|| take_turns(0));
    });
}

fn main() {
    // cargo passes arguments of its own.
    let args: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    match &args[..] {
        [name, count] => {
            println!("{:x} {:x}", (&raw const START).addr(), (&raw const END).addr());
            let question = QUESTIONS.iter().find(|question| question.0 == name).expect("a question of that name");
            ask(*question, count.parse().expect("a count"));
        }
        _ => QUESTIONS.iter().for_each(|&question| {
            ask(question, 100);
            println!("{}", question.0);
        }),
    }
}
