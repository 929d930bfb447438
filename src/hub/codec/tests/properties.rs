//! What holds for any bytes, any split and any messages.

use std::io::{self, Cursor, Read, Write};

use proptest::prelude::*;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::{Message, Role, WebSocket};

use super::super::mask::unmask;
use super::*;

/// The first byte of a header: mostly one that may be right, so that decoding gets past it.
fn first_byte() -> impl Strategy<Value = u8> {
    let likely = prop::sample::select(vec![
        FINAL | TEXT,
        FINAL | BINARY,
        TEXT,
        BINARY,
        CONTINUE,
        FINAL | CONTINUE,
        FINAL | PING,
        FINAL | PONG,
        FINAL | CLOSE,
    ]);
    prop_oneof![9 => likely, 1 => any::<u8>()]
}

/// A payload that may be text, valid or not, or a close frame's.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => ".{0,40}".prop_map(String::into_bytes),
        2 => prop::collection::vec(any::<u8>(), 0..300),
        1 => Just(b"\x03\xe8bye".to_vec()),
        1 => prop::collection::vec(Just(b'x'), 65_000..66_000),
    ]
}

/// Frames one after the other, some of them wrong, then perhaps a cut.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let frame = (first_byte(), payload()).prop_map(|(first, payload)| frame(first, &payload));
    let frames = prop::collection::vec(frame, 0..8).prop_map(|frames| frames.concat());
    (frames, any::<prop::sample::Index>(), any::<bool>()).prop_map(|(mut bytes, at, cut)| {
        if cut && !bytes.is_empty() {
            bytes.truncate(at.index(bytes.len()));
        }
        bytes
    })
}

/// Lengths of reads; they are used in turn.
fn reads() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![3 => 1..20usize, 1 => 1..5_000usize], 1..20)
}

/// Cuts `bytes` into pieces of these lengths, over and over.
pub(super) fn pieces<'a>(mut bytes: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for length in lengths.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at((*length).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// A stream for tungstenite's client: it reads what was prepared and keeps what is written.
struct Wire {
    to_client: Cursor<Vec<u8>>,
    from_client: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.to_client.read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.from_client.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn client(to_client: Vec<u8>) -> WebSocket<Wire> {
    let wire = Wire { to_client: Cursor::new(to_client), from_client: Vec::new() };
    WebSocket::from_raw_socket(wire, Role::Client, None)
}

/// Any message that both sides can say, but a close.
fn messages() -> impl Strategy<Value = Vec<Heard>> {
    let small = || prop::collection::vec(any::<u8>(), 0..=125);
    let large = || prop::collection::vec(any::<u8>(), 0..70_000);
    let one = prop_oneof![
        ".{0,200}".prop_map(Heard::Text),
        small().prop_map(Heard::Binary),
        large().prop_map(Heard::Binary),
        small().prop_map(Heard::Ping),
        small().prop_map(Heard::Pong),
    ];
    prop::collection::vec(one, 0..8)
}

fn to_tungstenite(heard: &Heard) -> Message {
    match heard.clone() {
        Heard::Text(text) => Message::Text(text.into()),
        Heard::Binary(bytes) => Message::Binary(bytes.into()),
        Heard::Ping(bytes) => Message::Ping(bytes.into()),
        Heard::Pong(bytes) => Message::Pong(bytes.into()),
        Heard::Close(close) => Message::Close(
            close.map(|(code, reason)| CloseFrame { code: code.into(), reason: reason.into() }),
        ),
    }
}

fn encode(heard: &Heard) -> bytes::Bytes {
    match heard {
        Heard::Text(text) => encode_frame(OpCode::Data(Data::Text), text.as_bytes()),
        Heard::Binary(bytes) => encode_frame(OpCode::Data(Data::Binary), bytes),
        Heard::Ping(bytes) => encode_frame(OpCode::Control(Control::Ping), bytes),
        Heard::Pong(bytes) => encode_frame(OpCode::Control(Control::Pong), bytes),
        Heard::Close(None) => encode_frame(OpCode::Control(Control::Close), b""),
        Heard::Close(Some((code, reason))) => encode_close(*code, reason),
    }
}

proptest! {
    #[test]
    fn unmasking_in_pieces_is_bytewise_exclusive_or(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        mask: [u8; 4],
        lengths in reads(),
    ) {
        let expected: Vec<u8> = bytes.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m).collect();
        let mut next = mask;
        let mut unmasked = Vec::new();
        for piece in pieces(&bytes, &lengths) {
            let mut piece = piece.to_vec();
            next = unmask(&mut piece, next);
            unmasked.extend(piece);
        }
        prop_assert_eq!(unmasked, expected);
    }

    #[test]
    fn arbitrary_bytes_neither_panic_nor_make_it_allocate_more_than_they_bring(
        bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..400), stream()],
        lengths in reads(),
    ) {
        let mut decoder = Decoder::new();
        let mut arrived = 0;
        for piece in pieces(&bytes, &lengths) {
            arrived += piece.len();
            // The result may be anything; the bound is what counts.
            let _ = feed_all(&mut decoder, [piece], LIMIT);
            prop_assert!(decoder.owned_bytes() <= 2 * arrived + 8);
        }
    }

    #[test]
    fn how_the_bytes_are_split_changes_nothing(bytes in stream(), lengths in reads()) {
        let mut at_once = Decoder::new();
        let mut split = Decoder::new();
        let expected = feed_all(&mut at_once, [&bytes[..]], LIMIT);
        let heard = feed_all(&mut split, pieces(&bytes, &lengths), LIMIT);
        prop_assert_eq!(heard, expected);
    }

    #[test]
    fn what_tungstenites_client_says_is_heard(
        said in messages(),
        close in prop::option::of((3000..5000u16, ".{0,40}")),
        lengths in reads(),
    ) {
        let mut said = said;
        said.push(Heard::Close(close));
        let mut client = client(Vec::new());
        for message in &said {
            client.send(to_tungstenite(message)).expect("the wire takes everything");
        }
        let wire = &client.get_ref().from_client;
        let heard = feed_all(&mut Decoder::new(), pieces(wire, &lengths), LIMIT);
        prop_assert_eq!(heard, (said, Ok(())));
    }

    #[test]
    fn what_is_encoded_is_heard_by_tungstenites_client(
        said in messages(),
        close in prop::option::of((3000..5000u16, ".{0,30}")),
    ) {
        let mut said = said;
        said.push(Heard::Close(close));
        let wire = said.iter().flat_map(encode).collect();
        let mut client = client(wire);
        for message in &said {
            let heard = client.read().expect("a message for each frame");
            prop_assert_eq!(heard, to_tungstenite(message));
        }
    }
}
