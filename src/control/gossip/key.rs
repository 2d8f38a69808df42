//! What a backend is known by on every node, whatever place it has in a table.

use xxhash_rust::xxh3::Xxh3;

/// A number of these texts, told apart by where each ends.
pub(in crate::control) fn key_of(texts: &[&str]) -> u64 {
    let mut hasher = Xxh3::new();
    for text in texts {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.digest()
}
