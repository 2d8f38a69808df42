//! Exchanges that ended, kept for those to come: an exchange is hundreds of bytes, and more of them
//! are under way at one time than the allocator keeps at hand for a thread, so that each would go
//! the long way through it.
//!
//! One that is kept holds nothing but room for a record, above all no table: a retired one goes
//! back to the control thread as soon as no exchange needs it.

use std::rc::Rc;
use std::sync::Arc;

use crate::base::id::ListenerSlot;
use crate::data::adopt::Pinned;
use crate::data::exchange::Exchange;
use crate::routing::table::Table;

/// So many are kept at most: 128 KB of a core, and with an access log 256 KB of room for records.
const KEPT_MAX: usize = 256;

/// Larger room for a record is not kept.
const DRAFT_BYTES_MAX: usize = 1024;

/// Exchanges without a request, the one used last on top.
pub(super) struct Spares {
    /// A table of nothing, which they hold meanwhile.
    nothing: Pinned,
    #[expect(clippy::vec_box, reason = "it is the boxes that are kept")]
    kept: Vec<Box<Exchange>>,
}

impl Default for Spares {
    fn default() -> Spares {
        Spares {
            nothing: Rc::new(Arc::new(Table::default())),
            kept: Vec::new(),
        }
    }
}

impl Spares {
    /// An exchange that begins; see [`Exchange::begin`].
    pub(super) fn begin(
        &mut self,
        table: Pinned,
        listener: ListenerSlot,
        times: (u64, u64),
    ) -> Box<Exchange> {
        let nothing = &self.nothing;
        let fresh = || Box::new(Exchange::blank(Pinned::clone(nothing)));
        let mut exchange = self.kept.pop().unwrap_or_else(fresh);
        exchange.begin(table, listener, times);
        exchange
    }

    /// Drops what an exchange that has ended holds, and keeps its memory.
    pub(super) fn keep(&mut self, mut exchange: Box<Exchange>) {
        if self.kept.len() == KEPT_MAX {
            return;
        }
        let mut draft = std::mem::take(&mut exchange.draft);
        *exchange = Exchange::blank(Pinned::clone(&self.nothing));
        if draft.memory_bytes() <= DRAFT_BYTES_MAX {
            draft.clear();
            exchange.draft = draft;
        }
        self.kept.push(exchange);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Method;

    #[test]
    fn what_is_kept_holds_no_table_and_begins_anew() {
        let mut spares = Spares::default();
        let table: Pinned = Rc::new(Arc::new(Table::default()));
        let mut ended = spares.begin(Pinned::clone(&table), ListenerSlot(3), (5, 7));
        ended.method = Method::Get;
        ended.bytes_sent = 9;
        let place = &raw const *ended;
        assert_eq!(Rc::strong_count(&table), 2);
        spares.keep(ended);
        assert_eq!(Rc::strong_count(&table), 1);
        let next = spares.begin(Pinned::clone(&table), ListenerSlot(4), (10, 12));
        assert_eq!(&raw const *next, place, "the same memory");
        let begun = (next.listener, next.started_micros, next.head_micros);
        assert_eq!(begun, (ListenerSlot(4), 10, 2));
        assert_eq!((next.method, next.bytes_sent), (Method::Other, 0));
        assert_eq!(Rc::strong_count(&table), 2);
    }

    #[test]
    fn no_more_than_so_many_are_kept() {
        let mut spares = Spares::default();
        let nothing = Pinned::clone(&spares.nothing);
        let begin = |_| spares.begin(Pinned::clone(&nothing), ListenerSlot(0), (0, 0));
        let many: Vec<_> = (0..2 * KEPT_MAX).map(begin).collect();
        many.into_iter().for_each(|exchange| spares.keep(exchange));
        assert_eq!(spares.kept.len(), KEPT_MAX);
    }
}
