//! The admin interface and the store.

use std::path::Path;

use super::*;

fn admin(keys: &str) -> Result<Admin, Vec<String>> {
    let text = format!("[admin]\n{keys}\n{LISTENER}{GROUP}");
    match load(&text, "weir.toml") {
        Ok(config) => Ok(config.admin.unwrap()),
        Err(errors) => Err(errors.errors.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn an_address_or_a_socket_will_do() {
    let both = admin("address = \"127.0.0.1:1\"\nunix = \"/run/weir.sock\"").unwrap();
    assert!(both.address.is_some() && both.token.is_none());
    assert_eq!(both.unix.as_deref(), Some(Path::new("/run/weir.sock")));
    assert!(
        admin("unix = \"/run/weir.sock\"")
            .unwrap()
            .address
            .is_none()
    );
    let none = admin("").unwrap_err();
    assert!(none[0].contains("admin.address: is missing"), "{none:?}");
    let empty = admin("unix = \"\"").unwrap_err();
    assert!(
        empty[0].contains("admin.unix: \"\" is not a path"),
        "{empty:?}"
    );
}

#[test]
fn metrics_are_as_fine_as_is_said() {
    let detail = |keys: &str| admin(&format!("address = \"127.0.0.1:1\"\n{keys}"));
    for (keys, wanted) in [
        ("", MetricsDetail::Backend),
        ("metrics_detail = \"backend\"", MetricsDetail::Backend),
        ("metrics_detail = \"group\"", MetricsDetail::Group),
        ("metrics_detail = \"listener\"", MetricsDetail::Listener),
    ] {
        assert_eq!(detail(keys).unwrap().metrics_detail, wanted);
    }
    let wrong = detail("metrics_detail = \"groups\"").unwrap_err();
    assert!(
        wrong[0].contains("admin.metrics_detail: unknown value \"groups\"; fix: write \"group\""),
        "{wrong:?}"
    );
}

#[test]
fn who_is_reached_by_others_asks_for_a_token() {
    let open = admin("address = \"0.0.0.0:9901\"").unwrap_err();
    assert!(
        open[0].starts_with("weir.toml:2:11: admin.address: other machines reach"),
        "{open:?}"
    );
    let token = "token = \"0123456789abcdef\"";
    let guarded = admin(&format!("address = \"[::]:9901\"\n{token}")).unwrap();
    assert_eq!(
        guarded.token,
        Some(Token::Text(Secret("0123456789abcdef".into())))
    );
    assert!(!format!("{guarded:?}").contains("0123456789abcdef"));
    let file = admin("address = \"10.0.0.1:9901\"\ntoken_file = \"/etc/t\"").unwrap();
    assert_eq!(file.token, Some(Token::File("/etc/t".into())));
    let two = admin(&format!(
        "address = \"0.0.0.0:1\"\n{token}\ntoken_file = \"/etc/t\""
    ));
    assert!(two.unwrap_err()[0].contains("admin.token_file: there is a token already"));
}

#[test]
fn a_token_that_can_be_guessed_or_not_be_sent_is_refused() {
    for token in ["short", "", "0123456789 abcdef", "0123456789\u{e4}bcdef"] {
        let told = admin(&format!("address = \"127.0.0.1:1\"\ntoken = \"{token}\"")).unwrap_err();
        assert!(told[0].contains("admin.token: a token has"), "{told:?}");
    }
}

#[test]
fn a_store_has_a_path() {
    let with = |keys: &str| load(&format!("[store]\n{keys}\n{LISTENER}{GROUP}"), "weir.toml");
    let store = with("path = \"/var/lib/weir/store.redb\"")
        .unwrap()
        .store
        .unwrap();
    assert_eq!(store.path, Path::new("/var/lib/weir/store.redb"));
    for keys in ["", "path = \"\""] {
        let told = with(keys).unwrap_err().to_string();
        assert!(told.contains("store.path: "), "{told}");
    }
}

#[test]
fn a_store_in_etcd_is_checked_key_by_key() {
    let with = |keys: &str| {
        let text = format!("[store]\npath = \"/c\"\n{keys}\n{LISTENER}{GROUP}");
        match load(&text, "weir.toml") {
            Ok(config) => Ok(config.store.unwrap().etcd),
            Err(errors) => Err(errors
                .errors
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()),
        }
    };
    let etcd = with("etcd = [\"http://10.0.0.1:2379\"]").unwrap().unwrap();
    assert_eq!((&*etcd.prefix, etcd.timeout.as_secs()), ("/weir/", 2));
    assert_eq!(etcd.copy, Path::new("/c"));
    for (keys, told) in [
        ("etcd = []", "store.etcd: 0 members"),
        ("etcd = [\"10.0.0.1:2379\"]", "is no URL"),
        ("etcd = [\"http://a\"]", "is no URL"),
        ("etcd = [\"http://a:0\"]", "is no URL"),
        ("etcd = [\"http://a:1/x\"]", "is no URL"),
        ("etcd = [\"http://a:1\", \"http://a:1\"]", "is there twice"),
        (
            "etcd = [\"http://a:1\", \"https://b:1\"]",
            "has another scheme",
        ),
        ("etcd = [\"https://a:1\"]", "store.ca_file: is missing"),
        (
            "etcd = [\"http://a:1\"]\nca_file = \"/x\"",
            "store.ca_file: is for members with https",
        ),
        (
            "etcd = [\"https://a:1\"]\nca_file = \"/x\"\ncert_file = \"/y\"",
            "store.cert_file: is of no use without key_file",
        ),
        (
            "etcd = [\"http://a:1\"]\nprefix = \"weir\"",
            "is no prefix of keys",
        ),
        (
            "etcd = [\"http://a:1\"]\nuser = \"u\"",
            "store.password_file: is missing",
        ),
        (
            "etcd = [\"http://a:1\"]\npassword = \"p\"",
            "store.password: is nobody's",
        ),
        (
            "etcd = [\"http://a:1\"]\nuser = \"u\"\npassword = \"p\"\npassword_file = \"/p\"",
            "there is a password already",
        ),
        ("prefix = \"/p/\"", "store.prefix: is for a store in etcd"),
        ("timeout = \"1s\"", "store.timeout: is for a store in etcd"),
        (
            "etcd = [\"http://a:1\"]\ntimeout = \"1ms\"",
            "store.timeout",
        ),
    ] {
        let errors = with(keys).unwrap_err();
        assert!(
            errors.iter().any(|error| error.contains(told)),
            "{keys}: {errors:?}"
        );
    }
    let secret = with("etcd = [\"http://a:1\"]\nuser = \"u\"\npassword = \"topsecret\"").unwrap();
    assert!(!format!("{secret:?}").contains("topsecret"));
}
