//! Upgrades and reloads in a row under load. `WEIR_TEST_UPGRADES` (5), `WEIR_TEST_RELOADS` (50)
//! and `WEIR_TEST_REQUESTS` (2000) say how many; by hand 100, 1000 and 300000.

use std::thread::scope;

use super::load::Load;
use crate::support::{Answer, Settings, Upstream, eventually, from_env};

fn upstream() -> Upstream {
    Upstream::http(|_| Answer::text("here"))
}

#[test]
fn upgrades_in_a_row_fail_no_request_and_refuse_no_connection() {
    let (upgrades, requests) = (
        from_env("WEIR_TEST_UPGRADES", 5),
        from_env("WEIR_TEST_REQUESTS", 2000),
    );
    let upstream = upstream();
    let mut proxy = Settings::http_to(&[&upstream]).workers("2").start();
    let load = Load::default();
    scope(|scope| {
        let _asking = load.start(scope, proxy.address(), (3, 3));
        for upgrade in 1..=upgrades {
            load.wait_for(upgrade * requests / (upgrades + 1));
            proxy.upgrade();
        }
        load.wait_for(requests);
    });
    load.assert_clean(&format!("{upgrades} upgrades"));
    assert!(proxy.epoch() > Some(upgrades), "epochs go on");
    eventually("each but the last has ended as it should", || {
        let ended = proxy.stderr().matches("outcome=Ended { cut: 0 }").count();
        ended as u64 == upgrades
    });
}

#[test]
fn reloads_in_a_row_fail_no_request_and_refuse_no_connection() {
    let (reloads, requests) = (
        from_env("WEIR_TEST_RELOADS", 50),
        from_env("WEIR_TEST_REQUESTS", 2000),
    );
    let upstream = upstream();
    let settings = Settings::http_to(&[&upstream]).workers("2");
    let mut proxy = settings.start();
    let load = Load::default();
    scope(|scope| {
        let _asking = load.start(scope, proxy.address(), (3, 3));
        for reload in 1..=reloads {
            load.wait_for(reload * requests / (reloads + 1));
            let mut next = settings.clone();
            // Something that every core must adopt.
            next.groups[0].keys = vec![("retries".into(), (reload % 5).to_string())];
            proxy.reload(next);
        }
        load.wait_for(requests);
    });
    load.assert_clean(&format!("{reloads} reloads"));
}
