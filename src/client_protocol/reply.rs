//! Replies and pushes: what the server says.

use std::collections::BTreeMap;

use serde::Serialize;

use super::codes::{ClientError, Unsubscribed};
use crate::domain::channel::ChannelName;
use crate::domain::notification::InboxState;
use crate::domain::publication::{
    ClientInfo, Epoch, Json, Passage, PassageKind, Publication, PublicationBody,
};

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
    data: &'a Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<&'a ClientInfo>,
    #[serde(skip_serializing_if = "is_default")]
    offset: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: &'a BTreeMap<String, String>,
}

impl<'a> From<&'a Publication> for WirePublication<'a> {
    fn from(publication: &'a Publication) -> Self {
        let PublicationBody { data, info, tags } = &*publication.body;
        Self { data, info: info.as_ref(), offset: publication.offset, tags }
    }
}

#[derive(Serialize)]
struct PushLine<'a> {
    push: Push<'a>,
}

#[derive(Serialize)]
struct Push<'a> {
    /// Empty where the push is about the connection.
    #[serde(skip_serializing_if = "str::is_empty")]
    channel: &'a str,
    #[serde(flatten)]
    body: PushBody<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum PushBody<'a> {
    Pub(WirePublication<'a>),
    Subscribe(SubscribePush<'a>),
    Unsubscribe(Unsubscribed),
    Join(Moved<'a>),
    Leave(Moved<'a>),
    Refresh(RefreshPush),
}

/// `Refresh`: the connection expires at another time.
#[derive(Serialize)]
struct RefreshPush {
    #[serde(skip_serializing_if = "is_default")]
    expires: bool,
    #[serde(skip_serializing_if = "is_default")]
    ttl: u32,
}

/// `Join` and `Leave`: who came or went.
#[derive(Serialize)]
struct Moved<'a> {
    info: &'a ClientInfo,
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

/// The server's ping.
pub const PING: &[u8] = b"{}";

/// The JSON of a reply.
pub fn encode_reply(reply: &Reply<'_>) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(reply)
}

/// The JSON of a result without the id of its command, as unidirectional clients get it.
pub fn encode_result(body: &ReplyBody<'_>) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(body)
}

/// The JSON of a push that carries a publication.
pub fn encode_publication(
    channel: &ChannelName,
    publication: &Publication,
) -> serde_json::Result<Vec<u8>> {
    encode_push(channel, PushBody::Pub(publication.into()))
}

/// The JSON of a push that ends a subscription.
pub fn encode_unsubscribe(channel: &ChannelName, why: Unsubscribed) -> serde_json::Result<Vec<u8>> {
    encode_push(channel, PushBody::Unsubscribe(why))
}

/// The JSON of a push that begins a subscription.
pub fn encode_subscribe(
    channel: &ChannelName,
    subscribe: SubscribePush<'_>,
) -> serde_json::Result<Vec<u8>> {
    encode_push(channel, PushBody::Subscribe(subscribe))
}

/// The JSON of a push that says who came or went.
pub fn encode_passage(passage: &Passage) -> serde_json::Result<Vec<u8>> {
    let moved = Moved { info: &passage.info };
    let body = match passage.kind {
        PassageKind::Join => PushBody::Join(moved),
        PassageKind::Leave => PushBody::Leave(moved),
    };
    encode_push(&passage.channel, body)
}

/// The JSON of a push that says in how many seconds the connection expires, if it does.
pub fn encode_refresh(ttl: Option<u32>) -> serde_json::Result<Vec<u8>> {
    let body = PushBody::Refresh(RefreshPush { expires: ttl.is_some(), ttl: ttl.unwrap_or(0) });
    serde_json::to_vec(&PushLine { push: Push { channel: "", body } })
}

fn encode_push(channel: &ChannelName, body: PushBody<'_>) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&PushLine { push: Push { channel: channel.as_str(), body } })
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn replies_and_pushes_leave_out_what_is_empty() {
        let body = ReplyBody::Error(ClientError::UNKNOWN_CHANNEL);
        assert_eq!(
            String::from_utf8(encode_reply(&Reply { id: 4, body }).unwrap()).unwrap(),
            r#"{"id":4,"error":{"code":102,"message":"unknown channel"}}"#
        );
        let body = ReplyBody::Subscribe(SubscribeResult::default());
        assert_eq!(encode_reply(&Reply { id: 4, body }).unwrap(), br#"{"id":4,"subscribe":{}}"#);

        let channel = ChannelName::feed();
        let body = PublicationBody {
            data: Json::from_string(r#"{"a":1}"#.into()).unwrap(),
            info: None,
            tags: BTreeMap::new(),
        };
        let publication = Publication { offset: 5, event: None, body: Arc::new(body) };
        assert_eq!(
            String::from_utf8(encode_publication(&channel, &publication).unwrap()).unwrap(),
            r#"{"push":{"channel":"feed:all","pub":{"data":{"a":1},"offset":5}}}"#
        );
    }
}
