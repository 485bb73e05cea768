//! A fence in two halves: one that costs next to nothing, for those who pass often, and one that is a system call.
//!
//! What one thread does around the light half and another around the heavy one is ordered as if both were SeqCst fences;
//! two light halves order nothing. It is Linux' `membarrier`, which has every processor that runs a thread of this
//! process go through a barrier (Desnoyers, 2010). Elsewhere there is none; on Android, where old versions kill who asks
//! for it, nobody asks.
//!
//! A process has to be registered for it, which may take the kernel some 15 ms once it has threads. The first map does so.

#[cfg(ttl_loom)]
use crate::sync::{AtomicUsize, Ordering};

/// One for each thread that passes by the light half.
#[derive(Default)]
pub(super) struct Asymmetric {
    /// In a model both halves meet here: a change of one place orders just this pair, and no two light halves.
    #[cfg(ttl_loom)]
    meeting: AtomicUsize,
}

impl Asymmetric {
    /// The light half.
    #[inline]
    pub(super) fn light(&self) {
        #[cfg(not(ttl_loom))]
        std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
        #[cfg(ttl_loom)]
        self.meeting.fetch_add(1, Ordering::AcqRel);
    }

    /// The heavy half, for all of them; false if the system has none.
    pub(super) fn heavy<'a>(_all: impl Iterator<Item = &'a Asymmetric>) -> bool {
        #[cfg(not(ttl_loom))]
        return system::barrier();
        #[cfg(ttl_loom)]
        {
            _all.for_each(|one| {
                one.meeting.fetch_add(1, Ordering::AcqRel);
            });
            true
        }
    }
}

#[cfg(not(ttl_loom))]
pub(super) use system::{is_available, prepare};

#[cfg(all(target_os = "linux", not(any(miri, ttl_loom))))]
mod system {
    use std::sync::atomic::{AtomicU8, Ordering};

    use rustix::thread::{MembarrierCommand, membarrier, membarrier_query};

    const UNKNOWN: u8 = 0;
    const YES: u8 = 1;
    const NO: u8 = 2;

    static AVAILABLE: AtomicU8 = AtomicU8::new(UNKNOWN);

    /// Finds out whether there is a heavy half, and registers the process, if nobody has yet.
    #[inline]
    pub(in super::super) fn prepare() {
        // Relaxed, here and below: the same answer, whoever finds it out.
        if AVAILABLE.load(Ordering::Relaxed) == UNKNOWN {
            register();
        }
    }

    #[cold]
    fn register() {
        let has = membarrier_query().contains_command(MembarrierCommand::PrivateExpedited)
            && membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok();
        AVAILABLE.store(if has { YES } else { NO }, Ordering::Relaxed);
    }

    /// Whether there is a heavy half, as far as is known.
    pub(in super::super) fn is_available() -> bool {
        AVAILABLE.load(Ordering::Relaxed) == YES
    }

    pub(super) fn barrier() -> bool {
        let was_there = membarrier(MembarrierCommand::PrivateExpedited).is_ok();
        if !was_there {
            // Denied since it was registered, say by a filter of system calls: nothing more shall rely on it.
            AVAILABLE.store(NO, Ordering::Relaxed);
        }
        was_there
    }
}

#[cfg(all(not(all(target_os = "linux", not(miri))), not(ttl_loom)))]
mod system {
    pub(in super::super) fn prepare() {}

    pub(in super::super) fn is_available() -> bool {
        false
    }

    pub(super) fn barrier() -> bool {
        false
    }
}
