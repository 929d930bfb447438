//! Events: what happened. The event log holds them; all else follows from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::channel::ChannelName;
use super::ids::{EventId, Incarnation, UserId};
use super::post::Post;
use super::publication::{ClientInfo, Json};
use super::time::Timestamp;

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The number of the account.
    pub id: UserId,
    /// Its name at that time.
    pub username: String,
}

/// What happened. Written as `{"kind": …, "data": …}`; the kind is also the
/// `type` of the publications that tell of it, and never changes its meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Fact {
    /// A post was published; carries the post as it then was.
    #[serde(rename = "post.published")]
    PostPublished(Box<Post>),
    /// A post was created that nobody but its author sees yet.
    #[serde(rename = "post.drafted")]
    PostDrafted(Box<Post>),
    /// A back end or a client published to channels directly.
    #[serde(rename = "channel.published")]
    ChannelPublished(BarePublication),
}

/// A publication that stands for nothing but itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BarePublication {
    /// The channels that carry it, each once.
    pub channels: Vec<ChannelName>,
    /// The payload.
    pub data: Json,
    /// Labels for the receiver.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The publishing client, if a client published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<ClientInfo>,
}

impl Fact {
    /// The kind as it is stored and published.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::PostPublished(_) => "post.published",
            Self::PostDrafted(_) => "post.drafted",
            Self::ChannelPublished(_) => "channel.published",
        }
    }

    /// What it happened to: `post:<id>` or, for a bare publication, `channel:<name>` of the first channel.
    pub fn subject(&self) -> String {
        match self {
            Self::PostPublished(post) | Self::PostDrafted(post) => format!("post:{}", post.id),
            Self::ChannelPublished(bare) => {
                format!("channel:{}", bare.channels.first().map_or("", ChannelName::as_str))
            }
        }
    }
}

/// One thing that happened, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Minted once by the command, kept through every retry.
    pub id: EventId,
    /// Who did it; `None` for a back end with an API key and for anonymous clients.
    pub actor: Option<Actor>,
    /// When it was decided.
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub fact: Fact,
}

impl<'de> Deserialize<'de> for Event {
    /// Reads what [`Serialize`] writes. The fact is read on its own: serde keeps
    /// no raw JSON within what is flattened into another object.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            id: EventId,
            actor: Option<Actor>,
            time: Timestamp,
            kind: String,
            data: Json,
        }
        let Fields { id, actor, time, kind, data } = Fields::deserialize(deserializer)?;
        let fact = format!(r#"{{"kind":"{kind}","data":{}}}"#, data.get());
        let fact = serde_json::from_str(&fact).map_err(serde::de::Error::custom)?;
        Ok(Self { id, actor, time, fact })
    }
}

/// An event at its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEvent {
    /// The run of the node that appended it.
    pub incarnation: Incarnation,
    /// Its number within the incarnation, from 1; numbers may be missing, never repeat.
    pub seq: u64,
    /// What happened.
    pub event: Event,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_back_what_it_wrote_with_raw_json_inside() {
        let bare = BarePublication {
            channels: vec![ChannelName::feed()],
            data: Json::from_string(r#"{"b": 1,"a":[1.50]}"#.into()).unwrap(),
            tags: BTreeMap::new(),
            info: None,
        };
        let event = Event {
            id: EventId::from_parts(Timestamp::from_millis(5), [3; 10]),
            actor: Some(Actor { id: UserId(7), username: "ada".into() }),
            time: Timestamp::from_millis(5),
            fact: Fact::ChannelPublished(bare),
        };
        let json = serde_json::to_string(&event).unwrap();
        assert!(json.contains(r#""kind":"channel.published""#), "{json}");
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
    }
}
