//! Presence within one node.

use async_trait::async_trait;
use dashmap::DashMap;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::domain::channel::ChannelName;
use crate::domain::ids::ClientId;
use crate::domain::publication::ClientInfo;
use crate::ports::StoreError;
use crate::ports::presence::{Presence, PresenceStats};

/// Who is subscribed, by channel and connection. The node that keeps it is the
/// node that it is about, so nothing in it needs to expire.
#[derive(Default)]
pub struct MemoryPresence {
    channels: DashMap<ChannelName, FxHashMap<ClientId, ClientInfo>>,
}

#[async_trait]
impl Presence for MemoryPresence {
    async fn add(
        &self,
        channel: &ChannelName,
        client: ClientId,
        info: &ClientInfo,
    ) -> Result<(), StoreError> {
        self.channels.entry(channel.clone()).or_default().insert(client, info.clone());
        Ok(())
    }

    async fn remove(&self, channel: &ChannelName, client: ClientId) -> Result<(), StoreError> {
        if let Some(mut clients) = self.channels.get_mut(channel) {
            clients.remove(&client);
        }
        self.channels.remove_if(channel, |_, clients| clients.is_empty());
        Ok(())
    }

    async fn list(&self, channel: &ChannelName) -> Result<Vec<ClientInfo>, StoreError> {
        Ok(self
            .channels
            .get(channel)
            .map(|clients| clients.values().cloned().collect())
            .unwrap_or_default())
    }

    async fn stats(&self, channel: &ChannelName) -> Result<PresenceStats, StoreError> {
        let Some(clients) = self.channels.get(channel) else {
            return Ok(PresenceStats::default());
        };
        let users: FxHashSet<&str> = clients.values().map(|info| info.user.as_str()).collect();
        Ok(PresenceStats { clients: clients.len() as u64, users: users.len() as u64 })
    }
}
