//! How much does a head cost: parsed, and parsed and rewritten for the other side?
//!
//! Run: `cargo bench --bench parse`. Inputs: what wrk sends, what a browser sends, and the usual
//! answers of a backend.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use weir::http::{
    Body, BodyLimits, FieldStorage, Forwarding, Framing, HeadLimits, Method, Output, Parsed,
    RequestEdits, ResponseEdits, Version, parse_request, parse_response, write_request,
    write_response,
};

const WRK: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

const BROWSER: &[u8] = b"GET /products/42?ref=home&page=2 HTTP/1.1\r\n\
Host: www.example.com\r\n\
Connection: keep-alive\r\n\
Cache-Control: max-age=0\r\n\
sec-ch-ua: \"Chromium\";v=\"130\", \"Google Chrome\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n\
sec-ch-ua-mobile: ?0\r\n\
sec-ch-ua-platform: \"Linux\"\r\n\
Upgrade-Insecure-Requests: 1\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
Chrome/130.0.0.0 Safari/537.36\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
Sec-Fetch-Site: same-origin\r\n\
Sec-Fetch-Mode: navigate\r\n\
Sec-Fetch-User: ?1\r\n\
Sec-Fetch-Dest: document\r\n\
Referer: https://www.example.com/products\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Accept-Language: en-US,en;q=0.9,de;q=0.8\r\n\
Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes\r\n\r\n";

const NGINX: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\n\
Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\nContent-Length: 65\r\n\
Connection: keep-alive\r\n\r\n";

fn request(bytes: &[u8], out: &mut Vec<u8>) -> usize {
    let edits = RequestEdits {
        forwarding: Forwarding::XForwarded,
        trust_forwarded: false,
        client: "192.0.2.17",
        proto: "http",
        via: None,
        request_id: None,
        trace: None,
    };
    let mut storage = FieldStorage::new();
    let Parsed::Complete(head) = parse_request(bytes, &HeadLimits::default(), &mut storage) else {
        unreachable!("the fixture is valid")
    };
    out.clear();
    write_request(out, &head, &edits);
    head.head_len()
}

fn response(bytes: &[u8], out: &mut Vec<u8>) -> usize {
    let edits = ResponseEdits {
        own: &[],
        method: Method::Get,
        client: Version::Http11,
        close: false,
        output: Output::Raw,
        via: None,
        request_id: None,
        date: None,
        upgrade: false,
    };
    let mut storage = FieldStorage::new();
    let Parsed::Complete(head) = parse_response(bytes, &HeadLimits::default(), &mut storage) else {
        unreachable!("the fixture is valid")
    };
    out.clear();
    write_response(out, &head, &edits);
    head.head_len()
}

fn heads(criterion: &mut Criterion) {
    let mut out = Vec::with_capacity(4096);
    for (name, bytes) in [("wrk", WRK), ("browser", BROWSER)] {
        criterion.bench_function(&format!("parse/{name}"), |bencher| {
            bencher.iter(|| {
                let mut storage = FieldStorage::new();
                let parsed = parse_request(black_box(bytes), &HeadLimits::default(), &mut storage);
                matches!(black_box(&parsed), Parsed::Complete(_))
            });
        });
        criterion.bench_function(&format!("httparse/{name}"), |bencher| {
            bencher.iter(|| {
                let mut slots = [const { std::mem::MaybeUninit::uninit() }; 128];
                let mut tokens = httparse::Request::new(&mut []);
                let parsed = tokens.parse_with_uninit_headers(black_box(bytes), &mut slots);
                black_box(&tokens);
                parsed.is_ok()
            });
        });
        criterion.bench_function(&format!("rewrite/{name}"), |bencher| {
            bencher.iter(|| black_box(request(black_box(bytes), &mut out)));
        });
    }
    criterion.bench_function("rewrite/response", |bencher| {
        bencher.iter(|| black_box(response(black_box(NGINX), &mut out)));
    });
}

fn bodies(criterion: &mut Criterion) {
    let mut input = Vec::new();
    for _ in 0..4 {
        input.extend_from_slice(b"1000\r\n");
        input.resize(input.len() + 4096, b'x');
        input.extend_from_slice(b"\r\n");
    }
    input.extend_from_slice(b"0\r\n\r\n");
    let limits = BodyLimits {
        body_bytes: u64::MAX,
        trailer_bytes: 4096,
    };
    let mut out = Vec::with_capacity(32 * 1024);
    criterion.bench_function("chunked/16k", |bencher| {
        bencher.iter(|| {
            out.clear();
            let mut body = Body::new(Framing::Chunked, Output::Chunked, limits);
            body.transcode(black_box(&input), &mut out).is_ok()
        });
    });
}

criterion_group!(benches, heads, bodies);
criterion_main!(benches);
