//! Loads by futures: polled by hand, so that each test says who comes when.

mod common;

use std::future::{Future, pending};
use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use common::{Counted, Identity, manual_map, race, tally};
use futures::channel::oneshot;
use futures::executor::block_on;
use futures::future::join;
use ttlwheel::{Ref, TtlMap};

const TTL: Duration = Duration::from_secs(60);

type Map = TtlMap<u64, u64, Identity>;

fn map() -> Map {
    manual_map(TTL, Identity).0
}

/// Polls by hand, and counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicU64);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Woken {
    fn poll<F: Future + ?Sized>(self: &Arc<Self>, future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(self))))
    }

    fn times(&self) -> u64 {
        self.0.load(SeqCst)
    }
}

fn value<K, V: Copy>(poll: Poll<Ref<'_, K, V>>) -> Option<V> {
    match poll {
        Poll::Ready(found) => Some(*found),
        Poll::Pending => None,
    }
}

async fn unreachable_value() -> u64 {
    unreachable!("another computes")
}

#[test]
fn one_computes_and_all_get_its_value() {
    let map = map();
    let (give, given) = oneshot::channel();
    let mut lead = pin!(map.get_or_insert_with_async(1, || async { given.await.unwrap() }));
    let woken = <[Arc<Woken>; 4]>::default();
    assert!(woken[0].poll(lead.as_mut()).is_pending());
    let follow = || Box::pin(map.get_or_insert_with_async(1, unreachable_value));
    let mut followers = [follow(), follow(), follow()];
    for (follower, woken) in followers.iter_mut().zip(&woken[1..]) {
        assert!(woken.poll(follower.as_mut()).is_pending());
    }
    give.send(7).unwrap();
    assert_eq!(woken.each_ref().map(|woken| woken.times()), [1, 0, 0, 0]);
    assert_eq!(value(woken[0].poll(lead)), Some(7));
    assert_eq!(woken.each_ref().map(|woken| woken.times()), [1, 1, 1, 1]);
    assert_eq!(followers.map(|mut follower| value(woken[0].poll(follower.as_mut()))), [Some(7); 3]);
}

/// How moka#240 came about.
#[test]
fn cancelled_computation_wakes_all_and_the_next_computes() {
    let map = map();
    let [first, second, third] = <[Arc<Woken>; 3]>::default();
    let mut lead = Box::pin(map.get_or_insert_with_async(1, pending));
    assert!(first.poll(lead.as_mut()).is_pending());
    let mut next = Box::pin(map.get_or_insert_with_async(1, || async { 2 }));
    assert!(second.poll(next.as_mut()).is_pending());
    let mut last = Box::pin(map.get_or_insert_with_async(1, || async { 3 }));
    assert!(third.poll(last.as_mut()).is_pending());
    drop(lead);
    assert_eq!((second.times(), third.times()), (1, 1));
    // One who was woken may be cancelled, too: none but him is worse off.
    drop(next);
    assert_eq!(value(third.poll(last.as_mut())), Some(3));
    assert_eq!(map.get_cloned(&1), Some(3));
}

#[test]
fn computation_cancelled_before_it_began_holds_up_nobody() {
    let map = map();
    drop(map.get_or_insert_with_async(1, pending));
    assert_eq!(*block_on(map.get_or_insert_with_async(1, || async { 2 })), 2);
}

#[test]
fn cancelled_follower_takes_its_waker_along() {
    let map = map();
    let [leader, follower] = <[Arc<Woken>; 2]>::default();
    let mut lead = Box::pin(map.get_or_insert_with_async(1, pending));
    assert!(leader.poll(lead.as_mut()).is_pending());
    for _ in 0..3 {
        let mut follow = Box::pin(map.get_or_insert_with_async(1, unreachable_value));
        for _ in 0..3 {
            assert!(follower.poll(follow.as_mut()).is_pending());
            assert_eq!(Arc::strong_count(&follower), 2, "one waker, however often it is polled");
        }
        drop(follow);
        assert_eq!(Arc::strong_count(&follower), 1);
    }
    drop(lead);
    assert_eq!(follower.times(), 0);
}

#[test]
fn follower_that_moves_to_another_task_is_woken_there() {
    let map = map();
    let [leader, before, after] = <[Arc<Woken>; 3]>::default();
    let mut lead = Box::pin(map.get_or_insert_with_async(1, pending));
    assert!(leader.poll(lead.as_mut()).is_pending());
    let mut follow = Box::pin(map.get_or_insert_with_async(1, || async { 2 }));
    assert!(before.poll(follow.as_mut()).is_pending());
    assert!(after.poll(follow.as_mut()).is_pending());
    drop(lead);
    assert_eq!((before.times(), after.times()), (0, 1));
    assert_eq!(Arc::strong_count(&before), 1);
}

#[test]
fn waker_that_panics_keeps_nobody_else_asleep() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            resume_unwind(Box::new("injected"));
        }
    }
    let map = map();
    let [leader, other] = <[Arc<Woken>; 2]>::default();
    let mut lead = Box::pin(map.get_or_insert_with_async(1, pending));
    assert!(leader.poll(lead.as_mut()).is_pending());
    let mut first = Box::pin(map.get_or_insert_with_async(1, unreachable_value));
    let mut second = Box::pin(map.get_or_insert_with_async(1, unreachable_value));
    assert!(first.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::new(Panics)))).is_pending());
    assert!(other.poll(second.as_mut()).is_pending());
    drop(lead);
    assert_eq!(other.times(), 1);
}

#[test]
fn panic_wakes_all_and_the_next_computes() {
    let map = map();
    let woken = Arc::new(Woken::default());
    let (give, given) = oneshot::channel::<()>();
    let mut lead = Box::pin(map.get_or_insert_with_async(1, || async {
        given.await.unwrap();
        resume_unwind(Box::new("injected"))
    }));
    assert!(woken.poll(lead.as_mut()).is_pending());
    let mut next = pin!(map.get_or_insert_with_async(1, || async { 2 }));
    assert!(woken.poll(next.as_mut()).is_pending());
    give.send(()).unwrap();
    assert_eq!(woken.times(), 1);
    assert!(catch_unwind(AssertUnwindSafe(|| woken.poll(lead.as_mut()).is_pending())).is_err());
    assert_eq!(woken.times(), 2);
    assert_eq!(value(woken.poll(next)), Some(2));
}

#[test]
fn error_is_for_its_caller_alone() {
    let map = map();
    let woken = Arc::new(Woken::default());
    let (give, given) = oneshot::channel();
    let mut lead = Box::pin(map.try_get_or_insert_with_async(1, || async { given.await.unwrap() }));
    assert!(woken.poll(lead.as_mut()).is_pending());
    let mut next = Box::pin(map.try_get_or_insert_with_async(1, || async { Err("theirs") }));
    assert!(woken.poll(next.as_mut()).is_pending());
    give.send(Err("mine")).unwrap();
    assert!(matches!(woken.poll(lead.as_mut()), Poll::Ready(Err("mine"))));
    assert!(matches!(woken.poll(next.as_mut()), Poll::Ready(Err("theirs"))));
    assert_eq!(map.stored_len(), 0);
}

#[test]
fn value_that_is_over_at_once_is_for_who_computed_it() {
    let (map, _clock) = manual_map::<u64, u64, _>(Duration::ZERO, Identity);
    let woken = Arc::new(Woken::default());
    let (give, given) = oneshot::channel();
    let mut lead = Box::pin(map.get_or_insert_with_async(1, || async { given.await.unwrap() }));
    assert!(woken.poll(lead.as_mut()).is_pending());
    let mut followers = [2, 3, 4].map(|value| Box::pin(map.get_or_insert_with_async(1, move || async move { value })));
    assert!(followers.iter_mut().all(|follower| woken.poll(follower.as_mut()).is_pending()));
    give.send(1).unwrap();
    assert_eq!(value(woken.poll(lead.as_mut())), Some(1));
    assert_eq!(followers.map(|mut follower| value(woken.poll(follower.as_mut()))), [Some(2), Some(3), Some(4)]);
}

#[test]
fn computations_may_load() {
    let map = map();
    let inner = || map.get_or_insert_with_async(1, || async { 5 });
    let same = map.get_or_insert_with_async(1, || async { *inner().await + 1 });
    assert_eq!(*block_on(same), 5, "the first that is inserted stays");
    // Each needs what the other computes.
    let half = |mine: u64, theirs: u64| {
        let map = &map;
        map.get_or_insert_with_async(mine, move || async move {
            *map.get_or_insert_with_async(theirs, || async { 10 }).await + 1
        })
    };
    let (one, other) = block_on(join(half(2, 3), half(3, 2)));
    assert!([*one, *other].iter().all(|value| (10..=12).contains(value)), "{one:?} {other:?}");
}

/// Both wait once within their computations, so that both are under way when each asks for the other.
#[test]
fn circle_of_computations_ends() {
    let map = map();
    let woken = Arc::new(Woken::default());
    let (gives, givens): (Vec<_>, Vec<_>) = (0..2).map(|_| oneshot::channel::<()>()).unzip();
    let mut loads: Vec<_> = givens
        .into_iter()
        .zip([(1, 2), (2, 1)])
        .map(|(given, (mine, theirs))| {
            let map = &map;
            Box::pin(map.get_or_insert_with_async(mine, move || async move {
                given.await.unwrap();
                *map.get_or_insert_with_async(theirs, || async { 10 }).await + 1
            }))
        })
        .collect();
    assert!(loads.iter_mut().all(|load| woken.poll(load.as_mut()).is_pending()));
    gives.into_iter().for_each(|give| give.send(()).unwrap());
    let values: Vec<_> = loads.iter_mut().map(|load| value(woken.poll(load.as_mut()))).collect();
    // The first computes the other's value as well, which that one then finds.
    assert_eq!(values, [Some(11), Some(10)]);
}

#[test]
fn destructor_of_a_computation_may_load_its_key() {
    struct Loads<'m>(&'m Map);
    impl Drop for Loads<'_> {
        fn drop(&mut self) {
            assert_eq!(*self.0.get_or_insert_with(1, || 9), 9);
        }
    }
    let map = map();
    let woken = Arc::new(Woken::default());
    let loads = Loads(&map);
    let mut lead = Box::pin(map.get_or_insert_with_async(1, || async move {
        let _loads = loads;
        pending().await
    }));
    assert!(woken.poll(lead.as_mut()).is_pending());
    drop(lead);
    assert_eq!(map.get_cloned(&1), Some(9));
}

#[test]
fn threads_and_futures_wait_for_each_other() {
    let map = map();
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        // A future follows a thread.
        let (map, woken) = (&map, Arc::new(Woken::default()));
        let (give, given) = mpsc::channel();
        let lead = scope.spawn(move || {
            *map.get_or_insert_with(1, || {
                tell.send(()).unwrap();
                given.recv().unwrap()
            })
        });
        told.recv().unwrap();
        let mut follow = pin!(map.get_or_insert_with_async(1, unreachable_value));
        assert!(woken.poll(follow.as_mut()).is_pending());
        give.send(5).unwrap();
        assert_eq!(lead.join().unwrap(), 5);
        assert_eq!((woken.times(), value(woken.poll(follow))), (1, Some(5)));
        // A thread follows a future, or finds what it has computed.
        let (give, given) = oneshot::channel();
        let mut lead = pin!(map.get_or_insert_with_async(2, || async { given.await.unwrap() }));
        assert!(woken.poll(lead.as_mut()).is_pending());
        let follow = scope.spawn(|| *map.get_or_insert_with(2, || unreachable!("another computes")));
        give.send(6).unwrap();
        assert_eq!(value(woken.poll(lead)), Some(6));
        assert_eq!(follow.join().unwrap(), 6);
    });
}

#[test]
fn one_of_many_who_start_at_once_computes() {
    for round in 0..common::scaled(200, 2_000) {
        let map = map();
        let computed = AtomicU64::new(0);
        let load = |thread: usize| match thread % 2 {
            0 => *map.get_or_insert_with(round, || computed.fetch_add(1, SeqCst)),
            _ => *block_on(map.get_or_insert_with_async(round, || async { computed.fetch_add(1, SeqCst) })),
        };
        assert_eq!(race(4, load), [0; 4]);
        assert_eq!(computed.into_inner(), 1);
    }
}

#[test]
fn lapsed_value_is_handed_out_while_one_renews_it() {
    let (map, clock) = manual_map::<u64, u64, _>(TTL, Identity);
    let woken = Arc::new(Woken::default());
    let grace = Duration::from_secs(5);
    map.insert(1, 1);
    clock.advance(TTL);
    let (give, given) = oneshot::channel();
    let mut renew = pin!(map.get_or_refresh_with_async(1, grace, || async { given.await.unwrap() }));
    assert!(woken.poll(renew.as_mut()).is_pending());
    assert_eq!(*block_on(map.get_or_refresh_with_async(1, grace, unreachable_value)), 1);
    // One that is cancelled changes nothing of that.
    let mut after_grace = Box::pin(map.get_or_refresh_with_async(1, Duration::ZERO, unreachable_value));
    assert!(woken.poll(after_grace.as_mut()).is_pending());
    drop(after_grace);
    assert_eq!(*block_on(map.get_or_refresh_with_async(1, grace, unreachable_value)), 1);
    give.send(2).unwrap();
    assert_eq!(value(woken.poll(renew)), Some(2));
    assert_eq!(map.get_cloned(&1), Some(2));
}

#[test]
fn cancelled_renewal_leaves_the_lapsed_value() {
    let (map, clock) = manual_map::<u64, u64, _>(TTL, Identity);
    map.insert(1, 1);
    clock.advance(TTL);
    for _ in 0..3 {
        let mut renew = Box::pin(map.get_or_refresh_with_async(1, TTL, pending));
        assert!(Arc::new(Woken::default()).poll(renew.as_mut()).is_pending());
        assert_eq!(*block_on(map.get_or_refresh_with_async(1, TTL, unreachable_value)), 1);
    }
    assert_eq!(*block_on(map.get_or_refresh_with_async(1, TTL, || async { 2 })), 2);
}

#[test]
fn key_of_a_forgotten_future_is_dropped_with_the_map() {
    let (keys, values) = (tally!(), tally!());
    let (map, _clock) = manual_map::<Counted<u64>, Counted<u64>, _>(TTL, Identity);
    let mut lead = Box::pin(map.get_or_insert_with_async(keys.count(1), pending));
    assert!(Arc::new(Woken::default()).poll(lead.as_mut()).is_pending());
    std::mem::forget(lead);
    block_on(map.get_or_insert_with_async(keys.count(2), || async { values.count(2) }));
    drop(map);
    keys.assert_balanced();
    values.assert_balanced();
}

/// Compiles: that is all there is to it.
fn assert_send<T: Send>(future: T) -> T {
    future
}

#[test]
fn futures_are_send() {
    async fn use_it<S: BuildHasher>(map: &TtlMap<u64, String, S>) -> usize {
        let one = map.get_or_insert_with_async(1, || async { "one".to_string() }).await.clone();
        let two = map.try_get_or_refresh_with_async(2, TTL, || async { Ok::<_, String>("two".to_string()) }).await;
        let two = two.map_or(0, |two| two.len());
        std::future::ready(()).await;
        one.len() + two
    }
    let map = manual_map(TTL, Identity).0;
    assert_eq!(block_on(assert_send(use_it(&map))), 6);
}

/// P8, for the keys of loads that will never end.
#[test]
fn keys_of_forgotten_loads_are_dropped_with_the_map() {
    #[derive(PartialEq, Eq, Hash)]
    struct Key(u64);

    impl Drop for Key {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, SeqCst);
            panic!("key {}", self.0);
        }
    }

    static DROPPED: AtomicU64 = AtomicU64::new(0);

    let woken = Arc::<Woken>::default();
    let map = TtlMap::<Key, u64>::new(TTL);
    for key in 0..40 {
        let mut load = Box::pin(map.get_or_insert_with_async(Key(key), pending));
        assert!(woken.poll(load.as_mut()).is_pending());
        std::mem::forget(load);
    }
    map.insert(Key(40), 40);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(map))).is_err(), "the first panic is passed on");
    assert_eq!(DROPPED.load(SeqCst), 41);
}
