//! The broker: carries publications between nodes and remembers the latest of each channel.

mod shortcut;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::channel::ChannelName;
use crate::domain::ids::EventId;
use crate::domain::namespace::ChannelOptions;
use crate::domain::publication::{
    Delivery, Passage, Publication, PublicationBody, StreamPosition, Version,
};

use super::StoreError;

pub use shortcut::Shortcut;

/// How much of a channel's past is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// At most this many publications.
    pub size: usize,
    /// None older than this.
    pub ttl: Duration,
}

impl Retention {
    /// What the options of a namespace ask for; `None` if they keep no history.
    pub fn of(options: &ChannelOptions) -> Option<Self> {
        let (size, ttl) = (options.history_size, options.history_ttl);
        options.keeps_history().then_some(Self { size, ttl })
    }
}

/// One publication to one channel.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Where to.
    pub channel: ChannelName,
    /// The event that it stands for; publishing the same event to the same
    /// channel again changes nothing while the history holds it.
    pub event: Option<EventId>,
    /// What it says.
    pub body: Arc<PublicationBody>,
    /// How much to keep; `None` for a channel without history, whose
    /// publications get no offset, and for one that the history is not to keep.
    pub retention: Option<Retention>,
    /// The version that it tells. Where the history knows one that it does not succeed, nothing is published.
    pub version: Option<Version>,
}

/// Which publications of the history to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Only those after this offset (before it, if reversed).
    pub since: Option<u64>,
    /// At most this many; 0 asks for the position alone.
    pub limit: usize,
    /// Latest first.
    pub reverse: bool,
}

/// A part of a channel's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPage {
    /// The top of the stream when the page was read.
    pub top: StreamPosition,
    /// Offsets up to this one were not published in this epoch: when it began,
    /// the adapter filled them in from the log with what earlier epochs held.
    pub seeded_through: u64,
    /// The lowest offset that the history still holds, or the one after the top.
    pub oldest: u64,
    /// The publications, in the order asked for.
    pub publications: Vec<Publication>,
    /// For how long nothing has been published in earlier epochs, at least. What was published in them and is
    /// not recorded yet may be on its way to the ledger for as long as [`RECORDED_WITHIN`].
    ///
    /// [`RECORDED_WITHIN`]: super::event_log::RECORDED_WITHIN
    pub age: Duration,
}

/// Channels whose deliveries were interrupted and come again: what was published meanwhile may be
/// missing. An adapter that can lose deliveries unnoticed tells so on a queue of its own, once it
/// delivers the channels again; comparing the tops of their streams with what subscribers have
/// then finds all that is missing. Channels that were unsubscribed meanwhile may be among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lapse {
    /// The channels, each once.
    pub channels: Vec<ChannelName>,
}

/// What the broker brings to a node on one of its channels.
#[derive(Clone, Debug)]
pub enum Arriving {
    /// Something was published.
    Publication(Delivery),
    /// Somebody came or went.
    Passage(Passage),
}

/// Publishes, remembers and delivers. Deliveries of the channels that this node
/// subscribed to arrive at the sink that the adapter was built with.
///
/// The publications of one channel arrive in the order of their offsets. One
/// may be lost between nodes, never silently: the next offset tells.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Publishes in the order given. Each entry is atomic: it gets the next
    /// offset, is remembered and is sent out, or an error is returned and this
    /// and later entries may or may not have taken place. Publishing the batch
    /// again is safe for entries with an event. Returns each entry's place: none without retention, and where a
    /// version was not published.
    async fn publish(&self, batch: &[Outgoing]) -> Result<Vec<Option<StreamPosition>>, StoreError>;

    /// Publishes as [`Broker::publish`] does, but only if nothing has to be waited for and little has to be done: it may be
    /// called on a thread that must not be held up. `None` if not; then nothing has taken place.
    fn publish_now(&self, outgoing: &Outgoing) -> Option<Option<StreamPosition>> {
        let _ = outgoing;
        None
    }

    /// Tells the nodes that are subscribed to the channel that somebody came or went, in order with publications.
    /// It is kept nowhere and gets no offset; one that is lost is lost.
    async fn announce(&self, passage: &Passage) -> Result<(), StoreError>;

    /// Starts deliveries; when it returns, nothing published later is missed.
    async fn subscribe(&self, channel: &ChannelName) -> Result<(), StoreError>;

    /// Stops deliveries; what is on its way may still arrive, or not.
    async fn unsubscribe(&self, channel: &ChannelName) -> Result<(), StoreError>;

    /// Forgets the publications of a channel's history. Offsets go on, and what recovers from the log still does.
    async fn clear(&self, channel: &ChannelName, retention: Retention) -> Result<(), StoreError>;

    /// Reads the history. A channel never published to begins its first epoch.
    async fn history(
        &self,
        channel: &ChannelName,
        retention: Retention,
        query: &HistoryQuery,
    ) -> Result<HistoryPage, StoreError>;
}
