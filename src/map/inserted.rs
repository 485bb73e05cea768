//! What an insert tells.

/// What an insert met where it put its entry. `R` is a reference to the value that was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted<R> {
    /// The key was not there.
    New,
    /// A live value was there; this one is in its place now.
    Replaced(R),
    /// A value was there that had expired: the key is new, as far as anyone could see.
    Expired(R),
}

impl<R> Inserted<R> {
    /// The live value that was replaced, if there was one.
    ///
    /// ```
    /// use ttlwheel::Inserted;
    ///
    /// assert_eq!(Inserted::Replaced(1).replaced(), Some(1));
    /// assert_eq!(Inserted::Expired(1).replaced(), None);
    /// assert_eq!(Inserted::<u32>::New.replaced(), None);
    /// ```
    pub fn replaced(self) -> Option<R> {
        match self {
            Inserted::Replaced(old) => Some(old),
            Inserted::New | Inserted::Expired(_) => None,
        }
    }

    /// The same outcome with something made of the reference.
    ///
    /// ```
    /// use ttlwheel::Inserted;
    ///
    /// assert_eq!(Inserted::Replaced(&1).map(|old| old + 1), Inserted::Replaced(2));
    /// ```
    pub fn map<T>(self, f: impl FnOnce(R) -> T) -> Inserted<T> {
        match self {
            Inserted::New => Inserted::New,
            Inserted::Replaced(old) => Inserted::Replaced(f(old)),
            Inserted::Expired(old) => Inserted::Expired(f(old)),
        }
    }
}
