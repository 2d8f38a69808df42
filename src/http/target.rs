//! The request target (RFC 9112 3.2): which form it has, its path, and the authority it names.
//!
//! Never normalised: router and backend must see the same bytes, so dot segments, escapes and
//! empty segments pass as they are. Refused are fragments, non-ASCII bytes, schemes but http(s),
//! userinfo, and every form that does not fit the method.

use super::head::{Method, Refusal};
use super::host::Authority;

/// A valid target and what it says.
pub(super) struct Target<'b> {
    /// To forward.
    pub(super) text: &'b [u8],
    /// To route by.
    pub(super) path: &'b [u8],
    /// Of an absolute-form target; overrides Host.
    pub(super) authority: Option<Authority<'b>>,
}

impl<'b> Target<'b> {
    /// Origin-form, absolute-form or asterisk-form (RFC 9112 3.2). Never normalised: router and
    /// backend must see the same bytes.
    #[inline]
    pub(super) fn parse(text: &'b [u8], method: Method) -> Result<Self, Refusal> {
        if !text.is_ascii() {
            return Err(Refusal::bad("target-byte"));
        }
        if text.first() == Some(&b'/') {
            return Ok(Self {
                text,
                path: path_of(text)?,
                authority: None,
            });
        }
        Self::parse_other_forms(text, method)
    }

    #[cold]
    fn parse_other_forms(text: &'b [u8], method: Method) -> Result<Self, Refusal> {
        if text == b"*" && method == Method::Options {
            return Ok(Self {
                text,
                path: text,
                authority: None,
            });
        }
        let rest = strip_scheme(text).ok_or(Refusal::bad("target-form"))?;
        let end = rest
            .iter()
            .position(|b| matches!(b, b'/' | b'?' | b'#'))
            .unwrap_or(rest.len());
        let authority = Some(Authority::parse(&rest[..end])?);
        let text = match &rest[end..] {
            // RFC 9112 3.2.4: the last proxy asks about the server as a whole.
            [] if method == Method::Options => b"*",
            [] => b"/",
            text => text,
        };
        let path = path_of(text)?;
        Ok(Self {
            text,
            path: if path.is_empty() { b"/" } else { path },
            authority,
        })
    }
}

fn strip_scheme(text: &[u8]) -> Option<&[u8]> {
    [&b"http://"[..], b"https://"]
        .into_iter()
        .find_map(|scheme| {
            let (start, rest) = text.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(rest)
        })
}

/// Up to the query. A fragment never belongs on the wire and parsers disagree about it.
#[inline]
fn path_of(target: &[u8]) -> Result<&[u8], Refusal> {
    let fragment = Err(Refusal::bad("target-fragment"));
    match memchr::memchr2(b'?', b'#', target) {
        None => Ok(target),
        Some(at) if target[at] == b'#' => fragment,
        Some(at) if memchr::memchr(b'#', &target[at..]).is_some() => fragment,
        Some(at) => Ok(&target[..at]),
    }
}
