//! What weir says about itself: metrics that equal what was sent, and one log line for each
//! request.

mod access_log;
mod counts;
mod decisions;
mod routes;
mod traces;
mod truth;
