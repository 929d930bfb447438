//! Whether a message comes through Pub/Sub: on the way that publications take, over connections of its own.

use std::time::Duration;

use fred::interfaces::{ClientLike, EventInterface, PubsubInterface};
use fred::types::Value;
use tokio::time::{Instant, timeout};

use crate::domain::channel::ChannelName;
use crate::ports::StoreError;

use super::link::{Ask, Link};
use super::unavailable;
use crate::adapters::redis::keys::Keys;
use crate::adapters::redis::options::RedisOptions;

/// How many messages may wait; there is one.
const MESSAGES_MAX: usize = 16;

/// Subscribes, sends itself a message, and returns how long that took to come. `name` is this call's alone.
pub(in crate::adapters::redis) async fn round_trip(
    options: &RedisOptions,
    name: &str,
) -> Result<Duration, StoreError> {
    let (listener, teller) =
        tokio::try_join!(Link::connect(options, MESSAGES_MAX), Link::connect(options, 1))?;
    let channel = ChannelName::built_in(format!("node:round-trip-{name}"));
    let audience = Keys::new(&options.prefix).audience(&channel);
    let mut messages = listener.client.message_rx();
    let client = listener.bounded();
    if options.is_cluster() {
        client.ssubscribe(audience.as_str()).await.map_err(unavailable)?;
    } else {
        client.subscribe(audience.as_str()).await.map_err(unavailable)?;
        // The client says that SUBSCRIBE was written; what is answered behind it says that it was done.
        let _behind: Value = client.ping(None).await.map_err(unavailable)?;
    }
    let sent = Instant::now();
    teller.ask(Ask::Send(audience.clone(), name.to_owned())).await?;
    let heard = async {
        loop {
            let message = messages.recv().await.map_err(unavailable)?;
            if message.channel == audience.as_str() {
                return Ok(());
            }
        }
    };
    match timeout(options.command_timeout, heard).await {
        Ok(heard) => heard.map(|()| sent.elapsed()),
        Err(_) => Err(unavailable("a message did not come through Pub/Sub")),
    }
}
