use std::time::Duration;
use ttlwheel::TtlMap;

fn main() {
    let map = TtlMap::new(Duration::from_secs(1));
    let text = String::from("key");
    map.insert(text.as_str(), 1);
}
