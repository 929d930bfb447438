//! WebSocket frames (RFC 6455, section 5.2): just enough of them to scan what a server sends and to send masked ones.

use std::fmt;

/// Opcode of a continuation frame.
pub const CONTINUATION: u8 = 0x0;
/// Opcode of a text message.
pub const TEXT: u8 = 0x1;
/// Opcode of a binary message.
pub const BINARY: u8 = 0x2;
/// Opcode of a close frame.
pub const CLOSE: u8 = 0x8;
/// Opcode of a ping.
pub const PING: u8 = 0x9;
/// Opcode of a pong.
pub const PONG: u8 = 0xa;

/// No frame of a benchmark is larger; a longer length means that the scanner lost its place.
const LONGEST_PAYLOAD: u64 = 16 * 1024 * 1024;

/// The masking key is constant: masking protects proxies from scripts in browsers, and there are neither here.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame's header and where its payload lies in the scanned bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whether the frame ends its message.
    pub last: bool,
    /// One of the opcodes above.
    pub opcode: u8,
    /// The masking key of a frame sent by a client.
    pub mask: Option<[u8; 4]>,
    /// Index of the first byte of the payload.
    pub start: usize,
    /// Index after the last byte of the payload, which is where the next frame starts.
    pub end: usize,
}

/// Bytes that are no frame.
#[derive(Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A reserved bit is set, though no extension was agreed upon.
    ReservedBits,
    /// The payload would be longer than any message here, in bytes.
    TooLong(u64),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedBits => f.write_str("a WebSocket frame has reserved bits set"),
            Self::TooLong(length) => write!(f, "a WebSocket frame claims {length} bytes"),
        }
    }
}

impl std::error::Error for FrameError {}

/// Scans one frame at the start of `bytes`; `None` while it is incomplete.
///
/// # Errors
/// When the bytes cannot be a frame.
#[inline]
pub fn scan(bytes: &[u8]) -> Result<Option<Header>, FrameError> {
    let &[first, second, ..] = bytes else {
        return Ok(None);
    };
    if first & 0x70 != 0 {
        return Err(FrameError::ReservedBits);
    }
    let (length, mut start) = match second & 0x7f {
        126 => match bytes.get(2..4) {
            Some(&[a, b]) => (u64::from(u16::from_be_bytes([a, b])), 4),
            _ => return Ok(None),
        },
        127 => match bytes.get(2..10).map(<[u8; 8]>::try_from) {
            Some(Ok(length)) => (u64::from_be_bytes(length), 10),
            _ => return Ok(None),
        },
        short => (u64::from(short), 2),
    };
    if length > LONGEST_PAYLOAD {
        return Err(FrameError::TooLong(length));
    }
    let mask = if second & 0x80 == 0 {
        None
    } else {
        let Some(&[a, b, c, d]) = bytes.get(start..start + 4) else {
            return Ok(None);
        };
        start += 4;
        Some([a, b, c, d])
    };
    let end = start + length as usize;
    Ok((bytes.len() >= end).then_some(Header {
        last: first & 0x80 != 0,
        opcode: first & 0x0f,
        mask,
        start,
        end,
    }))
}

/// Masks or unmasks a payload in place.
pub fn apply_mask(payload: &mut [u8], mask: [u8; 4]) {
    for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// Appends an unmasked frame, as servers send them.
pub fn encode_from_server(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    encode_header(out, opcode, payload.len(), 0);
    out.extend_from_slice(payload);
}

/// Appends a masked frame, as clients send them.
pub fn encode_from_client(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    encode_header(out, opcode, payload.len(), 0x80);
    out.extend_from_slice(&MASK);
    let start = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[start..], MASK);
}

fn encode_header(out: &mut Vec<u8>, opcode: u8, length: usize, mask_bit: u8) {
    out.push(0x80 | opcode);
    if length < 126 {
        out.push(mask_bit | length as u8);
    } else if let Ok(length) = u16::try_from(length) {
        out.push(mask_bit | 126);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(mask_bit | 127);
        out.extend_from_slice(&(length as u64).to_be_bytes());
    }
}

/// Splits the first line off a payload: the client protocol puts one JSON object on each. Returns the line without
/// its end, and the rest.
#[inline]
pub fn split_line(payload: &[u8]) -> (&[u8], &[u8]) {
    match line_end(payload) {
        Some(end) => (&payload[..end], &payload[end + 1..]),
        None => (payload, &[]),
    }
}

/// The index of the first line feed, eight bytes at a step: this runs once for each delivery.
#[inline]
fn line_end(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const FEEDS: u64 = ONES * b'\n' as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        // A byte of `difference` is zero where a line feed is; the classic test finds the lowest such byte exactly.
        let difference = u64::from_le_bytes(*word) ^ FEEDS;
        let zeros = difference.wrapping_sub(ONES) & !difference & (ONES << 7);
        if zeros != 0 {
            return Some(index * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    let start = words.len() * 8;
    rest.iter().position(|byte| *byte == b'\n').map(|at| start + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans_every_length_form_and_every_prefix_is_incomplete() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let payload = vec![b'x'; length];
            let mut bytes = Vec::new();
            encode_from_server(&mut bytes, TEXT, &payload);
            let frame = scan(&bytes).unwrap().unwrap();
            assert_eq!((frame.opcode, frame.mask, frame.last), (TEXT, None, true));
            assert_eq!(&bytes[frame.start..frame.end], &payload[..]);
            assert_eq!(frame.end, bytes.len());
            for shorter in
                (0..bytes.len().min(20)).chain(bytes.len().saturating_sub(3)..bytes.len())
            {
                assert_eq!(scan(&bytes[..shorter]).unwrap(), None, "prefix {shorter} of {length}");
            }
        }
    }

    #[test]
    fn a_masked_frame_unmasks_to_what_was_sent() {
        for length in [2, 125, 126, 66_000] {
            let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mut bytes = Vec::new();
            encode_from_client(&mut bytes, BINARY, &payload);
            let frame = scan(&bytes).unwrap().unwrap();
            assert_ne!(&bytes[frame.start..frame.end], &payload[..]);
            apply_mask(&mut bytes[frame.start..frame.end], frame.mask.unwrap());
            assert_eq!(&bytes[frame.start..], &payload[..]);
        }
    }

    #[test]
    fn several_frames_follow_each_other() {
        let mut bytes = Vec::new();
        encode_from_server(&mut bytes, TEXT, b"one");
        encode_from_server(&mut bytes, PING, b"");
        encode_from_server(&mut bytes, TEXT, &[b'y'; 300]);
        let (mut at, mut opcodes) = (0, Vec::new());
        while let Some(frame) = scan(&bytes[at..]).unwrap() {
            opcodes.push((frame.opcode, frame.end - frame.start));
            at += frame.end;
        }
        assert_eq!(opcodes, [(TEXT, 3), (PING, 0), (TEXT, 300)]);
        assert_eq!(at, bytes.len());
    }

    #[test]
    fn refuses_what_is_no_frame() {
        assert_eq!(scan(&[0xc1, 0x00]), Err(FrameError::ReservedBits));
        let mut bytes = vec![0x81, 127];
        bytes.extend_from_slice(&u64::MAX.to_be_bytes());
        assert_eq!(scan(&bytes), Err(FrameError::TooLong(u64::MAX)));
    }

    #[test]
    fn lines_are_split_wherever_the_line_feed_is() {
        for length in 0..40 {
            for at in 0..length {
                let mut payload = vec![0x8a; length];
                payload[at] = b'\n';
                let (line, rest) = split_line(&payload);
                assert_eq!((line.len(), rest.len()), (at, length - at - 1));
            }
            let whole = vec![b'\x0b'; length];
            assert_eq!(split_line(&whole), (&whole[..], &[][..]));
        }
    }
}
