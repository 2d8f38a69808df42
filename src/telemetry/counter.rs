//! Counters with one writer and many readers.
//!
//! Each belongs to one core, which alone adds to it; the control thread reads it at any time.
//! With a single writer a relaxed load and a relaxed store are enough: no locked instruction and
//! no line shared between writers on the request path.
//!
//! Built with `--cfg weir_uncounted` nothing is counted: what counting costs is the difference,
//! which `benches/compare --only cost --weir-uncounted PATH` measures. Such a build is good for
//! nothing else, since health is judged by counts, too.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one. Only the owning core may call it.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `n`. Only the owning core may call it.
    #[inline]
    pub fn add(&self, n: u64) {
        if cfg!(weir_uncounted) {
            return;
        }
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Sets it, where it stands for what another process has counted. Only its owner may call it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// The present value, from any thread.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that rises and falls.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU32);

impl Gauge {
    /// One more. Only the owning core may call it.
    #[inline]
    pub fn up(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// One less. Only the owning core may call it.
    #[inline]
    pub fn down(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(1), Relaxed);
    }

    /// Sets it. Only the owning core may call it.
    #[inline]
    pub fn set(&self, value: u32) {
        self.0.store(value, Relaxed);
    }

    /// The present value, from any thread.
    #[inline]
    #[must_use]
    pub fn read(&self) -> u32 {
        self.0.load(Relaxed)
    }
}
