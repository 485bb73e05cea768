//! Streams of events: each to one consumer, once, and none slept through.
//!
//! Who waits here waits until he is woken: a wake-up that is lost is a deadlock, which loom reports.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc as StdArc;
use std::sync::mpsc::TryRecvError;
use std::task::{Context, Poll, Waker};

use loom::thread;

use super::garbage::TTL;
use super::{Census, Watched, check};
use crate::events::{Channel, Receiver};
use crate::sync::Arc;
use crate::{Events, ManualClock, TtlMap};

type Stream = (Arc<Channel<Watched>>, Receiver<Watched>);

/// Runs a model on a stream, whose values must all be dropped in the end.
fn on_stream(name: &str, bound: Option<usize>, capacity: usize, model: fn(Stream, &Census)) {
    check(name, bound, move || {
        let census = Census::default();
        model(Receiver::new(capacity), &census);
        census.assert_all_dropped();
    });
}

fn send(channel: &Channel<Watched>, census: &Census, value: u8) {
    channel.send(|| census.birth(value));
}

/// What is there, as far as it can be taken.
fn rest(receiver: &Receiver<Watched>) -> Vec<u8> {
    std::iter::from_fn(|| receiver.try_recv().ok()).map(|event| event.read()).collect()
}

/// Waits for an event, on a thread of its own.
fn recv_one(receiver: &Receiver<Watched>) -> thread::JoinHandle<u8> {
    let receiver = receiver.clone();
    thread::spawn(move || receiver.recv().unwrap().read())
}

fn send_one(channel: &Arc<Channel<Watched>>, census: &Census, value: u8) -> thread::JoinHandle<()> {
    let (channel, census) = (Arc::clone(channel), census.clone());
    thread::spawn(move || send(&channel, &census, value))
}

#[test]
fn value_is_put_in_before_it_is_taken_out() {
    on_stream("send, send/take, take", None, 2, |(channel, receiver), census| {
        let other = receiver.clone();
        let taker = thread::spawn(move || rest(&other));
        send(&channel, census, 1);
        send(&channel, census, 2);
        let mut found = taker.join().unwrap();
        found.extend(rest(&receiver));
        assert_eq!((found, receiver.lost()), (vec![1, 2], 0));
    });
}

#[test]
fn value_is_taken_out_before_the_next_is_put_in() {
    on_stream("one slot: send/take", None, 1, |(channel, receiver), census| {
        send(&channel, census, 1);
        let sender = send_one(&channel, census, 2);
        let mut found = rest(&receiver);
        sender.join().unwrap();
        found.extend(rest(&receiver));
        assert!(found == [1, 2] || (found == [1] && receiver.lost() == 1), "{found:?}");
    });
}

#[test]
fn each_value_of_two_senders_goes_to_one_of_two_receivers() {
    on_stream("send/send/take", Some(3), 2, |(channel, receiver), census| {
        let senders = [1, 2].map(|value| send_one(&channel, census, value));
        let other = receiver.clone();
        let taker = thread::spawn(move || other.try_recv().ok().map(|event| event.read()));
        let mut found = Vec::from_iter(receiver.try_recv().ok().map(|event| event.read()));
        found.extend(taker.join().unwrap());
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        found.extend(rest(&receiver));
        found.sort();
        assert_eq!(found, [1, 2]);
        assert_eq!(receiver.lost(), 0);
    });
}

#[test]
fn event_wakes_the_one_who_sleeps() {
    on_stream("send/recv", None, 1, |(channel, receiver), census| {
        let sleeper = recv_one(&receiver);
        send(&channel, census, 1);
        assert_eq!(sleeper.join().unwrap(), 1);
    });
}

#[test]
fn two_events_wake_two_who_sleep() {
    on_stream("send, send/recv/recv", Some(2), 2, |(channel, receiver), census| {
        let sleepers = [recv_one(&receiver), recv_one(&receiver)];
        send(&channel, census, 1);
        send(&channel, census, 2);
        let mut found = sleepers.map(|sleeper| sleeper.join().unwrap());
        found.sort();
        assert_eq!(found, [1, 2]);
    });
}

/// More of them than a group has seats, and those of the first are woken in vain: nobody polls again.
#[test]
fn event_wakes_the_one_who_sleeps_behind_others() {
    on_stream("poll, poll, send, send, send/recv", Some(3), 3, |(channel, receiver), census| {
        let mut others = [receiver.clone(), receiver.clone()];
        let mut context = Context::from_waker(Waker::noop());
        others.iter_mut().for_each(|other| assert!(other.poll(&mut context).is_pending()));
        let sleeper = recv_one(&receiver);
        (1..=3).for_each(|value| send(&channel, census, value));
        assert_eq!(sleeper.join().unwrap(), 1);
        assert_eq!(rest(&receiver), [2, 3]);
    });
}

/// The later of two may be done first: its sleeper finds nothing, and is to be woken once more.
#[test]
fn events_of_two_senders_wake_two_who_sleep() {
    on_stream("send, recv/send/recv", Some(2), 2, |(channel, receiver), census| {
        let sleeper = recv_one(&receiver);
        let sender = send_one(&channel, census, 1);
        send(&channel, census, 2);
        let mut found = [receiver.recv().unwrap().read(), sleeper.join().unwrap()];
        sender.join().unwrap();
        found.sort();
        assert_eq!(found, [1, 2]);
    });
}

/// One who takes without waiting may get an event from under the nose of the one who was woken for it; who sleeps gets
/// the other.
#[test]
fn event_behind_one_that_another_took_is_not_slept_through() {
    on_stream("send/send/recv/take", Some(2), 2, |(channel, receiver), census| {
        let sleeper = recv_one(&receiver);
        let senders = [1, 2].map(|value| send_one(&channel, census, value));
        let taken = receiver.try_recv().is_ok();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        sleeper.join().unwrap();
        assert_eq!(rest(&receiver).len(), usize::from(!taken));
    });
}

/// Who was woken, and finds that another took the event, sleeps again, and is to be woken again.
#[test]
fn event_after_one_that_another_took_wakes_who_sleeps() {
    on_stream("send, take, send/recv", Some(4), 2, |(channel, receiver), census| {
        let sleeper = recv_one(&receiver);
        send(&channel, census, 1);
        if receiver.try_recv().is_ok() {
            send(&channel, census, 2);
        }
        sleeper.join().unwrap();
    });
}

/// Who got an event while he fell asleep was chosen all the same; the next to sit in his seat is not to suffer from it.
#[test]
fn event_wakes_the_one_who_sleeps_where_another_was_chosen() {
    on_stream("send, send/poll, recv", Some(3), 2, |(channel, receiver), census| {
        let sleeper = thread::spawn(move || {
            let mut context = Context::from_waker(Waker::noop());
            let found = Box::pin(receiver.recv_async()).as_mut().poll(&mut context).is_ready();
            assert_eq!(receiver.recv().unwrap().read(), 1 + u8::from(found));
        });
        send(&channel, census, 1);
        send(&channel, census, 2);
        sleeper.join().unwrap();
    });
}

/// One waits as a future does, and is dropped, whether it was woken or not. The other is not to sleep for that.
#[test]
fn future_that_is_dropped_passes_on_what_it_was_woken_for() {
    on_stream("send/poll, drop/recv", Some(3), 2, |(channel, receiver), census| {
        let sleeper = recv_one(&receiver);
        let mut other = receiver.clone();
        let canceled = thread::spawn(move || {
            let found = other.poll(&mut Context::from_waker(Waker::noop()));
            matches!(found, Poll::Ready(Ok(event)) if event.read() == 1)
        });
        send(&channel, census, 1);
        if canceled.join().unwrap() {
            send(&channel, census, 2);
        }
        sleeper.join().unwrap();
        assert_eq!(rest(&receiver), []);
    });
}

/// A future that takes an event while another is there wakes the other who sleeps.
#[test]
fn future_that_took_one_event_leaves_the_other_to_who_sleeps() {
    on_stream("send, send/poll/recv", Some(2), 2, |(channel, receiver), census| {
        let sleeper = recv_one(&receiver);
        let mut other = receiver.clone();
        let polled = thread::spawn(move || {
            let found = other.poll(&mut Context::from_waker(Waker::noop())).is_ready();
            // Kept as it is: it was not canceled.
            (found, other)
        });
        send(&channel, census, 1);
        send(&channel, census, 2);
        let (found, other) = polled.join().unwrap();
        drop(other);
        sleeper.join().unwrap();
        assert_eq!(rest(&receiver).len(), usize::from(!found));
    });
}

/// A future that is polled again and again is woken each time.
#[test]
fn future_is_woken_by_each_event() {
    on_stream("send, send/poll until both are there", Some(3), 2, |(channel, receiver), census| {
        let task = thread::spawn(move || {
            let waker = Waker::from(StdArc::new(Unpark(thread::current())));
            for value in 1..=2 {
                let mut next = pin!(receiver.recv_async());
                let event = loop {
                    match next.as_mut().poll(&mut Context::from_waker(&waker)) {
                        Poll::Ready(event) => break event,
                        Poll::Pending => thread::park(),
                    }
                };
                assert_eq!(event.unwrap().read(), value);
            }
        });
        send(&channel, census, 1);
        send(&channel, census, 2);
        task.join().unwrap();
    });
}

struct Unpark(thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: StdArc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn end_comes_after_the_last_event() {
    on_stream("send, close/recv, recv", Some(3), 2, |(channel, receiver), census| {
        let other = thread::spawn(move || {
            assert_eq!(receiver.recv().unwrap().read(), 1);
            assert!(receiver.recv().is_err(), "the end");
        });
        send(&channel, census, 1);
        channel.close();
        other.join().unwrap();
    });
}

#[test]
fn end_is_not_seen_before_the_last_event() {
    on_stream("send, close/take", None, 1, |(channel, receiver), census| {
        let other = thread::spawn(move || match receiver.try_recv() {
            Ok(event) => assert_eq!(event.read(), 1),
            Err(error) => assert_eq!(error, TryRecvError::Empty),
        });
        send(&channel, census, 1);
        channel.close();
        other.join().unwrap();
    });
}

#[test]
fn end_wakes_all_who_sleep() {
    on_stream("close/recv/recv/recv", Some(2), 1, |(channel, receiver), _| {
        let sleepers = [(); 3].map(|()| {
            let receiver = receiver.clone();
            thread::spawn(move || assert!(receiver.recv().is_err()))
        });
        channel.close();
        sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
    });
}

#[test]
fn what_nobody_receives_any_more_is_dropped() {
    on_stream("send/leave/leave", Some(3), 1, |(channel, receiver), census| {
        let other = receiver.clone();
        let threads = [receiver, other].map(|receiver| thread::spawn(move || drop(receiver)));
        send(&channel, census, 1);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(!channel.is_wanted());
    });
}

/// A map of so many entries, each its own value.
fn map_of(many: u8) -> Arc<TtlMap<u8, u8>> {
    let map = TtlMap::<u8, u8>::builder().time_to_live(TTL).clock(ManualClock::new()).build();
    (1..=many).for_each(|n| drop(map.insert(n, n)));
    Arc::new(map)
}

fn keys(events: &Events<u8, u8>) -> Vec<u8> {
    let mut keys: Vec<u8> = events.try_iter().map(|event| event.key).collect();
    keys.sort();
    keys
}

#[test]
fn stream_is_there_for_all_who_see_it() {
    check("map: events/remove, remove", Some(3), || {
        let map = map_of(2);
        let theirs = Arc::clone(&map);
        let other = thread::spawn(move || drop(theirs.remove(&1)));
        let events = map.events(2);
        other.join().unwrap();
        map.remove(&2);
        let found = keys(&events);
        assert!(found == [2] || found == [1, 2], "{found:?}");
    });
}

#[test]
fn two_streams_made_at_once_are_both_told() {
    check("map: events/events, remove", Some(3), || {
        let map = map_of(1);
        let theirs = Arc::clone(&map);
        let other = thread::spawn(move || theirs.events(1));
        let mine = map.events(1);
        let theirs = other.join().unwrap();
        map.remove(&1);
        assert_eq!((keys(&mine), keys(&theirs)), (vec![1], vec![1]));
    });
}

#[test]
fn list_of_streams_is_freed_after_its_last_reader() {
    check("map: leave, remove/remove", Some(2), || {
        let map = map_of(2);
        let (left, kept) = (map.events(2), map.events(2));
        let theirs = Arc::clone(&map);
        let other = thread::spawn(move || {
            drop(left);
            theirs.remove(&1);
        });
        map.remove(&2);
        other.join().unwrap();
        assert_eq!(keys(&kept), [1, 2]);
    });
}

#[test]
fn consumer_gets_all_of_a_map_that_is_dropped() {
    check("map: remove, drop/receive all", Some(3), || {
        let map = map_of(2);
        let events = map.events(2);
        let consumer = thread::spawn(move || {
            let mut keys: Vec<u8> = events.iter().map(|event| event.key).collect();
            keys.sort();
            keys
        });
        map.remove(&1);
        drop(map);
        assert_eq!(consumer.join().unwrap(), [1, 2]);
    });
}
