//! What a line of the client protocol says, as far as it names the write that caused it.

use serde::Deserialize;
use std::borrow::Cow;

/// Precedes the number of a write in texts: titles, comments and published data.
const MARKER: &str = "whole-path-";

/// The text that carries the number of a write.
pub fn stamp(number: usize) -> String {
    format!("{MARKER}{number}")
}

fn stamped(text: &str) -> Option<usize> {
    text.strip_prefix(MARKER)?.parse().ok()
}

/// A publication that arrived.
#[derive(Debug, PartialEq, Eq)]
pub struct Arrival<'a> {
    /// The channel that it was made to.
    pub channel: Cow<'a, str>,
    /// Its place in the channel's stream.
    pub offset: u64,
    /// The number of the event, if it says one: bare publications do not.
    pub event: Option<u128>,
    /// What it says of its cause.
    pub cause: Cause,
}

/// What a publication says of its cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The number of the write.
    Write(usize),
    /// A like, or one that was taken back: by whom.
    Like {
        /// The account's id in the hub.
        actor: i64,
        /// Whether the post is liked now.
        on: bool,
    },
    /// The event alone.
    Event,
}

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A publication.
    Publication(Arrival<'a>),
    /// The server's ping, to be answered.
    Ping,
    /// Something that no healthy run has: an error, a disconnect, the end of a subscription.
    Trouble,
}

#[derive(Deserialize)]
struct WireLine<'a> {
    #[serde(borrow)]
    push: Option<WirePush<'a>>,
}

#[derive(Deserialize)]
struct WirePush<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow, rename = "pub")]
    publication: Option<WirePublication<'a>>,
}

#[derive(Deserialize)]
struct WirePublication<'a> {
    #[serde(borrow)]
    data: WireData<'a>,
    #[serde(default)]
    offset: u64,
}

#[derive(Deserialize)]
struct WireData<'a> {
    #[serde(borrow)]
    r#type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    actor: Option<WireActor>,
    #[serde(borrow)]
    post: Option<WirePost<'a>>,
    #[serde(borrow)]
    comment: Option<WireComment<'a>>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct WireActor {
    id: i64,
}

#[derive(Deserialize)]
struct WirePost<'a> {
    #[serde(borrow)]
    title: Cow<'a, str>,
}

#[derive(Deserialize)]
struct WireComment<'a> {
    #[serde(borrow)]
    content: Cow<'a, str>,
}

/// Reads one line.
pub fn read(line: &[u8]) -> Line<'_> {
    if line == b"{}" {
        return Line::Ping;
    }
    let Ok(WireLine { push: Some(WirePush { channel, publication: Some(publication) }) }) =
        serde_json::from_slice(line)
    else {
        return Line::Trouble;
    };
    let WirePublication { data, offset } = publication;
    let event = data.id.as_deref().and_then(event_number);
    Line::Publication(Arrival { channel, offset, event, cause: cause_of(&data) })
}

fn cause_of(data: &WireData<'_>) -> Cause {
    let kind = data.r#type.as_deref();
    if let (Some("post.liked" | "post.unliked"), Some(actor)) = (kind, &data.actor) {
        return Cause::Like { actor: actor.id, on: kind == Some("post.liked") };
    }
    let text = match (&data.comment, &data.post, &data.text) {
        (Some(comment), _, _) => Some(&comment.content),
        (None, Some(post), _) => Some(&post.title),
        (None, None, text) => text.as_ref(),
    };
    text.and_then(|text| stamped(text)).map_or(Cause::Event, Cause::Write)
}

/// The 128 bits of a UUID.
fn event_number(text: &str) -> Option<u128> {
    let mut number = 0;
    let mut digits = 0;
    for byte in text.bytes().filter(|byte| *byte != b'-') {
        number = number << 4 | u128::from(char::from(byte).to_digit(16)?);
        digits += 1;
    }
    (digits == 32).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(data: &str) -> (Option<u128>, Cause) {
        let line = format!(
            "{{\"push\":{{\"channel\":\"post:1\",\"pub\":{{\"data\":{data},\"offset\":7,\"tags\":{{\"type\":\"x\"}}}}}}}}"
        );
        match read(line.as_bytes()) {
            Line::Publication(Arrival { channel, offset, event, cause }) => {
                assert_eq!((&*channel, offset), ("post:1", 7));
                (event, cause)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_kind_of_publication_names_its_cause() {
        let id = "0198a000-0000-7000-8000-0000000000ff";
        let number = Some(0x0198_a000_0000_7000_8000_0000_0000_00ff);
        let head = format!(
            "\"id\":\"{id}\",\"time\":\"2026-01-01T00:00:00Z\",\"actor\":{{\"id\":3,\"username\":\"a\"}}"
        );
        let liked = arrival(&format!("{{\"type\":\"post.liked\",{head},\"counts\":{{}}}}"));
        assert_eq!(liked, (number, Cause::Like { actor: 3, on: true }));
        let unliked = arrival(&format!("{{\"type\":\"post.unliked\",{head}}}"));
        assert_eq!(unliked, (number, Cause::Like { actor: 3, on: false }));
        let comment = format!(
            "{{\"type\":\"post.commented\",{head},\"comment\":{{\"id\":\"x\",\"content\":\"{}\"}}}}",
            stamp(12)
        );
        assert_eq!(arrival(&comment), (number, Cause::Write(12)));
        let post = format!(
            "{{\"type\":\"post.published\",{head},\"post\":{{\"title\":\"{}\",\"tags\":[]}}}}",
            stamp(5)
        );
        assert_eq!(arrival(&post), (number, Cause::Write(5)));
        let told = format!(
            "{{\"type\":\"notification.created\",{head},\"notification\":{{}},\"unread_count\":1}}"
        );
        assert_eq!(arrival(&told), (number, Cause::Event));
        let bare = format!("{{\"text\":\"{}\",\"fill\":\"…\"}}", stamp(0));
        assert_eq!(arrival(&bare), (None, Cause::Write(0)));
    }

    #[test]
    fn everything_else_is_a_ping_or_trouble() {
        assert_eq!(read(b"{}"), Line::Ping);
        for line in [
            "{\"id\":3,\"error\":{\"code\":100}}",
            "{\"push\":{\"channel\":\"x\",\"unsubscribe\":{\"code\":2500}}}",
            "{\"push\":{\"disconnect\":{\"code\":3001}}}",
            "no JSON",
        ] {
            assert_eq!(read(line.as_bytes()), Line::Trouble, "{line}");
        }
    }
}
