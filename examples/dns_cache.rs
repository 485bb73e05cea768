//! A cache of a resolver: each record lives as long as it says itself, and that a name doesn't exist is remembered, too,
//! but not for as long.
//!
//!     cargo run --release --example dns_cache

use std::cell::Cell;
use std::net::Ipv4Addr;
use std::time::Duration;

use ttlwheel::{ManualClock, TtlMap};

/// How long a negative answer is kept, whatever its zone says (RFC 2308 advises one to three hours at most).
const NEGATIVE_AT_MOST: Duration = Duration::from_secs(3600);
/// How long a positive one is kept at most (RFC 8767 advises a week).
const POSITIVE_AT_MOST: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a server says; None: there is no such name.
type Answer = Option<Vec<Ipv4Addr>>;

/// Stands for the servers out there. Counts what it is asked.
#[derive(Default)]
struct Servers {
    asked: Cell<u32>,
}

impl Servers {
    /// The answer, and how long it may be kept.
    fn ask(&self, name: &str) -> (Answer, Duration) {
        self.asked.set(self.asked.get() + 1);
        let (address, seconds) = match name {
            "www.example.org" => (1, 300),
            "api.example.org" => (2, 20),
            // Such answers are for who asked, and for nobody else.
            "balanced.example.org" => (self.asked.get() as u8, 0),
            _ => return (None, Duration::from_secs(86_400)),
        };
        (Some(vec![Ipv4Addr::new(192, 0, 2, address)]), Duration::from_secs(seconds))
    }
}

struct Resolver<'s> {
    servers: &'s Servers,
    answers: TtlMap<String, Answer>,
}

impl Resolver<'_> {
    /// Resolves a name; also says how long the answer will be good.
    fn resolve(&self, name: &str) -> (Answer, Duration) {
        // Names are the same in upper and lower case.
        let name = name.to_ascii_lowercase();
        let pinned = self.answers.pin();
        if let (Some(answer), Some(left)) = (pinned.get(&name), pinned.ttl(&name)) {
            return (answer.clone(), left);
        }
        let (answer, ttl) = self.servers.ask(&name);
        let ttl = ttl.min(if answer.is_some() { POSITIVE_AT_MOST } else { NEGATIVE_AT_MOST });
        pinned.insert_with_ttl(name, answer.clone(), ttl);
        (answer, ttl)
    }
}

fn main() {
    let (servers, clock) = (Servers::default(), ManualClock::new());
    // No time to live for all: each insert brings its own.
    let resolver = Resolver { servers: &servers, answers: TtlMap::builder().clock(&clock).build() };
    let address = |last| Some(vec![Ipv4Addr::new(192, 0, 2, last)]);
    let seconds = Duration::from_secs;

    assert_eq!(resolver.resolve("www.example.org"), (address(1), seconds(300)));
    assert_eq!(resolver.resolve("api.example.org"), (address(2), seconds(20)));
    assert_eq!(resolver.resolve("nosuch.example.org"), (None, NEGATIVE_AT_MOST));
    assert_eq!(servers.asked.get(), 3);

    // To the nanosecond: what is left is told on, as a resolver must.
    clock.advance(seconds(20) - Duration::from_nanos(1));
    assert_eq!(resolver.resolve("API.example.org"), (address(2), Duration::from_nanos(1)));
    assert_eq!(resolver.resolve("nosuch.example.org").0, None);
    assert_eq!(servers.asked.get(), 3, "all from the cache");

    clock.advance(Duration::from_nanos(1));
    assert_eq!(resolver.resolve("api.example.org"), (address(2), seconds(20)));
    assert_eq!(resolver.resolve("www.example.org"), (address(1), seconds(280)));
    assert_eq!(servers.asked.get(), 4, "one record had lapsed");

    // A time to live of zero is over at once: each is asked for anew.
    assert_eq!(resolver.resolve("balanced.example.org"), (address(5), Duration::ZERO));
    assert_eq!(resolver.resolve("balanced.example.org"), (address(6), Duration::ZERO));

    // A negative answer is kept for its own time, which is not that of the zone.
    clock.advance(NEGATIVE_AT_MOST - seconds(20));
    assert_eq!(resolver.resolve("nosuch.example.org"), (None, NEGATIVE_AT_MOST));
    assert_eq!(servers.asked.get(), 7);

    println!("10 names resolved, {} asked for; {} answer is kept", servers.asked.get(), resolver.answers.len());
    assert_eq!(resolver.answers.len(), 1);
}
