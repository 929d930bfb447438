//! What must hold when something breaks, and what must be on disk before somebody is told that it is.

mod durability;
mod failpoints;
mod half_request;
mod large_past;
mod regressions;
mod trace;
