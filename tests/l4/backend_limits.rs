//! Hard limits of a backend, for relayed connections.

use crate::support::{Settings, Upstream, eventually};

fn greeter() -> Upstream {
    Upstream::scripted(|mut connection| {
        connection.send("hello");
        let _ = connection.read_to_end();
    })
}

#[test]
fn a_connection_without_a_place_is_refused_and_places_come_back() {
    for limit in ["connections_max = 2", "requests_max = 2"] {
        let upstream = greeter();
        let settings = Settings::tcp_to(&[]).member(&upstream, limit);
        let proxy = settings.workers("2").start();
        for round in 0..3 {
            let mut open: Vec<_> = (0..2).map(|_| proxy.connect()).collect();
            for client in &mut open {
                assert_eq!(client.read_exactly(5), b"hello", "{limit}, round {round}");
            }
            proxy.expect_refusal();
            proxy.wait_for_metric("weir_backend_in_flight", &[], 2.0);
            drop(open);
            proxy.wait_for_metric("weir_backend_in_flight", &[], 0.0);
            eventually("the backend's connections end", || upstream.open() == 0);
        }
        let full = [("fault", "group_full")];
        proxy.wait_for_metric("weir_listener_faults_total", &full, 3.0);
    }
}

#[test]
fn what_one_has_no_place_for_goes_to_another() {
    let (one, two) = (greeter(), greeter());
    let proxy = Settings::tcp_to(&[])
        .member(&one, "connections_max = 1")
        .member(&two, "")
        .start();
    let mut open: Vec<_> = (0..6).map(|_| proxy.connect()).collect();
    for client in &mut open {
        client.read_exactly(5);
    }
    assert_eq!([one.open(), two.open()], [1, 5]);
}
