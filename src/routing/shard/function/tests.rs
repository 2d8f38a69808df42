//! Where keys go, beside the plainest code that says so.

use proptest::prelude::*;

use super::*;

fn idle(_: GroupIndex) -> u64 {
    0
}

fn group(number: u32) -> Placed {
    Placed::Group(GroupIndex(number))
}

fn integers(ranges: &[(i64, i64)]) -> Function {
    let ranges = (0..).zip(ranges).map(|(number, (from, to))| IntegerRange {
        from: *from,
        to: *to,
        group: GroupIndex(number),
    });
    Function::integers(ranges.collect())
}

fn texts(ranges: &[(&str, Option<&str>)]) -> Function {
    let ranges = (0..).zip(ranges).map(|(number, (from, to))| TextRange {
        from: from.as_bytes().into(),
        to: to.map(|to| to.as_bytes().into()),
        group: GroupIndex(number),
    });
    Function::texts(ranges.collect())
}

#[test]
fn integers_are_placed_in_ranges_with_both_ends() {
    let function = integers(&[(1000, 1999), (i64::MIN, -1), (0, 999), (5000, i64::MAX)]);
    for (key, expected) in [
        ("0", group(2)),
        ("999", group(2)),
        ("1000", group(0)),
        ("1999", group(0)),
        ("2000", Placed::Nowhere),
        ("-1", group(1)),
        ("-0", group(2)),
        ("007", group(2)),
        ("-9223372036854775808", group(1)),
        ("9223372036854775807", group(3)),
        ("-9223372036854775809", Placed::Nowhere),
        ("9223372036854775808", Placed::Nowhere),
        ("123456789012345678901234567890", Placed::Nowhere),
        ("+1", Placed::Malformed),
        ("1.0", Placed::Malformed),
        ("-", Placed::Malformed),
        (" 1", Placed::Malformed),
        ("0x1", Placed::Malformed),
    ] {
        assert_eq!(function.place(key.as_bytes(), idle), expected, "{key}");
    }
}

#[test]
fn texts_are_placed_in_ranges_without_their_end() {
    let function = texts(&[("n", None), ("a", Some("m")), ("", Some("a"))]);
    for (key, expected) in [
        ("a", group(1)),
        ("lzzz", group(1)),
        ("m", Placed::Nowhere),
        ("mzz", Placed::Nowhere),
        ("n", group(0)),
        ("\u{e4}", group(0)),
        ("A", group(2)),
    ] {
        assert_eq!(function.place(key.as_bytes(), idle), expected, "{key}");
    }
}

#[test]
fn the_longest_prefix_counts_and_a_map_takes_whole_keys() {
    let keys = [("eu-", 0), ("eu-west-", 1), ("", 2), ("eu-", 3)];
    let keys = || keys.iter().map(|(key, group)| (*key, GroupIndex(*group)));
    let prefix = Function::prefix(keys());
    for (key, expected) in [
        ("eu-west-1", 1),
        ("eu-west", 0),
        ("eu-", 0),
        ("eu", 2),
        ("x", 2),
    ] {
        assert_eq!(prefix.place(key.as_bytes(), idle), group(expected), "{key}");
    }
    let map = Function::map(keys());
    assert_eq!(map.place(b"eu-", idle), group(0));
    assert_eq!(map.place(b"eu-w", idle), Placed::Nowhere);
    assert_eq!(map.place(b"EU-", idle), Placed::Nowhere);
}

#[test]
fn remainders_are_those_of_the_mathematicians() {
    let function = Function::modulo((0..7).map(GroupIndex).collect(), 0);
    for (key, expected) in [
        ("0", 0),
        ("13", 6),
        ("0013", 6),
        ("-1", 6),
        ("-7", 0),
        // 10^40 = 3^40 = 3^4 = 81 = 4 (mod 7)
        ("10000000000000000000000000000000000000000", 4),
    ] {
        assert_eq!(
            function.place(key.as_bytes(), idle),
            group(expected),
            "{key}"
        );
    }
    assert_eq!(
        Function::modulo(Box::new([]), 0).place(b"1", idle),
        Placed::Nowhere
    );
}

#[test]
fn other_keys_are_spread_by_a_hash_that_never_changes() {
    let function = Function::modulo((0..4).map(GroupIndex).collect(), 0);
    let mut counts = [0_u32; 4];
    for number in 0..4_000 {
        match function.place(format!("user-{number}").as_bytes(), idle) {
            Placed::Group(group) => counts[group.index()] += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(
        counts.iter().all(|count| (880..1120).contains(count)),
        "{counts:?}"
    );
    let pinned: Vec<Placed> = ["acme", "globex", "initech", "umbrella", "hooli"]
        .iter()
        .map(|key| function.place(key.as_bytes(), idle))
        .collect();
    assert_eq!(pinned, PINNED.map(group));
}

/// Where five names went when this was written; a change moves the data of every user.
const PINNED: [u32; 5] = [0, 0, 1, 2, 1];

const ALGORITHMS: [Algorithm; 4] = [
    Algorithm::Jump,
    Algorithm::Maglev,
    Algorithm::Rendezvous,
    Algorithm::Ring,
];

/// How many of 6,000 keys each of these groups gets.
fn spread(function: &Function, load_of: impl Fn(GroupIndex) -> u64 + Copy) -> [u32; 3] {
    let mut counts = [0; 3];
    for number in 0..6_000 {
        match function.place(format!("user-{number}").as_bytes(), load_of) {
            Placed::Group(group) => counts[group.index()] += 1,
            other => panic!("{other:?}"),
        }
    }
    counts
}

#[test]
fn hashes_spread_keys_by_weight() {
    for algorithm in ALGORITHMS {
        let groups = [
            ("a", GroupIndex(0), 1),
            ("b", GroupIndex(1), 2),
            ("c", GroupIndex(2), 0),
        ];
        let counts = spread(&Function::hash(algorithm, &groups, None, 0), idle);
        assert_eq!(counts[2], 0, "{algorithm:?}");
        assert!(
            (1600..2400).contains(&counts[0]),
            "{algorithm:?} {counts:?}"
        );
    }
}

#[test]
fn a_group_over_its_bound_is_passed_over() {
    for algorithm in ALGORITHMS {
        let groups = [
            ("a", GroupIndex(0), 1),
            ("b", GroupIndex(1), 1),
            ("c", GroupIndex(2), 1),
        ];
        let busy = |group: GroupIndex| if group.0 == 1 { 100 } else { 10 };
        let bounded = Function::hash(algorithm, &groups, Some(125), 0);
        let free = Function::hash(algorithm, &groups, None, 0);
        assert_eq!(
            spread(&bounded, idle),
            spread(&free, idle),
            "nobody is over it when idle"
        );
        let counts = spread(&bounded, busy);
        assert_eq!(counts[1], 0, "{algorithm:?}");
        for number in 0..500 {
            let key = format!("user-{number}").into_bytes();
            let home = free.place(&key, idle);
            if home != group(1) {
                assert_eq!(
                    bounded.place(&key, busy),
                    home,
                    "others stay where they are"
                );
            }
        }
    }
}

#[test]
fn the_order_of_groups_counts_for_jump_only() {
    let one = [
        ("a", GroupIndex(0), 1),
        ("b", GroupIndex(1), 1),
        ("c", GroupIndex(2), 1),
    ];
    let mut other = one;
    other.reverse();
    for algorithm in [Algorithm::Maglev, Algorithm::Rendezvous, Algorithm::Ring] {
        let (one, other) = (
            Function::hash(algorithm, &one, None, 0),
            Function::hash(algorithm, &other, None, 0),
        );
        for number in 0..500 {
            let key = format!("user-{number}").into_bytes();
            assert_eq!(
                one.place(&key, idle),
                other.place(&key, idle),
                "{algorithm:?}"
            );
        }
    }
}

proptest! {
    #[test]
    fn ranges_are_searched_rightly(
        ends in prop::collection::btree_set(-50_i64..50, 0..12),
        key in -60_i64..60,
    ) {
        let ends: Vec<i64> = ends.into_iter().collect();
        let ranges: Vec<(i64, i64)> = ends.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        let expected = ranges.iter().position(|(from, to)| (*from..=*to).contains(&key));
        let expected = expected.map_or(Placed::Nowhere, |place| group(place as u32));
        prop_assert_eq!(integers(&ranges).place(key.to_string().as_bytes(), idle), expected);
    }

    #[test]
    fn remainders_are_right(key in any::<i128>(), count in 1_u64..1000) {
        let expected = u64::try_from(key.rem_euclid(i128::from(count))).unwrap();
        prop_assert_eq!(remainder(key.to_string().as_bytes(), count), Some(expected));
    }

    #[test]
    fn text_ranges_are_searched_rightly(
        ends in prop::collection::btree_set("[ab]{0,3}", 0..8),
        key in "[abc]{0,4}",
    ) {
        let ends: Vec<String> = ends.into_iter().collect();
        let ranges: Vec<(&str, Option<&str>)> =
            ends.chunks_exact(2).map(|pair| (&*pair[0], Some(&*pair[1]))).collect();
        let expected = ranges
            .iter()
            .position(|(from, to)| *from <= &*key && to.is_none_or(|to| &*key < to));
        let expected = expected.map_or(Placed::Nowhere, |place| group(place as u32));
        prop_assert_eq!(texts(&ranges).place(key.as_bytes(), idle), expected);
    }
}
