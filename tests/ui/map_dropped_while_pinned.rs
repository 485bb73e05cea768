use std::time::Duration;
use ttlwheel::TtlMap;

fn main() {
    let map = TtlMap::new(Duration::from_secs(1));
    let pin = map.pin();
    drop(map);
    pin.insert(1, 1);
}
