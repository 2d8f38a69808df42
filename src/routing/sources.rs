//! The addresses of this node that connections to a group's backends come from.
//!
//! A connection to one backend takes one of the some 64,000 ports of the address it comes from, so
//! several addresses are several times as many connections. They take turns; one whose ports are
//! all in use is passed over. A backend of the other family of addresses is reached from whatever
//! address the kernel chooses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses of both families, as ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    v4: Box<[Range]>,
    v6: Box<[Range]>,
}

/// So many addresses from this on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: u128,
    count: u32,
}

impl Sources {
    /// Those of prefixes: an address of it, and how many bits it has. A prefix of more than one
    /// IPv4 address stands for those a host can have: without the first and the last, unless there
    /// are only two.
    #[must_use]
    pub fn of(prefixes: impl Iterator<Item = (IpAddr, u8)>) -> Sources {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (address, bits) in prefixes {
            match address {
                IpAddr::V4(address) => v4.push(range(u128::from(address.to_bits()), 32, bits)),
                IpAddr::V6(address) => v6.push(range(address.to_bits(), 128, bits)),
            }
        }
        Sources {
            v4: v4.into(),
            v6: v6.into(),
        }
    }

    /// How many there are for a backend with an address of this family.
    #[must_use]
    pub fn count(&self, is_v4: bool) -> u32 {
        let ranges = if is_v4 { &self.v4 } else { &self.v6 };
        let counts = ranges.iter().map(|range| range.count);
        counts.fold(0, u32::saturating_add)
    }

    /// The one at `turn`, counted round and round; `None` where there is none.
    #[must_use]
    pub fn at(&self, is_v4: bool, turn: u32) -> Option<IpAddr> {
        let ranges = if is_v4 { &self.v4 } else { &self.v6 };
        let mut left = turn.checked_rem(self.count(is_v4))?;
        for range in ranges {
            if left < range.count {
                let address = range.first + u128::from(left);
                return Some(match u32::try_from(address) {
                    Ok(bits) if is_v4 => IpAddr::V4(Ipv4Addr::from_bits(bits)),
                    _ => IpAddr::V6(Ipv6Addr::from_bits(address)),
                });
            }
            left -= range.count;
        }
        None
    }
}

fn range(address: u128, width: u8, bits: u8) -> Range {
    let host_bits = u32::from(width.saturating_sub(bits)).min(31);
    let all = 1_u32 << host_bits;
    let first = address >> host_bits << host_bits;
    match host_bits {
        0 => Range { first, count: 1 },
        2.. if width == 32 => Range {
            first: first + 1,
            count: all - 2,
        },
        _ => Range { first, count: all },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(prefixes: &[&str], is_v4: bool) -> Vec<String> {
        let parsed = prefixes.iter().map(|text| {
            let (address, bits) = text.split_once('/').unwrap();
            (address.parse().unwrap(), bits.parse().unwrap())
        });
        let sources = Sources::of(parsed);
        let turns = 0..sources.count(is_v4);
        turns
            .map(|turn| sources.at(is_v4, turn).unwrap().to_string())
            .collect()
    }

    #[test]
    fn a_prefix_is_the_addresses_a_host_can_have() {
        assert_eq!(all(&["10.0.0.7/32"], true), ["10.0.0.7"]);
        assert_eq!(all(&["10.0.0.7/31"], true), ["10.0.0.6", "10.0.0.7"]);
        assert_eq!(all(&["10.0.0.7/30"], true), ["10.0.0.5", "10.0.0.6"]);
        assert_eq!(all(&["10.0.0.0/24"], true).len(), 254);
        assert_eq!(all(&["fd00::5/127"], false), ["fd00::4", "fd00::5"]);
        assert_eq!(all(&["fd00::5/126"], false).len(), 4);
    }

    #[test]
    fn families_are_apart_and_turns_go_round() {
        let mixed = ["127.0.0.2/32", "::1/128", "127.0.0.9/32"];
        assert_eq!(all(&mixed, true), ["127.0.0.2", "127.0.0.9"]);
        assert_eq!(all(&mixed, false), ["::1"]);
        let one: IpAddr = "127.0.0.2".parse().unwrap();
        let sources = Sources::of([(one, 32)].into_iter());
        assert_eq!(sources.at(true, u32::MAX), Some(one));
        assert_eq!(sources.at(false, 0), None);
        assert_eq!(Sources::default().at(true, 3), None);
    }
}
