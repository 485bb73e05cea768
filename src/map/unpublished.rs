//! A new entry until it is published.

use crate::entry::Entry;
use crate::table::fits;

/// A new entry before it is published: freed with all that is in it, if it comes to that.
pub(super) struct Unpublished<K, V>(*mut Entry<K, V>);

impl<K, V> Unpublished<K, V> {
    pub(super) fn new(entry: Entry<K, V>) -> Self {
        let new = Unpublished(Box::into_raw(Box::new(entry)));
        assert!(fits(new.0), "addresses of more than 48 bits are not supported");
        new
    }

    pub(super) fn entry(&self) -> &Entry<K, V> {
        // SAFETY: from a box; only this value frees it.
        unsafe { &*self.0 }
    }

    pub(super) fn as_ptr(&self) -> *mut Entry<K, V> {
        self.0
    }

    /// The entry itself, if it comes to nothing.
    pub(super) fn take_back(self) -> Entry<K, V> {
        let pointer = self.0;
        std::mem::forget(self);
        // SAFETY: from a box, never published, and not freed by `drop`.
        *unsafe { Box::from_raw(pointer) }
    }

    pub(super) fn publish(self) {
        std::mem::forget(self);
    }
}

impl<K, V> Drop for Unpublished<K, V> {
    fn drop(&mut self) {
        // SAFETY: from a box, and never published.
        drop(unsafe { Box::from_raw(self.0) });
    }
}
