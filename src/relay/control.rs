//! Control: what a back end asks of connections reaches them on every node, and nodes know of each other.
//!
//! Nodes speak on `node:control`, a channel that no client knows. As in Centrifugo, what they say there is said once: a node
//! that does not hear it does not act on it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use crate::client_protocol::directive::Directive;
use crate::client_protocol::node::NodeInfo;
use crate::domain::channel::ChannelName;
use crate::domain::publication::{Delivery, Json, PublicationBody};
use crate::hub::{EmulationSession, Hub};
use crate::ports::StoreError;
use crate::ports::broker::{Broker, Outgoing};
use crate::ports::entropy::Entropy;

/// How often a node says that it is there.
const ALIVE_INTERVAL: Duration = Duration::from_secs(3);
/// How long a node is taken to be there after it said so: it may have been heard late, and once not at all.
const ALIVE_FOR: Duration = Duration::from_secs(7);
/// How long all nodes may take to answer a question.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);
/// How many answers may wait for who asked.
const ANSWERS_MAX: usize = 256;

/// What nodes tell each other.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Alive(NodeInfo),
    Order(Directive),
    Ask {
        id: String,
        pattern: String,
    },
    Answer {
        id: String,
        channels: BTreeMap<String, u64>,
    },
    /// What a client said to its connection at that node; the frame in Base64.
    Emulated {
        node: String,
        session: String,
        frame: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    from: String,
    said: Said,
}

/// Channels with how many connections are subscribed to them, and which node says so.
type Answer = (String, BTreeMap<String, u64>);

/// This node's part in it.
pub struct Control {
    node: String,
    hub: Arc<Hub>,
    broker: Arc<dyn Broker>,
    entropy: Arc<dyn Entropy>,
    began: Instant,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    /// Other nodes, and when they last said that they are there.
    nodes: HashMap<String, (NodeInfo, Instant)>,
    /// Who waits for answers to which question.
    questions: HashMap<String, mpsc::Sender<Answer>>,
}

impl Control {
    /// Control of `hub` by a node of this name.
    pub fn new(
        node: String,
        hub: Arc<Hub>,
        broker: Arc<dyn Broker>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self { node, hub, broker, entropy, began: Instant::now(), heard: Mutex::default() }
    }

    /// Says that the node is there, every few seconds until `stop` turns true.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            let alive = Said::Alive(self.own_info().await);
            if let Err(error) = self.say(alive).await {
                tracing::debug!(%error, "other nodes cannot be told that this one is there");
            }
            let stopped = stop.wait_for(|stop| *stop);
            if tokio::time::timeout(ALIVE_INTERVAL, stopped).await.is_ok() {
                return;
            }
        }
    }

    /// How this node is named.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Hands what the client of an emulated connection said to that connection, which may be on another node. False if the
    /// connection would be here and is not.
    pub async fn hear_emulated(
        &self,
        node: &str,
        session: EmulationSession,
        frame: Bytes,
    ) -> Result<bool, StoreError> {
        if self.hub.hear(session, frame.clone()).await {
            return Ok(true);
        }
        if node.is_empty() || node == self.node {
            return Ok(false);
        }
        let (node, session) = (node.to_owned(), session.to_string());
        let frame = STANDARD.encode(frame);
        self.say(Said::Emulated { node, session, frame }).await?;
        Ok(true)
    }

    /// Has connections do what a back end asks: here at once, and on the other nodes.
    pub async fn order(&self, directive: Directive) -> Result<(), StoreError> {
        self.act(directive.clone()).await;
        self.say(Said::Order(directive)).await
    }

    /// All nodes that are there, this one first.
    pub async fn nodes(&self) -> Vec<NodeInfo> {
        let own = self.own_info().await;
        let mut nodes: Vec<_> = self.others().into_iter().collect();
        nodes.sort_unstable_by(|a, b| a.uid.cmp(&b.uid));
        nodes.insert(0, own);
        nodes
    }

    /// The channels of all nodes whose names match, where `*` stands for any characters and `?` for one, with how many
    /// connections are subscribed to each.
    pub async fn channels(&self, pattern: &str) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut all = self.own_channels(pattern).await;
        let mut awaited: FxHashSet<_> = self.others().into_iter().map(|node| node.uid).collect();
        if awaited.is_empty() {
            return Ok(all);
        }
        let id: String = self.entropy.bytes::<8>().iter().map(|b| format!("{b:02x}")).collect();
        let (sender, mut answers) = mpsc::channel(ANSWERS_MAX);
        self.heard().questions.insert(id.clone(), sender);
        let asked = self.say(Said::Ask { id: id.clone(), pattern: pattern.to_owned() }).await;
        let deadline = Instant::now() + ANSWER_PATIENCE;
        while asked.is_ok() && !awaited.is_empty() {
            let Ok(Some((node, channels))) = timeout_at(deadline, answers.recv()).await else {
                break;
            };
            awaited.remove(&node);
            for (channel, count) in channels {
                *all.entry(channel).or_default() += count;
            }
        }
        self.heard().questions.remove(&id);
        asked?;
        if awaited.is_empty() { Ok(all) } else { Err(silence()) }
    }

    /// Takes what was said on the channel of nodes. Nothing is waited for but the shards' queues.
    pub async fn hear(self: &Arc<Self>, delivery: &Delivery) {
        let Ok(Envelope { from, said }) =
            serde_json::from_str(delivery.publication.body.data.get())
        else {
            return tracing::warn!("another node said what this version does not understand");
        };
        if from == self.node {
            return;
        }
        match said {
            Said::Alive(info) => {
                let mut heard = self.heard();
                heard.nodes.retain(|_, (_, since)| since.elapsed() < ALIVE_FOR);
                heard.nodes.insert(from, (info, Instant::now()));
            }
            Said::Order(directive) => self.act(directive).await,
            Said::Ask { id, pattern } => {
                let control = Arc::clone(self);
                tokio::spawn(async move {
                    let channels = control.own_channels(&pattern).await;
                    if let Err(error) = control.say(Said::Answer { id, channels }).await {
                        tracing::debug!(%error, "a question of another node stays unanswered");
                    }
                });
            }
            Said::Emulated { node, session, frame } if node == self.node => {
                if let (Ok(session), Ok(frame)) = (session.parse(), STANDARD.decode(frame)) {
                    // A client that has gone meanwhile hears of nothing.
                    self.hub.hear(session, frame.into()).await;
                }
            }
            Said::Emulated { .. } => {}
            Said::Answer { id, channels } => {
                if let Some(asker) = self.heard().questions.get(&id) {
                    // One who has more answers waiting than there are nodes waits for none.
                    let _ = asker.try_send((from, channels));
                }
            }
        }
    }

    async fn act(&self, directive: Directive) {
        let user = directive.to.user.parse().unwrap_or(0);
        self.hub.order(user, directive).await;
    }

    async fn own_channels(&self, pattern: &str) -> BTreeMap<String, u64> {
        let wanted = wildmatch::WildMatch::new(if pattern.is_empty() { "*" } else { pattern });
        let channels = self.hub.channels(move |name| wanted.matches(name)).await;
        channels.into_iter().map(|(channel, count)| (channel.as_str().to_owned(), count)).collect()
    }

    async fn own_info(&self) -> NodeInfo {
        let shards = self.hub.stats().await;
        let users: FxHashSet<_> = shards.iter().flat_map(|shard| &shard.users).collect();
        NodeInfo {
            uid: self.node.clone(),
            name: self.node.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            num_clients: shards.iter().map(|shard| shard.connections).sum(),
            num_users: users.len() as u64,
            num_subs: shards.iter().map(|shard| shard.subscriptions).sum(),
            num_channels: self.hub.channels(|_| true).await.len() as u64,
            uptime: self.began.elapsed().as_secs(),
        }
    }

    fn others(&self) -> Vec<NodeInfo> {
        let heard = self.heard();
        let there = heard.nodes.values().filter(|(_, since)| since.elapsed() < ALIVE_FOR);
        there.map(|(info, _)| info.clone()).collect()
    }

    async fn say(&self, said: Said) -> Result<(), StoreError> {
        let envelope = Envelope { from: self.node.clone(), said };
        let data =
            Json::from_value(&envelope).expect("an envelope holds nothing that JSON cannot say");
        let body = Arc::new(PublicationBody { data, info: None, tags: [].into(), delta: false });
        let channel = ChannelName::control();
        let outgoing = Outgoing { channel, event: None, body, retention: None, version: None };
        self.broker.publish(&[outgoing]).await.map(drop)
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn silence() -> StoreError {
    let cause = "not every node answered in time".to_owned();
    StoreError::Unavailable { store: "realtime", cause }
}
