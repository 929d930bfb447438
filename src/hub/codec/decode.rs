//! Client frames to messages.

use std::io::Cursor;
use std::{mem, str};

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use super::deflate::{Inflater, longest_compressed};
use super::encode::MAX_CONTROL_PAYLOAD;
use super::mask::unmask;
use super::message::{Kind, Message, whole};
use super::{Incoming, ProtocolViolation};

/// The longest header of a client frame, in bytes: two, eight of length, four of mask.
const MAX_HEADER: usize = 14;

/// Decodes what one client sends. It takes 64 bytes at rest and owns no buffer then: a header that is cut short is kept
/// inline, and memory is allocated only for the payload of an incomplete message or control frame.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The beginning of a header whose end has not arrived.
    header: [u8; MAX_HEADER],
    header_len: u8,
    phase: Phase,
    /// The frame whose payload is arriving.
    frame: Option<Frame>,
    /// What has arrived of the payload of an incomplete control frame.
    control: Vec<u8>,
    /// The data message that is incomplete. Between two frames it is there exactly while a fragmented message is open.
    message: Option<Box<Message>>,
}

/// What the next frame may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// One that is not compressed.
    #[default]
    Plain,
    /// One that is compressed as well: that was agreed.
    Compressed,
    /// There was a close frame or a violation: whatever follows is ignored.
    Finished,
}

/// What one call brings along.
struct Call<'a> {
    max_message_bytes: usize,
    inflater: &'a mut Inflater,
    on: &'a mut dyn FnMut(Incoming<'_>),
}

/// A frame whose header has been read and accepted.
#[derive(Debug, Clone, Copy)]
struct Frame {
    role: Role,
    is_final: bool,
    /// Whether it belongs to a compressed message.
    compressed: bool,
    /// Rotated to the next byte of payload.
    mask: [u8; 4],
    /// Bytes of payload that have not arrived.
    remaining: usize,
}

#[derive(Debug, Clone, Copy)]
enum Role {
    Data(Kind),
    Ping,
    Pong,
    Close,
}

impl Decoder {
    /// A decoder for a connection whose handshake has just ended.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same where it was agreed that messages may be compressed.
    pub fn of_compressed() -> Self {
        Self { phase: Phase::Compressed, ..Self::default() }
    }

    /// Takes freshly read bytes and calls `on` for every message that they complete and every control frame, in
    /// order. The bytes are unmasked in place, and a message that they contain whole is passed on without being copied.
    ///
    /// A message longer than `max_message_bytes`, over all its fragments, is refused when a header announces it, and one
    /// that was compressed as soon as `inflater` makes more of it.
    /// After a violation or a close frame nothing more is decoded: later calls succeed and do nothing.
    pub fn feed(
        &mut self,
        bytes: &mut [u8],
        max_message_bytes: usize,
        inflater: &mut Inflater,
        on: &mut dyn FnMut(Incoming<'_>),
    ) -> Result<(), ProtocolViolation> {
        let result = self.decode(bytes, &mut Call { max_message_bytes, inflater, on });
        if self.phase == Phase::Finished || result.is_err() {
            *self = Self { phase: Phase::Finished, ..Self::default() };
        }
        result
    }

    /// Bytes of payload that are allocated.
    #[cfg(test)]
    pub(super) fn owned_bytes(&self) -> usize {
        let message = self.message.as_ref();
        self.control.capacity() + message.map_or(0, |message| message.capacity())
    }

    fn decode(
        &mut self,
        mut bytes: &mut [u8],
        call: &mut Call<'_>,
    ) -> Result<(), ProtocolViolation> {
        while self.phase != Phase::Finished && !bytes.is_empty() {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None => {
                    let Some((header, length, used)) = self.read_header(bytes)? else {
                        return Ok(());
                    };
                    bytes = &mut bytes[used..];
                    self.accept(&header, length, call.max_message_bytes)?
                }
            };
            let arrived = frame.remaining.min(bytes.len());
            let (payload, rest) = mem::take(&mut bytes).split_at_mut(arrived);
            bytes = rest;
            frame.mask = unmask(payload, frame.mask);
            frame.remaining -= arrived;
            match frame.role {
                Role::Data(kind) => self.data(kind, frame, payload, call)?,
                Role::Ping | Role::Pong | Role::Close => self.control(frame, payload, call.on)?,
            }
            if frame.remaining > 0 {
                self.frame = Some(frame);
            }
        }
        Ok(())
    }

    /// Reads a header that begins in an earlier call or in `bytes`, and says how many of `bytes` belong to it. None if
    /// its end has not arrived; then all of `bytes` are kept.
    fn read_header(
        &mut self,
        bytes: &[u8],
    ) -> Result<Option<(FrameHeader, u64, usize)>, ProtocolViolation> {
        let kept = usize::from(self.header_len);
        if kept == 0
            && let Some((header, length, size)) = parse_header(bytes)?
        {
            return Ok(Some((header, length, size)));
        }
        let taken = bytes.len().min(MAX_HEADER - kept);
        let end = kept + taken;
        self.header[kept..end].copy_from_slice(&bytes[..taken]);
        match parse_header(&self.header[..end])? {
            Some((header, length, size)) => {
                self.header_len = 0;
                Ok(Some((header, length, size - kept)))
            }
            None => {
                // A header is never longer than the array, so one that is incomplete leaves room for more.
                self.header_len = end as u8;
                Ok(None)
            }
        }
    }

    /// Refuses what RFC 6455 forbids (sections 5.1 to 5.5) and what the limit forbids.
    fn accept(
        &self,
        header: &FrameHeader,
        length: u64,
        max_message_bytes: usize,
    ) -> Result<Frame, ProtocolViolation> {
        // Only the first frame of a message says that it is compressed (RFC 7692, section 6).
        let begins = matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary));
        let may_be_compressed = begins && self.phase == Phase::Compressed;
        if header.rsv2 || header.rsv3 || (header.rsv1 && !may_be_compressed) {
            return Err(ProtocolViolation::malformed("reserved bits are set without an extension"));
        }
        let Some(mask) = header.mask else {
            return Err(ProtocolViolation::malformed("client frames must be masked"));
        };
        let compressed = header.rsv1
            || (header.opcode == OpCode::Data(Data::Continue)
                && self.message.as_ref().is_some_and(|message| message.is_compressed()));
        let (role, longest) = match header.opcode {
            OpCode::Control(control) => (control_role(control, header, length)?, length),
            OpCode::Data(data) => {
                self.data_role(data, payload_max(compressed, max_message_bytes))?
            }
        };
        if length > longest {
            return Err(ProtocolViolation::TOO_BIG);
        }
        Ok(Frame {
            role,
            is_final: header.is_final,
            compressed,
            mask,
            remaining: usize::try_from(length).map_err(|_| ProtocolViolation::TOO_BIG)?,
        })
    }

    /// The message kind that a data frame belongs to, and how much the payload of the message may still grow, in bytes.
    fn data_role(&self, data: Data, payload_max: usize) -> Result<(Role, u64), ProtocolViolation> {
        let kind = match (data, &self.message) {
            (Data::Text, None) => Kind::Text,
            (Data::Binary, None) => Kind::Binary,
            (Data::Continue, Some(message)) => message.kind(),
            (Data::Continue, None) => {
                return Err(ProtocolViolation::malformed("continuation without a message"));
            }
            (Data::Text | Data::Binary, Some(_)) => {
                return Err(ProtocolViolation::malformed("new message inside a fragmented one"));
            }
            (Data::Reserved(_), _) => return Err(ProtocolViolation::malformed("unknown opcode")),
        };
        let so_far = self.message.as_ref().map_or(0, |message| message.len());
        let longest = payload_max.saturating_sub(so_far) as u64;
        Ok((Role::Data(kind), longest))
    }

    /// Takes an unmasked piece of a data frame.
    fn data(
        &mut self,
        kind: Kind,
        frame: Frame,
        payload: &[u8],
        call: &mut Call<'_>,
    ) -> Result<(), ProtocolViolation> {
        let ends = frame.is_final && frame.remaining == 0;
        let message = match &mut self.message {
            None if ends => return call.hear(kind, frame.compressed, payload),
            None => self.message.insert(Box::new(Message::new(kind, frame.compressed))),
            Some(message) => message,
        };
        let longest = if frame.is_final {
            message.len() + payload.len() + frame.remaining
        } else {
            payload_max(frame.compressed, call.max_message_bytes)
        };
        message.append(payload, longest)?;
        if ends {
            call.hear(kind, frame.compressed, message.payload())?;
            self.message = None;
        }
        Ok(())
    }

    /// Takes an unmasked piece of a control frame.
    fn control(
        &mut self,
        frame: Frame,
        payload: &[u8],
        on: &mut dyn FnMut(Incoming<'_>),
    ) -> Result<(), ProtocolViolation> {
        if frame.remaining > 0 {
            self.control.extend_from_slice(payload);
            return Ok(());
        }
        let earlier = mem::take(&mut self.control);
        let joined;
        let payload = if earlier.is_empty() {
            payload
        } else {
            joined = [&earlier, payload].concat();
            &joined
        };
        match frame.role {
            Role::Ping => on(Incoming::Ping(payload)),
            Role::Pong => on(Incoming::Pong(payload)),
            _ => {
                on(Incoming::Close(parse_close(payload)?));
                self.phase = Phase::Finished;
            }
        }
        Ok(())
    }
}

impl Call<'_> {
    /// Passes on a message whose payload is complete.
    fn hear(
        &mut self,
        kind: Kind,
        compressed: bool,
        payload: &[u8],
    ) -> Result<(), ProtocolViolation> {
        let payload = match compressed {
            true => self.inflater.inflate(payload, self.max_message_bytes)?,
            false => payload,
        };
        (self.on)(whole(kind, payload)?);
        Ok(())
    }
}

/// How long the payload of a message may be that is no longer than `max_message_bytes` itself.
fn payload_max(compressed: bool, max_message_bytes: usize) -> usize {
    if compressed { longest_compressed(max_message_bytes) } else { max_message_bytes }
}

/// What a control frame is, unless it is one that RFC 6455, section 5.5, forbids.
fn control_role(
    control: Control,
    header: &FrameHeader,
    length: u64,
) -> Result<Role, ProtocolViolation> {
    if !header.is_final {
        return Err(ProtocolViolation::malformed("control frames must not be fragmented"));
    }
    if length > MAX_CONTROL_PAYLOAD as u64 {
        return Err(ProtocolViolation::malformed("control frames carry at most 125 bytes"));
    }
    match control {
        Control::Ping => Ok(Role::Ping),
        Control::Pong => Ok(Role::Pong),
        Control::Close => Ok(Role::Close),
        Control::Reserved(_) => Err(ProtocolViolation::malformed("unknown opcode")),
    }
}

/// A header at the beginning of `bytes`, the payload length that it announces, and its own size.
fn parse_header(bytes: &[u8]) -> Result<Option<(FrameHeader, u64, usize)>, ProtocolViolation> {
    let mut cursor = Cursor::new(bytes);
    match FrameHeader::parse(&mut cursor) {
        Ok(Some((header, length))) => Ok(Some((header, length, cursor.position() as usize))),
        Ok(None) => Ok(None),
        // The only thing that tungstenite refuses here, as reading from a slice cannot fail.
        Err(_) => Err(ProtocolViolation::malformed("unknown opcode")),
    }
}

/// The status code and the reason in a close frame (RFC 6455, section 5.5.1).
fn parse_close(payload: &[u8]) -> Result<Option<(u16, &str)>, ProtocolViolation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() {
            Ok(None)
        } else {
            Err(ProtocolViolation::malformed("close code is cut short"))
        };
    };
    let code = u16::from_be_bytes(*code);
    if !CloseCode::from(code).is_allowed() {
        return Err(ProtocolViolation::malformed("close code is not allowed"));
    }
    let reason = str::from_utf8(reason).map_err(|_| ProtocolViolation::NOT_UTF8)?;
    Ok(Some((code, reason)))
}
