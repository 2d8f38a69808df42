//! What is said of a backend's drain: since when it drains, and when those who stick to it are let
//! go. Times count from 1970, so that they mean the same on every node and after a restart.

use std::time::Duration;

/// When those who stick to a backend that drains are let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainEnd {
    /// At this time.
    At(Duration),
    /// Not as long as it drains.
    Never,
}

/// What is said of one drain; what is not said is as its group has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainTerms {
    /// Since when it drains.
    pub since: Option<Duration>,
    /// When it ends for those who stick.
    pub end: Option<DrainEnd>,
}
