//! Composed logic, still pure: it joins what the leaf modules know and asks no clock, no socket.

pub mod compare;
pub mod explain;
pub mod facts;
pub mod group_breaker;
pub mod judging;
pub mod planner;
pub mod registry;
pub mod trial;
