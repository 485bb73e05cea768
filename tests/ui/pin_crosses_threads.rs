use std::time::Duration;
use ttlwheel::TtlMap;

fn assert_send<T: Send>(_: T) {}

fn main() {
    let map: TtlMap<u8, u8> = TtlMap::new(Duration::from_secs(1));
    assert_send(map.pin());
}
