//! A subscriber that behaves as the published SDKs do: it answers pings, comes back when it is disconnected or
//! unsubscribed with a code that invites it to, recovers from where it was, and keeps all that it heard.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::feed::event_id;
use super::socket::Position;
use super::wait::until;

/// Between attempts of a subscriber to come back.
const COME_BACK_DELAY: Duration = Duration::from_millis(100);
/// Codes of disconnects after which SDKs connect again.
const RECONNECT: std::ops::Range<u16> = 3_000..3_500;
/// The first code of unsubscribes after which SDKs subscribe again.
const RESUBSCRIBE: u64 = 2_500;

/// What every event at every place is, as all subscribers that share it heard.
#[derive(Default)]
pub(crate) struct Places(Mutex<HashMap<(String, String, u64), String>>);

/// A subscriber.
pub(crate) struct Follower {
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

/// What a subscriber heard.
#[derive(Default)]
pub(crate) struct Heard {
    /// The data of the publications of each channel, in the order in which they came.
    pub(crate) publications: HashMap<String, Vec<Value>>,
    /// How often it was connected.
    pub(crate) connections: usize,
    /// How often it was told that something is missing, with which codes.
    pub(crate) told: Vec<u64>,
    /// How often it recovered.
    pub(crate) recoveries: usize,
    /// What must not be: what was not recovered, a place with two meanings, a code that ends everything.
    pub(crate) faults: Vec<String>,
}

impl Heard {
    /// What came in a channel, each event once, in the order of its last arrival.
    pub(crate) fn events(&self, channel: &str) -> Vec<Value> {
        let mut seen = std::collections::HashSet::new();
        let all = self.publications.get(channel).map(Vec::as_slice).unwrap_or_default();
        let latest = all.iter().rev().filter(|data| seen.insert(data["id"].clone()));
        let mut events: Vec<_> = latest.cloned().collect();
        events.reverse();
        events
    }
}

impl Follower {
    /// Connects with `token` to the node at `address` and subscribes to `channels`. Returns once it is subscribed.
    pub(crate) async fn start(
        address: SocketAddr,
        token: &str,
        channels: &[&str],
        places: &Arc<Places>,
    ) -> Self {
        let heard = Arc::<Mutex<Heard>>::default();
        let following = Following {
            address,
            token: token.to_owned(),
            channels: channels.iter().map(|&channel| channel.to_owned()).collect(),
            positions: HashMap::new(),
            places: Arc::clone(places),
            heard: Arc::clone(&heard),
            waiting: HashMap::new(),
            last_id: 0,
        };
        let positions = Arc::new(Mutex::new(0));
        let subscribed = Arc::clone(&positions);
        let task = tokio::spawn(following.run(subscribed));
        let follower = Self { heard, task };
        until(Duration::from_secs(20), "the subscriber to be subscribed", async || {
            let count = *positions.lock().expect("nobody panics with it");
            (count >= channels.len()).then_some(())
        })
        .await;
        follower
    }

    /// What it heard so far.
    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().expect("the subscriber never panics with it")
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The subscriber's task.
struct Following {
    address: SocketAddr,
    token: String,
    channels: Vec<String>,
    /// Where it is in each channel that can be recovered.
    positions: HashMap<String, Position>,
    places: Arc<Places>,
    heard: Arc<Mutex<Heard>>,
    /// The channels that subscribe was sent for and not answered, by the command's id.
    waiting: HashMap<u64, String>,
    last_id: u64,
}

type Stream = WebSocketStream<TcpStream>;

impl Following {
    async fn run(mut self, subscribed: Arc<Mutex<usize>>) {
        loop {
            if let Some(mut stream) = self.connect().await {
                self.listen(&mut stream, &subscribed).await;
            }
            tokio::time::sleep(COME_BACK_DELAY).await;
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().expect("nobody panics with it")
    }

    fn fault(&self, fault: String) {
        self.heard().faults.push(fault);
    }

    /// Opens a connection and sends what an SDK sends first.
    async fn connect(&mut self) -> Option<Stream> {
        let stream = TcpStream::connect(self.address).await.ok()?;
        let url = format!("ws://{}/connection/websocket", self.address);
        let (mut stream, _) = tokio_tungstenite::client_async(url, stream).await.ok()?;
        self.waiting.clear();
        let own = |(channel, _): &(&String, &Position)| !self.channels.contains(channel);
        let server_side = self.positions.iter().filter(own);
        let subs: Map<_, _> =
            server_side.map(|(channel, at)| (channel.clone(), since(at))).collect();
        self.last_id = 1;
        let connect = json!({"id": 1, "connect": {"token": self.token, "subs": subs}});
        stream.send(Message::text(connect.to_string())).await.ok()?;
        for channel in self.channels.clone() {
            self.subscribe(&mut stream, channel).await?;
        }
        self.heard().connections += 1;
        Some(stream)
    }

    async fn subscribe(&mut self, stream: &mut Stream, channel: String) -> Option<()> {
        self.last_id += 1;
        let mut request = self.positions.get(&channel).map_or_else(|| json!({}), since);
        request["channel"] = json!(channel);
        let command = json!({"id": self.last_id, "subscribe": request});
        self.waiting.insert(self.last_id, channel);
        stream.send(Message::text(command.to_string())).await.ok()
    }

    /// Takes what comes until the connection ends.
    async fn listen(&mut self, stream: &mut Stream, subscribed: &Mutex<usize>) {
        let mut again = VecDeque::new();
        loop {
            let text = match stream.next().await {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.map_or(RECONNECT.start, |frame| u16::from(frame.code));
                    self.heard().told.push(code.into());
                    if !RECONNECT.contains(&code) {
                        self.fault(format!("disconnected with {code}"));
                    }
                    return;
                }
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return,
            };
            for line in text.lines().filter(|line| !line.is_empty()) {
                let message: Value = serde_json::from_str(line).expect("the server sends JSON");
                if message == json!({}) {
                    if stream.send(Message::text("{}")).await.is_err() {
                        return;
                    }
                } else if let Some(push) = message.get("push") {
                    again.extend(self.pushed(push));
                } else {
                    again.extend(self.replied(&message));
                    let count = self.channels.iter().filter(|it| self.positions.contains_key(*it));
                    *subscribed.lock().expect("nobody panics with it") = count.count();
                }
            }
            while let Some(channel) = again.pop_front() {
                tokio::time::sleep(COME_BACK_DELAY).await;
                if self.subscribe(stream, channel).await.is_none() {
                    return;
                }
            }
        }
    }

    /// Takes a reply; returns the channel to subscribe to again, if the reply invites to.
    fn replied(&mut self, reply: &Value) -> Option<String> {
        let id = reply["id"].as_u64().expect("a reply has an id");
        if let Some(subs) = reply["connect"]["subs"].as_object() {
            for (channel, result) in subs {
                self.entered(channel, result);
            }
        }
        let channel = self.waiting.remove(&id)?;
        if reply["subscribe"].is_object() {
            self.entered(&channel, &reply["subscribe"]);
            return None;
        }
        let is_temporary = reply["error"]["temporary"] == json!(true)
            || reply["error"]["code"].as_u64().is_some_and(|code| code == 100);
        if !is_temporary {
            self.fault(format!("{channel} is refused: {reply}"));
        }
        is_temporary.then_some(channel)
    }

    /// A subscription stands.
    fn entered(&mut self, channel: &str, result: &Value) {
        let at = Position {
            epoch: result["epoch"].as_str().unwrap_or_default().to_owned(),
            offset: result["offset"].as_u64().unwrap_or(0),
        };
        if self.positions.contains_key(channel) {
            self.heard().recoveries += 1;
            if result["recovered"] != json!(true) {
                self.fault(format!("{channel} is not recovered: {result:.500}"));
            }
        }
        self.positions.insert(channel.to_owned(), at);
        for publication in result["publications"].as_array().into_iter().flatten() {
            self.published(channel, publication);
        }
    }

    /// Takes a push; returns the channel to subscribe to again, if it invites to.
    fn pushed(&mut self, push: &Value) -> Option<String> {
        let channel = push["channel"].as_str().unwrap_or_default().to_owned();
        if push["pub"].is_object() {
            self.published(&channel, &push["pub"]);
        } else if let Some(code) = push["unsubscribe"]["code"].as_u64() {
            self.heard().told.push(code);
            if code >= RESUBSCRIBE {
                return Some(channel);
            }
            self.fault(format!("unsubscribed from {channel} with {code}"));
        }
        None
    }

    fn published(&mut self, channel: &str, publication: &Value) {
        if let (Some(offset), Some(at)) =
            (publication["offset"].as_u64(), self.positions.get_mut(channel))
        {
            at.offset = offset;
            let place = (channel.to_owned(), at.epoch.clone(), offset);
            let id = event_id(publication);
            let mut places = self.places.0.lock().expect("nobody panics with it");
            let known = places.entry(place.clone()).or_insert_with(|| id.clone()).clone();
            drop(places);
            if known != id {
                self.fault(format!("{place:?} is {known} and {id}"));
            }
        }
        let mut heard = self.heard();
        heard.publications.entry(channel.to_owned()).or_default().push(publication["data"].clone());
    }
}

fn since(at: &Position) -> Value {
    json!({"recover": true, "epoch": at.epoch, "offset": at.offset})
}
