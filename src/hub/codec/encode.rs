//! Frames from the server to a client: final, never masked, one buffer each.

use bytes::Bytes;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// The longest payload of a control frame, in bytes (RFC 6455, section 5.5).
pub(super) const MAX_CONTROL_PAYLOAD: usize = 125;

/// Creates an unmasked final server frame: header and payload in one buffer of exactly their size, which every
/// receiver can share. A control frame's payload must not exceed 125 bytes.
pub fn encode_frame(opcode: OpCode, payload: &[u8]) -> Bytes {
    debug_assert!(
        matches!(opcode, OpCode::Data(_)) || payload.len() <= MAX_CONTROL_PAYLOAD,
        "a control frame carries at most 125 bytes"
    );
    encode(&FrameHeader { opcode, ..FrameHeader::default() }, payload)
}

/// Creates a frame whose payload is compressed, which its first reserved bit says (RFC 7692, section 6).
pub(super) fn encode_compressed(data: Data, payload: &[u8]) -> Bytes {
    let opcode = OpCode::Data(data);
    encode(&FrameHeader { opcode, rsv1: true, ..FrameHeader::default() }, payload)
}

fn encode(header: &FrameHeader, payload: &[u8]) -> Bytes {
    let length = payload.len() as u64;
    let mut frame = Vec::with_capacity(header.len(length) + payload.len());
    header.format(length, &mut frame).expect("writing to a Vec cannot fail");
    frame.extend_from_slice(payload);
    Bytes::from(frame)
}

/// Creates a close frame. The reason is cut at a character boundary so that code and reason fit a control frame.
pub fn encode_close(code: u16, reason: &str) -> Bytes {
    let reason = &reason[..reason.floor_char_boundary(MAX_CONTROL_PAYLOAD - size_of::<u16>())];
    let mut payload = Vec::with_capacity(MAX_CONTROL_PAYLOAD);
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(reason.as_bytes());
    encode_frame(OpCode::Control(Control::Close), &payload)
}
