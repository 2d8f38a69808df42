//! Sticky sessions: a client stays with the backend that served it first.
//!
//! By cookie: the cookie names the backend by the hash of its id and is signed, so it survives
//! restarts, reordering and a change of node, and nobody can choose a backend by forging one. It
//! says nothing about the backend's address. Signature and text are the same for every client of a
//! backend, so they are made with the table and compared on the hot path; nothing is computed
//! there. A cookie we did not write, or whose backend is gone, is as good as none.
//!
//! By source address: a rendezvous placement over the group, so no state is kept at all and every
//! node answers alike; adding or removing a backend moves only the clients it gains or loses.
//!
//! Either only prefers a backend. One that may not be used (down, at its limit, tried already)
//! gives way to the policy of the group; one that drains keeps its clients for a while.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::base::id::BackendIndex;
use crate::routing::hashing::{Member, Rendezvous, hash_key};
use crate::routing::shard::key::{Extracted, KeyRoom, KeySource, RequestView};

/// Bytes of a cookie's value before it is encoded: the hash of the id, and the signature.
const KEY_BYTES: usize = 8;
const SIGNATURE_BYTES: usize = 16;

/// Letters of a cookie's value.
const VALUE_LETTERS: usize = (KEY_BYTES + SIGNATURE_BYTES) * 4 / 3;

/// Seed of the hash that names a backend; part of what a cookie means, never to be changed.
const SEED: u64 = 0;

/// How clients stay where they are.
pub enum Sticky {
    /// By a cookie.
    Cookie(Cookie),
    /// By the client's address.
    Source(Source),
}

/// How a cookie is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieOptions {
    /// Its name.
    pub name: String,
    /// Signs it; the same on all nodes.
    pub secret: Arc<str>,
    /// How long a browser keeps it; as long as it runs when `None`.
    pub ttl: Option<Duration>,
    /// Sent over HTTPS only.
    pub secure: bool,
    /// Which requests of other sites carry it.
    pub same_site: SameSite,
}

/// Which requests of other sites carry a cookie (RFC 6265bis 5.4.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Those that follow a link.
    Lax,
    /// All; browsers demand `secure` with it.
    None,
    /// None.
    Strict,
}

/// Cookies of the backends of one group.
pub struct Cookie {
    source: KeySource,
    /// Value and backend, sorted by value.
    values: Box<[([u8; VALUE_LETTERS], BackendIndex)]>,
    /// What sets the cookie, by backend.
    fields: Box<[Box<[u8]>]>,
}

/// Addresses placed on the backends of one group.
pub struct Source {
    placement: Rendezvous,
    /// Of the placement's members.
    backends: Box<[BackendIndex]>,
    /// Of the addresses.
    seed: u64,
}

impl Sticky {
    /// Cookies for the backends of `group`, given by their ids in the order of the table.
    #[must_use]
    pub fn by_cookie<'i>(
        group: &str,
        options: &CookieOptions,
        ids: impl Iterator<Item = &'i str>,
    ) -> Sticky {
        let mut values = Vec::new();
        let mut fields = Vec::new();
        for (index, id) in (0..).map(BackendIndex).zip(ids) {
            let value = value(group, id, &options.secret);
            fields.push(field(options, &value));
            values.push((value, index));
        }
        values.sort_unstable_by_key(|(value, index)| (*value, index.0));
        Sticky::Cookie(Cookie {
            source: KeySource::Cookie(options.name.as_str().into()),
            values: values.into(),
            fields: fields.into(),
        })
    }

    /// Places addresses on backends, given by id and weight in the order of the table; all nodes
    /// of a cluster have the same `seed`.
    #[must_use]
    pub fn by_source<'i>(backends: impl Iterator<Item = (&'i str, u32)>, seed: u64) -> Sticky {
        let members: Vec<Member> = backends
            .map(|(id, weight)| Member {
                key: hash_key(seed, id.as_bytes()),
                weight,
            })
            .collect();
        let backends = (0..).map(BackendIndex).take(members.len()).collect();
        Sticky::Source(Source {
            placement: Rendezvous::new(&members),
            backends,
            seed,
        })
    }

    /// The backend a request belongs to, if it says so and that backend exists.
    #[must_use]
    pub fn preferred<R: RequestView>(&self, request: &R) -> Option<BackendIndex> {
        match self {
            Sticky::Cookie(cookie) => {
                let mut room = KeyRoom::default();
                match cookie.source.extract(request, VALUE_LETTERS, &mut room) {
                    Extracted::Key(value) => cookie.find(value),
                    _ => None,
                }
            }
            Sticky::Source(source) => source.find(request.client()?),
        }
    }

    /// The backend a connection from `client` belongs to, where addresses decide.
    #[must_use]
    pub fn preferred_by_address(&self, client: IpAddr) -> Option<BackendIndex> {
        match self {
            Sticky::Cookie(_) => None,
            Sticky::Source(source) => source.find(client),
        }
    }

    /// The value of `Set-Cookie` that makes a client stay with `backend`.
    #[must_use]
    pub fn set_cookie(&self, backend: BackendIndex) -> Option<&[u8]> {
        match self {
            Sticky::Cookie(cookie) => cookie.fields.get(backend.index()).map(|field| &**field),
            Sticky::Source(_) => None,
        }
    }
}

impl Cookie {
    /// The backend of a value. Which backends there are is no secret, so they are searched by the
    /// part that names them; the signature is compared in constant time.
    fn find(&self, value: &[u8]) -> Option<BackendIndex> {
        let value: &[u8; VALUE_LETTERS] = value.try_into().ok()?;
        let name = |value: &[u8; VALUE_LETTERS]| -> [u8; NAME_LETTERS] {
            std::array::from_fn(|place| value[place])
        };
        let wanted = name(value);
        let found = self
            .values
            .binary_search_by(|(known, _)| name(known).cmp(&wanted))
            .ok()?;
        let (known, backend) = &self.values[found];
        bool::from(known[..].ct_eq(&value[..])).then_some(*backend)
    }
}

/// Letters that depend on the hash of the id alone.
const NAME_LETTERS: usize = KEY_BYTES * 4 / 3;

impl Source {
    fn find(&self, client: IpAddr) -> Option<BackendIndex> {
        let hash = match client.to_canonical() {
            IpAddr::V4(address) => hash_key(self.seed, &address.octets()),
            IpAddr::V6(address) => hash_key(self.seed, &address.octets()),
        };
        let member = self.placement.lookup(hash)?;
        self.backends.get(member as usize).copied()
    }
}

fn value(group: &str, id: &str, secret: &str) -> [u8; VALUE_LETTERS] {
    let key = hash_key(SEED, id.as_bytes()).to_be_bytes();
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(group.as_bytes());
    mac.update(&[0]);
    mac.update(id.as_bytes());
    let signature = mac.finalize().into_bytes();
    let mut bytes = [0; KEY_BYTES + SIGNATURE_BYTES];
    bytes[..KEY_BYTES].copy_from_slice(&key);
    bytes[KEY_BYTES..].copy_from_slice(&signature[..SIGNATURE_BYTES]);
    let mut letters = [0; VALUE_LETTERS];
    let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut letters);
    debug_assert_eq!(written, Ok(VALUE_LETTERS));
    letters
}

fn field(options: &CookieOptions, value: &[u8; VALUE_LETTERS]) -> Box<[u8]> {
    let mut field = format!("{}=", options.name).into_bytes();
    field.extend_from_slice(value);
    field.extend_from_slice(b"; Path=/; HttpOnly");
    if let Some(ttl) = options.ttl {
        field.extend_from_slice(format!("; Max-Age={}", ttl.as_secs()).as_bytes());
    }
    let same_site: &[u8] = match options.same_site {
        SameSite::Lax => b"; SameSite=Lax",
        SameSite::None => b"; SameSite=None",
        SameSite::Strict => b"; SameSite=Strict",
    };
    field.extend_from_slice(same_site);
    if options.secure {
        field.extend_from_slice(b"; Secure");
    }
    field.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Request {
        cookies: String,
        client: Option<IpAddr>,
    }

    impl RequestView for Request {
        fn client(&self) -> Option<IpAddr> {
            self.client
        }
        fn fields_named<'r>(&'r self, name: &str) -> impl Iterator<Item = &'r [u8]> {
            let wanted = name.eq_ignore_ascii_case("cookie") && !self.cookies.is_empty();
            wanted.then_some(self.cookies.as_bytes()).into_iter()
        }
        fn host(&self) -> &[u8] {
            b"test"
        }
        fn method(&self) -> &[u8] {
            b"GET"
        }
        fn path(&self) -> &[u8] {
            b"/"
        }
        fn target(&self) -> &[u8] {
            b"/"
        }
    }

    fn options(secret: &str) -> CookieOptions {
        CookieOptions {
            name: "weir".to_owned(),
            secret: secret.into(),
            ttl: None,
            secure: false,
            same_site: SameSite::Lax,
        }
    }

    fn sticky(secret: &str, ids: &[&str]) -> Sticky {
        Sticky::by_cookie("app", &options(secret), ids.iter().copied())
    }

    fn with_cookie(cookies: String) -> Request {
        Request {
            cookies,
            client: None,
        }
    }

    /// The cookie as a client sends it back.
    fn given(sticky: &Sticky, backend: u32) -> String {
        let field = sticky.set_cookie(BackendIndex(backend)).expect("a cookie");
        let text = std::str::from_utf8(field).expect("ASCII");
        text.split(';').next().expect("a pair").to_owned()
    }

    #[test]
    fn a_client_stays_across_adding_removing_and_reordering() {
        let before = sticky("secret", &["a", "b", "c"]);
        let after = sticky("secret", &["c", "new", "a"]);
        for (backend, expected) in [(0, Some(2)), (1, None), (2, Some(0))] {
            let request = with_cookie(format!("x=1; {}; y=2", given(&before, backend)));
            assert_eq!(before.preferred(&request), Some(BackendIndex(backend)));
            assert_eq!(after.preferred(&request), expected.map(BackendIndex));
        }
    }

    #[test]
    fn a_cookie_of_another_secret_group_or_hand_is_none() {
        let ours = sticky("secret", &["a", "b"]);
        let theirs = [
            given(&sticky("other", &["a", "b"]), 0),
            given(
                &Sticky::by_cookie("api", &options("secret"), ["a", "b"].into_iter()),
                0,
            ),
            "weir=".to_owned(),
            "weir=AAAA".to_owned(),
            format!("weir={}", "A".repeat(VALUE_LETTERS)),
            given(&ours, 0).replace("weir=", "weird="),
        ];
        for cookies in theirs {
            assert_eq!(
                ours.preferred(&with_cookie(cookies.clone())),
                None,
                "{cookies}"
            );
        }
        let whole = given(&ours, 0);
        for place in "weir=".len()..whole.len() {
            let mut bytes = whole.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            let cookies = String::from_utf8(bytes).expect("ASCII");
            assert_ne!(ours.preferred(&with_cookie(cookies)), Some(BackendIndex(0)));
        }
    }

    #[test]
    fn the_attributes_are_written() {
        let all = CookieOptions {
            ttl: Some(Duration::from_secs(3600)),
            secure: true,
            same_site: SameSite::None,
            ..options("secret")
        };
        let sticky = Sticky::by_cookie("app", &all, ["a"].into_iter());
        let field = sticky.set_cookie(BackendIndex(0)).expect("a cookie");
        let text = std::str::from_utf8(field).expect("ASCII");
        let attributes = "; Path=/; HttpOnly; Max-Age=3600; SameSite=None; Secure";
        assert!(text.ends_with(attributes), "{text}");
    }

    #[test]
    fn an_address_keeps_its_backend_when_another_leaves() {
        let ids: Vec<String> = (0..10).map(|id| format!("b{id}")).collect();
        let ten = Sticky::by_source(ids.iter().map(|id| (&**id, 1)), 0);
        let nine = Sticky::by_source(ids[..9].iter().rev().map(|id| (&**id, 1)), 0);
        let mut moved = 0;
        for last in 0..=255_u8 {
            let client = IpAddr::from([10, 0, 0, last]);
            let mapped = "::ffff:10.0.0.0"
                .parse::<std::net::Ipv6Addr>()
                .expect("an address");
            let mut octets = mapped.octets();
            octets[15] = last;
            let before = ten.preferred_by_address(client).expect("a backend");
            assert_eq!(ten.preferred_by_address(octets.into()), Some(before));
            let after = nine.preferred_by_address(client).expect("a backend");
            if before.index() == 9 {
                moved += 1;
            } else {
                assert_eq!(8 - after.index(), before.index());
            }
        }
        assert!((5..60).contains(&moved), "{moved}");
    }
}
