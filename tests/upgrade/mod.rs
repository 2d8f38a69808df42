//! One process takes over from another while clients ask: no connection is refused, no request
//! fails, and nothing that was acknowledged is forgotten.

mod failing;
mod handing;
mod knowing;
pub mod load;
mod supervised;
mod under_load;
