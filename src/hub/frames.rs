//! Frames: the bytes of a message, encoded once and shared by all who receive it.

use std::sync::OnceLock;

use bytes::Bytes;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use super::codec;
use crate::client_protocol::codes::{Disconnect, Unsubscribed};
use crate::client_protocol::reply::{self, Reply, SubscribePush};
use crate::domain::channel::ChannelName;
use crate::domain::publication::{Delivery, Passage, Publication};

/// How the messages of a connection are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// A WebSocket text frame a message.
    WebSocket,
    /// A server-sent event a message (WHATWG HTML, section 9.2), without the `push` wrapper.
    EventStream,
}

impl Wire {
    /// Frames one JSON message.
    pub fn frame(self, json: &[u8]) -> Bytes {
        match self {
            Self::WebSocket => codec::encode_frame(OpCode::Data(Data::Text), json),
            Self::EventStream => {
                // Unidirectional transports carry pushes without the wrapper of a reply.
                let bare = json
                    .strip_prefix(b"{\"push\":")
                    .and_then(|rest| rest.strip_suffix(b"}"))
                    .unwrap_or(json);
                [b"data: ", bare, b"\n\n"].concat().into()
            }
        }
    }

    /// The JSON of a reply. A client that cannot ask knows no ids: it hears the result alone.
    pub fn reply_json(self, reply: &Reply<'_>) -> Vec<u8> {
        let json = match self {
            Self::WebSocket => reply::encode_reply(reply),
            Self::EventStream => reply::encode_result(&reply.body),
        };
        json.expect("a reply holds nothing that JSON cannot say")
    }

    /// Frames a publication for one connection.
    pub fn publication(self, channel: &ChannelName, publication: &Publication) -> Bytes {
        let json = reply::encode_publication(channel, publication);
        self.frame(&json.expect("a publication holds nothing that JSON cannot say"))
    }

    /// Frames the end of a subscription.
    pub fn unsubscribe(self, channel: &ChannelName, why: Unsubscribed) -> Bytes {
        let json = reply::encode_unsubscribe(channel, why);
        self.frame(&json.expect("an unsubscribe push holds nothing that JSON cannot say"))
    }

    /// Frames that somebody came or went.
    pub fn passage(self, passage: &Passage) -> Bytes {
        let json = reply::encode_passage(passage);
        self.frame(&json.expect("a join or leave push holds nothing that JSON cannot say"))
    }

    /// Frames the beginning of a subscription that the client did not ask for.
    pub fn subscribe(self, channel: &ChannelName, subscribe: SubscribePush<'_>) -> Bytes {
        let json = reply::encode_subscribe(channel, subscribe);
        self.frame(&json.expect("a subscribe push holds nothing that JSON cannot say"))
    }

    /// Frames in how many seconds the connection expires, if it does.
    pub fn refresh(self, ttl: Option<u32>) -> Bytes {
        let json = reply::encode_refresh(ttl);
        self.frame(&json.expect("a refresh push holds nothing that JSON cannot say"))
    }

    /// The server's ping of the client protocol.
    pub fn ping(self) -> Bytes {
        self.frame(reply::PING)
    }

    /// Frames the end of the connection.
    pub fn close(self, why: Disconnect) -> Bytes {
        match self {
            Self::WebSocket => codec::encode_close(why.code, &why.reason),
            Self::EventStream => {
                let json = serde_json::json!({"disconnect": why});
                self.frame(json.to_string().as_bytes())
            }
        }
    }
}

/// A delivery with its frames, each encoded when the first connection wants it.
#[derive(Debug)]
pub struct Broadcast {
    /// What is delivered.
    pub delivery: Delivery,
    websocket: OnceLock<Bytes>,
    event_stream: OnceLock<Bytes>,
}

impl Broadcast {
    /// A broadcast without any frame yet.
    pub fn new(delivery: Delivery) -> Self {
        Self { delivery, websocket: OnceLock::new(), event_stream: OnceLock::new() }
    }

    /// The frame for connections that speak `wire`.
    pub fn frame(&self, wire: Wire) -> &Bytes {
        let frame = match wire {
            Wire::WebSocket => &self.websocket,
            Wire::EventStream => &self.event_stream,
        };
        frame.get_or_init(|| wire.publication(&self.delivery.channel, &self.delivery.publication))
    }
}
