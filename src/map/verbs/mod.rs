//! The verbs beyond insert, get and remove, each family in a file of its own.

mod expire;

pub use expire::{Condition, Retimed};
