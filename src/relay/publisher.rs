//! Applies committed events to inboxes, channels and the trending tallies.

use std::sync::Arc;

use crate::domain::announcement::{self, Audience, Present};
use crate::domain::event::{Event, Fact};
use crate::domain::namespace::Namespaces;
use crate::domain::publication::{PublicationBody, StreamPosition};
use crate::domain::trending::tally_of;
use crate::ports::StoreError;
use crate::ports::broker::{Broker, Outgoing, Retention};
use crate::ports::event_log::RelayRecord;
use crate::ports::present::PresentReader;
use crate::ports::trending::Trending;

/// Where an event was published, channel by channel in the order of
/// [`announcement::channels_of`]; `None` for a channel without history, and for
/// an inbox that was not told.
pub type Positions = Vec<Option<StreamPosition>>;

/// Applies events. Doing it again with the same events changes nothing.
pub struct Publisher {
    /// Where to publish.
    pub broker: Arc<dyn Broker>,
    /// What each channel keeps.
    pub namespaces: Arc<Namespaces>,
    /// Where notifications are put, and what announcements tell beside their event.
    pub present: PresentReader,
    /// What interactions add to.
    pub trending: Arc<dyn Trending>,
}

impl Publisher {
    /// Applies events in order; returns where each was published, and what is to be recorded of it.
    ///
    /// Inboxes come first: whatever the broker does, the notification is there.
    pub async fn publish<'a>(
        &self,
        events: impl IntoIterator<Item = &'a Event> + Clone,
    ) -> Result<(Vec<Positions>, Vec<RelayRecord>), StoreError> {
        let present = match self.present.prepare(events.clone()).await {
            // What cannot be read today cannot be read tomorrow; nobody else must wait for it.
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!(%error, "events are told without what the content says of them");
                Present::default()
            }
            prepared => prepared?,
        };
        let (mut batch, mut places) = (Vec::new(), Vec::new());
        for event in events.clone() {
            places.push(self.add(event, &present, &mut batch));
        }
        let published = self.broker.publish(&batch).await?;
        let tallies = events.into_iter().filter_map(|event| Some((event.id, tally_of(event)?)));
        let tallies: Vec<_> = tallies.collect();
        if !tallies.is_empty() {
            self.trending.count(&tallies).await?;
        }
        let records = batch.iter().zip(&published);
        let records = records.filter_map(|(outgoing, at)| self.record(outgoing, at.as_ref()?));
        let records = records.collect();
        let mut published = published.into_iter();
        let mut position = |told: bool| if told { published.next().flatten() } else { None };
        let positions =
            places.into_iter().map(|told| told.into_iter().map(&mut position).collect());
        Ok((positions.collect(), records))
    }

    /// Adds what tells of an event to a batch; returns which of its channels are told.
    fn add(&self, event: &Event, present: &Present, batch: &mut Vec<Outgoing>) -> Vec<bool> {
        // Channels with the same audience share one body.
        let mut last: Option<(Audience, Arc<PublicationBody>)> = None;
        let (mut told, options) = (Vec::new(), event.fact.publish_options());
        for channel in announcement::channels_of(event) {
            let audience = match &event.fact {
                Fact::ChannelPublished(_) => Audience::Bare,
                _ => Audience::of(&channel),
            };
            told.push(announcement::is_told(event, audience, present));
            if told.last() == Some(&false) {
                continue;
            }
            let body = match last.take().filter(|(heard_by, _)| *heard_by == audience) {
                Some((_, body)) => body,
                None => announcement::body_for(event, audience, present),
            };
            last = Some((audience, Arc::clone(&body)));
            let retention = self.namespaces.options(&channel).and_then(Retention::of);
            let retention = retention.filter(|_| !options.is_some_and(|o| o.skip_history));
            let version = options.and_then(|options| options.version.clone());
            let event = Some(event.id);
            batch.push(Outgoing { channel, event, body, retention, version });
        }
        told
    }

    fn record(&self, outgoing: &Outgoing, position: &StreamPosition) -> Option<RelayRecord> {
        let options = self.namespaces.options(&outgoing.channel)?;
        let (channel, position) = (outgoing.channel.clone(), position.clone());
        options.recovers_from_log().then_some(RelayRecord {
            channel,
            position,
            event: outgoing.event?,
        })
    }
}
