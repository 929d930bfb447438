//! Publishes to channels directly, for a back end or a client.

use std::collections::BTreeMap;
use std::iter::zip;
use std::sync::Arc;

use futures_util::future::join_all;

use super::committer::{Committer, Submitted};
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
#[derive(Clone, Debug)]
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

/// Where something was published, channel by channel.
pub type Places = Vec<Option<StreamPosition>>;

/// What is to be published, told apart by what becomes of it.
#[derive(Debug)]
pub struct Prepared {
    /// What happens in the durable channels, if there are any.
    durable: Option<Box<Event>>,
    /// What the broker takes at once for the others.
    passing: Vec<Outgoing>,
    /// For each channel, whether it is durable.
    is_durable: Vec<bool>,
}

/// A publication that goes on by itself.
pub enum Begun {
    /// It is done, and its only place is this.
    Done(Option<StreamPosition>),
    /// It will be in the log.
    Submitted(Submitted),
}

impl Begun {
    /// Waits for the end; returns what [`Publish::run`] does, or fewer places where there are none.
    pub async fn wait(self) -> Result<Places, Problem> {
        match self {
            Self::Done(place) => Ok(vec![place]),
            Self::Submitted(submitted) => submitted.wait().await,
        }
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
    pub async fn run(&self, publishing: Publishing, event: EventId) -> Result<Places, Problem> {
        self.finish(self.prepare(publishing, event)).await
    }

    /// Tells apart what becomes of a publication; `event` is what it is if it is durable.
    pub fn prepare(&self, publishing: Publishing, event: EventId) -> Prepared {
        let is_durable =
            |channel: &ChannelName| self.namespaces.options(channel).is_some_and(|o| o.durable);
        let is_durable: Vec<_> = publishing.channels.iter().map(is_durable).collect();
        let (durable, passing) = match is_durable.iter().filter(|is_durable| **is_durable).count() {
            0 => (None, self.passing(publishing)),
            count if count == is_durable.len() => {
                (Some(self.durable(publishing, event)), Vec::new())
            }
            _ => {
                let channels_that = |are: bool| {
                    let wanted =
                        zip(&publishing.channels, &is_durable).filter(|(_, is)| **is == are);
                    wanted.map(|(channel, _)| channel.clone()).collect()
                };
                let durable = Publishing { channels: channels_that(true), ..publishing.clone() };
                let passing = Publishing { channels: channels_that(false), ..publishing };
                (Some(self.durable(durable, event)), self.passing(passing))
            }
        };
        Prepared { durable, passing, is_durable }
    }

    /// Publishes at once what needs no wait: it is not durable, and the broker is in this process. Returns where, or `None`
    /// if it has to be waited for; then nothing has happened.
    pub fn now(&self, prepared: &Prepared) -> Option<Option<StreamPosition>> {
        match (&prepared.durable, &*prepared.passing) {
            (None, [outgoing]) => self.broker.publish_now(outgoing),
            _ => None,
        }
    }

    /// Begins what then goes on by itself, whoever waits for it. Gives back what somebody has to see to: then nothing has
    /// happened.
    pub fn begin(&self, prepared: Prepared) -> Result<Begun, Box<Prepared>> {
        match prepared {
            Prepared { durable: Some(event), passing, is_durable } if passing.is_empty() => {
                self.committer.submit(*event).map(Begun::Submitted).map_err(|event| {
                    Box::new(Prepared { durable: Some(event), passing, is_durable })
                })
            }
            prepared => self.now(&prepared).map(Begun::Done).ok_or_else(|| Box::new(prepared)),
        }
    }

    /// Publishes what one caller said together, in its order, and says what became of each. Where several that are durable,
    /// or several to one channel that are not, follow one another, the log or the broker takes them at once. A broker
    /// that fails has failed all of those, and none to other channels.
    pub async fn together(&self, all: Vec<Prepared>) -> Vec<Result<(), Problem>> {
        let mut outcomes = Vec::with_capacity(all.len());
        let mut rest = all.into_iter().peekable();
        while let Some(first) = rest.next() {
            let kind = first.kind();
            let mut run = vec![first];
            while let Some(next) = rest.next_if(|next| next.joins(&run[0])) {
                run.push(next);
            }
            match kind {
                Kind::Durable => outcomes.extend(self.commit(run).await),
                Kind::Passing => outcomes.extend(self.pass_on(run).await),
                Kind::Mixed => {
                    for one in run {
                        outcomes.push(self.finish(one).await.map(drop));
                    }
                }
            }
        }
        outcomes
    }

    /// Publishes what was prepared; see [`Publish::run`].
    pub async fn finish(&self, prepared: Prepared) -> Result<Places, Problem> {
        let Prepared { durable, passing, is_durable } = prepared;
        let mut durable_at = Vec::new();
        if let Some(event) = durable {
            durable_at = self.committer.commit(*event).await?;
        }
        let mut passing_at = Vec::new();
        if !passing.is_empty() {
            passing_at = self.broker.publish(&passing).await?;
        }
        let (mut durable_at, mut passing_at) = (durable_at.into_iter(), passing_at.into_iter());
        let place = |is_durable| {
            let places = if is_durable { &mut durable_at } else { &mut passing_at };
            places.next().flatten()
        };
        Ok(is_durable.into_iter().map(place).collect())
    }

    /// Commits events in their order, and waits for all of them. They crowd out none of their own: where the queue has no
    /// more room, those that are in it are waited for first.
    async fn commit(&self, run: Vec<Prepared>) -> Vec<Result<(), Problem>> {
        let (mut outcomes, mut waiting) = (Vec::with_capacity(run.len()), Vec::new());
        for mut event in run.into_iter().filter_map(|prepared| prepared.durable) {
            loop {
                match self.committer.submit(*event) {
                    Ok(submitted) => waiting.push(submitted),
                    Err(_) if waiting.is_empty() => outcomes.push(Err(self.committer.queue_full())),
                    Err(refused) => {
                        outcomes.extend(wait_for(std::mem::take(&mut waiting)).await);
                        event = refused;
                        continue;
                    }
                }
                break;
            }
        }
        outcomes.extend(wait_for(waiting).await);
        outcomes
    }

    async fn pass_on(&self, run: Vec<Prepared>) -> Vec<Result<(), Problem>> {
        let count = run.len();
        let batch: Vec<_> = run.into_iter().flat_map(|prepared| prepared.passing).collect();
        let outcome = self.broker.publish(&batch).await.map(drop).map_err(Problem::from);
        vec![outcome; count]
    }

    fn durable(&self, publishing: Publishing, id: EventId) -> Box<Event> {
        let Publishing { channels, data, tags, info, actor, options } = publishing;
        let fact = Fact::ChannelPublished(BarePublication { channels, data, tags, info, options });
        Box::new(Event { id, actor, time: self.clock.now(), fact })
    }

    fn passing(&self, publishing: Publishing) -> Vec<Outgoing> {
        let Publishing { channels, data, tags, info, options, .. } = publishing;
        let body = Arc::new(PublicationBody { data, info, tags, delta: options.delta });
        let outgoing = |channel| {
            let retention = self.namespaces.options(&channel).and_then(Retention::of);
            let retention = retention.filter(|_| !options.skip_history);
            let (body, version) = (Arc::clone(&body), options.version.clone());
            Outgoing { channel, event: None, body, retention, version }
        };
        channels.into_iter().map(outgoing).collect()
    }
}

async fn wait_for(submitted: Vec<Submitted>) -> Vec<Result<(), Problem>> {
    let wait = async |submitted: Submitted| submitted.wait().await.map(drop);
    join_all(submitted.into_iter().map(wait)).await
}

/// What becomes of a publication.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Durable,
    Passing,
    Mixed,
}

impl Prepared {
    /// Whether it may be published in one go with `first`.
    fn joins(&self, first: &Self) -> bool {
        match (first.kind(), self.kind()) {
            (Kind::Durable, Kind::Durable) => true,
            (Kind::Passing, Kind::Passing) => {
                let channels =
                    |one: &Self| one.passing.first().map(|outgoing| outgoing.channel.clone());
                first.passing.len() == 1
                    && self.passing.len() == 1
                    && channels(first) == channels(self)
            }
            _ => false,
        }
    }

    fn kind(&self) -> Kind {
        match (&self.durable, self.passing.is_empty()) {
            (Some(_), true) => Kind::Durable,
            (None, _) => Kind::Passing,
            (Some(_), false) => Kind::Mixed,
        }
    }
}
