//! What became of each value that was ever put into a map: by its verbs, and by its listeners.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};

use ttlwheel::RemovalCause;

/// What is known of each value, of which no two are the same.
pub struct Ledger {
    next: AtomicUsize,
    /// Bits: INSERTED, and one for the cause that the verb told which took it.
    verbs: Vec<AtomicU8>,
    /// One bit for each cause told of.
    told: Vec<AtomicU8>,
    twice: AtomicU64,
}

const INSERTED: u8 = 1 << 7;

fn bit(cause: RemovalCause) -> u8 {
    match cause {
        RemovalCause::Expired => 1,
        RemovalCause::Explicit => 2,
        RemovalCause::Replaced => 4,
        _ => unreachable!("{cause:?}"),
    }
}

impl Ledger {
    pub fn new(values: usize) -> Self {
        let zeroes = || (0..values).map(|_| AtomicU8::new(0)).collect();
        Ledger { next: AtomicUsize::new(0), verbs: zeroes(), told: zeroes(), twice: AtomicU64::new(0) }
    }

    pub fn fresh(&self) -> usize {
        self.next.fetch_add(1, Relaxed)
    }

    pub fn inserted(&self, value: usize) {
        assert_eq!(self.verbs[value].fetch_or(INSERTED, Relaxed) & INSERTED, 0, "{value} inserted twice");
    }

    pub fn left(&self, value: usize, cause: RemovalCause) {
        assert_eq!(self.verbs[value].fetch_or(bit(cause), Relaxed) & !INSERTED, 0, "two verbs took {value}");
    }

    pub fn tell(&self, value: usize, cause: RemovalCause) {
        if self.told[value].fetch_or(bit(cause), Relaxed) != 0 {
            self.twice.fetch_add(1, Relaxed);
        }
    }

    /// Of the inserted values: those told of, and those that are not.
    pub fn check(&self) -> (usize, usize) {
        let (mut told, mut silent) = (0, 0);
        assert_eq!(self.twice.load(Relaxed), 0, "told of twice");
        for (value, (verbs, cause)) in self.verbs.iter().zip(&self.told).enumerate() {
            let (verbs, cause) = (verbs.load(Relaxed), cause.load(Relaxed));
            assert!(cause == 0 || verbs & INSERTED != 0, "{value} never was in the map");
            let by_verb = verbs & !INSERTED;
            assert!(by_verb == 0 || by_verb == cause, "{value} left by {by_verb}, told of as {cause}");
            told += usize::from(cause != 0);
            silent += usize::from(verbs & INSERTED != 0 && cause == 0);
        }
        (told, silent)
    }
}
