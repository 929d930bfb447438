//! Presence on all nodes. This file uses `redis`, as all adapters of Redis do but the broker.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dashmap::DashMap;
use redis::Script;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::task::AbortHandle;

use super::commands::RedisCommands;
use crate::domain::channel::ChannelName;
use crate::domain::ids::ClientId;
use crate::domain::publication::ClientInfo;
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::presence::{Presence, PresenceStats};

/// How long a client is taken to be there after it was last renewed, unless it is said otherwise.
const EXPIRY: Duration = Duration::from_secs(60);
/// How often a client is renewed within that time.
const RENEWALS: u32 = 3;
/// How soon renewing is tried again after it failed.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// How many clients one script renews.
const RENEWED_MAX: usize = 256;

/// Who is subscribed, by channel and connection. Clients that this node added are renewed until it
/// removes them, so that they vanish with it, within the expiry, and come back when Redis forgot.
pub struct RedisPresence {
    store: Arc<Store>,
    renewing: AbortHandle,
}

struct Store {
    commands: Arc<RedisCommands>,
    /// Those whom this node added.
    own: DashMap<ChannelName, FxHashMap<ClientId, ClientInfo>>,
    present: Script,
    absent: Script,
    who: Script,
    expiry: Duration,
    /// The clock to go by instead of the server's, so that a test can let time pass.
    clock: Option<Arc<dyn Clock>>,
}

impl RedisPresence {
    /// Keeps presence where `commands` lead.
    pub fn new(commands: Arc<RedisCommands>) -> Self {
        Self::with(commands, EXPIRY, None)
    }

    /// The same, with another expiry, by another clock.
    pub(super) fn with(
        commands: Arc<RedisCommands>,
        expiry: Duration,
        clock: Option<Arc<dyn Clock>>,
    ) -> Self {
        let store = Arc::new(Store {
            commands,
            own: DashMap::default(),
            present: Script::new(include_str!("scripts/present.lua")),
            absent: Script::new(include_str!("scripts/absent.lua")),
            who: Script::new(include_str!("scripts/who.lua")),
            expiry,
            clock,
        });
        let renewing = tokio::spawn(renew(Arc::clone(&store))).abort_handle();
        Self { store, renewing }
    }
}

impl Drop for RedisPresence {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

/// Renews everyone, again and again. Where that fails it is tried again soon: those who expired
/// meanwhile, or were forgotten, are missing until then.
async fn renew(store: Arc<Store>) {
    let interval = store.expiry / RENEWALS;
    let mut wait = interval;
    loop {
        tokio::time::sleep(wait).await;
        wait = match store.renew_all().await {
            Ok(()) => interval,
            Err(error) => {
                tracing::debug!(%error, "presence waits for a store");
                interval.min(RETRY_DELAY)
            }
        };
    }
}

impl Store {
    fn keys_of(&self, channel: &ChannelName) -> [String; 2] {
        ["expiry", "present"].map(|name| self.commands.keys.of(channel, name))
    }

    fn now(&self) -> String {
        self.clock.as_ref().map_or(String::new(), |clock| clock.now().as_millis().to_string())
    }

    async fn put(
        &self,
        channel: &ChannelName,
        clients: &[(ClientId, ClientInfo)],
    ) -> Result<(), StoreError> {
        let mut arguments = vec![self.expiry.as_millis().to_string(), self.now()];
        for (client, info) in clients {
            arguments.push(client.to_string());
            arguments.push(serde_json::to_string(info).map_err(unreadable)?);
        }
        self.commands.run(&self.present, &self.keys_of(channel), &arguments).await
    }

    async fn take(&self, channel: &ChannelName, clients: &[ClientId]) -> Result<(), StoreError> {
        let clients: Vec<_> = clients.iter().map(ClientId::to_string).collect();
        self.commands.run(&self.absent, &self.keys_of(channel), &clients).await
    }

    async fn renew_all(&self) -> Result<(), StoreError> {
        let channels: Vec<_> = self.own.iter().map(|entry| entry.key().clone()).collect();
        for channel in channels {
            self.renew(&channel).await?;
        }
        Ok(())
    }

    async fn renew(&self, channel: &ChannelName) -> Result<(), StoreError> {
        let own = self.own.get(channel).map(|clients| clients.clone()).unwrap_or_default();
        let own: Vec<_> = own.into_iter().collect();
        for some in own.chunks(RENEWED_MAX) {
            self.put(channel, some).await?;
        }
        // Whoever was removed meanwhile may have been put back.
        let left = self.own.get(channel);
        let is_gone = |id: &ClientId| left.as_ref().is_none_or(|left| !left.contains_key(id));
        let gone: Vec<_> = own.iter().map(|(id, _)| *id).filter(is_gone).collect();
        drop(left);
        if gone.is_empty() { Ok(()) } else { self.take(channel, &gone).await }
    }

    fn forget(&self, channel: &ChannelName, client: ClientId) {
        if let Some(mut clients) = self.own.get_mut(channel) {
            clients.remove(&client);
        }
        self.own.remove_if(channel, |_, clients| clients.is_empty());
    }
}

#[async_trait]
impl Presence for RedisPresence {
    async fn add(
        &self,
        channel: &ChannelName,
        client: ClientId,
        info: &ClientInfo,
    ) -> Result<(), StoreError> {
        self.store.own.entry(channel.clone()).or_default().insert(client, info.clone());
        let added = self.store.put(channel, &[(client, info.clone())]).await;
        if added.is_err() {
            self.store.forget(channel, client);
        }
        added
    }

    async fn remove(&self, channel: &ChannelName, client: ClientId) -> Result<(), StoreError> {
        self.store.forget(channel, client);
        self.store.take(channel, &[client]).await
    }

    async fn list(&self, channel: &ChannelName) -> Result<Vec<ClientInfo>, StoreError> {
        let (store, keys) = (&self.store, self.store.keys_of(channel));
        let infos: Vec<String> = store.commands.run(&store.who, &keys, &[store.now()]).await?;
        infos.iter().map(|info| serde_json::from_str(info).map_err(unreadable)).collect()
    }

    async fn stats(&self, channel: &ChannelName) -> Result<PresenceStats, StoreError> {
        let list = self.list(channel).await?;
        let users: FxHashSet<&str> = list.iter().map(|info| info.user.as_str()).collect();
        Ok(PresenceStats { clients: list.len() as u64, users: users.len() as u64 })
    }
}

fn unreadable(error: serde_json::Error) -> StoreError {
    StoreError::Corrupt { store: "realtime", cause: error.to_string() }
}
