//! Streams of events: bounded, from any number of threads to any number of consumers, each event to one of them. They know
//! nothing of maps.
//!
//! ```text
//!   send:  put into the ring ── fence ── who sleeps? take his waker, wake him
//!                │                          ▲
//!                ▼                          │ seat: waker, then bit
//!   recv:  take from the ring ── none: arm the seat ── fence ── look again ── sleep
//!                └─ one: is the next one there, too? wake another
//! ```
//!
//! Sending never waits: neither for room (what finds none is counted), nor for one who is half-way in the ring, nor for a
//! lock. It wakes one sleeper at most. Those who receive take no lock, either; they may sleep.

mod channel;
mod receiver;
mod ring;
mod sleepers;

pub(crate) use channel::Channel;
pub(crate) use receiver::Receiver;
