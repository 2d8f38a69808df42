//! The TCP relay.

mod backpressure;
mod bulk;
mod closing;
mod connecting;
mod limits;
