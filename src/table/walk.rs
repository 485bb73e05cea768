//! Walks over all entries, through whatever resizes are under way.

use super::Host;
use super::array::{Array, place};
use super::bin::Occupied;

/// A walk over the bins of one array, which follows those that have moved. An entry that is there all the time is met
/// exactly once.
pub(crate) struct Bins<'g, E> {
    pub(super) array: &'g Array<E>,
    pub(super) index: usize,
}

impl<'g, E> Bins<'g, E> {
    /// Adds the entries of the next bin; None at the end.
    pub(crate) fn next_into(&mut self, into: &mut Vec<Occupied<'g, E>>, host: &impl Host<E>) -> Option<()> {
        if self.index >= self.array.len() {
            return None;
        }
        gather(self.array, self.index, (self.index, self.array.len()), into, host);
        self.index += 1;
        Some(())
    }
}

/// Adds the entries of bin `index`, wherever they have moved.
///
/// `class` is the narrowest class of hashes that the way here has come through: a bin's number, in a table of so many.
/// However often the table was doubled and halved meanwhile, each way looks only at bins that hold keys of its class,
/// and takes only those.
fn gather<'g, E>(
    mut array: &'g Array<E>,
    mut index: usize,
    mut class: (usize, usize),
    into: &mut Vec<Occupied<'g, E>>,
    host: &impl Host<E>,
) {
    loop {
        if array.len() > class.1 {
            class = (index, array.len());
        }
        let start = into.len();
        if array.bin(index).snapshot(into).is_some() {
            if array.len() < class.1 {
                let others = into.split_off(start);
                let of_class = |hash: u64| place(hash) as usize & (class.1 - 1) == class.0;
                into.extend(others.into_iter().filter(|found| of_class(host.hash_of(found.entry()))));
            }
            return;
        }
        let Some(next) = array.next() else { return };
        array.finish_unit(index, next, host);
        let common = class.1.min(next.len()) - 1;
        let mut children = array.children(index, next).filter(|child| (child ^ class.0) & common == 0);
        // One child, but for the first time that the table is larger than ever on this way.
        let Some(first) = children.next() else { return };
        children.for_each(|child| gather(next, child, class, into, host));
        (array, index) = (next, first);
    }
}
