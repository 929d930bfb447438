//! What arrives from the broker goes to the hub, in order and without a gap.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::follow_index::FollowIndex;
use crate::domain::namespace::Namespaces;
use crate::domain::publication::Delivery;
use crate::hub::{Arrival, Hub};
use crate::ports::broker::{Broker, HistoryQuery, Retention};

/// Hands deliveries to the hub. One that did not arrive is read from the
/// history; where that is not possible, the subscribers are told.
pub struct Inbound {
    hub: Arc<Hub>,
    broker: Arc<dyn Broker>,
    namespaces: Arc<Namespaces>,
    follows: Arc<FollowIndex>,
}

impl Inbound {
    /// An inbound relay that serves `hub`.
    pub fn new(
        hub: Arc<Hub>,
        broker: Arc<dyn Broker>,
        namespaces: Arc<Namespaces>,
        follows: Arc<FollowIndex>,
    ) -> Self {
        Self { hub, broker, namespaces, follows }
    }

    /// Serves until the broker is gone.
    pub async fn run(self, mut deliveries: mpsc::Receiver<Delivery>) {
        while let Some(delivery) = deliveries.recv().await {
            match self.hub.registry().observe(&delivery) {
                Arrival::Next => self.hand_over(delivery).await,
                Arrival::Gap(since) => self.fill(since, delivery).await,
                Arrival::NewEpoch => self.hub.invalidate(&delivery.channel).await,
                Arrival::Repeat | Arrival::Unwanted => {}
            }
        }
    }

    /// Delivers what is missing between `since` and `delivery`, and then that.
    async fn fill(&self, since: u64, delivery: Delivery) {
        let missing = delivery.publication.offset - since - 1;
        tracing::debug!(channel = %delivery.channel, missing, "publications did not arrive");
        let retention = self.namespaces.options(&delivery.channel).and_then(Retention::of);
        let Some(retention) = retention else {
            return self.hub.invalidate(&delivery.channel).await;
        };
        let limit = usize::try_from(missing).unwrap_or(usize::MAX).min(retention.size);
        let query = HistoryQuery { since: Some(since), limit, reverse: false };
        let page = match self.broker.history(&delivery.channel, retention, &query).await {
            Ok(page) if Some(&page.top.epoch) == delivery.epoch.as_ref() => page,
            Ok(_) => return self.hub.invalidate(&delivery.channel).await,
            Err(error) => {
                tracing::warn!(%error, channel = %delivery.channel, "could not read what did not arrive");
                return self.hub.invalidate(&delivery.channel).await;
            }
        };
        let whole = page.publications.first().is_some_and(|first| first.offset == since + 1)
            && page.publications.len() as u64 == missing;
        if !whole {
            return self.hub.invalidate(&delivery.channel).await;
        }
        for publication in page.publications {
            let (channel, epoch) = (delivery.channel.clone(), delivery.epoch.clone());
            self.hand_over(Delivery { channel, epoch, publication }).await;
        }
        self.hand_over(delivery).await;
    }

    async fn hand_over(&self, delivery: Delivery) {
        self.follows.hear(&delivery).await;
        self.hub.deliver(delivery).await;
    }
}

#[cfg(test)]
mod tests;
