//! The hash itself, against what another implementation answers.

use crate::routing::hashing::hash_key;

/// Answers of the reference implementation in C (0.8.4, through `python-xxhash`) for the first
/// bytes of 0, 1, 2 .. 255, 0, 1 ..: each length class of the function.
#[test]
fn the_hash_is_xxh3_with_a_seed() {
    let bytes: Vec<u8> = (0..2048_u32).map(|number| number as u8).collect();
    let golden = 0x9e37_79b9_7f4a_7c15;
    let vectors: [(u64, usize, u64); 12] = [
        (0, 0, 0x2d06_8005_38d3_94c2),
        (0, 128, 0x85c6_174c_7ff4_c46b),
        (0, 240, 0x375a_384d_957f_e865),
        (0, 241, 0x02e8_cd95_421c_6d02),
        (0, 2048, 0xdd42_0471_ff96_bd00),
        (1, 0, 0x4dc5_b0cc_826f_6703),
        (1, 240, 0x31a1_4c35_8e82_4be4),
        (1, 2048, 0x787b_7b15_4931_5898),
        (golden, 0, 0x602b_0e2c_d666_2c8b),
        (golden, 128, 0x77bf_9668_68f4_b200),
        (golden, 241, 0x1721_14de_208c_5a80),
        (golden, 2048, 0x7f73_8d38_5e51_6426),
    ];
    for (seed, length, hash) in vectors {
        assert_eq!(hash_key(seed, &bytes[..length]), hash, "{seed} {length}");
    }
    let vectors: [(u64, &[u8], u64); 8] = [
        (0, b"a", 0xe6c6_32b6_1e96_4e1f),
        (0, b"abc", 0x78af_5f94_892f_3950),
        (0, b"10.0.0.1:8080", 0xb655_a4a4_783c_5011),
        (0, b"0123456789abcdef", 0x6443_9946_d8fa_212d),
        (0, b"0123456789abcdefg", 0xd2e6_3ed5_466f_5c32),
        (1, b"abc", 0x6b44_67b4_43c7_6228),
        (1, b"10.0.0.1:8080", 0xf416_90d1_81e7_684e),
        (golden, b"0123456789abcdefg", 0xb355_dc16_3931_f56f),
    ];
    for (seed, bytes, hash) in vectors {
        assert_eq!(hash_key(seed, bytes), hash, "{seed} {bytes:?}");
    }
}
