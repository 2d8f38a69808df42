//! Every mistake is found, placed and told how to fix.
