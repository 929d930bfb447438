//! Reads what announcements tell beside their event.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::{try_join, try_join3};

use crate::domain::announcement::{Audience, Needs, Present, body_for};
use crate::domain::channel::ChannelName;
use crate::domain::event::Event;
use crate::domain::notification::notices_of;
use crate::domain::publication::PublicationBody;

use super::StoreError;
use super::content::Content;
use super::event_log::RelayedEvent;
use super::inbox::{Inbox, Told};

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

    /// Puts what follows from `events` into inboxes, and reads what their announcements need.
    pub async fn prepare<'a>(
        &self,
        events: impl IntoIterator<Item = &'a Event> + Clone,
    ) -> Result<Present, StoreError> {
        let notices: Vec<_> = events.clone().into_iter().flat_map(notices_of).collect();
        let put = async {
            if notices.is_empty() { Ok(Told::default()) } else { self.inbox.put(&notices).await }
        };
        // All at once, for the relay waits; the inboxes answer for themselves.
        let (present, told) = try_join(self.find(Needs::of(events).but_of(&notices)), put).await?;
        let Present { counts, mut notifications, mut inboxes } = present;
        notifications.extend(told.items);
        inboxes.extend(told.states);
        Ok(Present { counts, notifications, inboxes })
    }

    async fn find(&self, needs: Needs) -> Result<Present, StoreError> {
        let Needs { posts, notifications, inboxes } = &needs;
        // All at once, for the relay waits; and nothing of a store that nothing is needed of.
        let counts = async {
            if posts.is_empty() { Ok(HashMap::new()) } else { self.content.counts(posts).await }
        };
        let items = async {
            match notifications.is_empty() {
                true => Ok(HashMap::new()),
                false => self.inbox.items(notifications).await,
            }
        };
        let states = async {
            if inboxes.is_empty() { Ok(HashMap::new()) } else { self.inbox.states(inboxes).await }
        };
        let (counts, notifications, inboxes) = try_join3(counts, items, states).await?;
        Ok(Present { counts, notifications, inboxes })
    }
}
