//! Who may use what is under `/v1`: whoever shows the token, where there is one.
//!
//! Without a token the address decides (the loopback or a socket of the owner's). Then a page in
//! a browser of this machine is the stranger to fear: it can send requests to the loopback, but
//! not without an `Origin` header, so a request that has one is refused, unless it is our own: the
//! origin is the very host and port that was asked, and that host is an address or `localhost`. A
//! name would prove nothing, because whoever owns it may let it lead here.

use std::fs;
use std::hint::black_box;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;

use crate::config::checked::{self, Secret};
use crate::config::token_mistake;
use crate::control::admin::problem::problem;

/// What a client must show.
#[derive(Clone)]
pub(super) struct Token(Arc<str>);

/// The token, from where the configuration says it is.
pub(super) fn read(token: Option<&checked::Token>) -> io::Result<Option<Token>> {
    let path = match token {
        None => return Ok(None),
        Some(checked::Token::Text(Secret(text))) => return Ok(Some(Token(Arc::clone(text)))),
        Some(checked::Token::File(path)) => path,
    };
    let name = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| io::Error::new(error.kind(), format!("token file {name}: {error}")))?;
    let line = text.lines().next().unwrap_or("").trim();
    match token_mistake(line) {
        Some(what) => Err(io::Error::other(format!("token file {name}: {what}"))),
        None => Ok(Some(Token(Arc::from(line)))),
    }
}

/// The routes, behind the token.
pub(super) fn guard<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    token: Option<Token>,
) -> Router<S> {
    routes.route_layer(from_fn_with_state(token, check))
}

async fn check(State(token): State<Option<Token>>, request: Request, next: Next) -> Response {
    match (&token, request.headers()) {
        (Some(token), headers) if !shows(headers, token) => {
            let what = "send the token: Authorization: Bearer TOKEN";
            let mut answer = problem(StatusCode::UNAUTHORIZED, what);
            let asks = HeaderValue::from_static("Bearer");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, asks);
            answer
        }
        (None, headers) if headers.contains_key(header::ORIGIN) && !is_own_page(headers) => {
            problem(
                StatusCode::FORBIDDEN,
                "without a token no page of a browser is served but the dashboard",
            )
        }
        _ => next.run(request).await,
    }
}

/// Whether the page that asks is the dashboard, reached by an address.
fn is_own_page(headers: &HeaderMap) -> bool {
    let one = |name| {
        let mut values = headers.get_all(name).iter();
        let value = values.next().filter(|_| values.next().is_none());
        value.and_then(|value| value.to_str().ok())
    };
    let (Some(origin), Some(host)) = (one(header::ORIGIN), one(header::HOST)) else {
        return false;
    };
    let is_address = host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok();
    let is_local = host == "localhost" || host.starts_with("localhost:");
    (is_address || is_local) && origin.strip_prefix("http://") == Some(host)
}

fn shows(headers: &HeaderMap, token: &Token) -> bool {
    let shown = headers
        .get(header::AUTHORIZATION)
        .map(HeaderValue::as_bytes);
    let Some((scheme, shown)) = shown.and_then(|value| value.split_at_checked(7)) else {
        return false;
    };
    scheme.eq_ignore_ascii_case(b"bearer ") && same(shown, token.0.as_bytes())
}

/// Whether two texts are the same, in a time that does not tell where they differ.
fn same(shown: &[u8], token: &[u8]) -> bool {
    let mut differ = u8::from(shown.len() != token.len());
    for (index, byte) in shown.iter().enumerate() {
        differ |= byte ^ token[index % token.len()];
    }
    black_box(differ) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_the_token() {
        let token = b"0123456789abcdef";
        assert!(same(token, token));
        for shown in [
            "",
            "0",
            "0123456789abcde",
            "0123456789abcdef0",
            "0123456789abcdeg",
        ] {
            assert!(!same(shown.as_bytes(), token), "{shown}");
        }
        assert!(!same(&token.repeat(2), token));
    }

    #[test]
    fn only_our_own_page_at_an_address_is_ours() {
        let judge = |origin: &'static str, host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            headers.insert(header::HOST, HeaderValue::from_static(host));
            is_own_page(&headers)
        };
        assert!(judge("http://127.0.0.1:9901", "127.0.0.1:9901"));
        assert!(judge("http://[::1]:9901", "[::1]:9901"));
        assert!(judge("http://localhost:9901", "localhost:9901"));
        for (origin, host) in [
            ("http://127.0.0.1:8080", "127.0.0.1:9901"),
            ("http://evil.example:9901", "127.0.0.1:9901"),
            ("http://evil.example:9901", "evil.example:9901"),
            ("http://localhost.evil.example", "localhost.evil.example"),
            ("https://127.0.0.1:9901", "127.0.0.1:9901"),
            ("null", "127.0.0.1:9901"),
            ("http://", ""),
        ] {
            assert!(!judge(origin, host), "{origin} {host}");
        }
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, HeaderValue::from_static("127.0.0.1:1"));
        headers.append(
            header::ORIGIN,
            HeaderValue::from_static("http://127.0.0.1:1"),
        );
        headers.append(
            header::ORIGIN,
            HeaderValue::from_static("http://evil.example"),
        );
        assert!(!is_own_page(&headers));
    }

    #[test]
    fn a_token_file_has_it_in_its_first_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            read(Some(&checked::Token::File(path.clone())))
        };
        let token = read("0123456789abcdef\nrest\n").unwrap().unwrap();
        assert_eq!(&*token.0, "0123456789abcdef");
        assert!(
            read("short\n")
                .err()
                .unwrap()
                .to_string()
                .contains("16 to 512")
        );
        fs::remove_file(&path).unwrap();
        let missing = super::read(Some(&checked::Token::File(path.clone())));
        assert!(missing.err().unwrap().to_string().contains("token file"));
    }
}
