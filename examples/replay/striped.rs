//! A counter that many threads bump without meeting on a cache line.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

const STRIPES: usize = 64;

#[repr(align(128))]
struct Stripe(AtomicI64);

/// A count kept in stripes, one a thread (threads share one where there are more threads than stripes).
pub struct Striped {
    stripes: [Stripe; STRIPES],
}

impl Striped {
    /// Makes a counter at zero.
    pub const fn new() -> Self {
        Striped { stripes: [const { Stripe(AtomicI64::new(0)) }; STRIPES] }
    }

    /// Adds `n`, which may be negative.
    pub fn add(&self, n: i64) {
        // Relaxed: a count publishes nothing but itself.
        self.stripes[stripe()].0.fetch_add(n, Ordering::Relaxed);
    }

    /// The sum; exact if every thread that added happened before.
    pub fn sum(&self) -> i64 {
        self.stripes.iter().map(|stripe| stripe.0.load(Ordering::Relaxed)).sum()
    }
}

/// The calling thread's stripe. Usable inside an allocator: neither allocates nor has a destructor.
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<Option<usize>> = const { Cell::new(None) };
    }
    MINE.with(|mine| {
        mine.get().unwrap_or_else(|| {
            let stripe = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
            mine.set(Some(stripe));
            stripe
        })
    })
}
