//! The addresses that connections to backends come from: single ones and prefixes.

use std::net::IpAddr;

use super::super::checked::SourcePrefix;
use super::super::problem::Problems;
use super::super::raw::Texts;

/// Addresses of one prefix; more ports than these have are in no machine.
const HOST_BITS_MAX: u8 = 16;
/// Entries of one group.
const ENTRIES_MAX: usize = 256;

pub(super) fn check(written: &Texts, problems: &mut Problems<'_>) -> Vec<SourcePrefix> {
    let Some(list) = written else {
        return Vec::new();
    };
    if list.value.len() > ENTRIES_MAX {
        let fix = format!("write at most {ENTRIES_MAX}, or a prefix such as \"10.0.0.0/28\"");
        problems.error(&list.at, "too many addresses", fix);
        return Vec::new();
    }
    let mut checked: Vec<SourcePrefix> = Vec::new();
    for entry in &list.value {
        match prefix(&entry.value) {
            Ok(prefix) if checked.contains(&prefix) => {
                let what = format!("{:?} is there twice", entry.value);
                problems.error(&entry.at, what, "remove one");
            }
            Ok(prefix) => checked.push(prefix),
            Err((what, fix)) => {
                problems.error(&entry.at, format!("{:?} {what}", entry.value), fix);
            }
        }
    }
    checked
}

fn prefix(text: &str) -> Result<SourcePrefix, (String, String)> {
    let fix = "write an IP address of this machine, or a prefix such as \"10.0.0.0/28\"";
    let refused = |what: &str| (what.to_owned(), fix.to_owned());
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address
        .parse()
        .map_err(|_| refused("is not an IP address, nor a prefix of some"))?;
    if address.is_unspecified() || address.is_multicast() {
        return Err(refused("is no address a connection can come from"));
    }
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => width,
        Some(bits) => match bits.parse::<u8>() {
            Ok(bits) if bits <= width => bits,
            _ => return Err(refused("is not a prefix")),
        },
    };
    if width - bits > HOST_BITS_MAX {
        let least = width - HOST_BITS_MAX;
        let fix = format!("write a prefix of at least {least} bits");
        return Err(("stands for too many addresses".to_owned(), fix));
    }
    Ok(SourcePrefix { address, bits })
}
