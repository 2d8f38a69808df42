//! The decision log: where each request went and why, in about 60 bytes.
//!
//! A file is the eight bytes `WEIRDEC` and 1, the version, then frames. A frame is the length of
//! what follows it (two bytes, little-endian like all numbers of fixed size) and a byte for its
//! kind. A reader passes over kinds it does not know and over what a frame has behind the fields it
//! knows, so that new ones may be added; what changes the meaning of old ones gets a new version.
//!
//! | kind | frame |
//! |---|---|
//! | 1 | a name: its number (varint), then its UTF-8 text. Of a backend it is `group/backend` |
//! | 2 | a decision, below |
//! | 3 | numbers of names begin anew |
//!
//! Varints are LEB128: seven bits a byte, the lowest first, the high bit set on all but the last.
//! A decision is: flags (byte; 1: it has a key), end (u64, microseconds since 1970), request
//! number (u64, as in `X-Request-Id`), key hash (u64, only with the flag), reason, policy, fault
//! (a byte each: places in `Reason::ALL`, `POLICIES`, `Fault::ALL`; 255 is none), retries and
//! backends tried (a byte each), then varints: epoch, listener, route, shard rule, backend
//! (numbers of names, 0 for none), candidates, status, whole time, time to the answer's head,
//! queue time, connect time plus one (0: no connection); times in microseconds.

pub mod read;
pub mod write;

/// How a file begins.
pub const MAGIC: &[u8; 8] = b"WEIRDEC\x01";

const KIND_NAME: u8 = 1;
const KIND_DECISION: u8 = 2;
const KIND_ANEW: u8 = 3;

const FLAG_KEY: u8 = 1;
const NO_FAULT: u8 = u8::MAX;

#[cfg(test)]
mod tests {
    use super::read::{Decision, Decisions};
    use super::write::DecisionWriter;
    use super::*;
    use crate::base::decision::Reason;
    use crate::base::fault::Fault;
    use crate::telemetry::access_log::frame::Texts;
    use crate::telemetry::access_log::names::LogNames;
    use crate::telemetry::access_log::tests::record;
    use crate::telemetry::access_log::{AccessRecord, Choice};

    fn names() -> LogNames {
        let backends = [("app", "one"), ("app", "two")];
        LogNames::new(["web"].into_iter(), backends.into_iter())
    }

    fn all(bytes: &[u8]) -> Vec<Decision> {
        Decisions::of(bytes).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn decisions_come_out_as_they_went_in() {
        let mut out = Vec::new();
        let mut writer = DecisionWriter::default();
        writer.begin(&mut out);
        let placed = AccessRecord {
            choice: Choice {
                key: Some(u64::MAX - 3),
                reason: Reason::Key,
                policy: 3,
                candidates: 300,
                tried: 2,
            },
            fault: Some(Fault::UpstreamTimeout),
            ..record()
        };
        let refused = AccessRecord {
            backend: None,
            connect_micros: None,
            choice: Choice::default(),
            ..record()
        };
        let texts = Texts {
            route: b"api",
            shard: b"by-tenant",
            ..Texts::default()
        };
        writer.write(&mut out, &names(), &placed, &texts);
        writer.write(&mut out, &names(), &refused, &Texts::default());
        let read = all(&out);
        assert_eq!(read.len(), 2);
        let first = &read[0];
        assert_eq!(first.ended_unix_micros, placed.ended_unix_micros);
        assert_eq!(first.request_number, placed.request_number);
        assert_eq!((first.key, first.reason), (placed.choice.key, Reason::Key));
        assert_eq!((first.policy, first.candidates), (Some("maglev"), 300));
        assert_eq!((first.tried, first.retries), (2, placed.retries));
        assert_eq!(first.fault, placed.fault);
        assert_eq!(
            (&*first.listener, &*first.route, &*first.shard),
            ("web", "api", "by-tenant")
        );
        let backend = Some(("app".to_owned(), "two".to_owned()));
        assert_eq!(first.backend, backend);
        assert_eq!((first.epoch, first.status), (placed.epoch, 200));
        assert_eq!(first.duration_micros, placed.duration_micros);
        assert_eq!(first.upstream_micros, placed.upstream_micros);
        assert_eq!(first.queue_micros, placed.queue_micros);
        assert_eq!(first.connect_micros, placed.connect_micros);
        let second = &read[1];
        assert_eq!(
            (&second.backend, second.connect_micros, second.key),
            (&None, None, None)
        );
        assert_eq!(
            (&*second.listener, &*second.route, second.fault),
            ("web", "", None)
        );
    }

    #[test]
    fn a_decision_is_small_once_its_names_are_known() {
        let mut out = Vec::new();
        let mut writer = DecisionWriter::default();
        writer.begin(&mut out);
        writer.write(&mut out, &names(), &record(), &Texts::default());
        let known = out.len();
        writer.write(&mut out, &names(), &record(), &Texts::default());
        assert!(out.len() - known <= 64, "{} bytes", out.len() - known);
    }

    #[test]
    fn other_names_of_slots_are_other_names_in_the_file() {
        let mut out = Vec::new();
        let mut writer = DecisionWriter::default();
        writer.begin(&mut out);
        writer.write(&mut out, &names(), &record(), &Texts::default());
        let later = LogNames::new(["web"].into_iter(), [("app", "x"), ("b", "y")].into_iter());
        writer.forget_slots();
        writer.write(&mut out, &later, &record(), &Texts::default());
        let of = |decision: &Decision| decision.backend.clone().map(|(_, backend)| backend);
        let backends: Vec<_> = all(&out).iter().map(of).collect();
        assert_eq!(backends, [Some("two".to_owned()), Some("y".to_owned())]);
    }

    #[test]
    fn names_are_bounded_by_beginning_anew() {
        let mut out = Vec::new();
        let mut writer = DecisionWriter::default();
        writer.begin(&mut out);
        let count = crate::base::limits::DECISION_NAMES_MAX + 10;
        for number in 0..count {
            let route = number.to_string();
            let texts = Texts {
                route: route.as_bytes(),
                ..Texts::default()
            };
            writer.write(&mut out, &names(), &record(), &texts);
        }
        let read = all(&out);
        assert_eq!(read.len(), count);
        for (number, decision) in read.iter().enumerate() {
            assert_eq!(decision.route, number.to_string());
        }
        assert!(writer.names() < 1000, "{}", writer.names());
    }

    #[test]
    fn what_is_torn_or_foreign_is_told() {
        assert!(Decisions::of(b"{\"time\":\"now\"}").is_none());
        assert!(Decisions::of(b"WEIRDEC\x02").is_none(), "another version");
        let mut out = Vec::new();
        let mut writer = DecisionWriter::default();
        writer.begin(&mut out);
        writer.write(&mut out, &names(), &record(), &Texts::default());
        let whole = out.len();
        // A frame of an unknown kind is passed over.
        out.extend_from_slice(&[2, 0, 99, 7]);
        writer.write(&mut out, &names(), &record(), &Texts::default());
        assert_eq!(all(&out).len(), 2);
        for cut in MAGIC.len()..whole {
            let torn = Decisions::of(&out[..cut]).unwrap();
            assert!(torn.filter(Result::is_ok).count() == 0, "cut at {cut}");
        }
        for place in MAGIC.len()..out.len() {
            let mut broken = out.clone();
            broken[place] ^= 0xff;
            assert!(Decisions::of(&broken).unwrap().count() <= out.len());
        }
    }
}
