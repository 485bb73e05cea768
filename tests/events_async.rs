//! Events received by futures and as a `Stream`: polled by hand, so that each test says who comes when.

mod common;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::thread;
use std::time::Duration;

use common::{Identity, manual_map, race, scaled};
use futures::executor::block_on;
use futures::future::join;
use futures::{Stream, StreamExt};
use ttlwheel::{Events, TtlMap};

type Map = TtlMap<u64, u64, Identity>;

fn map() -> Map {
    manual_map(Duration::from_secs(60), Identity).0
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicU64);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Woken {
    fn count(&self) -> u64 {
        self.0.load(SeqCst)
    }
}

type Poller<'e, T> = dyn FnMut(&mut Context<'_>) -> Poll<T> + 'e;

/// A task of one future, or stream, and how often it was woken.
struct Task<'e, T> {
    woken: Arc<Woken>,
    poll: Box<Poller<'e, T>>,
}

impl<T> Task<'_, T> {
    fn poll(&mut self) -> Poll<T> {
        let waker = Waker::from(Arc::clone(&self.woken));
        (self.poll)(&mut Context::from_waker(&waker))
    }

    fn woken(&self) -> u64 {
        self.woken.count()
    }
}

fn of_future<'e>(events: &'e Events<u64, u64>) -> Task<'e, Option<u64>> {
    let mut next = Box::pin(async { events.recv_async().await.ok().map(|event| event.value) });
    Task { woken: Arc::default(), poll: Box::new(move |context| next.as_mut().poll(context)) }
}

fn of_stream(mut events: Events<u64, u64>) -> Task<'static, Option<u64>> {
    let next = move |context: &mut Context<'_>| {
        Pin::new(&mut events).poll_next(context).map(|event| event.map(|event| event.value))
    };
    Task { woken: Arc::default(), poll: Box::new(next) }
}

#[test]
fn futures_and_streams_may_be_sent_to_other_threads() {
    fn assert_send<T: Send>(_: &T) {}
    let map: TtlMap<u64, std::cell::Cell<u64>> = TtlMap::new(Duration::from_secs(60));
    let events = map.events(1);
    assert_send(&events.recv_async());
    assert_send(&events);
}

#[test]
fn stream_gives_all_and_ends_with_the_map() {
    let map = map();
    let events = map.events(10);
    (0..3).for_each(|n| drop(map.insert(n, n)));
    drop(map);
    let mut all: Vec<_> = block_on(events.map(|event| event.value).collect());
    all.sort();
    assert_eq!(all, [0, 1, 2]);
}

#[test]
fn task_that_waits_is_woken_by_an_event_and_by_the_end() {
    let map = map();
    let events = map.events(10);
    map.insert(0, 5);
    for mut task in [of_future(&events), of_stream(events.clone())] {
        assert_eq!((task.poll(), task.poll(), task.woken()), (Poll::Pending, Poll::Pending, 0));
        map.insert(0, 5);
        assert_eq!((task.woken(), task.poll()), (1, Poll::Ready(Some(5))));
    }
    let mut tasks = [of_future(&events), of_stream(events.clone())];
    tasks.iter_mut().for_each(|task| assert!(task.poll().is_pending()));
    map.remove(&0);
    drop(map);
    assert!(tasks.iter().all(|task| task.woken() == 1));
    let found: Vec<_> = tasks.iter_mut().map(Task::poll).collect();
    assert_eq!(found, [Poll::Ready(Some(5)), Poll::Ready(None)]);
}

#[test]
fn one_event_wakes_one_task() {
    let map = map();
    map.insert(0, 0);
    let events = map.events(10);
    let mut tasks: Vec<_> =
        (0..200).map(|n| if n % 2 == 0 { of_future(&events) } else { of_stream(events.clone()) }).collect();
    tasks.iter_mut().for_each(|task| assert!(task.poll().is_pending()));
    for woken in 1..=tasks.len() as u64 {
        map.insert(0, woken);
        assert_eq!(tasks.iter().map(Task::woken).sum::<u64>(), woken);
        assert!(tasks.iter().all(|task| task.woken() <= 1));
    }
}

#[test]
fn future_that_is_dropped_passes_on_what_it_was_woken_for() {
    let map = map();
    map.insert(0, 0);
    let events = map.events(10);
    let mut tasks = [of_future(&events), of_future(&events), of_stream(events.clone())].map(Some);
    tasks.iter_mut().flatten().for_each(|task| assert!(task.poll().is_pending()));
    map.insert(0, 1);
    // Whoever was woken goes, until one is left.
    for left in (1..3).rev() {
        let woken = tasks.iter().position(|task| task.as_ref().is_some_and(|task| task.woken() == 1)).unwrap();
        tasks[woken] = None;
        let others: Vec<_> = tasks.iter().flatten().map(Task::woken).collect();
        assert_eq!((others.len(), others.iter().sum()), (left, 1));
    }
    assert_eq!(tasks.iter_mut().flatten().next().unwrap().poll(), Poll::Ready(Some(0)));
}

#[test]
fn future_that_is_dropped_asleep_wakes_nobody() {
    let map = map();
    map.insert(0, 0);
    let events = map.events(10);
    let (mut gone, mut left) = (of_future(&events), of_future(&events));
    assert!(gone.poll().is_pending() && left.poll().is_pending());
    let woken = Arc::clone(&gone.woken);
    drop(gone);
    assert_eq!((woken.count(), left.woken()), (0, 0));
    assert_eq!(Arc::strong_count(&woken), 1, "its waker has gone with it");
    map.insert(0, 1);
    assert_eq!((woken.count(), left.woken(), left.poll()), (0, 1, Poll::Ready(Some(0))));
}

/// A task that is busy elsewhere must not keep others asleep.
#[test]
fn stream_that_is_not_polled_again_leaves_later_events_to_others() {
    let map = map();
    map.insert(0, 0);
    let events = map.events(2);
    let mut tasks = [of_stream(events.clone()), of_stream(events.clone())];
    tasks.iter_mut().for_each(|task| assert!(task.poll().is_pending()));
    map.insert(0, 1);
    let other = tasks.iter().position(|task| task.woken() == 0).unwrap();
    map.insert(0, 2);
    let other = &mut tasks[other];
    assert_eq!(other.woken(), 1);
    assert_eq!([other.poll(), other.poll(), other.poll()], [Poll::Ready(Some(0)), Poll::Ready(Some(1)), Poll::Pending]);
}

#[test]
fn full_queue_wakes_who_sleeps_though_another_was_woken_for_it() {
    let map = map();
    map.insert(0, 0);
    let events = map.events(1);
    let mut tasks = [of_stream(events.clone()), of_stream(events.clone())];
    tasks.iter_mut().for_each(|task| assert!(task.poll().is_pending()));
    map.insert(0, 1);
    assert_eq!(tasks.each_ref().map(|task| task.woken()).iter().sum::<u64>(), 1);
    map.insert(0, 2);
    assert_eq!((events.lost(), tasks.each_ref().map(|task| task.woken())), (1, [1, 1]));
}

#[test]
fn taken_event_wakes_another_for_the_next() {
    let map = map();
    map.insert(0, 0);
    let events = map.events(10);
    let mut task = of_stream(events.clone());
    assert!(task.poll().is_pending());
    map.insert(0, 1);
    let mut late = of_future(&events);
    map.insert(0, 2);
    // He never slept; there is one more event, and whoever was woken first has gone.
    assert_eq!(late.poll(), Poll::Ready(Some(0)));
    drop(task);
    let mut last = of_future(&events);
    assert_eq!((last.poll(), of_future(&events).poll()), (Poll::Ready(Some(1)), Poll::Pending));
}

#[test]
fn two_tasks_of_one_stream_share_what_comes() {
    let map = map();
    let (events, each) = (map.events(100_000), scaled(2_000, 40_000));
    let consumer = thread::spawn(move || {
        let other = events.clone();
        let (one, two) = block_on(join(events.count(), async {
            let mut found = 0;
            while other.recv_async().await.is_ok() {
                found += 1;
            }
            found
        }));
        one as u64 + two
    });
    race(2, |n| (0..each).for_each(|value| drop(map.insert(n as u64, value))));
    drop(map);
    assert_eq!(consumer.join().unwrap(), 2 * each);
}

/// What the executor does in a wake is not the map's to suffer from.
#[test]
fn waker_that_panics_hurts_nobody() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            resume_unwind(Box::new("woken"));
        }
    }
    let map = map();
    map.insert(0, 0);
    let events = map.events(10);
    let mut next = pin!(events.recv_async());
    assert!(next.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::new(Panics)))).is_pending());
    map.insert(0, 1);
    assert_eq!((map.get_cloned(&0), events.lost()), (Some(1), 0));
    assert!(next.poll(&mut Context::from_waker(Waker::noop())).is_ready());
}

#[test]
fn waker_whose_clone_panics_is_left_out() {
    static TABLE: RawWakerVTable = RawWakerVTable::new(|_| resume_unwind(Box::new("cloned")), |_| (), |_| (), |_| ());
    let map = map();
    map.insert(0, 0);
    let events = map.events(10);
    // SAFETY: there is no data.
    let panics = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &TABLE)) };
    let mut other = of_future(&events);
    assert!(other.poll().is_pending());
    let polled =
        catch_unwind(AssertUnwindSafe(|| _ = pin!(events.recv_async()).poll(&mut Context::from_waker(&panics))));
    assert!(polled.is_err());
    map.insert(0, 1);
    assert_eq!((other.woken(), other.poll()), (1, Poll::Ready(Some(0))));
}

/// Nobody waits for a wake to end: not writers, not those who sleep.
#[test]
fn waker_that_does_not_return_stops_nobody() {
    let (tell, told) = channel();
    let (release, released) = channel::<()>();
    let waker = Waker::from(Arc::new(Stops(std::sync::Mutex::new((tell, released)))));
    let map = map();
    map.insert(0, 0);
    let events = map.events(10);
    let mut next = Box::pin(events.recv_async());
    assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let mut other = of_future(&events);
    assert!(other.poll().is_pending());
    thread::scope(|scope| {
        let writer = scope.spawn(|| drop(map.insert(0, 1)));
        told.recv().unwrap();
        map.insert(0, 2);
        assert_eq!((other.woken(), other.poll()), (1, Poll::Ready(Some(0))));
        assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        drop(next);
        release.send(()).unwrap();
        writer.join().unwrap();
    });
}

/// Stops in its wake until it is released.
struct Stops(std::sync::Mutex<(std::sync::mpsc::Sender<()>, std::sync::mpsc::Receiver<()>)>);

impl Wake for Stops {
    fn wake(self: Arc<Self>) {
        let stopped = self.0.lock().unwrap();
        stopped.0.send(()).unwrap();
        // An error: the test has failed, and this thread goes on to its end.
        _ = stopped.1.recv();
    }
}
