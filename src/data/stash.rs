//! Bytes that wait for more to be understood.
//!
//! Hardly any connection has some at a time, so what each carries for it is a pointer.

/// Bytes received and not understood yet.
#[derive(Default)]
pub(super) struct Stash(Option<Box<Held>>);

struct Held(Vec<u8>);

impl Stash {
    /// Holds these bytes.
    pub(super) fn of(bytes: Vec<u8>) -> Stash {
        match bytes.is_empty() {
            true => Stash(None),
            false => Stash(Some(Box::new(Held(bytes)))),
        }
    }

    /// Takes them out.
    #[inline]
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.0.take().map_or_else(Vec::new, |held| held.0)
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Some(held) => held.0.extend_from_slice(bytes),
            None => *self = Stash::of(bytes.to_vec()),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |held| held.0.len())
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_it_was_given_until_that_is_taken() {
        let mut stash = Stash::default();
        assert!(stash.is_empty() && stash.take().is_empty());
        stash.append(b"GET / ");
        stash.append(b"HTTP");
        assert_eq!((stash.len(), stash.is_empty()), (10, false));
        assert_eq!(stash.take(), b"GET / HTTP");
        assert!(stash.is_empty());
        assert!(Stash::of(Vec::new()).is_empty());
        stash.append(b"");
        assert!(stash.is_empty(), "nothing is not something that waits");
    }

    #[test]
    fn costs_a_connection_a_pointer() {
        assert_eq!(size_of::<Stash>(), size_of::<usize>());
    }
}
