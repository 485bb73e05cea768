use std::time::Duration;
use ttlwheel::TtlMap;

fn main() {
    let map = TtlMap::new(Duration::from_secs(1));
    map.insert(1, String::from("one"));
    let old = map.pin().insert(1, String::from("two"));
    println!("{old:?}");
}
