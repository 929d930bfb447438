//! The codec by examples; `properties` has what holds for any bytes.

mod compressed;
mod properties;
mod reach;

use super::*;

/// What an [`Incoming`] said, kept beyond the callback.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Incoming<'_>> for Heard {
    fn from(incoming: Incoming<'_>) -> Self {
        match incoming {
            Incoming::Text(text) => Self::Text(text.to_owned()),
            Incoming::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Incoming::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Incoming::Pong(bytes) => Self::Pong(bytes.to_vec()),
            Incoming::Close(close) => {
                Self::Close(close.map(|(code, reason)| (code, reason.to_owned())))
            }
        }
    }
}

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const CONTINUE: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const LIMIT: usize = 1 << 20;

/// A header written without the code under test: first byte as given, masked, with the shortest length.
fn header(first: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..=125 => bytes.push(MASKED | length as u8),
        126..=0xffff => {
            bytes.push(MASKED | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(MASKED | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes
}

/// A masked client frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, payload.len());
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(b, m)| b ^ m));
    bytes
}

/// Feeds the pieces one after the other until one is refused.
fn feed_all<'a>(
    decoder: &mut Decoder,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limit: usize,
) -> (Vec<Heard>, Result<(), ProtocolViolation>) {
    let inflater = &mut Inflater::default();
    let mut heard = Vec::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut on = |incoming: Incoming<'_>| heard.push(incoming.into());
        let result = decoder.feed(&mut piece, limit, inflater, &mut on);
        if result.is_err() {
            return (heard, result);
        }
    }
    (heard, Ok(()))
}

/// What a fresh decoder makes of these bytes.
fn decode(bytes: &[u8]) -> (Vec<Heard>, Result<(), ProtocolViolation>) {
    feed_all(&mut Decoder::new(), [bytes], LIMIT)
}

/// The close code with which a fresh decoder refuses these bytes.
fn refusal(bytes: &[u8]) -> Option<u16> {
    decode(bytes).1.err().map(|violation| violation.close_code)
}

fn text(text: &str) -> Heard {
    Heard::Text(text.to_owned())
}

#[test]
fn a_decoder_is_small_and_owns_nothing_at_rest() {
    assert!(size_of::<Decoder>() <= 64);
    let mut decoder = Decoder::new();
    assert_eq!(decoder.owned_bytes(), 0);
    let bytes =
        [frame(TEXT, b"one "), frame(FINAL | PING, b"?"), frame(FINAL | CONTINUE, b"two")].concat();
    let mut owned_meanwhile = 0;
    for byte in &bytes {
        let (_, result) = feed_all(&mut decoder, [&[*byte][..]], LIMIT);
        assert_eq!(result, Ok(()));
        owned_meanwhile = owned_meanwhile.max(decoder.owned_bytes());
    }
    assert!(owned_meanwhile > 0);
    assert_eq!(decoder.owned_bytes(), 0);
}

#[test]
fn a_header_in_pieces_is_kept_without_allocating() {
    let mut decoder = Decoder::new();
    let header = header(FINAL | BINARY, 70_000);
    assert_eq!(header.len(), 14);
    feed_all(&mut decoder, header[..13].chunks(1), LIMIT).1.expect("the header is not refused");
    assert_eq!(decoder.owned_bytes(), 0);
}

#[test]
fn whole_messages_are_passed_on_where_they_lie() {
    let mut bytes = [
        frame(FINAL | TEXT, "κόσμε".as_bytes()),
        frame(FINAL | BINARY, &[0xff; 300]),
        frame(FINAL | PING, b"ping"),
    ]
    .concat();
    let range = bytes.as_ptr_range();
    let mut decoder = Decoder::new();
    let mut count = 0;
    decoder
        .feed(&mut bytes, LIMIT, &mut Inflater::default(), &mut |incoming| {
            let payload = match incoming {
                Incoming::Text(text) => text.as_bytes(),
                Incoming::Binary(bytes) | Incoming::Ping(bytes) => bytes,
                other => panic!("{other:?} was not sent"),
            };
            assert!(range.contains(&payload.as_ptr()));
            count += 1;
        })
        .expect("the frames are valid");
    assert_eq!(count, 3);
    assert_eq!(decoder.owned_bytes(), 0);
}

#[test]
fn fragments_are_joined_and_control_frames_come_between() {
    let bytes = [
        frame(TEXT, "κό".as_bytes()),
        frame(FINAL | PING, b"still there?"),
        frame(CONTINUE, b""),
        frame(FINAL | CONTINUE, "σμε".as_bytes()),
        frame(FINAL | TEXT, b""),
        frame(FINAL | PONG, b"yes"),
    ]
    .concat();
    let expected = vec![
        Heard::Ping(b"still there?".to_vec()),
        text("κόσμε"),
        text(""),
        Heard::Pong(b"yes".to_vec()),
    ];
    assert_eq!(decode(&bytes), (expected, Ok(())));
}

#[test]
fn a_length_that_could_be_written_shorter_is_accepted() {
    let mut bytes = vec![FINAL | TEXT, MASKED | 127];
    bytes.extend(2u64.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(b"hi");
    assert_eq!(decode(&bytes), (vec![text("hi")], Ok(())));
}

#[test]
fn what_the_protocol_forbids_is_refused_with_1002() {
    let open = frame(TEXT, b"open");
    let forbidden: &[(&str, Vec<u8>)] = &[
        ("unmasked", vec![FINAL | TEXT, 2, b'h', b'i']),
        ("first reserved bit", frame(FINAL | 0x40 | TEXT, b"")),
        ("second reserved bit", frame(FINAL | 0x20 | BINARY, b"")),
        ("third reserved bit", frame(FINAL | 0x10 | PING, b"")),
        ("reserved data opcode", frame(FINAL | 3, b"")),
        ("reserved control opcode", frame(FINAL | 11, b"")),
        ("fragmented ping", frame(PING, b"")),
        ("fragmented close", frame(CLOSE, b"")),
        ("long ping", frame(FINAL | PING, &[0; 126])),
        ("stray continuation", frame(FINAL | CONTINUE, b"")),
        ("text in text", [open.clone(), frame(FINAL | TEXT, b"")].concat()),
        ("binary in text", [open, frame(BINARY, b"")].concat()),
        ("half a close code", frame(FINAL | CLOSE, &[3])),
    ];
    for (name, bytes) in forbidden {
        assert_eq!(refusal(bytes), Some(1002), "{name}");
    }
}

#[test]
fn only_close_codes_that_may_be_sent_are_accepted() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000] {
        let bytes = frame(FINAL | CLOSE, &u16::to_be_bytes(code));
        assert_eq!(refusal(&bytes), Some(1002), "{code}");
    }
    for code in [1000, 1001, 1003, 1007, 1011, 1013, 3000, 3999, 4000, 4999] {
        let payload = [&u16::to_be_bytes(code), "adieu ✓".as_bytes()].concat();
        let expected = Heard::Close(Some((code, "adieu ✓".to_owned())));
        assert_eq!(decode(&frame(FINAL | CLOSE, &payload)), (vec![expected], Ok(())));
    }
    let bare = decode(&frame(FINAL | CLOSE, b""));
    assert_eq!(bare, (vec![Heard::Close(None)], Ok(())));
}

#[test]
fn text_must_be_utf8() {
    // Overlong, surrogate, beyond the last code point, cut short, stray continuation byte.
    let bad: [&[u8]; 5] = [b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\xce", b"\x80"];
    for payload in bad {
        assert_eq!(refusal(&frame(FINAL | TEXT, payload)), Some(1007), "{payload:x?}");
        let close = [&1000u16.to_be_bytes(), payload].concat();
        assert_eq!(refusal(&frame(FINAL | CLOSE, &close)), Some(1007), "{payload:x?}");
        let binary = decode(&frame(FINAL | BINARY, payload));
        assert_eq!(binary, (vec![Heard::Binary(payload.to_vec())], Ok(())));
    }
}

#[test]
fn bad_text_is_refused_as_soon_as_it_has_arrived() {
    let whole = frame(FINAL | TEXT, b"\xce\xba\xf4\x90 and much more that never arrives");
    // Header of six bytes, one good character, and the two bytes that cannot both be right.
    assert_eq!(refusal(&whole[..6 + 3]), None);
    assert_eq!(refusal(&whole[..6 + 4]), Some(1007));
    let fragments = [frame(TEXT, b"\xf4"), frame(CONTINUE, b"\x90")].concat();
    assert_eq!(refusal(&fragments), Some(1007));
}

#[test]
fn a_message_over_the_limit_is_refused_by_its_header() {
    let limit = |pieces: &[Vec<u8>]| {
        let pieces = pieces.iter().map(Vec::as_slice);
        feed_all(&mut Decoder::new(), pieces, 10)
    };
    let code = |pieces: &[Vec<u8>]| limit(pieces).1.err().map(|v| v.close_code);
    assert_eq!(limit(&[frame(FINAL | BINARY, &[1; 10])]).1, Ok(()));
    assert_eq!(code(&[header(FINAL | BINARY, 11)]), Some(1009));
    assert_eq!(code(&[header(FINAL | BINARY, usize::MAX)]), Some(1009));
    let begun = frame(BINARY, &[1; 6]);
    let end = frame(FINAL | CONTINUE, &[1; 4]);
    assert_eq!(limit(&[begun.clone(), end]).0, [Heard::Binary(vec![1; 10])]);
    assert_eq!(code(&[begun.clone(), header(CONTINUE, 5)]), Some(1009));
    // The limit is for messages; a ping in between may be longer.
    assert_eq!(code(&[begun, frame(FINAL | PING, &[1; 20])]), None);
}

#[test]
fn nothing_is_decoded_after_a_close_or_a_violation() {
    let more = frame(FINAL | TEXT, b"too late");
    let close = [frame(FINAL | CLOSE, b""), more.clone()].concat();
    let mut decoder = Decoder::new();
    let after_close = feed_all(&mut decoder, [&close[..], &more], LIMIT);
    assert_eq!(after_close, (vec![Heard::Close(None)], Ok(())));

    let mut decoder = Decoder::new();
    let refused = [frame(TEXT, b"begun"), frame(FINAL | 3, b""), more.clone()].concat();
    assert!(feed_all(&mut decoder, [&refused[..]], LIMIT).1.is_err());
    assert_eq!(decoder.owned_bytes(), 0);
    assert_eq!(feed_all(&mut decoder, [&more[..]], LIMIT), (vec![], Ok(())));
}

#[test]
fn memory_follows_what_arrived_and_doubles() {
    let mut decoder = Decoder::new();
    let (_, result) = feed_all(&mut decoder, [&header(FINAL | BINARY, 1 << 30)[..]], 1 << 30);
    assert_eq!(result, Ok(()));
    assert!(decoder.owned_bytes() <= 8);
    let mut sizes = std::collections::BTreeSet::new();
    for arrived in 1..=10_000 {
        feed_all(&mut decoder, [&[0][..]], 1 << 30).1.expect("within the limit");
        assert!(decoder.owned_bytes() <= 2 * arrived);
        sizes.insert(decoder.owned_bytes());
    }
    // Each size is one copy of what was there: few of them means linear work in total.
    assert!(sizes.len() <= 14, "{sizes:?}");
}

#[test]
fn server_frames_are_unmasked_and_of_exact_size() {
    let text = OpCode::Data(Data::Text);
    assert_eq!(encode_frame(text, b"hi")[..], *b"\x81\x02hi");
    assert_eq!(encode_frame(OpCode::Control(Control::Pong), b"")[..], *b"\x8a\x00");
    for (length, header) in [
        (125, vec![0x81, 125]),
        (126, vec![0x81, 126, 0, 126]),
        (65_535, vec![0x81, 126, 0xff, 0xff]),
        (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let frame = encode_frame(text, &vec![b'x'; length]);
        assert_eq!(frame[..header.len()], header);
        assert_eq!(frame.len(), header.len() + length);
    }
}

#[test]
fn a_close_reason_is_cut_between_characters() {
    assert_eq!(encode_close(1000, "bye")[..], *b"\x88\x05\x03\xe8bye");
    assert_eq!(encode_close(3010, "")[..], *b"\x88\x02\x0b\xc2");
    assert_eq!(encode_close(1000, &"x".repeat(200)).len(), 2 + 125);
    // 123 is no multiple of two, so the last character that would begin at 122 does not fit.
    let cut = encode_close(1000, &"é".repeat(100));
    assert_eq!(cut.len(), 2 + 2 + 122);
    assert!(std::str::from_utf8(&cut[4..]).is_ok());
}
