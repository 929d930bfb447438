//! The relay: takes committed events to the broker, and what the broker
//! delivers to the hub.

pub mod control;
pub mod follow_index;
pub mod inbound;
pub mod outbound;
pub mod publisher;
pub mod recorder;
