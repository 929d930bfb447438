//! What follows from the log beside the request path: the analytics, and the
//! ends that a crash left loose.

pub mod analytics_batch;
pub mod audit;
pub mod catch_up;
pub mod rebuild;
pub mod takeover;
pub mod trending;

#[cfg(test)]
mod tests;
