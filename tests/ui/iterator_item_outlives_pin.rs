use std::time::Duration;
use ttlwheel::TtlMap;

fn main() {
    let map = TtlMap::new(Duration::from_secs(1));
    map.insert(1, String::from("one"));
    let pin = map.pin();
    let entries: Vec<(&i32, &String)> = pin.iter().collect();
    drop(pin);
    println!("{entries:?}");
}
