//! Changing the configuration and ending the process while traffic runs.

mod draining;
mod refused;
mod swapping;
