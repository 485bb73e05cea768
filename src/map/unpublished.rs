//! A new entry until it is published.

use crate::entry::{Entry, Form};
use crate::table::fits;

/// A new entry before it is published: freed with all that is in it, if it comes to that.
pub(super) struct Unpublished<K, V>(*mut Entry<K, V>, Form);

impl<K, V> Unpublished<K, V> {
    #[inline]
    pub(super) fn new(entry: Entry<K, V>, bound: Option<u64>) -> Self {
        let form = if bound.is_some() { Form::Bounded } else { Form::Plain };
        let new = Unpublished(entry.into_raw(bound), form);
        assert!(fits(new.0), "addresses of more than 48 bits are not supported");
        new
    }

    pub(super) fn entry(&self) -> &Entry<K, V> {
        // SAFETY: made with it; only this value frees it.
        unsafe { &*self.0 }
    }

    pub(super) fn as_ptr(&self) -> *mut Entry<K, V> {
        self.0
    }

    /// The entry itself, if it comes to nothing.
    pub(super) fn take_back(self) -> Entry<K, V> {
        let Unpublished(pointer, form) = self;
        std::mem::forget(self);
        // SAFETY: made so, never published, and not freed by `drop`.
        unsafe { Entry::from_raw(pointer, form) }
    }

    pub(super) fn publish(self) {
        std::mem::forget(self);
    }
}

impl<K, V> Drop for Unpublished<K, V> {
    fn drop(&mut self) {
        // SAFETY: made so, and never published.
        drop(unsafe { Entry::from_raw(self.0, self.1) });
    }
}
