//! The subscriptions of one connection. `fred` says that SUBSCRIBE was written, not that the server
//! has done it; so the connection is given a name, and is asked for it behind every change: the
//! answer comes after what was asked before, and from the same connection only if it is that name.
//!
//! On a cluster each channel is subscribed to with the shard that has it, and SSUBSCRIBE is answered.

use std::time::Duration;

use fred::interfaces::{ClientInterface, ClientLike, ClusterInterface, PubsubInterface};
use fred::types::cluster::ClusterRouting;
use fred::types::config::Server;
use rustc_hash::FxHashMap;

use crate::domain::channel::ChannelName;
use crate::ports::StoreError;

use super::link::Link;
use super::unavailable;
use crate::adapters::redis::keys::Keys;

/// How many channels one SUBSCRIBE names.
const NAMED_MAX: usize = 500;
/// How many names are tried to find one that a server of a cluster has.
const NAMES_TRIED: u32 = 1_000;
/// How long the client may take to begin to connect again.
const RECONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// One connection's subscriptions.
pub(super) struct Session {
    link: Link,
    /// What the names of connections begin with.
    name: String,
    /// How many names were given.
    count: u64,
    /// The name of the connection; none if it was lost.
    current: Option<String>,
    /// On a cluster: which shard each audience is subscribed to with.
    shards: Option<FxHashMap<String, Option<Server>>>,
}

impl Session {
    /// A session that is not open yet.
    pub(super) fn new(link: Link, prefix: &str, name: &str, is_cluster: bool) -> Self {
        let name = format!("{prefix}subscriber-{name}");
        let shards = is_cluster.then(FxHashMap::default);
        Self { link, name, count: 0, current: None, shards }
    }

    /// Whether the subscriptions stand, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        self.current.is_some()
    }

    /// Takes note that the connection is another one, or none.
    pub(super) fn lose(&mut self) {
        self.current = None;
    }

    /// Gives the connection up.
    pub(super) async fn reconnect(&mut self) {
        self.lose();
        let reconnected = self.link.client.force_reconnection();
        if tokio::time::timeout(RECONNECT_PATIENCE, reconnected).await.is_err() {
            tracing::warn!("Redis takes long to connect to again");
        }
    }

    /// Subscribes to all of `audiences` on the connection that there is now.
    pub(super) async fn open(&mut self, audiences: Vec<String>) -> Result<(), StoreError> {
        self.lose();
        self.count += 1;
        let name = format!("{}-{}", self.name, self.count);
        if let Some(shards) = &mut self.shards {
            shards.clear();
        } else {
            let named = self.link.bounded().client_setname(name.as_str()).await;
            named.map_err(unavailable)?;
        }
        self.current = Some(name);
        self.change(audiences, Vec::new()).await
    }

    /// Subscribes and unsubscribes. If that fails, the session is lost.
    pub(super) async fn change(
        &mut self,
        join: Vec<String>,
        leave: Vec<String>,
    ) -> Result<(), StoreError> {
        let changed = match &self.shards {
            Some(_) => self.change_shards(join, leave).await,
            None => self.change_all(join, leave).await,
        };
        if changed.is_err() {
            self.lose();
        }
        changed
    }

    async fn change_all(&self, join: Vec<String>, leave: Vec<String>) -> Result<(), StoreError> {
        let Some(name) = &self.current else { return Err(lost()) };
        let client = self.link.bounded();
        for some in join.chunks(NAMED_MAX) {
            client.subscribe(some.to_vec()).await.map_err(unavailable)?;
        }
        for some in leave.chunks(NAMED_MAX) {
            client.unsubscribe(some.to_vec()).await.map_err(unavailable)?;
        }
        let answered: Option<String> = client.client_getname().await.map_err(unavailable)?;
        if answered.as_ref() == Some(name) { Ok(()) } else { Err(lost()) }
    }

    async fn change_shards(
        &mut self,
        join: Vec<String>,
        leave: Vec<String>,
    ) -> Result<(), StoreError> {
        if self.current.is_none() {
            return Err(lost());
        }
        for audience in join {
            // One at a time: the client takes the first answer of several for all of them.
            self.link.bounded().ssubscribe(audience.as_str()).await.map_err(unavailable)?;
            let shard = shard_of(&self.link, &audience);
            self.shards.get_or_insert_default().insert(audience, shard);
        }
        for audience in leave {
            self.link.bounded().sunsubscribe(audience.as_str()).await.map_err(unavailable)?;
            self.shards.get_or_insert_default().remove(&audience);
        }
        Ok(())
    }

    /// On a cluster, subscribes anew to what another shard has by now, and returns those channels.
    pub(super) async fn moved(&mut self, keys: &Keys) -> Result<Vec<ChannelName>, StoreError> {
        let Some(shards) = &self.shards else { return Ok(Vec::new()) };
        self.link.client.sync_cluster().await.map_err(unavailable)?;
        let Some(state) = self.link.client.cached_cluster_state() else { return Err(lost()) };
        let owner = |audience: &str| state.get_server(slot(audience)).cloned();
        let moved = shards.iter().filter(|(audience, shard)| owner(audience) != **shard);
        let moved: Vec<_> = moved.map(|(audience, _)| audience.clone()).collect();
        let channels = moved.iter().filter_map(|audience| keys.channel_of(audience)).collect();
        self.change(moved, Vec::new()).await?;
        Ok(channels)
    }

    /// Channels whose names begin with `base`, one with each server that has any channels.
    pub(super) fn probes(&self, base: &str, keys: &Keys) -> Vec<ChannelName> {
        let name = |n: u32| ChannelName::built_in(format!("{base}-{n}"));
        let state = self.shards.as_ref().and_then(|_| self.link.client.cached_cluster_state());
        let Some(state) = state else { return vec![name(0)] };
        let is_with = |server: &Server, channel: &ChannelName| {
            state.get_server(slot(&keys.audience(channel))) == Some(server)
        };
        let servers = state.unique_primary_nodes().into_iter();
        let named =
            servers.map(|server| (0..NAMES_TRIED).map(name).find(|it| is_with(&server, it)));
        // A server with very few slots may have none.
        named.flatten().collect()
    }
}

fn slot(audience: &str) -> u16 {
    ClusterRouting::hash_key(audience.as_bytes())
}

fn shard_of(link: &Link, audience: &str) -> Option<Server> {
    link.client.cached_cluster_state()?.get_server(slot(audience)).cloned()
}

fn lost() -> StoreError {
    unavailable("the connection that hears publications was lost")
}
