//! The admin API from outside: every verb, every refusal, what survives a kill.

mod conditions;
mod ctl;
mod described;
mod explain;
mod export;
mod handover;
mod objects;
mod overview;
mod plan;
mod security;
mod servers;
mod store;
mod transactions;
