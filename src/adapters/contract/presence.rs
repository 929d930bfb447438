//! What adapters of [`Presence`] are held to.

use crate::domain::channel::ChannelName;
use crate::domain::ids::ClientId;
use crate::domain::publication::ClientInfo;
use crate::ports::presence::{Presence, PresenceStats};

use super::{Subject, race};

/// Makes a test of each promise.
macro_rules! presence_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::presence,
            $factory,
            [
                a_channel_has_nobody_until_someone_is_added,
                a_client_is_there_until_it_is_removed,
                adding_again_renews_and_counts_once,
                removing_who_is_not_there_is_no_error,
                users_are_counted_once_and_all_anonymous_ones_as_one,
                channels_are_told_apart,
                racing_clients_are_all_there,
            ]
        );
    };
}
pub(crate) use presence_contract;

type Factory = Subject<dyn Presence>;

fn client(n: u8) -> ClientId {
    ClientId::from_random([n; 16])
}

pub(super) fn info(n: u8, user: &str) -> ClientInfo {
    ClientInfo {
        user: user.into(),
        client: client(n).to_string(),
        conn_info: None,
        chan_info: None,
    }
}

async fn listed(presence: &dyn Presence, channel: &ChannelName) -> Vec<ClientInfo> {
    let mut list = presence.list(channel).await.unwrap();
    list.sort_by(|a, b| a.client.cmp(&b.client));
    list
}

async fn stats(presence: &dyn Presence, channel: &ChannelName) -> (u64, u64) {
    let PresenceStats { clients, users } = presence.stats(channel).await.unwrap();
    (clients, users)
}

pub async fn a_channel_has_nobody_until_someone_is_added(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let feed = ChannelName::feed();
    assert_eq!(listed(&*port, &feed).await, []);
    assert_eq!(stats(&*port, &feed).await, (0, 0));
}

pub async fn a_client_is_there_until_it_is_removed(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let feed = ChannelName::feed();
    let (ada, bob) = (info(1, "42"), info(2, "43"));
    port.add(&feed, client(1), &ada).await.unwrap();
    port.add(&feed, client(2), &bob).await.unwrap();
    assert_eq!(listed(&*port, &feed).await, [ada, bob.clone()]);
    assert_eq!(stats(&*port, &feed).await, (2, 2));
    port.remove(&feed, client(1)).await.unwrap();
    assert_eq!(listed(&*port, &feed).await, [bob]);
    port.remove(&feed, client(2)).await.unwrap();
    assert_eq!(listed(&*port, &feed).await, []);
    assert_eq!(stats(&*port, &feed).await, (0, 0));
}

pub async fn adding_again_renews_and_counts_once(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let feed = ChannelName::feed();
    port.add(&feed, client(1), &info(1, "42")).await.unwrap();
    let renewed = info(1, "44");
    port.add(&feed, client(1), &renewed).await.unwrap();
    assert_eq!(listed(&*port, &feed).await, [renewed]);
    assert_eq!(stats(&*port, &feed).await, (1, 1));
}

pub async fn removing_who_is_not_there_is_no_error(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let feed = ChannelName::feed();
    port.remove(&feed, client(1)).await.unwrap();
    port.add(&feed, client(1), &info(1, "42")).await.unwrap();
    port.remove(&feed, client(2)).await.unwrap();
    assert_eq!(stats(&*port, &feed).await, (1, 1));
}

pub async fn users_are_counted_once_and_all_anonymous_ones_as_one(
    factory: impl AsyncFnOnce() -> Factory,
) {
    let Subject { port, keep: _keep } = factory().await;
    let feed = ChannelName::feed();
    for (n, user) in [(1, "42"), (2, "42"), (3, ""), (4, ""), (5, "43")] {
        port.add(&feed, client(n), &info(n, user)).await.unwrap();
    }
    assert_eq!(stats(&*port, &feed).await, (5, 3));
    port.remove(&feed, client(1)).await.unwrap();
    assert_eq!(stats(&*port, &feed).await, (4, 3), "the user has another connection");
}

pub async fn channels_are_told_apart(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let (feed, tag) = (ChannelName::feed(), ChannelName::tag("rust"));
    let ada = info(1, "42");
    port.add(&feed, client(1), &ada).await.unwrap();
    port.add(&tag, client(1), &ada).await.unwrap();
    port.remove(&feed, client(1)).await.unwrap();
    assert_eq!(listed(&*port, &feed).await, []);
    assert_eq!(listed(&*port, &tag).await, [ada]);
}

pub async fn racing_clients_are_all_there(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let presence = port.clone();
    race(move |n| {
        let presence = presence.clone();
        async move {
            let feed = ChannelName::feed();
            presence.add(&feed, client(n), &info(n, "42")).await.unwrap();
            // Every other one leaves, while others arrive.
            if n % 2 == 1 {
                presence.remove(&feed, client(n)).await.unwrap();
            }
        }
    })
    .await;
    assert_eq!(stats(&*port, &ChannelName::feed()).await, (8, 1));
}
