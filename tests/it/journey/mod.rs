//! What users live through: hearing of each other, losing the network, a server that is killed.

mod browser;
mod community;
mod idempotency;
mod inbox;
mod k6;
mod news;
mod python;
mod recovery;
mod restart;
mod rpc;
mod sdk;
mod session;
mod transports;
mod trending;
