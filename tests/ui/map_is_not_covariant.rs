use ttlwheel::TtlMap;

// With this a key that lives shortly could be inserted, and be read as one that lives for ever.
fn shorten<'a>(map: &'a TtlMap<&'static str, u8>) -> &'a TtlMap<&'a str, u8> {
    map
}

fn main() {
    let _ = shorten;
}
