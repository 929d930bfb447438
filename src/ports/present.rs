//! Reads what announcements tell beside their event.

use std::sync::Arc;

use crate::domain::announcement::{Audience, Needs, Present, body_for};
use crate::domain::channel::ChannelName;
use crate::domain::event::Event;
use crate::domain::publication::PublicationBody;

use super::StoreError;
use super::content::Content;
use super::event_log::RelayedEvent;
use super::inbox::Inbox;

/// Reads the present from the stores that hold it.
#[derive(Clone)]
pub struct PresentReader {
    /// Counts of posts.
    pub content: Arc<dyn Content>,
    /// Inboxes.
    pub inbox: Arc<dyn Inbox>,
}

impl PresentReader {
    /// What `channel` is told of events that were relayed there before, as it
    /// would be told now.
    pub async fn bodies(
        &self,
        channel: &ChannelName,
        relayed: &[RelayedEvent],
    ) -> Result<Vec<Arc<PublicationBody>>, StoreError> {
        let audience = Audience::of(channel);
        let events = relayed.iter().map(|relayed| &relayed.event);
        let present = self.find(Needs::of_audience(events, audience)).await?;
        let body = |relayed: &RelayedEvent| body_for(&relayed.event, audience, &present);
        Ok(relayed.iter().map(body).collect())
    }

    /// What the announcements of `events` need, with one question a store.
    pub async fn read<'a>(
        &self,
        events: impl IntoIterator<Item = &'a Event>,
    ) -> Result<Present, StoreError> {
        self.find(Needs::of(events)).await
    }

    async fn find(&self, needs: Needs) -> Result<Present, StoreError> {
        let mut present = Present::default();
        if !needs.posts.is_empty() {
            present.counts = self.content.counts(&needs.posts).await?;
        }
        if !needs.notifications.is_empty() {
            present.notifications = self.inbox.items(&needs.notifications).await?;
        }
        if !needs.inboxes.is_empty() {
            present.inboxes = self.inbox.states(&needs.inboxes).await?;
        }
        Ok(present)
    }
}
