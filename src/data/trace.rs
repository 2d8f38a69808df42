//! The traces requests belong to: continued where a client comes with one, begun where none does.
//!
//! Numbers are made of the seed of this process and a count, spread by a bijection: no two are the
//! same on a core, and nobody outside can tell the next one. Whether a trace that begins here is
//! recorded is decided by its turn, one of so many; of a trace that is continued whoever began it
//! has decided.

use crate::base::trace::{TraceContext, mixed};
use crate::http::RequestHead;

/// The trace of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trace {
    pub(super) context: TraceContext,
    /// The client came with it.
    pub(super) is_continued: bool,
}

/// Where new numbers come from, and what is recorded.
pub(super) struct Traces {
    seed: u64,
    count: u64,
    sample: u32,
    /// New traces until the next one that is recorded.
    until_next: u32,
}

impl Traces {
    /// Records one of `sample` traces that begin here.
    pub(super) fn new(seed: u64, sample: u32) -> Traces {
        Traces {
            seed: mixed(seed),
            count: 0,
            sample,
            until_next: 1,
        }
    }

    /// The trace of the request with this head.
    pub(super) fn of(&mut self, head: &RequestHead<'_, '_>) -> Trace {
        let span = self.number();
        let mut fields = head.fields_named("traceparent");
        // Two of them are as good as none.
        let field = fields.next().filter(|_| fields.next().is_none());
        match field.and_then(|field| TraceContext::continued(field, span)) {
            Some(context) => Trace {
                context,
                is_continued: true,
            },
            None => Trace {
                context: self.begun(span),
                is_continued: false,
            },
        }
    }

    fn begun(&mut self, span: u64) -> TraceContext {
        let trace = u128::from(self.number()) << 64 | u128::from(self.number());
        self.until_next -= 1;
        let sampled = self.until_next == 0;
        if sampled {
            self.until_next = self.sample;
        }
        TraceContext::begun(trace, span, sampled)
    }

    fn number(&mut self) -> u64 {
        self.count += 1;
        mixed(
            self.seed
                .wrapping_add(self.count.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn one_of_so_many_is_recorded_and_no_number_comes_twice() {
        let mut traces = Traces::new(7, 10);
        let begun: Vec<TraceContext> = (0..100).map(|span| traces.begun(span + 1)).collect();
        assert_eq!(begun.iter().filter(|trace| trace.is_sampled()).count(), 10);
        assert!(begun[0].is_sampled(), "the first shows that it works");
        let numbers: HashSet<u128> = begun.iter().map(|trace| trace.trace).collect();
        assert_eq!(numbers.len(), 100);
    }
}
