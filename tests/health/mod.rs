//! Health: what traffic shows of backends, and what becomes of requests meanwhile.

mod passive;
mod retries;
