//! What follows from the log beside the request path: the analytics, and the
//! ends that a crash left loose.

pub mod analytics_batch;
pub mod catch_up;
pub mod trending;

#[cfg(test)]
mod tests;
