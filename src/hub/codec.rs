//! The server side of the WebSocket framing (RFC 6455) and of its compression (RFC 7692): bytes in, messages out, and
//! frames to send. It does no input or output and knows nothing of connections, so it is tested by bytes alone.
//!
//! A hub holds many connections that are silent nearly all the time, which shapes the decoder: it borrows the bytes
//! that its caller has just read and hands out slices of them, and it owns memory only while a frame or a
//! fragmented message is incomplete. No message is compressed with what came before it, so what compresses and
//! decompresses belongs to a thread and not to a connection. The header layout and the close codes are tungstenite's; unmasking, assembly
//! and validation are here.

mod decode;
mod deflate;
mod encode;
mod mask;
mod message;
mod negotiate;
#[cfg(test)]
mod tests;

pub use decode::Decoder;
pub use deflate::{Deflater, Inflater};
pub use encode::{encode_close, encode_frame};
pub use negotiate::Agreement;
pub use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// What a client sent: a whole message or one control frame. The payload is unmasked and lives in the caller's read
/// buffer or in the decoder, so it is gone when the callback returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A whole text message, valid UTF-8.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// A ping; the caller owes a pong with the same payload (at most 125 bytes).
    Ping(&'a [u8]),
    /// A pong (at most 125 bytes).
    Pong(&'a [u8]),
    /// The closing handshake, with the status code and the reason if the client gave them. The code is one that an
    /// endpoint may send. Nothing is decoded after it.
    Close(Option<(u16, &'a str)>),
}

/// The client broke the protocol or a limit: the connection must be closed with this code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (close code {close_code})")]
pub struct ProtocolViolation {
    /// 1002 (protocol error), 1007 (text that is not UTF-8, or not what compression makes) or 1009 (message too big).
    pub close_code: u16,
    /// What was wrong, short enough for a close frame.
    pub reason: &'static str,
}

impl ProtocolViolation {
    /// RFC 6455, section 7.4.1, code 1002.
    const fn malformed(reason: &'static str) -> Self {
        Self { close_code: 1002, reason }
    }

    /// RFC 6455, section 7.4.1, code 1007.
    const NOT_UTF8: Self = Self { close_code: 1007, reason: "text is not valid UTF-8" };

    /// RFC 6455, section 7.4.1, code 1007; RFC 7692 names no code for it.
    const NOT_COMPRESSED: Self =
        Self { close_code: 1007, reason: "message cannot be decompressed" };

    /// RFC 6455, section 7.4.1, code 1009.
    const TOO_BIG: Self = Self { close_code: 1009, reason: "message is too big" };
}
