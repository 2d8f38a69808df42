//! Bounded fuzzing: the vectors, mutated at random for a few seconds, through the fuzz entries.
//!
//! `WEIR_FUZZ_SECONDS` lengthens it; `WEIR_FUZZ_SEED` replays one failing round.

use std::time::{Duration, Instant};

use super::super::fuzz::{fuzz_chunked, fuzz_request, fuzz_response};
use super::vectors::{REQUESTS, RESPONSES, corpus};

/// xorshift64*: a round is named by its seed alone.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).expect("fits as bound did")
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

const PARTS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b"\0",
    b":",
    b",",
    b";",
    b"\"",
    b"\\",
    b"=",
    b"_",
    b"0",
    b"5",
    b"ffffffffffffffff",
    b"chunked",
    b"Transfer-Encoding: chunked\r\n",
    b"\x80",
    b"%",
    b"Content-Length: 5\r\n",
    b"Host: b\r\n",
    b"Connection: close\r\n",
    b"\r\n\r\n",
    b"HTTP/1.0",
    b"Connection: Upgrade, X\r\nUpgrade: websocket\r\n",
    b"http://b",
    b"?",
    b"#",
    b"[::1]",
    b"0\r\n\r\n",
    b"Trailer: X\r\n",
    b"Content_Length: 1\r\n",
    b"X-Forwarded-For: 1\r\n",
    b"\x7f",
    b"Max-Forwards: 1\r\n",
    b"Expect: 100-continue\r\n",
    b"TRACE",
    b"OPTIONS",
    b"HEAD",
];

fn mutate(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = random.pick(corpus).clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let to = (at + random.below(12)).min(bytes.len());
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 => drop(bytes.drain(at..to)),
            2 => drop(bytes.splice(at..at, bytes[at..to].to_vec())),
            3 => drop(bytes.splice(at..to, random.pick(PARTS).to_vec())),
            4 => {
                let other = random.pick(corpus);
                let from = random.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => drop(bytes.splice(at..at, random.pick(PARTS).to_vec())),
        }
    }
    bytes.truncate(64 * 1024);
    bytes
}

fn drive(corpus: &[Vec<u8>], entry: fn(&[u8])) {
    let setting = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let replayed = setting("WEIR_FUZZ_SEED");
    let until = Instant::now() + Duration::from_secs(setting("WEIR_FUZZ_SECONDS").unwrap_or(3));
    for input in corpus {
        entry(input);
    }
    let mut seed = replayed.unwrap_or(1);
    loop {
        let input = mutate(
            &mut Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            corpus,
        );
        let result = std::panic::catch_unwind(|| entry(&input));
        if let Err(panic) = result {
            eprintln!(
                "failed with WEIR_FUZZ_SEED={seed}: {}",
                input.escape_ascii()
            );
            std::panic::resume_unwind(panic);
        }
        seed += 1;
        if replayed.is_some() || Instant::now() > until {
            return;
        }
    }
}

/// Long inputs are all alike and slow the loop down.
fn short(corpus: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    corpus
        .into_iter()
        .filter(|input| input.len() < 4096)
        .collect()
}

#[test]
fn mutated_requests() {
    drive(&short(corpus(REQUESTS.0, REQUESTS.1)), fuzz_request);
}

#[test]
fn mutated_responses() {
    let chosen = corpus(RESPONSES.0, RESPONSES.1)
        .into_iter()
        .flat_map(|input| (0..4).map(move |choice| [&[choice][..], &input].concat()));
    drive(&short(chosen.collect()), fuzz_response);
}

#[test]
fn mutated_chunks() {
    let bodies = corpus(REQUESTS.0, REQUESTS.1)
        .into_iter()
        .filter_map(|input| {
            let end = input.windows(4).position(|four| four == b"\r\n\r\n")?;
            Some(input[end + 4..].to_vec())
        });
    drive(&short(bodies.collect()), fuzz_chunked);
}
