use std::rc::Rc;
use ttlwheel::TtlMap;

fn assert_send<T: Send>() {}

fn main() {
    assert_send::<TtlMap<u8, Rc<u8>>>();
}
