//! Replies and pushes: what the server says.

use std::collections::BTreeMap;

use serde::Serialize;

use super::codes::{ClientError, Disconnect, Unsubscribed};
use crate::domain::notification::InboxState;
use crate::domain::publication::{ClientInfo, Epoch, Json, Publication, PublicationBody};

/// The answer to one command.
#[derive(Debug, Serialize)]
pub struct Reply<'a> {
    /// The id of the command.
    pub id: u32,
    /// What is answered.
    #[serde(flatten)]
    pub body: ReplyBody<'a>,
}

/// What a reply says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant is the result of the command of its name")]
pub enum ReplyBody<'a> {
    Error(ClientError),
    Connect(ConnectResult<'a>),
    Subscribe(SubscribeResult<'a>),
    Unsubscribe(Empty),
    Publish(Empty),
    Presence(PresenceResult),
    PresenceStats(PresenceStatsResult),
    History(HistoryResult<'a>),
    Ping(Empty),
    Rpc(RpcResult),
    Refresh(RefreshResult),
    SubRefresh(SubRefreshResult),
}

/// A result without fields.
#[derive(Debug, Default, Serialize)]
pub struct Empty {}

/// `ConnectResult`.
#[derive(Debug, Serialize)]
pub struct ConnectResult<'a> {
    /// The id of the connection.
    pub client: String,
    /// The version of the server.
    pub version: &'static str,
    /// What the application tells the client; here the state of its inbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<InboxState>,
    /// Server-side subscriptions, by channel.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub subs: BTreeMap<String, SubscribeResult<'a>>,
    /// Whether the connection expires unless it is refreshed.
    #[serde(skip_serializing_if = "is_default")]
    pub expires: bool,
    /// In how many seconds.
    #[serde(skip_serializing_if = "is_default")]
    pub ttl: u32,
    /// Seconds between the server's pings.
    #[serde(skip_serializing_if = "is_default")]
    pub ping: u32,
    /// Whether the client must answer pings.
    #[serde(skip_serializing_if = "is_default")]
    pub pong: bool,
    /// By what the client's requests to `/emulation` name this connection; empty where they are not needed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub session: String,
    /// The node of the connection, for the same.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
}

/// `RefreshResult`.
#[derive(Debug, Serialize)]
pub struct RefreshResult {
    /// The id of the connection.
    pub client: String,
    /// The version of the server.
    pub version: &'static str,
    /// Whether the connection expires unless it is refreshed again.
    #[serde(skip_serializing_if = "is_default")]
    pub expires: bool,
    /// In how many seconds.
    #[serde(skip_serializing_if = "is_default")]
    pub ttl: u32,
}

/// `SubRefreshResult`.
#[derive(Debug, Serialize)]
pub struct SubRefreshResult {
    /// Whether the subscription expires unless it is refreshed again.
    #[serde(skip_serializing_if = "is_default")]
    pub expires: bool,
    /// In how many seconds.
    #[serde(skip_serializing_if = "is_default")]
    pub ttl: u32,
}

/// `RPCResult`.
#[derive(Debug, Serialize)]
pub struct RpcResult {
    /// What the command answered.
    pub data: Json,
}

/// `SubscribeResult`.
#[derive(Debug, Default, Serialize)]
pub struct SubscribeResult<'a> {
    /// Whether the subscription expires unless it is refreshed.
    #[serde(skip_serializing_if = "is_default")]
    pub expires: bool,
    /// In how many seconds.
    #[serde(skip_serializing_if = "is_default")]
    pub ttl: u32,
    /// Whether the client may recover this subscription later.
    #[serde(skip_serializing_if = "is_default")]
    pub recoverable: bool,
    /// The epoch of `offset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// What the client missed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub publications: Vec<WirePublication<'a>>,
    /// Whether nothing is missing.
    #[serde(skip_serializing_if = "is_default")]
    pub recovered: bool,
    /// The place in the stream after `publications`.
    #[serde(skip_serializing_if = "is_default")]
    pub offset: u64,
    /// Whether the server watches the position.
    #[serde(skip_serializing_if = "is_default")]
    pub positioned: bool,
    /// What the token says to the subscriber.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a Json>,
    /// Whether the client asked to recover.
    #[serde(skip_serializing_if = "is_default")]
    pub was_recovering: bool,
    /// Whether publications may come as deltas.
    #[serde(skip_serializing_if = "is_default")]
    pub delta: bool,
}

/// `PresenceResult`.
#[derive(Debug, Serialize)]
pub struct PresenceResult {
    /// Who is there, by connection.
    pub presence: BTreeMap<String, ClientInfo>,
}

/// `PresenceStatsResult`.
#[derive(Debug, Serialize)]
pub struct PresenceStatsResult {
    /// Connections.
    pub num_clients: u64,
    /// Distinct users.
    pub num_users: u64,
}

/// `HistoryResult`.
#[derive(Debug, Serialize)]
pub struct HistoryResult<'a> {
    /// In the order asked for.
    pub publications: Vec<WirePublication<'a>>,
    /// The epoch of the stream.
    pub epoch: Epoch,
    /// The top of the stream.
    pub offset: u64,
}

/// `Publication`.
#[derive(Debug, Serialize)]
pub struct WirePublication<'a> {
    /// The payload.
    pub data: Payload<'a>,
    /// Who published it, if a client did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<&'a ClientInfo>,
    /// The place in the stream; 0 without one.
    #[serde(skip_serializing_if = "is_default")]
    pub offset: u64,
    /// What may be known without reading the payload.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: &'a BTreeMap<String, String>,
    /// Whether the payload only says what has changed since the publication before.
    #[serde(skip_serializing_if = "is_default")]
    pub delta: bool,
}

/// The payload of a publication.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Payload<'a> {
    /// As it was published.
    Whole(&'a Json),
    /// As subscriptions get it that take deltas: in JSON it is a text then, whether it is a delta or not.
    Text(&'a str),
}

impl Payload<'_> {
    /// The bytes of it, where they need not be JSON.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Whole(json) => json.get(),
            Self::Text(text) => text,
        }
    }
}

impl<'a> WirePublication<'a> {
    /// The same for a subscription that takes deltas: `delta` is one against the publication before it, or there is none.
    pub fn for_deltas(self, delta: Option<&'a str>) -> Self {
        let whole = match self.data {
            Payload::Whole(json) => json.get(),
            Payload::Text(text) => text,
        };
        Self { data: Payload::Text(delta.unwrap_or(whole)), delta: delta.is_some(), ..self }
    }
}

impl<'a> From<&'a Publication> for WirePublication<'a> {
    fn from(publication: &'a Publication) -> Self {
        let PublicationBody { data, info, tags, .. } = &*publication.body;
        let (data, info) = (Payload::Whole(data), info.as_ref());
        Self { data, info, offset: publication.offset, tags, delta: false }
    }
}

/// What the server says by itself.
#[derive(Debug, Serialize)]
pub struct Push<'a> {
    /// The channel that it is about; empty if it is about the connection.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub channel: &'a str,
    /// What is said.
    #[serde(flatten)]
    pub body: PushBody<'a>,
}

/// What a push says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant is the message of its name")]
pub enum PushBody<'a> {
    Pub(WirePublication<'a>),
    Subscribe(SubscribePush<'a>),
    Unsubscribe(Unsubscribed),
    Disconnect(Disconnect),
    Join(Moved<'a>),
    Leave(Moved<'a>),
    Refresh(RefreshPush),
    Message(MessagePush<'a>),
}

/// `Message`: what a back end tells a client outside of any channel.
#[derive(Debug, Serialize)]
pub struct MessagePush<'a> {
    /// The payload.
    pub data: &'a Json,
}

/// `Refresh`: the connection expires at another time.
#[derive(Debug, Serialize)]
pub struct RefreshPush {
    /// Whether it expires at all.
    #[serde(skip_serializing_if = "is_default")]
    pub expires: bool,
    /// In how many seconds.
    #[serde(skip_serializing_if = "is_default")]
    pub ttl: u32,
}

/// `Join` and `Leave`: who came or went.
#[derive(Debug, Serialize)]
pub struct Moved<'a> {
    /// Who.
    pub info: &'a ClientInfo,
}

/// `Subscribe`: the server subscribed the client.
#[derive(Debug, Serialize)]
pub struct SubscribePush<'a> {
    /// Whether the client may recover this subscription later.
    #[serde(skip_serializing_if = "is_default")]
    pub recoverable: bool,
    /// The epoch of `offset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// The place in the stream from which on publications follow.
    #[serde(skip_serializing_if = "is_default")]
    pub offset: u64,
    /// Whether the server watches the position.
    #[serde(skip_serializing_if = "is_default")]
    pub positioned: bool,
    /// What the back end says with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a Json>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::client_protocol::encoding::Encoding;

    fn text(encoded: Vec<u8>) -> String {
        String::from_utf8(encoded).unwrap()
    }

    #[test]
    fn replies_and_pushes_leave_out_what_is_empty() {
        let body = ReplyBody::Error(ClientError::UNKNOWN_CHANNEL);
        assert_eq!(
            text(Encoding::Json.reply(&Reply { id: 4, body })),
            r#"{"id":4,"error":{"code":102,"message":"unknown channel"}}"#
        );
        let reply = Reply { id: 4, body: ReplyBody::Subscribe(SubscribeResult::default()) };
        assert_eq!(text(Encoding::Json.reply(&reply)), r#"{"id":4,"subscribe":{}}"#);
        assert_eq!(text(Encoding::BareJson.reply(&reply)), r#"{"subscribe":{}}"#);

        let body = PublicationBody {
            data: Json::from_string(r#"{"a":1}"#.into()).unwrap(),
            info: None,
            tags: BTreeMap::new(),
            delta: false,
        };
        let publication = Publication { offset: 5, event: None, body: Arc::new(body) };
        let push = Push { channel: "feed:all", body: PushBody::Pub((&publication).into()) };
        assert_eq!(
            text(Encoding::Json.push(&push)),
            r#"{"push":{"channel":"feed:all","pub":{"data":{"a":1},"offset":5}}}"#
        );
        assert_eq!(
            text(Encoding::BareJson.push(&push)),
            r#"{"channel":"feed:all","pub":{"data":{"a":1},"offset":5}}"#
        );
        let data = Json::from_string("[1]".into()).unwrap();
        let push = Push { channel: "", body: PushBody::Message(MessagePush { data: &data }) };
        assert_eq!(text(Encoding::Json.push(&push)), r#"{"push":{"message":{"data":[1]}}}"#);
        assert_eq!(text(Encoding::BareJson.push(&push)), r#"{"message":{"data":[1]}}"#);
        let push = Push { channel: "", body: PushBody::Disconnect(Disconnect::SHUTDOWN) };
        assert_eq!(
            text(Encoding::BareJson.push(&push)),
            r#"{"disconnect":{"code":3001,"reason":"shutdown"}}"#
        );
    }
}
