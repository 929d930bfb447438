//! Compressing and decompressing messages (RFC 7692, section 7.2), each for itself.

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use tungstenite::protocol::frame::coding::Data;

use super::ProtocolViolation;
use super::encode::encode_compressed;

/// How far back compressed messages refer, as a power of two. Most publications are shorter, and of what is longer the
/// near past resembles itself the most; but one compressed frame serves all clients, also those that hold no more.
pub(super) const WINDOW_BITS: u8 = 12;

/// What ends a flushed deflate stream, and is left away (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Buffers of more bytes are not kept.
const KEPT_BYTES: usize = 64 * 1024;

/// How many bytes a compressed message may have that is `length` bytes long: what cannot be compressed grows a little,
/// by an eighth at the worst where every byte takes the nine bits that the fixed code has for it.
pub(super) fn longest_compressed(length: usize) -> usize {
    length.saturating_add(length / 8).saturating_add(64)
}

/// Compresses messages. It takes memory only once one is compressed.
pub struct Deflater {
    level: Compression,
    min_bytes: usize,
    compress: Option<Compress>,
    output: Vec<u8>,
}

impl Deflater {
    /// One that works as hard as `level` says, from 1, which is the fastest, to 9, and leaves messages of less than
    /// `min_bytes` as they are.
    pub fn new(level: u32, min_bytes: usize) -> Self {
        let level = Compression::new(level.clamp(1, 9));
        Self { level, min_bytes, compress: None, output: Vec::new() }
    }

    /// The frame with its message compressed; the same frame if it bears no message of the size for it, or one that
    /// would not get shorter.
    pub fn deflate(&mut self, frame: &Bytes) -> Bytes {
        let compressed = message_in(frame).and_then(|(data, payload)| {
            let worth_it = payload.len() >= self.min_bytes;
            let compressed = worth_it.then(|| self.compressed(payload))??;
            Some(encode_compressed(data, compressed))
        });
        if self.output.capacity() > KEPT_BYTES {
            self.output = Vec::new();
        }
        compressed.unwrap_or_else(|| frame.clone())
    }

    /// None if it does not get shorter.
    fn compressed(&mut self, payload: &[u8]) -> Option<&[u8]> {
        // One that did not come to an end is not used again: zlib-rs 0.6 forgets on a reset that its buffer is partly
        // used, and panics later for want of room.
        let mut compress = self
            .compress
            .take()
            .unwrap_or_else(|| Compress::new_with_window_bits(self.level, false, WINDOW_BITS));
        self.output.clear();
        self.output.reserve(longest_compressed(payload.len()));
        compress.compress_vec(payload, &mut self.output, FlushCompress::Sync).ok()?;
        // Without room left there may be more to come, and it is too long already.
        let is_whole = self.output.len() < self.output.capacity()
            && compress.total_in() == payload.len() as u64;
        if !is_whole {
            return None;
        }
        compress.reset();
        self.compress = Some(compress);
        let compressed = self.output.strip_suffix(&TAIL)?;
        (compressed.len() < payload.len()).then_some(compressed)
    }
}

/// The message that a frame of this server bears, unless it is compressed already.
fn message_in(frame: &[u8]) -> Option<(Data, &[u8])> {
    let data = match frame.first()? {
        0x81 => Data::Text,
        0x82 => Data::Binary,
        _ => return None,
    };
    let header = match frame.get(1)? {
        127 => 10,
        126 => 4,
        _ => 2,
    };
    Some((data, frame.get(header..)?))
}

/// Decompresses messages. It takes memory only once one is decompressed.
#[derive(Default)]
pub struct Inflater {
    decompress: Option<Decompress>,
    output: Vec<u8>,
}

impl Inflater {
    /// Bytes that are allocated for messages.
    #[cfg(test)]
    pub(super) fn output_capacity(&self) -> usize {
        self.output.capacity()
    }

    /// Decompresses a message that must not be longer than `max` bytes, and allocates no more than that for it.
    pub(super) fn inflate(
        &mut self,
        payload: &[u8],
        max: usize,
    ) -> Result<&[u8], ProtocolViolation> {
        // One that met with a violation is not used again.
        let mut decompress = self.decompress.take().unwrap_or_else(|| Decompress::new(false));
        self.output.clear();
        if self.output.capacity() > KEPT_BYTES.min(max) {
            self.output = Vec::new();
        }
        for mut input in [payload, &TAIL] {
            loop {
                let before = (decompress.total_in(), decompress.total_out());
                let full = self.output.len() >= max;
                let status = if full {
                    decompress.decompress(input, &mut [0], FlushDecompress::Sync)
                } else {
                    make_room(&mut self.output, payload.len(), max);
                    decompress.decompress_vec(input, &mut self.output, FlushDecompress::Sync)
                };
                let status = status.map_err(|_| ProtocolViolation::NOT_COMPRESSED)?;
                let taken = (decompress.total_in() - before.0) as usize;
                let made = decompress.total_out() - before.1;
                if full && made > 0 {
                    return Err(ProtocolViolation::TOO_BIG);
                }
                input = &input[taken..];
                match status {
                    // A sender may end the stream and begin another one (RFC 7692, section 7.2.3.4).
                    Status::StreamEnd => decompress.reset(false),
                    // With room left there is nothing more to be had from these bytes.
                    _ if input.is_empty() && self.output.len() < self.output.capacity() => break,
                    _ if taken == 0 && made == 0 => break,
                    _ => {}
                }
            }
        }
        decompress.reset(false);
        self.decompress = Some(decompress);
        Ok(&self.output)
    }
}

/// Makes room for more of a message that comes of `compressed` bytes: what there is doubles.
fn make_room(output: &mut Vec<u8>, compressed: usize, max: usize) {
    let length = output.len();
    if length == output.capacity() {
        let target = (2 * length).max(compressed.saturating_mul(4)).max(256).min(max);
        output.reserve_exact(target - length);
    }
}
