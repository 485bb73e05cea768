//! A fence in two halves: one that costs next to nothing, for those who pass often, and one that is a system call.
//!
//! What one thread does around the light half and another around the heavy one is ordered as if both were SeqCst fences;
//! two light halves order nothing. It is Linux' `membarrier`, which has every processor that runs a thread of this
//! process go through a barrier (Desnoyers, 2010); elsewhere there is none.

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
pub(super) use system::is_available;

#[cfg(all(any(target_os = "linux", target_os = "android"), not(any(miri, ttl_loom))))]
mod system {
    use std::sync::atomic::{AtomicU8, Ordering};

    use rustix::thread::{MembarrierCommand, membarrier, membarrier_query};

    const UNKNOWN: u8 = 0;
    const YES: u8 = 1;
    const NO: u8 = 2;

    /// Whether there is a heavy half. The first call registers the process.
    pub(in super::super) fn is_available() -> bool {
        static AVAILABLE: AtomicU8 = AtomicU8::new(UNKNOWN);
        // Relaxed: the same answer, whoever finds it out.
        match AVAILABLE.load(Ordering::Relaxed) {
            UNKNOWN => {
                let has = membarrier_query().contains_command(MembarrierCommand::PrivateExpedited)
                    && membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok();
                AVAILABLE.store(if has { YES } else { NO }, Ordering::Relaxed);
                has
            }
            known => known == YES,
        }
    }

    pub(super) fn barrier() -> bool {
        membarrier(MembarrierCommand::PrivateExpedited).is_ok()
    }
}

#[cfg(all(not(all(any(target_os = "linux", target_os = "android"), not(miri))), not(ttl_loom)))]
mod system {
    pub(in super::super) fn is_available() -> bool {
        false
    }

    pub(super) fn barrier() -> bool {
        false
    }
}
