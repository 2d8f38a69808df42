//! The dashboard: a page, its style and its scripts, as they lie beside this file.
//!
//! They are compiled in and need no build step; the page asks nobody but this server, and a strict
//! policy holds it to that. It holds no secret, so it is open: everything it shows and does goes
//! through `/v1`, with the token that it asks its user for.

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use xxhash_rust::xxh3::xxh3_64;

/// Nothing from elsewhere, nothing inline, and no frame around it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'",
);

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! assets {
    ($($path:literal $kind:ident $file:literal,)*) => {
        /// Every file: its path, its type, its text.
        const ASSETS: &[(&str, &str, &str)] = &[$(($path, $kind, include_str!($file))),*];
    };
}

assets! {
    "/ui/" HTML "index.html",
    "/ui/style.css" CSS "style.css",
    "/ui/icon.svg" SVG "icon.svg",
    "/ui/history.js" JS "history.js",
    "/ui/main.js" JS "main.js",
    "/ui/api.js" JS "api.js",
    "/ui/change.js" JS "change.js",
    "/ui/chart.js" JS "chart.js",
    "/ui/detail.js" JS "detail.js",
    "/ui/dom.js" JS "dom.js",
    "/ui/format.js" JS "format.js",
    "/ui/panels.js" JS "panels.js",
    "/ui/past.js" JS "past.js",
    "/ui/rates.js" JS "rates.js",
    "/ui/table.js" JS "table.js",
}

/// The routes of the page.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let start = Router::new()
        .route("/", get(|| async { Redirect::temporary("/ui/") }))
        .route("/ui", get(|| async { Redirect::temporary("/ui/") }));
    ASSETS.iter().fold(start, |router, (path, kind, text)| {
        router.route(
            path,
            get(move |headers: HeaderMap| async move { asset(kind, text, &headers) }),
        )
    })
}

fn asset(kind: &'static str, text: &'static str, asked: &HeaderMap) -> Response {
    let tag = format!("\"{:016x}\"", xxh3_64(text.as_bytes()));
    let has = asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .any(|known| known == &*tag);
    let mut answer = match has {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => text.into_response(),
    };
    let headers = answer.headers_mut();
    let fixed = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        // Asked for again each time, so that a newer node is never run with an older script.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        ),
    ];
    headers.extend(fixed);
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_only_what_is_served_and_has_nothing_inline() {
        let (_, _, page) = ASSETS[0];
        for word in [
            " style=",
            "<style",
            " onclick",
            "javascript:",
            "http:",
            "https:",
        ] {
            assert!(!page.contains(word), "{word}");
        }
        for (_, kind, text) in ASSETS {
            let quoted = text.split('"').filter(|word| word.starts_with("./"));
            for named in quoted.filter(|_| *kind == JS || *kind == HTML) {
                let path = named.replacen('.', "/ui", 1);
                assert!(ASSETS.iter().any(|(is, ..)| *is == path), "{named}");
            }
        }
    }

    #[test]
    fn whoever_has_it_is_not_sent_it_again() {
        let mut asked = HeaderMap::new();
        let first = asset(CSS, "a", &asked);
        assert_eq!(first.status(), StatusCode::OK);
        asked.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(asset(CSS, "a", &asked).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(asset(CSS, "b", &asked).status(), StatusCode::OK);
    }
}
