//! A thread's turn at telling a map's listeners: what leaves the map in the thread meanwhile waits for the turn's end.
//!
//! So listeners never run inside each other, nor inside what must come to its end first (a sweep, a lock). A turn stands in
//! the stack of the thread that takes it, below whatever runs in it, and its thread finds it by a list of such turns: one a
//! map, as a listener may work on other maps.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ptr;

use super::RemovalInfo;
use crate::map::RemovalCause;
use crate::sync::own;

own!(INNERMOST: *const Turn = ptr::null());

/// An entry that left, of a type that the map of the turn knows.
pub(super) struct Left {
    pub(super) entry: *const (),
    pub(super) cause: RemovalCause,
    pub(super) info: RemovalInfo,
}

pub(super) struct Turn {
    /// Whose it is: an address of the map's.
    whose: *const (),
    waiting: RefCell<VecDeque<Left>>,
    outer: *const Turn,
}

impl Turn {
    /// Takes a turn while `run` runs.
    pub(super) fn take<R>(whose: *const (), run: impl FnOnce(&Turn) -> R) -> R {
        let turn = Turn { whose, waiting: RefCell::default(), outer: INNERMOST.with(Cell::get) };
        INNERMOST.with(|innermost| innermost.set(&raw const turn));
        let _end = End(turn.outer);
        run(&turn)
    }

    /// Whether the thread has a turn.
    pub(super) fn is_taken(whose: *const ()) -> bool {
        Turn::with(whose, |_| ()).is_some()
    }

    /// Has an entry wait for the end of the thread's turn, if it has one; else hands it back.
    pub(super) fn wait(whose: *const (), left: Left) -> Result<(), Left> {
        let mut left = Some(left);
        Turn::with(whose, |turn| turn.waiting.borrow_mut().extend(left.take()));
        left.map_or(Ok(()), Err)
    }

    /// The first entry that waits.
    pub(super) fn next(&self) -> Option<Left> {
        self.waiting.borrow_mut().pop_front()
    }

    fn with<R>(whose: *const (), f: impl FnOnce(&Turn) -> R) -> Option<R> {
        let mut turn = INNERMOST.with(Cell::get);
        // SAFETY: the turns in the list stand below us in this thread's own stack; each leaves the list before it ends.
        while let Some(found) = unsafe { turn.as_ref() } {
            if found.whose == whose {
                return Some(f(found));
            }
            turn = found.outer;
        }
        None
    }
}

/// Takes the innermost turn off the list.
struct End(*const Turn);

impl Drop for End {
    fn drop(&mut self) {
        INNERMOST.with(|innermost| innermost.set(self.0));
    }
}
