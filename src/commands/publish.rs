//! Publishes to channels directly, for a back end or a client.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::committer::Committer;
use crate::domain::channel::ChannelName;
use crate::domain::event::{Actor, BarePublication, Event, Fact};
use crate::domain::ids::EventId;
use crate::domain::namespace::Namespaces;
use crate::domain::problem::Problem;
use crate::domain::publication::{
    ClientInfo, Json, PublicationBody, PublishOptions, StreamPosition,
};
use crate::ports::broker::{Broker, Outgoing, Retention};
use crate::ports::clock::Clock;

/// What is published, to channels that the caller was allowed.
#[derive(Debug)]
pub struct Publishing {
    /// Each once, all of known namespaces.
    pub channels: Vec<ChannelName>,
    /// The payload.
    pub data: Json,
    /// Labels for the receiver.
    pub tags: BTreeMap<String, String>,
    /// The publishing client, if it is one.
    pub info: Option<ClientInfo>,
    /// The publishing user, if it is one.
    pub actor: Option<Actor>,
    /// How it is published.
    pub options: PublishOptions,
}

impl Publishing {
    /// The same as what happened in some of its channels.
    fn in_channels(&self, channels: Vec<ChannelName>) -> BarePublication {
        let Self { data, tags, info, options, .. } = self;
        let (data, tags, info, options) =
            (data.clone(), tags.clone(), info.clone(), options.clone());
        BarePublication { channels, data, tags, info, options }
    }
}

/// The command.
pub struct Publish {
    /// Makes durable publications durable.
    pub committer: Arc<Committer>,
    /// Takes the others at once.
    pub broker: Arc<dyn Broker>,
    /// Says which are which.
    pub namespaces: Arc<Namespaces>,
    /// Dates the event.
    pub clock: Arc<dyn Clock>,
}

impl Publish {
    /// Publishes, and returns where, channel by channel: `None` for a channel
    /// without history, for one whose history does not keep it or knows its version, and for
    /// one that was not relayed within the time that the settings allow.
    pub async fn run(
        &self,
        publishing: Publishing,
        event: EventId,
    ) -> Result<Vec<Option<StreamPosition>>, Problem> {
        let is_durable =
            |channel: &ChannelName| self.namespaces.options(channel).is_some_and(|o| o.durable);
        let (durable, passing): (Vec<_>, Vec<_>) =
            publishing.channels.iter().cloned().partition(is_durable);
        let mut durable_at = Vec::new();
        if !durable.is_empty() {
            let fact = Fact::ChannelPublished(publishing.in_channels(durable));
            let actor = publishing.actor.clone();
            let event = Event { id: event, actor, time: self.clock.now(), fact };
            durable_at = self.committer.commit(event).await?;
        }
        let passing_at = self.pass_on(passing, &publishing).await?;
        let (mut durable_at, mut passing_at) = (durable_at.into_iter(), passing_at.into_iter());
        let place = |channel: &ChannelName| {
            let places = if is_durable(channel) { &mut durable_at } else { &mut passing_at };
            places.next().flatten()
        };
        Ok(publishing.channels.iter().map(place).collect())
    }

    async fn pass_on(
        &self,
        channels: Vec<ChannelName>,
        publishing: &Publishing,
    ) -> Result<Vec<Option<StreamPosition>>, Problem> {
        if channels.is_empty() {
            return Ok(Vec::new());
        }
        let Publishing { data, tags, info, options, .. } = publishing;
        let (data, tags, info) = (data.clone(), tags.clone(), info.clone());
        let body = Arc::new(PublicationBody { data, info, tags, delta: options.delta });
        let outgoing = |channel| {
            let retention = self.namespaces.options(&channel).and_then(Retention::of);
            let retention = retention.filter(|_| !options.skip_history);
            let (body, version) = (Arc::clone(&body), options.version.clone());
            Outgoing { channel, event: None, body, retention, version }
        };
        let batch: Vec<_> = channels.into_iter().map(outgoing).collect();
        Ok(self.broker.publish(&batch).await?)
    }
}
