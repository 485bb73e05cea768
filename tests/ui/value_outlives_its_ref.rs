use std::time::Duration;
use ttlwheel::TtlMap;

fn main() {
    let map = TtlMap::new(Duration::from_secs(1));
    map.insert(1, String::from("one"));
    let value: &String = map.get(&1).unwrap().value();
    println!("{value}");
}
