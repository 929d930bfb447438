//! What users live through: hearing of each other, losing the network, a server that is killed.

mod idempotency;
mod news;
mod recovery;
mod restart;
mod sdk;
mod session;
