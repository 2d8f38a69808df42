//! Composed logic, still pure: it joins what the leaf modules know and asks no clock, no socket.

pub mod planner;
pub mod registry;
