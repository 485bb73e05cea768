//! What the compiler must refuse: references that outlive what they point into, and data races.
//!
//! The expected messages are those of the toolchain that CI uses; `TRYBUILD=overwrite` writes them anew.

use std::cell::Cell;
use std::hash::RandomState;
use std::rc::Rc;

use ttlwheel::{Clock, Events, ManualClock, Pinned, Ref, TtlMap};

#[test]
fn unsound_uses_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

/// Does not compile where the type has the trait: then both implementations fit, and `_` is ambiguous.
macro_rules! assert_not_impl {
    ($type:ty: $trait:path) => {{
        trait Ambiguous<A> {
            fn pick() {}
        }
        impl<T: ?Sized> Ambiguous<()> for T {}
        impl<T: ?Sized + $trait> Ambiguous<u8> for T {}
        <$type as Ambiguous<_>>::pick();
    }};
}

#[test]
fn what_is_shared_between_threads_is_as_safe_as_its_parts() {
    fn assert_send_and_sync<T: Send + Sync>() {}
    assert_send_and_sync::<TtlMap<String, Vec<u8>, RandomState>>();
    assert_send_and_sync::<TtlMap<&str, &u8>>();
    assert_send_and_sync::<Clock>();
    assert_send_and_sync::<ManualClock>();
    // A get on any thread gives out a reference, and any thread may drop a key or a value.
    assert_not_impl!(TtlMap<u8, Cell<u8>>: Sync);
    assert_not_impl!(TtlMap<Cell<u8>, u8>: Sync);
    assert_not_impl!(TtlMap<u8, std::sync::MutexGuard<'static, u8>>: Sync);
    assert_not_impl!(TtlMap<u8, Rc<u8>>: Send);
    assert_not_impl!(TtlMap<u8, Rc<u8>>: Sync);
    assert_not_impl!(TtlMap<Rc<u8>, u8>: Send);
    assert_not_impl!(TtlMap<u8, u8, Cell<u8>>: Sync);
    assert_not_impl!(TtlMap<u8, u8, Rc<u8>>: Send);
    // An event is moved to whoever receives it, and never shared.
    assert_send_and_sync::<Events<String, Cell<u8>>>();
    assert_not_impl!(Events<Rc<u8>, u8>: Send);
    assert_not_impl!(Events<u8, Rc<u8>>: Sync);
    assert_not_impl!(Events<u8, std::sync::MutexGuard<'static, u8>>: Sync);
    // A pin belongs to its thread.
    assert_not_impl!(Pinned<'static, u8, u8, RandomState>: Send);
    assert_not_impl!(Ref<'static, u8, u8>: Send);
}
