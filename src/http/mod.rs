//! The HTTP/1.1 layer: bytes in, meaning out, and canonical bytes again (RFC 9110, RFC 9112).
//!
//! Pure: no socket, no clock, no allocation for an ordinary head. What is forwarded is always
//! written anew from what was understood, so that the next parser cannot read it differently;
//! whatever two parsers might read differently is refused instead of repaired.
//!
//! A caller parses a head (`parse_request`, `parse_response`), carries its body with a `Body`, and
//! writes the head for the other side (`write_request`, `write_response`) or an answer of our own
//! (`write_answer`).

mod answer;
mod body;
#[cfg(any(test, feature = "fuzz"))]
mod canon;
mod chunk;
mod connection;
#[cfg(any(test, feature = "fuzz"))]
mod drive;
mod fields;
mod framing;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod head;
mod host;
#[cfg(any(test, feature = "fuzz"))]
mod model;
mod request;
mod response;
mod rewrite;
mod target;
mod trailers;

pub use answer::{Answer, reason_phrase, write_answer};
pub use body::{Body, BodyLimits, Output};
pub use framing::Framing;
pub use head::{FIELDS_MAX, FieldStorage, HeadLimits, Method, Parsed, Refusal, Version};
pub use request::{RequestHead, parse_request};
pub use response::{Delivery, ResponseHead, parse_response};
pub use rewrite::{
    Forwarding, OwnField, RequestEdits, ResponseEdits, TraceEdit, write_request, write_response,
};

#[cfg(test)]
mod tests;
