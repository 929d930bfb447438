//! Who is subscribed to a channel, on all nodes.

use async_trait::async_trait;

use crate::domain::channel::ChannelName;
use crate::domain::ids::ClientId;
use crate::domain::publication::ClientInfo;

use super::StoreError;

/// How many are subscribed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PresenceStats {
    /// Connections.
    pub clients: u64,
    /// Distinct users among them; all anonymous ones count as one.
    pub users: u64,
}

/// Keeps the presence of channels whose namespace has `presence`.
#[async_trait]
pub trait Presence: Send + Sync {
    /// Adds a client, or renews it.
    async fn add(
        &self,
        channel: &ChannelName,
        client: ClientId,
        info: &ClientInfo,
    ) -> Result<(), StoreError>;

    /// Removes a client; no error if it is not there.
    async fn remove(&self, channel: &ChannelName, client: ClientId) -> Result<(), StoreError>;

    /// Everyone there, in no particular order.
    async fn list(&self, channel: &ChannelName) -> Result<Vec<ClientInfo>, StoreError>;

    /// How many are there.
    async fn stats(&self, channel: &ChannelName) -> Result<PresenceStats, StoreError>;
}
