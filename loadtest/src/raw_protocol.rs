//! As much of the client protocol as the load generator speaks, with canned answers: connect, subscribe and publish.
//!
//! It reads commands as this generator writes them, not JSON at large.

use crate::connection::HANDSHAKE_ACCEPT;
use crate::frame;
use std::io::Write as _;

/// What a command asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Anything that wants nothing but an empty reply under its own name.
    Other(&'static str),
    /// Send what is published from now on.
    Subscribe,
    /// Send these data to every subscriber.
    Publish {
        /// The channel's name, copied into the push.
        channel: &'a str,
        /// The published JSON, as it came.
        data: &'a str,
    },
}

/// Reads a command: its id and what it asks for. A pong (`{}`) is none.
pub fn parse(line: &str) -> Option<(&str, Command<'_>)> {
    let id = number_after(line, "\"id\":")?;
    let command = if line.contains("\"publish\":{") {
        Command::Publish {
            channel: text_after(line, "\"channel\":\"")?,
            data: line.split_once("\"data\":")?.1.strip_suffix("}}")?,
        }
    } else if line.contains("\"subscribe\":{") {
        Command::Subscribe
    } else {
        Command::Other("connect")
    };
    Some((id, command))
}

fn number_after<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(key)?;
    let end = rest.find(|digit: char| !digit.is_ascii_digit())?;
    (end > 0).then_some(&rest[..end])
}

fn text_after<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    Some(line.split_once(key)?.1.split_once('"')?.0)
}

/// The answer to the only handshake this server understands.
pub fn upgrade_answer() -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {HANDSHAKE_ACCEPT}\r\n\r\n"
    )
}

/// Appends the frame that answers a command.
pub fn encode_reply(out: &mut Vec<u8>, id: &str, command: &Command<'_>) {
    let name = match command {
        Command::Other(name) => name,
        Command::Subscribe => "subscribe",
        Command::Publish { .. } => "publish",
    };
    frame::encode_from_server(
        out,
        frame::TEXT,
        format!("{{\"id\":{id},\"{name}\":{{}}}}").as_bytes(),
    );
}

/// Appends the frame of a push, padded by spaces to `push_bytes` so that it is as long as another server's.
pub fn encode_push(
    out: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
    channel: &str,
    data: &str,
    push_bytes: usize,
) {
    scratch.clear();
    write!(scratch, "{{\"push\":{{\"channel\":\"{channel}\",\"pub\":{{\"data\":{data}}}}}")
        .expect("writing to a Vec cannot fail");
    let padded = push_bytes.saturating_sub(1).max(scratch.len());
    scratch.resize(padded, b' ');
    scratch.push(b'}');
    frame::encode_from_server(out, frame::TEXT, scratch);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_generators_commands() {
        assert_eq!(parse("{\"connect\":{},\"id\":1}"), Some(("1", Command::Other("connect"))));
        assert_eq!(
            parse("{\"id\":2,\"subscribe\":{\"channel\":\"a:b\"}}"),
            Some(("2", Command::Subscribe))
        );
        let publish = "{\"id\":33,\"publish\":{\"channel\":\"a:b\",\"data\":{\"x\":{\"y\":1}}}}";
        let wanted = Command::Publish { channel: "a:b", data: "{\"x\":{\"y\":1}}" };
        assert_eq!(parse(publish), Some(("33", wanted)));
        assert_eq!(parse("{}"), None);
    }

    #[test]
    fn pushes_are_padded_json() {
        for (asked, length) in [(0, 55), (55, 55), (56, 56), (400, 400)] {
            let (mut out, mut scratch) = (Vec::new(), Vec::new());
            encode_push(&mut out, &mut scratch, "bench:all", "{\"x\":1}", asked);
            let header = frame::scan(&out).unwrap().unwrap();
            assert_eq!(header.end - header.start, length, "asked for {asked}");
            let push: serde_json::Value = serde_json::from_slice(&out[header.start..]).unwrap();
            assert_eq!(push["push"]["pub"]["data"]["x"], 1);
        }
    }
}
