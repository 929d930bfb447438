//! Announcements: which channels tell of an event, and in what words.
//!
//! It is a pure function of the event, so that a publication rebuilt from the
//! log is the one that was made at the time.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::channel::ChannelName;
use super::event::{Actor, Event, Fact};
use super::ids::EventId;
use super::post::Post;
use super::publication::{Json, PublicationBody};
use super::time::Timestamp;

/// The publication data of a product event (`protocol.md`, "Publication data").
#[derive(Serialize)]
struct Announcement<'a> {
    r#type: &'static str,
    id: EventId,
    time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a Actor>,
    post: Post,
}

/// The channels that tell of `event`, in the order in which they are published
/// to, all with the same body.
pub fn channels_of(event: &Event) -> Vec<ChannelName> {
    match &event.fact {
        Fact::PostPublished(post) => {
            let mut channels = vec![ChannelName::feed(), ChannelName::author(post.author.id)];
            channels.extend(post.tags.iter().map(|tag| ChannelName::tag(tag)));
            channels
        }
        Fact::PostDrafted(_) => Vec::new(),
        Fact::ChannelPublished(bare) => bare.channels.clone(),
    }
}

/// What the channels of `event` are told.
pub fn body_of(event: &Event) -> Arc<PublicationBody> {
    let body = match &event.fact {
        Fact::PostPublished(post) | Fact::PostDrafted(post) => announce(event, post.abridged()),
        Fact::ChannelPublished(bare) => PublicationBody {
            data: bare.data.clone(),
            info: bare.info.clone(),
            tags: bare.tags.clone(),
        },
    };
    Arc::new(body)
}

fn announce(event: &Event, post: Post) -> PublicationBody {
    let kind = event.fact.kind();
    let announcement = Announcement {
        r#type: kind,
        id: event.id,
        time: event.time,
        actor: event.actor.as_ref(),
        post,
    };
    PublicationBody {
        data: Json::from_value(&announcement)
            .expect("an announcement holds nothing that JSON cannot say"),
        info: None,
        tags: BTreeMap::from([("type".to_owned(), kind.to_owned())]),
    }
}
