//! Several nodes: they know each other, what one is told all serve where they share a store in
//! etcd, and none needs etcd to serve.

mod agents;
mod changes;
mod contradicting;
mod health;
mod limits;
mod meeting;
mod monitor;
mod nodes;
mod security;
mod store;
mod verdicts;
mod waiting;
