//! What is said of a node among others.

use super::*;

const REST: &str = "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:80\"\ngroup = \"app\"\n\
                    [[group]]\nname = \"app\"\nbackends = [\"a:1\"]\n";

#[test]
fn a_node_says_where_it_hears_and_what_the_key_is() {
    let least = "[cluster]\nbind = \"10.0.0.1:7946\"\nkey_file = \"/k\"\n";
    let cluster = sound(&format!("{least}{REST}")).cluster.unwrap();
    assert_eq!((&*cluster.name, cluster.node), ("weir", None));
    assert_eq!(cluster.advertise, cluster.bind);
    assert_eq!(cluster.observers, 3);
    let more = "[cluster]\nname = \"b\"\nnode = \"n-1\"\nbind = \"[::]:1\"\nkey_file = \"/k\"\n\
                observers = 5\n\
                advertise = \"[fd00::1]:2\"\nseeds = [\"10.0.0.2:1\", \"other.example:2\"]\n";
    let cluster = sound(&format!("{more}{REST}")).cluster.unwrap();
    assert_eq!(cluster.observers, 5);
    assert_eq!(cluster.advertise, "[fd00::1]:2".parse().unwrap());
    let seeds: Vec<String> = cluster.seeds.iter().map(ToString::to_string).collect();
    assert_eq!(seeds, ["10.0.0.2:1", "other.example:2"]);
}

#[test]
fn what_cannot_be_a_node_is_told() {
    let found = errors(&format!("[cluster]\nnode = \"a b\"\n{REST}"));
    let expected = [
        "1:1: cluster.bind: is missing",
        "1:1: cluster.key_file: is missing",
        "2:8: cluster.node: \"a b\" is not a name",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for expected in expected {
        let expected = format!("weir.toml:{expected}");
        assert!(
            found.iter().any(|told| told.starts_with(&expected)),
            "{found:#?}"
        );
    }
    for (lines, expected) in [
        ("bind = \"0.0.0.0:7946\"", "cluster.advertise: is missing"),
        (
            "bind = \"0.0.0.0:7946\"\nadvertise = \"0.0.0.0:1\"",
            "cluster.advertise: 0.0.0.0:1 reaches nobody",
        ),
        (
            "bind = \"10.0.0.1:1\"\nlimit_owners = [\"a\", \"b\", \"a\"]",
            "cluster.limit_owners[#3]: a is there twice",
        ),
        (
            "bind = \"10.0.0.1:1\"\nobservers = 0",
            "cluster.observers: 0 is out of range",
        ),
        ("bind = \"10.0.0.1\"", "cluster.bind: \"10.0.0.1\" is not"),
        (
            "bind = \"10.0.0.1:1\"\nseeds = [\"nowhere\"]",
            "cluster.seeds[#1]: \"nowhere\"",
        ),
    ] {
        let found = errors(&format!("[cluster]\nkey_file = \"/k\"\n{lines}\n{REST}"));
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "{found:#?}"
        );
    }
}
