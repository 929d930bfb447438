//! Reading: from the socket to whole messages to whoever converses with the client.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use tungstenite::protocol::frame::coding::{Control, OpCode};

use super::codec::{self, Decoder, Incoming};
use super::connection::Key;
use super::link::Link;
use super::orders::Order;
use super::outlet::Outlet;
use super::shard::Shard;
use crate::client_protocol::codes::Disconnect;
use crate::client_protocol::directive::Directive;

/// A whole message of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Valid UTF-8.
    Text(&'a str),
    /// Anything.
    Binary(&'a [u8]),
}

/// What a connection does with the messages that it reads.
pub trait Conversation: 'static {
    /// Takes a message; called while the shard's read buffer is borrowed, so it
    /// keeps what it needs and returns.
    fn hear(&mut self, message: Message<'_>);

    /// Takes an order of somebody else than the client. One that does not know orders passes over them.
    fn obey(&mut self, order: Arc<Directive>) {
        drop(order);
    }

    /// Whether something that was heard waits to be dealt with.
    fn is_busy(&self) -> bool;

    /// Deals with what was heard. Nothing is read meanwhile, so a client cannot
    /// ask faster than it is answered.
    fn act(&mut self) -> impl Future<Output = ()>;
}

/// What one read led to.
enum Heard {
    Nothing,
    /// The peer has closed its side.
    End,
    /// The connection is to be closed.
    Close(Disconnect),
}

/// Reads until the connection ends. `head` is what was read before the
/// connection was handed over.
pub(super) async fn converse<C: Conversation>(
    shard: Rc<Shard>,
    key: Key,
    outlet: Rc<Outlet>,
    head: Bytes,
    mut conversation: C,
) {
    let link = Link::new(Rc::clone(&shard), key);
    let mut decoder = if link.is_compressed() { Decoder::of_compressed() } else { Decoder::new() };
    let mut early = head.to_vec();
    // Even an empty part keeps the whole buffer alive that it was cut from.
    drop(head);
    let mut heard = match early.is_empty() {
        true => Heard::Nothing,
        false => listen(&shard, &link, &mut decoder, &mut early, &mut conversation),
    };
    drop(early);
    loop {
        if conversation.is_busy() {
            // Boxed, so that an idle connection does not carry room for it.
            link.set_busy(true);
            Box::pin(conversation.act()).await;
            link.set_busy(false);
        }
        match heard {
            Heard::Nothing => {}
            Heard::End => return shard.close(key, Disconnect::CONNECTION_CLOSED),
            Heard::Close(why) => return shard.close(key, why),
        }
        if link.is_closed() {
            return;
        }
        tokio::select! {
            biased;
            orders = shard.ordered(key) => {
                for order in orders {
                    match order {
                        Order::Directive(directive) => conversation.obey(directive),
                        Order::Said(frame) => conversation.hear(Message::Binary(&frame)),
                    }
                }
                heard = Heard::Nothing;
                continue;
            }
            ready = outlet.readable() => if ready.is_err() {
                return shard.close(key, Disconnect::CONNECTION_CLOSED);
            }
        }
        let scratch = &mut **shard.scratch.borrow_mut();
        heard = match outlet.try_read(scratch) {
            Ok(0) => Heard::End,
            Ok(count) => {
                listen(&shard, &link, &mut decoder, &mut scratch[..count], &mut conversation)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Heard::Nothing,
            Err(_) => Heard::End,
        };
    }
}

fn listen<C: Conversation>(
    shard: &Shard,
    link: &Link,
    decoder: &mut Decoder,
    bytes: &mut [u8],
    conversation: &mut C,
) -> Heard {
    let mut heard = Heard::Nothing;
    let mut on = |incoming: Incoming<'_>| match incoming {
        Incoming::Text(text) => conversation.hear(Message::Text(text)),
        Incoming::Binary(bytes) => conversation.hear(Message::Binary(bytes)),
        Incoming::Ping(payload) => {
            link.send(codec::encode_frame(OpCode::Control(Control::Pong), payload));
        }
        Incoming::Pong(_) => {}
        Incoming::Close(Some((code, _))) => {
            heard = Heard::Close(Disconnect { code, reason: Cow::Borrowed("") })
        }
        Incoming::Close(None) => heard = Heard::Close(Disconnect::NORMAL),
    };
    let max = shard.options.message_size_limit;
    match decoder.feed(bytes, max, &mut shard.inflater.borrow_mut(), &mut on) {
        Ok(()) => heard,
        Err(violation) => Heard::Close(Disconnect {
            code: violation.close_code,
            reason: Cow::Borrowed(violation.reason),
        }),
    }
}
