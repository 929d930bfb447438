//! Frames: the bytes of a message, encoded once and shared by all who receive it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use super::codec::{self, Deflater};
use super::connection::Connection;
use crate::client_protocol::codes::{Disconnect, Unsubscribed};
use crate::client_protocol::encoding::Encoding;
use crate::client_protocol::fossil;
use crate::client_protocol::reply::{
    MessagePush, Moved, Push, PushBody, RefreshPush, Reply, SubscribePush, WirePublication,
};
use crate::domain::channel::ChannelName;
use crate::domain::publication::{
    Delivery, Json, Passage, PassageKind, Publication, PublicationBody,
};

/// How the messages of a connection are encoded and framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// JSON in WebSocket text frames.
    WebSocket,
    /// Protobuf in WebSocket binary frames.
    WebSocketProtobuf,
    /// Pushes alone, in WebSocket text frames.
    UniWebSocket,
    /// JSON, a server-sent event a message (WHATWG HTML, section 9.2); the client speaks through `/emulation`.
    EventStream,
    /// Pushes alone, a server-sent event each.
    UniEventStream,
    /// JSON, a line of the response a message; the client speaks through `/emulation`.
    JsonStream,
    /// Protobuf, message after message in the response; the client speaks through `/emulation`.
    ProtobufStream,
}

impl Wire {
    /// All there are, each at its own number.
    pub(super) const ALL: [Self; 7] = [
        Self::WebSocket,
        Self::WebSocketProtobuf,
        Self::UniWebSocket,
        Self::EventStream,
        Self::UniEventStream,
        Self::JsonStream,
        Self::ProtobufStream,
    ];

    /// How messages are encoded.
    pub fn encoding(self) -> Encoding {
        match self {
            Self::WebSocket | Self::EventStream | Self::JsonStream => Encoding::Json,
            Self::UniWebSocket | Self::UniEventStream => Encoding::BareJson,
            Self::WebSocketProtobuf | Self::ProtobufStream => Encoding::Protobuf,
        }
    }

    /// Whether the client cannot answer, neither pings nor errors.
    pub fn is_unidirectional(self) -> bool {
        matches!(self, Self::UniWebSocket | Self::UniEventStream)
    }

    /// Whether the client speaks through `/emulation`.
    pub fn is_emulated(self) -> bool {
        matches!(self, Self::EventStream | Self::JsonStream | Self::ProtobufStream)
    }

    /// Frames encoded messages, which the encoding has gathered.
    pub fn frame(self, messages: &[u8]) -> Bytes {
        match self {
            Self::WebSocket | Self::UniWebSocket => {
                codec::encode_frame(OpCode::Data(Data::Text), messages)
            }
            Self::WebSocketProtobuf => codec::encode_frame(OpCode::Data(Data::Binary), messages),
            Self::EventStream | Self::UniEventStream => {
                let lines = messages.split(|byte| *byte == b'\n');
                let mut event = Vec::with_capacity(messages.len() + b"data: \n\n".len());
                for line in lines {
                    event.extend_from_slice(b"data: ");
                    event.extend_from_slice(line);
                    event.push(b'\n');
                }
                event.push(b'\n');
                event.into()
            }
            Self::JsonStream => [messages, b"\n"].concat().into(),
            Self::ProtobufStream => Bytes::copy_from_slice(messages),
        }
    }

    /// Encodes the answer to a command, for a frame.
    pub fn reply(self, reply: &Reply<'_>) -> Vec<u8> {
        self.encoding().reply(reply)
    }

    /// Frames what the server says about a channel.
    pub fn push(self, channel: &ChannelName, body: PushBody<'_>) -> Bytes {
        self.frame(&self.encoding().push(&Push { channel: channel.as_str(), body }))
    }

    /// Frames a publication for one connection.
    pub fn publication(self, channel: &ChannelName, publication: &Publication) -> Bytes {
        self.push(channel, PushBody::Pub(publication.into()))
    }

    /// Frames a publication for one subscription that takes deltas; `delta` says what has changed, or all is said.
    pub fn publication_for_deltas(
        self,
        channel: &ChannelName,
        publication: &Publication,
        delta: Option<&str>,
    ) -> Bytes {
        self.push(channel, PushBody::Pub(WirePublication::from(publication).for_deltas(delta)))
    }

    /// Frames the end of a subscription.
    pub fn unsubscribe(self, channel: &ChannelName, why: Unsubscribed) -> Bytes {
        self.push(channel, PushBody::Unsubscribe(why))
    }

    /// Frames that somebody came or went.
    pub fn passage(self, passage: &Passage) -> Bytes {
        let moved = Moved { info: &passage.info };
        let body = match passage.kind {
            PassageKind::Join => PushBody::Join(moved),
            PassageKind::Leave => PushBody::Leave(moved),
        };
        self.push(&passage.channel, body)
    }

    /// Frames the beginning of a subscription that the client did not ask for.
    pub fn subscribe(self, channel: &ChannelName, subscribe: SubscribePush<'_>) -> Bytes {
        self.push(channel, PushBody::Subscribe(subscribe))
    }

    /// Frames in how many seconds the connection expires, if it does.
    pub fn refresh(self, ttl: Option<u32>) -> Bytes {
        let body =
            PushBody::Refresh(RefreshPush { expires: ttl.is_some(), ttl: ttl.unwrap_or_default() });
        self.frame(&self.encoding().push(&Push { channel: "", body }))
    }

    /// Frames what a back end tells the client outside of any channel.
    pub fn message(self, data: &Json) -> Bytes {
        let body = PushBody::Message(MessagePush { data });
        self.frame(&self.encoding().push(&Push { channel: "", body }))
    }

    /// The server's ping of the client protocol.
    pub fn ping(self) -> Bytes {
        self.frame(self.encoding().ping())
    }

    /// Frames the end of the connection.
    pub fn close(self, why: Disconnect) -> Bytes {
        match self {
            Self::WebSocket | Self::WebSocketProtobuf | Self::UniWebSocket => {
                codec::encode_close(why.code, &why.reason)
            }
            Self::EventStream | Self::UniEventStream | Self::JsonStream | Self::ProtobufStream => {
                let push = Push { channel: "", body: PushBody::Disconnect(why) };
                self.frame(&self.encoding().push(&push))
            }
        }
    }
}

/// A frame for each wire, encoded when the first connection wants it.
type ByWire = [OnceLock<Bytes>; Wire::ALL.len()];

/// The frames of one message.
#[derive(Debug, Default)]
struct Frames {
    plain: ByWire,
    /// Only where somebody wants them compressed; what does not get shorter is in it as it is.
    compressed: OnceLock<Box<ByWire>>,
}

/// One of the frames of a message.
#[derive(Clone, Copy)]
struct Framed<'a> {
    frames: &'a Frames,
    wire: Wire,
    plain: &'a Bytes,
}

impl Frames {
    fn framed(&self, wire: Wire, encode: impl FnOnce() -> Bytes) -> Framed<'_> {
        let plain = self.plain[wire as usize].get_or_init(encode);
        Framed { frames: self, wire, plain }
    }
}

impl<'a> Framed<'a> {
    /// The frame as a connection of its wire gets it.
    fn to(self, connection: &Connection, deflater: &mut Deflater) -> &'a Bytes {
        match connection.compression {
            Some(agreement) if agreement.admits(self.plain.len()) => {
                let compressed = &self.frames.compressed.get_or_init(Box::default);
                compressed[self.wire as usize].get_or_init(|| deflater.deflate(self.plain))
            }
            _ => self.plain,
        }
    }
}

/// A delivery with its frames.
#[derive(Debug)]
pub struct Broadcast {
    /// What is delivered.
    pub delivery: Delivery,
    frames: Frames,
    /// Only where somebody takes deltas.
    deltas: OnceLock<Box<DeltaFrames>>,
}

/// What is told to subscriptions that take deltas.
#[derive(Debug, Default)]
struct DeltaFrames {
    whole: Frames,
    /// What has changed since the delivery before.
    changes: OnceLock<Changes>,
}

#[derive(Debug)]
struct Changes {
    since: Arc<PublicationBody>,
    /// `None` if it would be no shorter than the whole.
    delta: Option<String>,
    frames: Frames,
}

impl Broadcast {
    /// A broadcast without any frame yet.
    pub fn new(delivery: Delivery) -> Self {
        Self { delivery, frames: Frames::default(), deltas: OnceLock::new() }
    }

    /// The frame for connections that speak `wire`, not compressed.
    pub fn frame(&self, wire: Wire) -> &Bytes {
        self.whole(wire).plain
    }

    /// The frame that tells all of it, to a subscription that takes deltas or to one that does not; not compressed.
    pub fn frame_of(&self, wire: Wire, takes_deltas: bool) -> &Bytes {
        if takes_deltas { self.for_deltas(wire, None).plain } else { self.frame(wire) }
    }

    /// The frame for a subscription of a connection that does not take deltas.
    pub(super) fn frame_to(&self, connection: &Connection, deflater: &mut Deflater) -> &Bytes {
        self.whole(connection.wire).to(connection, deflater)
    }

    /// The frame that tells all of it, as a connection of either kind of subscription gets it.
    pub(super) fn whole_to(
        &self,
        connection: &Connection,
        takes_deltas: bool,
        deflater: &mut Deflater,
    ) -> &Bytes {
        match takes_deltas {
            true => self.frame_for_deltas(connection, None, deflater),
            false => self.frame_to(connection, deflater),
        }
    }

    /// The frame for subscriptions that take deltas and were told `base` last; without one, or where that is not what others
    /// were told, it says all.
    pub(super) fn frame_for_deltas(
        &self,
        connection: &Connection,
        base: Option<&Arc<Self>>,
        deflater: &mut Deflater,
    ) -> &Bytes {
        self.for_deltas(connection.wire, base).to(connection, deflater)
    }

    fn whole(&self, wire: Wire) -> Framed<'_> {
        let Delivery { channel, publication, .. } = &self.delivery;
        self.frames.framed(wire, || wire.publication(channel, publication))
    }

    fn for_deltas(&self, wire: Wire, base: Option<&Arc<Self>>) -> Framed<'_> {
        let frames = self.deltas.get_or_init(Box::default);
        let Delivery { channel, publication, .. } = &self.delivery;
        let encode = |delta| wire.publication_for_deltas(channel, publication, delta);
        let changes = base.map(|base| {
            let since = &base.delivery.publication.body;
            (since, frames.changes.get_or_init(|| Changes::new(since, &publication.body)))
        });
        if let Some((since, Changes { since: known, delta: Some(delta), frames })) = changes
            && Arc::ptr_eq(since, known)
        {
            return frames.framed(wire, || encode(Some(delta)));
        }
        frames.whole.framed(wire, || encode(None))
    }
}

impl Changes {
    fn new(since: &Arc<PublicationBody>, body: &PublicationBody) -> Self {
        let delta = fossil::create(since.data.get(), body.data.get());
        let delta = Some(delta).filter(|delta| delta.len() < body.data.get().len());
        Self { since: Arc::clone(since), delta, frames: Frames::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_framed_for_every_transport() {
        let frame = |wire: Wire| wire.frame(b"{}\n{}");
        assert_eq!(frame(Wire::WebSocket), &b"\x81\x05{}\n{}"[..]);
        assert_eq!(frame(Wire::EventStream), &b"data: {}\ndata: {}\n\n"[..]);
        assert_eq!(frame(Wire::JsonStream), &b"{}\n{}\n"[..]);
        assert_eq!(Wire::WebSocketProtobuf.ping(), &b"\x82\x01\0"[..]);
        assert_eq!(Wire::ProtobufStream.ping(), &b"\0"[..]);
        let goodbye = Wire::UniEventStream.close(Disconnect::SHUTDOWN);
        assert_eq!(
            goodbye,
            &b"data: {\"disconnect\":{\"code\":3001,\"reason\":\"shutdown\"}}\n\n"[..]
        );
    }

    #[test]
    fn every_wire_has_a_frame_of_its_own() {
        for (number, wire) in Wire::ALL.into_iter().enumerate() {
            assert_eq!(wire as usize, number);
        }
    }
}
