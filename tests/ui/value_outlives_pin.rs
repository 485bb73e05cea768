use std::time::Duration;
use ttlwheel::TtlMap;

fn main() {
    let map = TtlMap::new(Duration::from_secs(1));
    map.insert(1, String::from("one"));
    let pin = map.pin();
    let value: Option<&String> = pin.get(&1);
    drop(pin);
    println!("{value:?}");
}
