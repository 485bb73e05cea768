use std::time::Duration;
use ttlwheel::TtlMap;

fn main() {
    let found;
    {
        let map = TtlMap::new(Duration::from_secs(1));
        map.insert(1, String::from("one"));
        found = map.get(&1);
    }
    drop(found);
}
