//! The TCP relay.

mod backend_limits;
mod backpressure;
mod bulk;
mod closing;
mod connecting;
mod handover;
mod limits;
mod placing;
mod sni;
mod sources;
