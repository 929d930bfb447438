//! Encodings: how the messages of the protocol become bytes, and bytes commands.

use serde::Serialize;

use super::command::{Command, ConnectRequest, InvalidCommand, Request};
use super::protobuf;
use super::reply::{Push, Reply, ReplyBody};

/// How the messages of a connection are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JSON, a line a message.
    Json,
    /// JSON as unidirectional clients get it: a push without the wrapper of a reply, a result without the id of a command
    /// that they did not send. All they ever say is what a connect command carries.
    BareJson,
    /// Protobuf, each message behind its length.
    Protobuf,
}

impl Encoding {
    /// Encodes the answer to a command.
    pub fn reply(self, reply: &Reply<'_>) -> Vec<u8> {
        match self {
            Self::Json => to_json(reply),
            Self::BareJson => to_json::<ReplyBody<'_>>(&reply.body),
            Self::Protobuf => protobuf::encode_reply(reply),
        }
    }

    /// Encodes what the server says by itself.
    pub fn push(self, push: &Push<'_>) -> Vec<u8> {
        match self {
            Self::Json => to_json(&PushLine { push }),
            Self::BareJson => to_json(push),
            Self::Protobuf => protobuf::encode_push(push),
        }
    }

    /// The server's ping: an empty reply.
    pub fn ping(self) -> &'static [u8] {
        match self {
            Self::Json | Self::BareJson => b"{}",
            Self::Protobuf => b"\0",
        }
    }

    /// Adds an encoded message to those that go out in one frame.
    pub fn gather(self, frame: &mut Vec<u8>, message: &[u8]) {
        if !frame.is_empty() && self != Self::Protobuf {
            frame.push(b'\n');
        }
        frame.extend_from_slice(message);
    }

    /// The commands of a frame.
    pub fn commands(self, frame: &[u8]) -> Commands<'_> {
        Commands { encoding: self, rest: Some(frame) }
    }
}

#[derive(Serialize)]
struct PushLine<'a> {
    push: &'a Push<'a>,
}

fn to_json<T: Serialize + ?Sized>(message: &T) -> Vec<u8> {
    serde_json::to_vec(message).expect("a message holds nothing that JSON cannot say")
}

/// What a frame says, message by message.
pub struct Commands<'a> {
    encoding: Encoding,
    /// `None` once there is nothing more that could be told apart.
    rest: Option<&'a [u8]>,
}

impl Iterator for Commands<'_> {
    type Item = Result<Command, InvalidCommand>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.encoding {
            Encoding::Json => self.next_line().map(Command::decode),
            Encoding::BareJson => {
                let request = serde_json::from_slice::<ConnectRequest>(self.rest.take()?);
                let connect = |request| Command { id: 1, request: Request::Connect(request) };
                Some(request.map(connect).map_err(|_| InvalidCommand::Unanswerable))
            }
            Encoding::Protobuf => {
                let rest = self.rest.as_mut().filter(|rest| !rest.is_empty())?;
                let Ok(message) = protobuf::take_delimited(rest) else {
                    self.rest = None;
                    return Some(Err(InvalidCommand::Unanswerable));
                };
                Some(protobuf::decode_command(message))
            }
        }
    }
}

impl<'a> Commands<'a> {
    /// The next line that is not blank.
    fn next_line(&mut self) -> Option<&'a [u8]> {
        loop {
            let rest = self.rest.take()?;
            let line = match rest.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.rest = Some(&rest[end + 1..]);
                    &rest[..end]
                }
                None => rest,
            };
            if !line.trim_ascii().is_empty() {
                return Some(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(encoding: Encoding, frame: &[u8]) -> Vec<Result<u32, InvalidCommand>> {
        encoding.commands(frame).map(|command| command.map(|it| it.id)).collect()
    }

    #[test]
    fn a_frame_is_told_apart_into_its_commands() {
        let lines = b"\n{\"id\":1,\"ping\":{}}\r\n\n{\"id\":2,\"dance\":{}}\n{}";
        assert_eq!(ids(Encoding::Json, lines), [Ok(1), Err(InvalidCommand::Malformed(2)), Ok(0)]);
        assert_eq!(ids(Encoding::Json, b" \n"), []);
        let messages = b"\x04\x08\x01\x5a\x00\x00\x04\x08\x02\x5a\x00\x7f";
        let expected = [Ok(1), Ok(0), Ok(2), Err(InvalidCommand::Unanswerable)];
        assert_eq!(ids(Encoding::Protobuf, messages), expected);
        assert_eq!(ids(Encoding::BareJson, b"{\"token\":\"cst_1\"}"), [Ok(1)]);
        assert_eq!(ids(Encoding::BareJson, b"[]x"), [Err(InvalidCommand::Unanswerable)]);
    }
}
