//! Commands: what a client asks for.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::domain::publication::Json;

/// One command of a client.
#[derive(Debug)]
pub struct Command {
    /// Chosen by the client and repeated in the reply; 0 for a pong and for `send`.
    pub id: u32,
    /// What is asked.
    pub request: Request,
}

/// What a command asks. Of several fields in one command, the first in the
/// order of the protocol's definition counts.
#[derive(Debug)]
pub enum Request {
    /// The empty command: the answer to the server's ping.
    Pong,
    /// Identifies the client; must come first.
    Connect(ConnectRequest),
    /// Joins a channel.
    Subscribe(SubscribeRequest),
    /// Leaves a channel.
    Unsubscribe(ChannelRequest),
    /// Publishes to a channel.
    Publish(PublishRequest),
    /// Asks who is subscribed.
    Presence(ChannelRequest),
    /// Asks how many are subscribed.
    PresenceStats(ChannelRequest),
    /// Reads a channel's history.
    History(HistoryRequest),
    /// Calls a command of the product.
    Rpc(RpcRequest),
    /// Prolongs the connection with a new token.
    Refresh(RefreshRequest),
    /// Prolongs a subscription with a new token.
    SubRefresh(SubRefreshRequest),
    /// Asks for an empty reply.
    Ping,
    /// Says something that asks for no reply.
    Send,
}

/// `ConnectRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ConnectRequest {
    /// A session token, a ticket or a JWT.
    pub token: String,
    /// Server-side subscriptions to recover, by channel.
    pub subs: BTreeMap<String, SubscribeRequest>,
}

/// `SubscribeRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct SubscribeRequest {
    /// The channel to join.
    pub channel: String,
    /// A subscription token, for channels that begin with `$`.
    pub token: String,
    /// Whether the client wants what it missed since `epoch` and `offset`.
    pub recover: bool,
    /// The epoch of the last publication that it has; empty matches any.
    pub epoch: String,
    /// The offset of the last publication that it has.
    pub offset: u64,
    /// Whether the server shall watch the position.
    pub positioned: bool,
    /// Whether the client may want to recover later.
    pub recoverable: bool,
    /// Whether the client wants to be told who joins and leaves.
    pub join_leave: bool,
}

/// A request that names nothing but a channel.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ChannelRequest {
    /// The channel.
    pub channel: String,
}

/// `PublishRequest`.
#[derive(Debug, Deserialize)]
pub struct PublishRequest {
    /// The channel to publish to.
    #[serde(default)]
    pub channel: String,
    /// The payload, any JSON.
    pub data: Json,
}

/// `StreamPosition`, as a client writes it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct SincePosition {
    /// Offset within the epoch.
    pub offset: u64,
    /// Empty matches any.
    pub epoch: String,
}

/// `HistoryRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct HistoryRequest {
    /// The channel.
    pub channel: String,
    /// 0 asks for the position alone; negative for as many as the settings allow.
    pub limit: i32,
    /// Only publications after this position (before it, if reversed).
    pub since: Option<SincePosition>,
    /// Latest first.
    pub reverse: bool,
}

/// `RPCRequest`.
#[derive(Debug, Deserialize)]
pub struct RpcRequest {
    /// The command's name.
    #[serde(default)]
    pub method: String,
    /// Its parameters, a JSON object.
    #[serde(default)]
    pub data: Option<Json>,
}

/// `RefreshRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RefreshRequest {
    /// A JWT.
    pub token: String,
}

/// `SubRefreshRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct SubRefreshRequest {
    /// The channel of the subscription.
    pub channel: String,
    /// A subscription token.
    pub token: String,
}

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidCommand {
    /// It is no JSON, or cannot be answered because it carries no id: the
    /// connection is closed with 3501.
    Unanswerable,
    /// It is JSON with this id, but not in the shape of a command: error 107.
    Malformed(u32),
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    id: u32,
    connect: Option<ConnectRequest>,
    subscribe: Option<SubscribeRequest>,
    unsubscribe: Option<ChannelRequest>,
    publish: Option<PublishRequest>,
    presence: Option<ChannelRequest>,
    presence_stats: Option<ChannelRequest>,
    history: Option<HistoryRequest>,
    ping: Option<serde::de::IgnoredAny>,
    send: Option<serde::de::IgnoredAny>,
    rpc: Option<RpcRequest>,
    refresh: Option<RefreshRequest>,
    sub_refresh: Option<SubRefreshRequest>,
}

impl Command {
    /// Reads one line of a frame.
    pub fn decode(line: &[u8]) -> Result<Self, InvalidCommand> {
        // serde would read an array as the fields in order, which is no command.
        let is_object = line.trim_ascii_start().first() == Some(&b'{');
        let Some(fields) = is_object.then(|| serde_json::from_slice::<Line>(line).ok()).flatten()
        else {
            return Err(blame(line));
        };
        let id = fields.id;
        match fields.into_request() {
            Some(request) if id > 0 || matches!(request, Request::Send) => Ok(Self { id, request }),
            Some(_) => Err(InvalidCommand::Unanswerable),
            None if id > 0 => Err(InvalidCommand::Malformed(id)),
            None if is_empty_object(line) => Ok(Self { id, request: Request::Pong }),
            None => Err(InvalidCommand::Unanswerable),
        }
    }
}

impl Line {
    fn into_request(self) -> Option<Request> {
        let offered = (self.connect.map(Request::Connect))
            .or_else(|| self.subscribe.map(Request::Subscribe))
            .or_else(|| self.unsubscribe.map(Request::Unsubscribe))
            .or_else(|| self.publish.map(Request::Publish))
            .or_else(|| self.presence.map(Request::Presence))
            .or_else(|| self.presence_stats.map(Request::PresenceStats))
            .or_else(|| self.history.map(Request::History))
            .or_else(|| self.ping.map(|_| Request::Ping))
            .or_else(|| self.rpc.map(Request::Rpc))
            .or_else(|| self.refresh.map(Request::Refresh))
            .or_else(|| self.sub_refresh.map(Request::SubRefresh));
        offered.or_else(|| self.send.map(|_| Request::Send))
    }
}

/// Says how a line that is no command is answered: with its id where it has one.
fn blame(line: &[u8]) -> InvalidCommand {
    #[derive(Deserialize)]
    struct Id {
        id: u32,
    }
    match serde_json::from_slice::<Id>(line) {
        Ok(Id { id }) if id > 0 && line.trim_ascii_start().first() == Some(&b'{') => {
            InvalidCommand::Malformed(id)
        }
        _ => InvalidCommand::Unanswerable,
    }
}

fn is_empty_object(line: &[u8]) -> bool {
    line.iter().filter(|b| !b.is_ascii_whitespace()).eq(b"{}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn invalid(line: &str) -> InvalidCommand {
        Command::decode(line.as_bytes()).unwrap_err()
    }

    #[test]
    fn commands_are_read_and_the_rest_is_blamed() {
        let command = Command::decode(
            br#"{"id":3,"subscribe":{"channel":"feed:all","recover":true,"offset":7,"epoch":"x"}}"#,
        );
        let Ok(Command { id: 3, request: Request::Subscribe(subscribe) }) = command else {
            panic!("{command:?}");
        };
        assert_eq!(
            (subscribe.channel.as_str(), subscribe.offset, subscribe.recover),
            ("feed:all", 7, true)
        );
        assert!(matches!(Command::decode(b"{ }").unwrap().request, Request::Pong));
        assert_eq!(invalid("hello"), InvalidCommand::Unanswerable);
        assert_eq!(invalid("{\"id\":1,"), InvalidCommand::Unanswerable);
        assert_eq!(invalid("[1]"), InvalidCommand::Unanswerable);
        assert_eq!(invalid(r#"{"subscribe":{"channel":"a:b"}}"#), InvalidCommand::Unanswerable);
        assert_eq!(invalid(r#"{"id":9,"dance":{}}"#), InvalidCommand::Malformed(9));
        assert_eq!(invalid(r#"{"id":9,"subscribe":"feed:all"}"#), InvalidCommand::Malformed(9));
        assert_eq!(
            invalid(r#"{"id":9,"publish":{"channel":"a:b"}}"#),
            InvalidCommand::Malformed(9)
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(line in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Command::decode(&line);
        }

        #[test]
        fn arbitrary_json_shapes_never_panic(key in "[a-z_]{1,12}", value in "[\\[\\]{}:,\"0-9a-z]{0,40}") {
            let _ = Command::decode(format!("{{\"id\":1,\"{key}\":{value}}}").as_bytes());
        }
    }
}
