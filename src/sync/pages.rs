//! Memory on huge pages, where the system gives them to who asks: Linux, mapped by ourselves.
//!
//! Not by the allocator: for an alignment of 2 MiB std's `alloc_zeroed` would write all the zeroes, and the advice would
//! stay with memory that is somebody else's later.

/// On what pages memory is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pages {
    /// As the allocator has them.
    #[default]
    Usual,
    /// On huge ones, if it is long enough and the system does that.
    Huge,
}

#[cfg(not(ttl_loom))]
impl Pages {
    /// So many zeroes, apart from the allocator's memory; None where they are left to that.
    pub(super) fn map(self, bytes: usize) -> Option<*mut u8> {
        match self {
            Pages::Usual => None,
            Pages::Huge => system::map(bytes),
        }
    }
}

#[cfg(not(ttl_loom))]
pub(super) use system::unmap;

#[cfg(all(any(target_os = "linux", target_os = "android"), not(any(miri, ttl_loom))))]
mod system {
    use std::ptr;

    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

    /// Where usual pages are of 4 KiB. Where huge ones are longer than that, to align to this is of no use, and no harm.
    const HUGE: usize = 2 << 20;
    /// Less is left to the allocator.
    const LEAST: usize = 4 * HUGE;

    pub(in super::super) fn map(bytes: usize) -> Option<*mut u8> {
        if bytes < LEAST {
            return None;
        }
        let bytes = bytes.checked_next_multiple_of(HUGE)?;
        let room = bytes.checked_add(HUGE)?;
        // SAFETY: a new mapping, at a place of the system's choice.
        let base =
            unsafe { mmap_anonymous(ptr::null_mut(), room, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) };
        let base: *mut u8 = base.ok()?.cast();
        let before = base.align_offset(HUGE);
        let first = base.wrapping_add(before);
        // SAFETY: nobody knows of the mapping yet, and what is in front of the bytes and behind them is a part of it.
        unsafe {
            give_back(base, before);
            give_back(first.wrapping_add(bytes), HUGE - before);
        }
        // SAFETY: advice changes nothing of what is there. Where it is refused, the pages are usual ones.
        let _ = unsafe { madvise(first.cast(), bytes, Advice::LinuxHugepage) };
        Some(first)
    }

    /// Gives back what was mapped.
    ///
    /// # Safety
    ///
    /// `first` comes from [`map`] of as many bytes. Only once, and nothing may use them any more.
    pub(in super::super) unsafe fn unmap(first: *mut u8, bytes: usize) {
        // SAFETY: by the contract; `map` has rounded up likewise.
        unsafe { give_back(first, bytes.next_multiple_of(HUGE)) };
    }

    /// # Safety
    ///
    /// The bytes are part of a mapping, and nobody uses them.
    unsafe fn give_back(first: *mut u8, bytes: usize) {
        if bytes > 0 {
            // Fails only if that makes two mappings of one and the process may have no more; then they stay.
            // SAFETY: by the contract.
            let _ = unsafe { munmap(first.cast(), bytes) };
        }
    }
}

#[cfg(all(any(miri, not(any(target_os = "linux", target_os = "android"))), not(ttl_loom)))]
mod system {
    pub(in super::super) fn map(_bytes: usize) -> Option<*mut u8> {
        None
    }

    pub(in super::super) unsafe fn unmap(_first: *mut u8, _bytes: usize) {}
}
