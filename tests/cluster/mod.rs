//! Several nodes that share a store in etcd: what one is told all serve, and none needs etcd to
//! serve.

mod store;
