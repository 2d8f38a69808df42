//! Shard rules: which group owns the slice of content a request belongs to.

pub mod key;
