//! Nodes, as the server API tells of them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a node says of itself (`NodeResult` of Centrifugo's server API).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NodeInfo {
    /// Names the run of the node.
    pub uid: String,
    /// How it was named; the same as `uid`.
    pub name: String,
    /// The version that it runs.
    pub version: String,
    /// Connections.
    pub num_clients: u64,
    /// Users who are connected; all anonymous ones count as one.
    pub num_users: u64,
    /// Subscriptions.
    pub num_subs: u64,
    /// Channels with subscribers there.
    pub num_channels: u64,
    /// Seconds since it started.
    pub uptime: u64,
}
