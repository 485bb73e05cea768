use std::cell::Cell;
use ttlwheel::TtlMap;

fn assert_sync<T: Sync>() {}

fn main() {
    assert_sync::<TtlMap<u8, Cell<u8>>>();
}
