//! The Protobuf encoding of the client protocol: the wire format
//! (<https://protobuf.dev/programming-guides/encoding/>) as far as the protocol's definition uses it.
//!
//! Messages are written from, and read into, the very types that JSON is written from and read into, so that a field
//! cannot be in one of the two alone. What a field of bytes carries is JSON here as well: payloads are kept in a log and
//! in documents, whoever sent them.

mod commands;
mod emulation;
mod replies;

pub use commands::decode_command;
pub use replies::{encode_push, encode_reply};

/// The number of a field, as the protocol's definition gives it.
type Field = u64;

/// Wire types (the lowest three bits of a tag).
const VARINT: u64 = 0;
const EIGHT_BYTES: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FOUR_BYTES: u64 = 5;

/// A varint has at most so many bytes.
const VARINT_BYTES_MAX: usize = 10;

/// A message that is being written. What is empty, zero or false is left out, as proto3 has it.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(&mut self, field: Field, value: impl Into<u64>) {
        let value = value.into();
        if value > 0 {
            self.varint(field << 3 | VARINT);
            self.varint(value);
        }
    }

    fn bytes(&mut self, field: Field, value: &[u8]) {
        if !value.is_empty() {
            self.delimited(field, value);
        }
    }

    fn text(&mut self, field: Field, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    /// A message within this one; there, even if it is empty.
    fn message(&mut self, field: Field, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        self.delimited(field, &inner.0);
    }

    /// An entry of a map, which is a message of a key and a value.
    fn entry(&mut self, field: Field, key: &str, write: impl FnOnce(&mut Self)) {
        self.message(field, |entry| {
            entry.text(1, key);
            write(entry);
        });
    }

    fn delimited(&mut self, field: Field, value: &[u8]) {
        self.varint(field << 3 | LENGTH_DELIMITED);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    /// The message behind its own length, as it goes into a frame.
    fn framed(self) -> Vec<u8> {
        let mut frame = Self(Vec::with_capacity(self.0.len() + VARINT_BYTES_MAX));
        frame.varint(self.0.len() as u64);
        frame.0.extend_from_slice(&self.0);
        frame.0
    }
}

/// Bytes that are no message of the wire format, or not in the shape that the definition gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The value of one field, as it stands in a message.
#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a wire type that no field of the definition has.
    Foreign,
}

impl<'a> Value<'a> {
    fn number(self) -> Result<u64, Malformed> {
        match self {
            Self::Number(number) => Ok(number),
            _ => Err(Malformed),
        }
    }

    fn flag(self) -> Result<bool, Malformed> {
        Ok(self.number()? != 0)
    }

    fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed),
        }
    }

    fn text(self) -> Result<String, Malformed> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| Malformed)
    }
}

/// Calls `take` with each field of a message, in their order. Of a field that is there twice, the last counts.
fn read_fields<'a>(
    mut rest: &'a [u8],
    mut take: impl FnMut(Field, Value<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    while !rest.is_empty() {
        let tag = take_varint(&mut rest)?;
        let value = match tag & 7 {
            VARINT => Value::Number(take_varint(&mut rest)?),
            LENGTH_DELIMITED => Value::Bytes(take_delimited(&mut rest)?),
            EIGHT_BYTES => take_bytes(&mut rest, 8).map(|_| Value::Foreign)?,
            FOUR_BYTES => take_bytes(&mut rest, 4).map(|_| Value::Foreign)?,
            _ => return Err(Malformed),
        };
        take(tag >> 3, value)?;
    }
    Ok(())
}

/// Takes the next message of a frame, which stands behind its length.
pub fn take_delimited<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = take_varint(rest)?;
    take_bytes(rest, usize::try_from(length).map_err(|_| Malformed)?)
}

fn take_bytes<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], Malformed> {
    let (taken, left) = rest.split_at_checked(count).ok_or(Malformed)?;
    *rest = left;
    Ok(taken)
}

fn take_varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0_u64;
    for place in 0..VARINT_BYTES_MAX {
        let byte = take_bytes(rest, 1)?[0];
        value |= u64::from(byte & 0x7f).checked_shl(place as u32 * 7).ok_or(Malformed)?;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The examples of the format's own description.
    #[test]
    fn numbers_and_texts_are_written_as_the_format_says() {
        let mut message = Message::default();
        message.number(1, 150_u32);
        message.number(5, 0_u32);
        message.text(2, "testing");
        message.message(3, |inner| inner.number(1, 150_u32));
        assert_eq!(message.0, b"\x08\x96\x01\x12\x07testing\x1a\x03\x08\x96\x01");
        assert_eq!(Message::default().framed(), [0]);
    }

    proptest! {
        #[test]
        fn fields_are_read_as_they_were_written(number: u64, bytes in proptest::collection::vec(any::<u8>(), 1..300)) {
            let mut message = Message::default();
            message.number(1, number);
            message.bytes(1_000, &bytes);
            let framed = message.framed();
            let mut rest = framed.as_slice();
            let mut read = (0, Vec::new());
            let inner = take_delimited(&mut rest).unwrap();
            prop_assert!(rest.is_empty());
            read_fields(inner, |field, value| {
                match field {
                    1 => read.0 = value.number()?,
                    _ => read.1 = value.bytes()?.to_vec(),
                }
                Ok(())
            })
            .unwrap();
            prop_assert_eq!(read, (number, bytes));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_fields(&bytes, |_, _| Ok(()));
            let _ = decode_command(&bytes);
        }
    }
}
