//! Publications: what a channel carries, and where in the channel's stream it stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::channel::ChannelName;
use super::ids::EventId;

/// A place in the stream of one channel. Offsets count from 1 within an epoch;
/// offset 0 is the place before the first publication.
///
/// Epochs of one channel sort in the order in which they began, as texts: the
/// recovery from the log relies on it (see [`Epoch`]).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamPosition {
    /// The life of the stream in which `offset` has its meaning.
    pub epoch: Epoch,
    /// The number of publications before and including this place.
    pub offset: u64,
}

/// One life of a channel's stream, named by a number that grows from one life to
/// the next; the broker sees to that.
///
/// It is written as 13 digits of base 32 (RFC 4648 "extended hex" alphabet in
/// lower case), so that texts sort as the numbers do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(Arc<str>);

/// The number of base 32 digits that hold 64 bits.
const EPOCH_DIGITS: usize = 13;
const EPOCH_ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

impl Epoch {
    /// The epoch with this number.
    pub fn from_number(number: u64) -> Self {
        let digits: String = (0..EPOCH_DIGITS)
            .rev()
            .map(|place| char::from(EPOCH_ALPHABET[(number >> (5 * place)) as usize & 31]))
            .collect();
        Self(digits.into())
    }

    /// Reads a client's epoch; `None` if the hub never wrote such a text.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = text.len() == EPOCH_DIGITS && text.bytes().all(|b| EPOCH_ALPHABET.contains(&b));
        valid.then(|| Self(text.into()))
    }

    /// The number.
    pub fn number(&self) -> u64 {
        self.0.bytes().fold(0, |sum, digit| {
            let value = EPOCH_ALPHABET.iter().position(|b| *b == digit).unwrap_or(0);
            sum << 5 | value as u64
        })
    }

    /// The text that clients see.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who published, as other clients of the channel may know it
/// (`ClientInfo` of the client protocol).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientInfo {
    /// The user's number as text; empty for an anonymous client.
    pub user: String,
    /// The id of the connection.
    pub client: String,
    /// What the connection token said about the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conn_info: Option<Arc<Json>>,
    /// What the subscription token said about the subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chan_info: Option<Arc<Json>>,
}

/// A JSON text that is passed on as it came, without being taken apart, but on
/// one line: the client protocol ends a message at the end of a line, and so do
/// server-sent events.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// Keeps a JSON text; an error if it is none.
    pub fn from_string(text: String) -> serde_json::Result<Self> {
        RawValue::from_string(text).and_then(Self::on_one_line)
    }

    /// Writes any value as JSON.
    pub fn from_value(value: &impl Serialize) -> serde_json::Result<Self> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// The text, without line breaks.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// Whether a string in it holds the NUL character, which not every store could keep.
    pub fn holds_nul(&self) -> bool {
        holds_nul(self.get().as_bytes())
    }

    /// Within strings JSON writes line breaks as escapes, so that those found are
    /// white space between tokens.
    fn on_one_line(raw: Box<RawValue>) -> serde_json::Result<Self> {
        if !raw.get().contains(['\n', '\r']) {
            return Ok(Self(raw));
        }
        RawValue::from_string(raw.get().replace(['\n', '\r'], " ")).map(Self)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::on_one_line(raw).map_err(serde::de::Error::custom)
    }
}

/// Whether a JSON text holds the NUL character, which it can only write as an escape.
pub fn holds_nul(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(place) = rest.iter().position(|byte| *byte == b'\\') {
        let escape = &rest[place + 1..];
        if escape.starts_with(b"u0000") {
            return true;
        }
        // An escaped backslash begins no escape itself.
        rest = escape.get(1..).unwrap_or_default();
    }
    false
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Json {}

/// What a publication says, wherever in a stream it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicationBody {
    /// The payload, any JSON.
    pub data: Json,
    /// Who published, for publications that a client made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<ClientInfo>,
    /// Labels for the receiver; built-in channels repeat the event's type here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Whether it may be told as what has changed although not all publications of its channel are.
    #[serde(default, skip_serializing_if = "is_default")]
    pub delta: bool,
}

/// Which state of something a publication tells, where each tells all of it: what is older than what was told is not
/// worth telling. As in Centrifugo, versions of another epoch are of another count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The number; greater ones are later.
    pub number: u64,
    /// Which count the number belongs to; an empty one is compared with any.
    #[serde(default, skip_serializing_if = "is_default")]
    pub epoch: String,
}

impl Version {
    /// Whether it is later than the last one that was told, or of another count.
    pub fn succeeds(&self, last: Option<&Self>) -> bool {
        let compares = |last: &&Self| self.epoch.is_empty() || self.epoch == last.epoch;
        last.filter(compares).is_none_or(|last| self.number > last.number)
    }
}

/// How something is published, under the names that Centrifugo gives the options.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PublishOptions {
    /// Whether the history does not keep it; it has no offset then, and who is not there does not hear of it.
    #[serde(skip_serializing_if = "is_default")]
    pub skip_history: bool,
    /// Whether it may be told as what has changed, as in [`PublicationBody`].
    #[serde(skip_serializing_if = "is_default")]
    pub delta: bool,
    /// The version that it tells. Only channels with a history know the last one; in others each is told.
    #[serde(skip_serializing_if = "is_default")]
    pub version: Option<Version>,
}

impl PublishOptions {
    /// Whether nothing is asked for.
    pub fn are_default(&self) -> bool {
        is_default(self)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A body at its place in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The place in the stream; 0 where it has none: the channel keeps no
    /// history, or the publication belongs to an epoch that is over.
    pub offset: u64,
    /// The event that it stands for; `None` for one that is not durable.
    pub event: Option<EventId>,
    /// What it says.
    pub body: Arc<PublicationBody>,
}

/// A publication on its way to the subscribers of a channel.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The channel that it was made to.
    pub channel: ChannelName,
    /// The stream's epoch, if the channel keeps a history.
    pub epoch: Option<Epoch>,
    /// What was published, with its offset.
    pub publication: Publication,
}

/// Whether a client came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassageKind {
    /// It joined a channel.
    Join,
    /// It left one.
    Leave,
}

/// A client joined a channel or left it. Nobody keeps it: who is not there when it is told does not hear of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The channel.
    pub channel: ChannelName,
    /// Whether it came or went.
    pub kind: PassageKind,
    /// Who.
    pub info: ClientInfo,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_sort_as_their_numbers_do_and_read_back() {
        let numbers = [0, 1, 31, 32, 1_700_000_000_000_000, u64::MAX];
        let epochs: Vec<_> = numbers.iter().map(|n| Epoch::from_number(*n)).collect();
        assert!(epochs.is_sorted());
        for (number, epoch) in numbers.iter().zip(&epochs) {
            assert_eq!(epoch.number(), *number);
            assert_eq!(Epoch::parse(epoch.as_str()).as_ref(), Some(epoch));
        }
        assert_eq!(Epoch::parse("xyz"), None);
        assert_eq!(Epoch::parse("000000000000w"), None);
    }

    #[test]
    fn a_version_succeeds_lower_ones_of_its_count_and_all_of_another() {
        let version = |number, epoch: &str| Version { number, epoch: epoch.to_owned() };
        assert!(version(1, "").succeeds(None));
        for (last, next, succeeds) in [
            (version(1, ""), version(2, ""), true),
            (version(2, ""), version(2, ""), false),
            (version(2, "a"), version(1, "a"), false),
            (version(2, "a"), version(1, "b"), true),
            (version(2, "a"), version(1, ""), false),
            (version(2, ""), version(1, "a"), true),
            (version(u64::MAX - 1, ""), version(u64::MAX, ""), true),
        ] {
            assert_eq!(next.succeeds(Some(&last)), succeeds, "{next:?} after {last:?}");
        }
    }

    #[test]
    fn json_stands_on_one_line_however_it_came() {
        let text = "{\n  \"a\": [1,\r\n 2],\"b\":\"x\\ny\"}";
        let one_line = "{   \"a\": [1,   2],\"b\":\"x\\ny\"}";
        assert_eq!(Json::from_string(text.into()).unwrap().get(), one_line);
        assert_eq!(serde_json::from_str::<Json>(text).unwrap().get(), one_line);
    }

    #[test]
    fn the_nul_character_is_found_behind_escapes_only() {
        for with in [r#"{"a":"\u0000"}"#, r#"["\\\u0000"]"#] {
            assert!(holds_nul(with.as_bytes()), "{with}");
        }
        for without in [r#"{"a":"\\u0000"}"#, r#""\u0001""#, r#""u0000""#, "\"\\"] {
            assert!(!holds_nul(without.as_bytes()), "{without}");
        }
    }
}
