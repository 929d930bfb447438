//! A data message that has not wholly arrived.

use std::str;

use super::{Incoming, ProtocolViolation};

/// The two kinds of data messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Binary,
}

/// What has arrived of a message that comes in fragments, or whose only frame comes in pieces.
#[derive(Debug)]
pub(super) struct Message {
    kind: Kind,
    /// Whether it must be decompressed once it is whole.
    compressed: bool,
    bytes: Vec<u8>,
    /// How many bytes of a text are known to be valid UTF-8; at most three more may be an unfinished character. So each
    /// piece is looked at once, and a bad byte is refused when it arrives rather than when the message is complete.
    checked: usize,
}

impl Message {
    pub(super) fn new(kind: Kind, compressed: bool) -> Self {
        Self { kind, compressed, bytes: Vec::new(), checked: 0 }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// Bytes that have arrived.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that are allocated.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Adds a piece of payload. Memory grows with what has arrived, to at most twice as much, so that a client pays
    /// in bytes for what it makes the server hold, and copying stays linear. `longest` is a length that the message
    /// cannot exceed as far as is known; it only trims the last doubling.
    pub(super) fn append(&mut self, piece: &[u8], longest: usize) -> Result<(), ProtocolViolation> {
        let needed = self.bytes.len() + piece.len();
        if needed > self.bytes.capacity() {
            let target = needed.saturating_mul(2).min(longest).max(needed);
            self.bytes.reserve_exact(target - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        match self.kind {
            Kind::Text if !self.compressed => self.check_text(),
            _ => Ok(()),
        }
    }

    /// All of the payload, once its last byte is in.
    pub(super) fn payload(&self) -> &[u8] {
        &self.bytes
    }

    fn check_text(&mut self) -> Result<(), ProtocolViolation> {
        match str::from_utf8(&self.bytes[self.checked..]) {
            Ok(_) => self.checked = self.bytes.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(ProtocolViolation::NOT_UTF8),
        }
        Ok(())
    }
}

/// A message whose payload is complete.
pub(super) fn whole(kind: Kind, payload: &[u8]) -> Result<Incoming<'_>, ProtocolViolation> {
    match kind {
        Kind::Binary => Ok(Incoming::Binary(payload)),
        Kind::Text => {
            str::from_utf8(payload).map(Incoming::Text).map_err(|_| ProtocolViolation::NOT_UTF8)
        }
    }
}
