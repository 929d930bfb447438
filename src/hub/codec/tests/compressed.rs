//! Compressed messages: what RFC 7692 shows, what a foreign deflater makes, and what must not be taken.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use proptest::prelude::*;

use super::super::deflate::{WINDOW_BITS, longest_compressed};
use super::super::{Deflater, Inflater};
use super::reach::reach;
use super::*;

/// Says in a data frame that the message is compressed.
const COMPRESSED: u8 = 0x40;

/// What a decoder of a connection with compression makes of these bytes.
fn decode_within(bytes: &[u8], limit: usize) -> (Vec<Heard>, Result<(), ProtocolViolation>) {
    feed_all(&mut Decoder::of_compressed(), [bytes], limit)
}

fn decode(bytes: &[u8]) -> (Vec<Heard>, Result<(), ProtocolViolation>) {
    decode_within(bytes, LIMIT)
}

fn refusal(bytes: &[u8]) -> Option<u16> {
    decode(bytes).1.err().map(|violation| violation.close_code)
}

/// What a client makes of a message, whatever its deflater does.
fn client_deflates(message: &[u8], level: u32, window_bits: u8) -> Vec<u8> {
    let mut compress = Compress::new_with_window_bits(Compression::new(level), false, window_bits);
    let mut output = Vec::with_capacity(2 * message.len() + 64);
    compress.compress_vec(message, &mut output, FlushCompress::Sync).expect("there is room");
    assert_eq!(compress.total_in(), message.len() as u64);
    output.truncate(output.len() - 4);
    output
}

fn deflated(message: &[u8]) -> Vec<u8> {
    client_deflates(message, 6, 15)
}

/// Reads one frame of the server as a client does that keeps as little as was agreed.
fn client_reads(frame: &[u8]) -> (bool, Vec<u8>) {
    let (length, header) = match frame[1] {
        126 => (usize::from(u16::from_be_bytes([frame[2], frame[3]])), 4),
        127 => (u64::from_be_bytes(frame[2..10].try_into().unwrap()) as usize, 10),
        short => (usize::from(short), 2),
    };
    let payload = &frame[header..];
    assert_eq!(payload.len(), length);
    if frame[0] & COMPRESSED == 0 {
        return (false, payload.to_vec());
    }
    let input = [payload, b"\0\0\xff\xff"].concat();
    assert!(reach(&input) <= 1 << WINDOW_BITS);
    let mut decompress = Decompress::new(false);
    let mut message = Vec::with_capacity(1 << 20);
    let outcome = decompress.decompress_vec(&input, &mut message, FlushDecompress::Sync);
    outcome.expect("what was compressed can be decompressed by itself");
    assert_eq!(decompress.total_in() as usize, input.len());
    (true, message)
}

#[test]
fn the_examples_of_the_standard_are_understood() {
    // RFC 7692, section 7.2.3.1: one frame, then two.
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    assert_eq!(decode(&frame(FINAL | COMPRESSED | TEXT, hello)), (vec![text("Hello")], Ok(())));
    let halves =
        [frame(COMPRESSED | TEXT, &hello[..3]), frame(FINAL | CONTINUE, &hello[3..])].concat();
    assert_eq!(decode(&halves), (vec![text("Hello")], Ok(())));
    // 7.2.3.3 without compression, 7.2.3.4 with the last block marked, 7.2.3.5 in two blocks.
    for hello in [
        &b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"[..],
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
    ] {
        let heard = decode(&frame(FINAL | COMPRESSED | TEXT, hello));
        assert_eq!(heard, (vec![text("Hello")], Ok(())));
    }
    // 7.2.3.2: a message that refers to the one before is what was agreed not to be.
    let two = [frame(FINAL | COMPRESSED | TEXT, hello), frame(0xc1, b"\xf2\x00\x11\x00\x00")];
    let (heard, outcome) = decode(&two.concat());
    assert_eq!((heard, outcome.unwrap_err().close_code), (vec![text("Hello")], 1007));
    // 7.2.3.6: an empty message.
    assert_eq!(decode(&frame(FINAL | COMPRESSED | TEXT, b"\0")), (vec![text("")], Ok(())));
}

#[test]
fn control_frames_between_the_fragments_of_a_compressed_message_are_heard_at_once() {
    let message = "The same again and again. ".repeat(100);
    let payload = deflated(message.as_bytes());
    let (begin, end) = payload.split_at(payload.len() / 2);
    let bytes = [
        frame(COMPRESSED | TEXT, begin),
        frame(FINAL | PING, b"are you there"),
        frame(CONTINUE, b""),
        frame(FINAL | PONG, b""),
        frame(FINAL | CONTINUE, end),
        // One that is not compressed may follow.
        frame(FINAL | TEXT, b"plain"),
    ];
    let expected = vec![
        Heard::Ping(b"are you there".to_vec()),
        Heard::Pong(Vec::new()),
        text(&message),
        text("plain"),
    ];
    assert_eq!(decode(&bytes.concat()), (expected, Ok(())));
}

#[test]
fn the_bit_is_refused_where_it_says_nothing() {
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let plain = super::refusal(&frame(FINAL | COMPRESSED | TEXT, hello));
    assert_eq!(plain, Some(1002), "it was not agreed");
    let begun = frame(COMPRESSED | TEXT, &hello[..3]);
    let again = [begun.clone(), frame(FINAL | COMPRESSED | CONTINUE, &hello[3..])].concat();
    assert_eq!(refusal(&again), Some(1002), "only the first frame bears it");
    for control in [PING, PONG, CLOSE] {
        assert_eq!(refusal(&frame(FINAL | COMPRESSED | control, b"")), Some(1002));
        let inside = [begun.clone(), frame(FINAL | COMPRESSED | control, b"")].concat();
        assert_eq!(refusal(&inside), Some(1002));
    }
    for other in [0x20, 0x10] {
        assert_eq!(refusal(&frame(FINAL | COMPRESSED | other | TEXT, hello)), Some(1002));
    }
}

#[test]
fn what_is_no_text_or_cannot_be_decompressed_is_refused() {
    let text = |payload: &[u8]| refusal(&frame(FINAL | COMPRESSED | TEXT, payload));
    assert_eq!(text(&deflated(b"\xce\xba\xf4\x90")), Some(1007));
    assert_eq!(text(&deflated("é".as_bytes())), None);
    // A block type that does not exist, a stored block whose lengths contradict, and a reference to before the beginning.
    for broken in [&b"\x07"[..], b"\x00\x05\x00\x05\x00hello", b"\xf2\x00\x11\x00\x00"] {
        assert_eq!(text(broken), Some(1007), "{broken:x?}");
    }
}

#[test]
fn the_limit_holds_for_what_a_message_is_decompressed_to() {
    let limit = 10_000;
    let of = |length: usize| {
        let payload = deflated(&vec![b'a'; length]);
        assert!(payload.len() < 100);
        decode_within(&frame(FINAL | COMPRESSED | BINARY, &payload), limit)
    };
    assert_eq!(of(limit), (vec![Heard::Binary(vec![b'a'; limit])], Ok(())));
    assert_eq!(of(limit + 1), (Vec::new(), Err(ProtocolViolation::TOO_BIG)));
    // 64 MiB in 64 KiB.
    let bomb = client_deflates(&vec![0; 64 << 20], 9, 15);
    assert!(bomb.len() < 70_000);
    let mut inflater = Inflater::default();
    assert_eq!(inflater.inflate(&bomb, 1 << 17), Err(ProtocolViolation::TOO_BIG));
    assert!(inflater.output_capacity() <= 1 << 17);
    assert_eq!(inflater.inflate(&bomb, 3), Err(ProtocolViolation::TOO_BIG));
    assert!(inflater.output_capacity() <= 3);
    assert_eq!(inflater.inflate(&deflated(b"abc"), 3), Ok(&b"abc"[..]));
    assert_eq!(inflater.inflate(&deflated(b""), 0), Ok(&b""[..]));
    assert_eq!(inflater.inflate(&deflated(b"a"), 0), Err(ProtocolViolation::TOO_BIG));
}

#[test]
fn compressed_bytes_beyond_what_the_limit_can_need_are_refused_by_their_header() {
    let longest = longest_compressed(10_000);
    for (first, length, expected) in [
        (FINAL | COMPRESSED | BINARY, longest, Ok(())),
        (FINAL | COMPRESSED | BINARY, longest + 1, Err(ProtocolViolation::TOO_BIG)),
        (FINAL | BINARY, 10_001, Err(ProtocolViolation::TOO_BIG)),
    ] {
        assert_eq!(decode_within(&header(first, length), 10_000).1, expected);
    }
    let begun = frame(COMPRESSED | BINARY, &vec![0; longest]);
    let more = [begun, header(CONTINUE, 1)].concat();
    assert_eq!(decode_within(&more, 10_000).1, Err(ProtocolViolation::TOO_BIG));
}

#[test]
fn an_idle_decoder_is_as_small_with_compression() {
    assert_eq!(size_of::<Decoder>(), 64);
    let mut decoder = Decoder::of_compressed();
    let message = frame(FINAL | COMPRESSED | TEXT, &deflated(b"Hello"));
    assert_eq!(feed_all(&mut decoder, [&message[..3], &message[3..]], LIMIT).1, Ok(()));
    assert_eq!(decoder.owned_bytes(), 0);
}

#[test]
fn what_is_too_short_or_gets_no_shorter_stays_as_it_is() {
    let mut deflater = Deflater::new(1, 100);
    let of = |deflater: &mut Deflater, opcode: OpCode, payload: &[u8]| {
        deflater.deflate(&encode_frame(opcode, payload))[0]
    };
    let (text, binary) = (OpCode::Data(Data::Text), OpCode::Data(Data::Binary));
    assert_eq!(of(&mut deflater, text, &[b'a'; 99]), 0x81);
    assert_eq!(of(&mut deflater, text, &[b'a'; 100]), 0xc1);
    assert_eq!(of(&mut deflater, binary, &[b'a'; 100_000]), 0xc2);
    assert_eq!(of(&mut deflater, binary, &noise(5_000)), 0x82);
    let close = encode_close(3000, &"a".repeat(120));
    assert_eq!(deflater.deflate(&close), close);
    let once = deflater.deflate(&encode_frame(text, &[b'a'; 200]));
    assert_eq!(deflater.deflate(&once), once, "it is not compressed twice");
    let mut all = Deflater::new(1, 0);
    assert_eq!(of(&mut all, text, b""), 0x81);
}

/// Bytes that cannot be compressed.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn large_messages_that_get_no_shorter_do_the_next_ones_no_harm() {
    let binary = OpCode::Data(Data::Binary);
    for level in 1..=9 {
        let mut deflater = Deflater::new(level, 0);
        let text = noise(500).repeat(400);
        for length in [300_000, 65_000, 131_072, 66_000, 300_000, 131_072] {
            let plain = encode_frame(binary, &noise(length));
            assert_eq!(deflater.deflate(&plain), plain);
            let (compressed, message) =
                client_reads(&deflater.deflate(&encode_frame(binary, &text)));
            assert!(compressed && message == text, "level {level}, after {length} bytes");
        }
    }
}

#[test]
fn the_reach_of_a_stream_is_known_whatever_made_it() {
    for level in 0..=9 {
        for distance in [300, 4_096, 20_000] {
            let again = noise(distance).repeat(2);
            let stream = [&client_deflates(&again, level, 15)[..], b"\0\0\xff\xff"].concat();
            let expected = if level == 0 { 0 } else { distance };
            assert_eq!(reach(&stream), expected, "level {level}");
        }
    }
}

/// Messages with repetitions near and far.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let words =
        prop::sample::select(vec!["{\"push\":{", "\"channel\":", "\"feed:all\"", "ä✓", " "]);
    let noise = prop::collection::vec(any::<u8>(), 1..3_000);
    let piece = prop_oneof![
        4 => words.prop_map(|word| word.as_bytes().to_vec()),
        1 => noise,
    ];
    let pieces = prop::collection::vec(piece, 0..12);
    // What is far away comes again.
    (pieces, 1..4_usize).prop_map(|(pieces, times)| pieces.concat().repeat(times))
}

proptest! {
    #[test]
    fn what_a_client_compresses_is_heard_however_it_is_cut(
        message in messages(),
        level in 0..=9_u32,
        window_bits in 9..=15_u8,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        reads in prop::collection::vec(1..2_000_usize, 1..5),
    ) {
        let payload = client_deflates(&message, level, window_bits);
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
        ends.push(payload.len());
        ends.sort_unstable();
        let (mut bytes, mut begin) = (Vec::new(), 0);
        for (number, end) in ends.iter().enumerate() {
            let first = if number == 0 { COMPRESSED | BINARY } else { CONTINUE };
            let last = if number + 1 == ends.len() { FINAL } else { 0 };
            bytes.extend(frame(first | last, &payload[begin..*end]));
            begin = *end;
        }
        let mut decoder = Decoder::of_compressed();
        let pieces = super::properties::pieces(&bytes, &reads);
        let (heard, outcome) = feed_all(&mut decoder, pieces, message.len());
        prop_assert_eq!(outcome, Ok(()));
        prop_assert_eq!(heard, [Heard::Binary(message)]);
    }

    #[test]
    fn what_is_compressed_is_understood_with_the_window_that_was_agreed(
        messages in prop::collection::vec(messages(), 1..4),
        level in 1..=9_u32,
    ) {
        let mut deflater = Deflater::new(level, 0);
        for message in messages {
            let plain = encode_frame(OpCode::Data(Data::Binary), &message);
            let frame = deflater.deflate(&plain);
            prop_assert!(frame.len() <= plain.len());
            prop_assert_eq!(client_reads(&frame).1, message);
        }
    }

    #[test]
    fn arbitrary_compressed_bytes_end_in_a_message_within_the_limit_or_a_violation(
        payload in prop::collection::vec(any::<u8>(), 0..400),
        limit in 0..5_000_usize,
    ) {
        let mut inflater = Inflater::default();
        if let Ok(message) = inflater.inflate(&payload, limit) {
            prop_assert!(message.len() <= limit);
        }
        prop_assert!(inflater.output_capacity() <= limit);
    }
}
