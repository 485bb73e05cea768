//! A cache in front of a slow loader, in asynchronous code: misses of one key wait for one load, a client that goes away
//! takes nobody along, and what has just expired is handed out while it is renewed.
//!
//!     cargo run --release --features async --example slow_loader
//!
//! Any executor will do; this one has a thread a client.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use futures::channel::oneshot;
use futures::executor::block_on;
use futures::future::join_all;
use ttlwheel::{ManualClock, TtlMap};

const TTL: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(10);

/// A cache of user names, on a clock that this example moves.
struct Names {
    cache: TtlMap<u32, String>,
    loads: AtomicUsize,
}

impl Names {
    /// What the cache stands in front of.
    async fn load(&self, id: u32) -> String {
        let load = self.loads.fetch_add(1, Relaxed) + 1;
        let (done, answer) = oneshot::channel();
        thread::spawn(move || {
            // Stands for a slow server.
            thread::sleep(Duration::from_millis(20));
            let _ = done.send(format!("user {id}, load {load}"));
        });
        answer.await.expect("the server answers")
    }

    async fn name(&self, id: u32) -> String {
        self.cache.get_or_refresh_with_async(id, GRACE, || self.load(id)).await.clone()
    }
}

/// Polls a future once, and lets go of it: a client that has hung up.
async fn hang_up<F: Future>(client: F) {
    let mut client = Box::pin(client);
    futures::future::poll_fn(|context| {
        assert!(client.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
}

fn main() {
    let clock = ManualClock::new();
    let cache = TtlMap::builder().time_to_live(TTL).clock(&clock).build();
    let names = Names { cache, loads: AtomicUsize::new(0) };

    let answers = block_on(join_all((0..100).map(|client| names.name(client % 2))));
    assert!(answers.iter().all(|name| name.starts_with("user ")));
    println!("100 clients, 2 users: {} loads", names.loads.load(Relaxed));
    assert_eq!(names.loads.load(Relaxed), 2);

    block_on(hang_up(names.name(7)));
    let name = block_on(names.name(7));
    println!("after a client hung up: {name}");
    assert_eq!(name, "user 7, load 4");

    clock.advance(TTL);
    let (renewed, meanwhile) = block_on(futures::future::join(names.name(7), names.name(7)));
    println!("expired: {meanwhile:?} is handed out while {renewed:?} is loaded");
    assert_eq!((renewed.as_str(), meanwhile.as_str()), ("user 7, load 5", "user 7, load 4"));
}
