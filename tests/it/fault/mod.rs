//! What must hold when something breaks, and what must be on disk before somebody is told that it is.

mod durability;
mod failpoints;
mod half_request;
mod large_past;
mod redis_cluster;
mod redis_failover;
mod redis_lost_message;
mod redis_outages;
mod redis_traffic;
mod regressions;
mod store_outages;
mod trace;
