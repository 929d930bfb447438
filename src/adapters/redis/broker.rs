//! The broker on Redis. This file and those below it use `fred`, which subscribes and runs the relay
//! scripts; all other adapters of Redis use `redis`.

mod answers;
mod epochs;
mod lineages;
mod lingering;
mod link;
mod probes;
mod round_trip;
mod rounds;
mod scripts;
mod session;
mod subscriber;
mod wire;

use std::fmt::Display;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use fred::interfaces::EventInterface;
use fred::types::Value;
use futures_util::future::try_join_all;
use rustc_hash::FxBuildHasher;
use tokio::sync::{Mutex, mpsc};

use crate::domain::channel::ChannelName;
use crate::domain::publication::{Epoch, Passage, StreamPosition};
use crate::ports::StoreError;
use crate::ports::broker::{
    Arriving, Broker, HistoryPage, HistoryQuery, Lapse, Outgoing, Retention,
};
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::ports::event_log::{RelayLedger, last_version};
use crate::ports::present::PresentReader;

use super::keys::Keys;
use super::options::RedisOptions;
use answers::Placed;
use epochs::Epochs;
use lineages::Lineages;
use link::{Ask, Link};
use rounds::{Group, Round, rounds};
use scripts::Scripts;
use subscriber::Subscriber;

pub(super) use round_trip::round_trip;

/// How long the epoch and the top of a channel are kept, at least: longer than any stream.
const META_TTL: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How long an epoch may take to begin.
const WITNESS_TTL: Duration = Duration::from_secs(60);
/// How often a channel may be found without an epoch within one call.
const ATTEMPTS: usize = 5;
/// The locks that let one caller of a node at a time begin a channel's epoch.
const STRIPES: usize = 64;

/// Publishes to all nodes. A channel's stream begins a new epoch whenever Redis does not have the
/// one that it had; it is then filled with what the ledger recorded in earlier epochs. No epoch is
/// used twice, and later ones are greater (see the module `epochs`), also after `FLUSHALL`, a
/// restart with nothing kept, and a failover that lost writes.
pub struct RedisBroker {
    link: Link,
    scripts: Scripts,
    keys: Keys,
    subscriber: Subscriber,
    epochs: Epochs,
    lineages: Lineages,
    is_cluster: bool,
    ledger: Arc<dyn RelayLedger>,
    present: PresentReader,
    clock: Arc<dyn Clock>,
    /// What tells this broker's witnesses from those of others.
    name: String,
    witnesses: AtomicU64,
    warming: Vec<Mutex<()>>,
}

/// What a broker works with besides Redis.
pub struct Surroundings {
    /// Where the past of a new epoch is read from, and its number.
    pub ledger: Arc<dyn RelayLedger>,
    /// What the past is told with.
    pub present: PresentReader,
    /// When publications are made.
    pub clock: Arc<dyn Clock>,
    /// What names are made of.
    pub entropy: Arc<dyn Entropy>,
}

impl RedisBroker {
    /// Connects. Deliveries go to `sink`; channels whose deliveries were interrupted to `lapses`.
    ///
    /// # Errors
    /// If Redis cannot be reached now. Once connected, the broker lives through losing it.
    pub async fn connect(
        options: &RedisOptions,
        surroundings: Surroundings,
        sink: mpsc::Sender<Arriving>,
        lapses: mpsc::Sender<Lapse>,
    ) -> Result<Self, StoreError> {
        let Surroundings { ledger, present, clock, entropy } = surroundings;
        let name: String = entropy.bytes::<8>().iter().map(|byte| format!("{byte:02x}")).collect();
        let keys = Keys::new(&options.prefix);
        let link = Link::connect(options, 1).await?;
        let changes = link.client.cluster_change_rx();
        let subscriber =
            Subscriber::start(options, keys.clone(), &name, changes, sink, lapses).await?;
        Ok(Self {
            link,
            scripts: Scripts::new(),
            keys,
            subscriber,
            epochs: Epochs::new(Arc::clone(&ledger)),
            lineages: Lineages::new(options.is_cluster()),
            is_cluster: options.is_cluster(),
            ledger,
            present,
            clock,
            name,
            witnesses: AtomicU64::new(0),
            warming: (0..STRIPES).map(|_| Mutex::new(())).collect(),
        })
    }

    fn keys_of(&self, channel: &ChannelName) -> Vec<String> {
        let mut keys =
            Vec::from(["meta", "stream", "events"].map(|name| self.keys.of(channel, name)));
        // A script may touch no key of another slot.
        keys.push(match self.is_cluster {
            true => self.keys.of(channel, "began"),
            false => self.keys.alone("began"),
        });
        keys
    }

    /// Publishes what `groups` say; no two of them are of one channel.
    async fn publish_groups(
        &self,
        batch: &[Outgoing],
        mut groups: Vec<Group>,
        positions: &mut [Option<StreamPosition>],
    ) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS {
            if groups.is_empty() {
                return Ok(());
            }
            let left = self.lineages.left().await;
            let asks = groups.iter().map(|group| self.publication(batch, group, &left));
            let asks = asks.collect::<Result<Vec<_>, _>>()?;
            let answers = self.link.ask_all(&asks).await?;
            drop(asks);
            let mut cold = Vec::new();
            for (group, answer) in groups.into_iter().zip(answers) {
                match answer {
                    Value::Null => cold.push(group),
                    answer => {
                        let mut placed = Placed::read(answer)?;
                        self.lineages.hear(&placed.history, &self.epochs).await?;
                        for place in group.places {
                            positions[place] = placed.next()?;
                        }
                    }
                }
            }
            try_join_all(cold.iter().map(|group| self.warm(&group.channel, group.retention)))
                .await?;
            groups = cold;
        }
        Err(never_warm())
    }

    fn publication(
        &self,
        batch: &[Outgoing],
        group: &Group,
        left: &str,
    ) -> Result<Ask<'_>, StoreError> {
        let mut arguments = self.frame(group.retention, left);
        arguments.push(self.link.verb.into());
        arguments.push(self.keys.audience(&group.channel).into());
        for place in &group.places {
            arguments.push(wire::event_text(batch[*place].event).into());
            arguments.push(wire::body_text(&batch[*place].body)?.into());
        }
        let version = group.places.first().and_then(|place| batch[*place].version.as_ref());
        let script = match version {
            Some(version) => {
                arguments.extend(wire::version_texts(Some(version)).map(Value::from));
                &self.scripts.supersede
            }
            None => &self.scripts.publish,
        };
        Ok(Ask::Run(script, self.keys_of(&group.channel), arguments))
    }

    /// The arguments that scripts begin with: now, ttl, size, how long meta is kept, and histories that were left.
    fn frame(&self, retention: Retention, left: &str) -> Vec<Value> {
        let (ttl, meta_ttl) = lifetimes(retention);
        let size = i64::try_from(retention.size).unwrap_or(i64::MAX);
        let now = self.clock.now().as_millis();
        vec![now.into(), ttl.into(), size.into(), meta_ttl.into(), left.into()]
    }

    /// Makes sure that the channel has an epoch.
    async fn warm(&self, channel: &ChannelName, retention: Retention) -> Result<(), StoreError> {
        let stripe = FxBuildHasher.hash_one(channel) >> 32;
        let _one_at_a_time = self.warming[stripe as usize % STRIPES].lock().await;
        match self.witness(channel).await? {
            Some((witness, epoch)) => self.begin(channel, retention, &witness, &epoch).await,
            None => Ok(()),
        }
    }

    /// Leaves a witness that the channel has no epoch, and draws one; `None` if it has.
    pub(super) async fn witness(
        &self,
        channel: &ChannelName,
    ) -> Result<Option<(String, Epoch)>, StoreError> {
        let count = self.witnesses.fetch_add(1, Ordering::Relaxed);
        let witness = format!("{}-{count}", self.name);
        let left = self.lineages.left().await;
        let arguments = vec![witness.as_str().into(), millis(WITNESS_TTL).into(), (&*left).into()];
        let ask = Ask::Run(&self.scripts.witness, self.keys_of(channel), arguments);
        if self.link.ask(ask).await? == Value::Integer(1) {
            return Ok(None);
        }
        Ok(Some((witness, self.epochs.next().await?)))
    }

    /// Begins an epoch with what earlier ones held, unless the witness is gone or there is one.
    pub(super) async fn begin(
        &self,
        channel: &ChannelName,
        retention: Retention,
        witness: &str,
        epoch: &Epoch,
    ) -> Result<(), StoreError> {
        let not_before = self.clock.now().minus(retention.ttl);
        let past = self.ledger.latest_relayed(channel, not_before, retention.size).await?;
        let bodies = self.present.bodies(channel, &past).await?;
        let (ttl, meta_ttl) = lifetimes(retention);
        let left = self.lineages.left().await;
        let mut arguments: Vec<Value> =
            vec![witness.into(), epoch.as_str().into(), ttl.into(), meta_ttl.into()];
        arguments.push((&*left).into());
        arguments.extend(wire::version_texts(last_version(&past)).map(Value::from));
        for (relayed, body) in past.iter().zip(bodies) {
            arguments.push(wire::event_text(Some(relayed.event.id)).into());
            arguments.push(wire::body_text(&body)?.into());
            arguments.push(relayed.event.time.as_millis().max(0).into());
        }
        let ask = Ask::Run(&self.scripts.begin, self.keys_of(channel), arguments);
        self.link.ask(ask).await?;
        tracing::debug!(%channel, epoch = epoch.as_str(), past = past.len(), "a new epoch");
        Ok(())
    }
}

#[async_trait]
impl Broker for RedisBroker {
    async fn publish(&self, batch: &[Outgoing]) -> Result<Vec<Option<StreamPosition>>, StoreError> {
        let mut positions = vec![None; batch.len()];
        let announce = |outgoing: &&Outgoing| {
            let audience = self.keys.audience(&outgoing.channel);
            wire::message(outgoing).map(|message| Ask::Send(audience, message))
        };
        for Round { groups, announcements } in rounds(batch) {
            self.publish_groups(batch, groups, &mut positions).await?;
            let asks = announcements.iter().map(announce).collect::<Result<Vec<_>, _>>()?;
            if !asks.is_empty() {
                self.link.ask_all(&asks).await?;
            }
        }
        Ok(positions)
    }

    async fn announce(&self, passage: &Passage) -> Result<(), StoreError> {
        let audience = self.keys.audience(&passage.channel);
        self.link.ask(Ask::Send(audience, wire::passage_message(passage)?)).await.map(drop)
    }

    async fn subscribe(&self, channel: &ChannelName) -> Result<(), StoreError> {
        self.subscriber.subscribe(channel).await
    }

    async fn unsubscribe(&self, channel: &ChannelName) -> Result<(), StoreError> {
        self.subscriber.unsubscribe(channel).await
    }

    async fn clear(&self, channel: &ChannelName, retention: Retention) -> Result<(), StoreError> {
        let arguments = self.frame(retention, &self.lineages.left().await);
        let ask = Ask::Run(&self.scripts.clear, self.keys_of(channel), arguments);
        self.link.ask(ask).await.map(drop)
    }

    async fn history(
        &self,
        channel: &ChannelName,
        retention: Retention,
        query: &HistoryQuery,
    ) -> Result<HistoryPage, StoreError> {
        let (first, last, is_empty) = range(query);
        let limit = if is_empty { 0 } else { query.limit.min(retention.size) };
        for _ in 0..ATTEMPTS {
            let mut arguments = self.frame(retention, &self.lineages.left().await);
            arguments.push(if query.reverse { "1" } else { "0" }.into());
            arguments.extend([first.as_str().into(), last.as_str().into()]);
            arguments.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
            let ask = Ask::Run(&self.scripts.history, self.keys_of(channel), arguments);
            match self.link.ask(ask).await? {
                Value::Null => self.warm(channel, retention).await?,
                answer => {
                    let (page, history) = answers::page(answer)?;
                    self.lineages.hear(&history, &self.epochs).await?;
                    return Ok(page);
                }
            }
        }
        Err(never_warm())
    }
}

/// The ids between which the entries of a query are, and whether there can be none.
fn range(query: &HistoryQuery) -> (String, String, bool) {
    let (lowest, highest) = ("-".to_owned(), "+".to_owned());
    match (query.since, query.reverse) {
        (None, _) => (lowest, highest, false),
        (Some(since), false) => match since.checked_add(1) {
            Some(first) => (first.to_string(), highest, false),
            None => (lowest, highest, true),
        },
        (Some(since), true) => match since.checked_sub(1) {
            Some(last) => (lowest, last.to_string(), false),
            None => (lowest, highest, true),
        },
    }
}

/// How many milliseconds a stream is kept, and its meta.
fn lifetimes(retention: Retention) -> (i64, i64) {
    let ttl = millis(retention.ttl);
    (ttl, ttl.max(millis(META_TTL)))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn unavailable(cause: impl Display) -> StoreError {
    StoreError::Unavailable { store: "realtime", cause: cause.to_string() }
}

fn corrupt(cause: impl Display) -> StoreError {
    StoreError::Corrupt { store: "realtime", cause: cause.to_string() }
}

fn never_warm() -> StoreError {
    unavailable("a channel's stream vanished again and again while it was begun")
}
