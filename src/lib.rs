pub mod base;
pub mod http;
