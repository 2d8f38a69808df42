//! Connections stay on the CPU they come in on, where a listener asks for that.

use core_affinity::CoreId;

use crate::support::{Proxy, Settings, Upstream, Wire, eventually};

const CONNECTIONS: usize = 24;

/// Connects from a thread on this CPU: on the loopback that is where the first packet comes in.
fn connect_from(proxy: &Proxy, cpu: usize) -> Vec<Wire> {
    std::thread::scope(|scope| {
        let connecting = scope.spawn(|| {
            assert!(core_affinity::set_for_current(CoreId { id: cpu }));
            (0..CONNECTIONS).map(|_| proxy.connect()).collect()
        });
        connecting.join().unwrap()
    })
}

/// Connections open, by core.
fn open_by_core(proxy: &Proxy) -> [f64; 2] {
    let metrics = proxy.metrics();
    ["0", "1"].map(|core| metrics.count("weir_core_connections", &[("core", core)]))
}

#[test]
fn a_core_takes_what_comes_in_on_its_cpu_and_a_reload_changes_that() {
    let upstream = Upstream::named("b");
    let plain = Settings::http_to(&[&upstream]).workers("[0, 1]");
    let mut proxy = plain.clone().with("steering", "\"cpu\"").start();
    for cpu in [0, 1, 0] {
        let open = connect_from(&proxy, cpu);
        let mut expected = [0.0; 2];
        expected[cpu] = CONNECTIONS as f64;
        eventually("all are on the core of that CPU", || {
            open_by_core(&proxy) == expected
        });
        drop(open);
        eventually("they are gone", || open_by_core(&proxy) == [0.0; 2]);
    }
    proxy.reload(plain);
    let _open = connect_from(&proxy, 0);
    // That the hash puts all of them on one of two is as likely as 23 coins that fall alike.
    eventually("both cores have some", || {
        let [one, two] = open_by_core(&proxy);
        one > 0.0 && two > 0.0 && one + two == CONNECTIONS as f64
    });
}
