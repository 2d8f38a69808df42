//! The simulator: what a policy would do to a fleet, in virtual time.
//!
//! It imagines backends, clients and failures, and nothing else: tables are planned from a checked
//! configuration, picks, loads, standings, ejection, trials, slow start and budgets of retries are
//! those of the product. It may import only what is pure, and that it compiles is the proof that
//! the logic is. Models of other balancers stand beside it in `rivals`, to compare with.
//!
//! Time is virtual and chance comes from a seed, so a run is repeated exactly by its scenario, the
//! one who chooses, and its seed.

mod agenda;
mod balancer;
mod chance;
mod keeper;
mod outcome;
pub mod plot;
pub mod replay;
mod rivals;
pub mod scenario;
mod server;
mod site;
pub mod summary;
#[cfg(test)]
mod tests;
mod world;

pub use chance::Work;
pub use outcome::{Failed, Outcome, Seen};
pub use scenario::{Entrant, Scenario};
pub use server::Discipline;
pub use world::{Run, Told};
