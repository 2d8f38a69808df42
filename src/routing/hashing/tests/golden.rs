//! Placements pinned: the first choices for twenty hashes and the order of candidates for one, by
//! algorithm, for 10 and 1000 members, equal ones and with weights. Nodes of different builds must
//! agree, so a change of a function fails here. If it is meant, it is a change of every node at
//! once, and caches behind weir begin anew; then the numbers below may change.

use super::{ALGORITHMS, SEED, hashes, members, mixed, ordinals};
use crate::routing::hashing::{Algorithm, Member, Placement};

struct Pinned {
    algorithm: Algorithm,
    members: usize,
    mixed: bool,
    firsts: [u32; 20],
    order: [u32; 10],
}

fn given(pinned: &Pinned) -> Vec<Member> {
    let weights = match pinned.mixed {
        true => mixed(pinned.members).collect(),
        false => vec![1; pinned.members],
    };
    match pinned.algorithm {
        Algorithm::Jump => ordinals(weights),
        _ => members(SEED, weights),
    }
}

#[test]
fn placements_are_what_they_were() {
    for pinned in &PINNED {
        let placement = Placement::new(pinned.algorithm, &given(pinned));
        assert_eq!(placement.algorithm(), pinned.algorithm);
        let name = format!("{:?}, {} members", pinned.algorithm, pinned.members);
        let found: Vec<u32> = hashes(SEED, 20)
            .map(|hash| placement.lookup(hash).unwrap())
            .collect();
        assert_eq!(found, pinned.firsts, "{name}");
        let hash = hashes(SEED, 1).next().unwrap();
        let found: Vec<u32> = placement.candidates(hash).take(10).collect();
        assert_eq!(found, pinned.order, "{name}");
    }
}

#[test]
fn every_algorithm_is_pinned() {
    for algorithm in ALGORITHMS {
        let pinned = PINNED.iter().filter(|pinned| pinned.algorithm == algorithm);
        assert_eq!(pinned.count(), 4);
    }
}

const PINNED: [Pinned; 16] = [
    Pinned {
        algorithm: Algorithm::Jump,
        members: 10,
        mixed: false,
        firsts: [8, 6, 3, 6, 5, 6, 8, 4, 6, 5, 4, 7, 5, 0, 6, 6, 6, 0, 7, 2],
        order: [8, 7, 0, 4, 6, 9, 2, 3, 5, 1],
    },
    Pinned {
        algorithm: Algorithm::Jump,
        members: 10,
        mixed: true,
        firsts: [3, 2, 7, 3, 7, 2, 3, 5, 7, 4, 7, 7, 7, 8, 2, 5, 2, 0, 2, 1],
        order: [3, 0, 6, 7, 1, 5, 9, 2, 4, 8],
    },
    Pinned {
        algorithm: Algorithm::Jump,
        members: 1000,
        mixed: false,
        firsts: [
            15, 572, 480, 427, 434, 61, 119, 957, 68, 224, 679, 114, 704, 811, 885, 445, 200, 674,
            232, 300,
        ],
        order: [15, 933, 195, 514, 23, 957, 765, 719, 441, 224],
    },
    Pinned {
        algorithm: Algorithm::Jump,
        members: 1000,
        mixed: true,
        firsts: [
            531, 352, 983, 783, 515, 14, 822, 450, 15, 859, 926, 26, 425, 911, 198, 738, 817, 407,
            659, 67,
        ],
        order: [531, 207, 43, 847, 6, 214, 616, 159, 762, 871],
    },
    Pinned {
        algorithm: Algorithm::Maglev,
        members: 10,
        mixed: false,
        firsts: [2, 0, 8, 8, 2, 0, 9, 0, 9, 0, 9, 0, 1, 6, 7, 0, 1, 2, 2, 1],
        order: [2, 3, 6, 0, 1, 7, 8, 4, 9, 5],
    },
    Pinned {
        algorithm: Algorithm::Maglev,
        members: 10,
        mixed: true,
        firsts: [2, 0, 2, 8, 2, 0, 3, 2, 3, 6, 7, 7, 1, 6, 7, 0, 1, 2, 6, 3],
        order: [2, 3, 7, 6, 0, 1, 9, 4, 5, 8],
    },
    Pinned {
        algorithm: Algorithm::Maglev,
        members: 1000,
        mixed: false,
        firsts: [
            220, 9, 114, 310, 98, 493, 675, 244, 883, 397, 181, 987, 563, 770, 332, 927, 140, 2,
            537, 314,
        ],
        order: [220, 764, 145, 568, 115, 392, 645, 525, 729, 831],
    },
    Pinned {
        algorithm: Algorithm::Maglev,
        members: 1000,
        mixed: true,
        firsts: [
            798, 319, 114, 735, 98, 447, 675, 244, 883, 207, 10, 987, 327, 770, 332, 927, 367, 2,
            537, 314,
        ],
        order: [798, 750, 690, 127, 115, 392, 645, 439, 729, 831],
    },
    Pinned {
        algorithm: Algorithm::Rendezvous,
        members: 10,
        mixed: false,
        firsts: [3, 3, 7, 7, 5, 3, 3, 3, 4, 6, 6, 2, 5, 5, 2, 6, 2, 6, 9, 1],
        order: [3, 2, 7, 5, 0, 8, 6, 1, 4, 9],
    },
    Pinned {
        algorithm: Algorithm::Rendezvous,
        members: 10,
        mixed: true,
        firsts: [3, 3, 7, 7, 7, 3, 3, 3, 4, 6, 6, 3, 3, 7, 2, 6, 2, 6, 7, 2],
        order: [3, 2, 7, 6, 5, 1, 0, 9, 8, 4],
    },
    Pinned {
        algorithm: Algorithm::Rendezvous,
        members: 1000,
        mixed: false,
        firsts: [
            180, 106, 660, 924, 728, 356, 335, 320, 375, 278, 20, 964, 236, 522, 5, 24, 575, 823,
            741, 113,
        ],
        order: [180, 918, 678, 818, 147, 703, 879, 108, 103, 696],
    },
    Pinned {
        algorithm: Algorithm::Rendezvous,
        members: 1000,
        mixed: true,
        firsts: [
            103, 106, 91, 679, 43, 19, 335, 320, 375, 278, 859, 947, 718, 522, 966, 543, 575, 823,
            186, 710,
        ],
        order: [103, 918, 678, 818, 147, 703, 879, 511, 399, 209],
    },
    Pinned {
        algorithm: Algorithm::Ring,
        members: 10,
        mixed: false,
        firsts: [2, 2, 4, 1, 9, 0, 1, 1, 8, 2, 6, 6, 3, 3, 7, 9, 6, 6, 0, 7],
        order: [2, 3, 0, 9, 6, 7, 4, 5, 1, 8],
    },
    Pinned {
        algorithm: Algorithm::Ring,
        members: 10,
        mixed: true,
        firsts: [3, 6, 4, 1, 3, 2, 6, 2, 6, 7, 3, 6, 2, 7, 3, 1, 9, 2, 7, 7],
        order: [3, 6, 1, 2, 7, 9, 0, 4, 5, 8],
    },
    Pinned {
        algorithm: Algorithm::Ring,
        members: 1000,
        mixed: false,
        firsts: [
            336, 686, 392, 500, 639, 289, 842, 388, 138, 150, 595, 845, 522, 964, 540, 299, 444,
            402, 906, 32,
        ],
        order: [336, 840, 653, 59, 308, 317, 83, 101, 622, 11],
    },
    Pinned {
        algorithm: Algorithm::Ring,
        members: 1000,
        mixed: true,
        firsts: [
            336, 159, 991, 362, 479, 53, 347, 951, 143, 150, 230, 946, 522, 47, 326, 830, 886, 386,
            267, 675,
        ],
        order: [336, 203, 718, 627, 840, 658, 978, 653, 419, 59],
    },
];
