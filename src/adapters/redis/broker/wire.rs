//! How a publication travels, and how it is kept.
//!
//! A message is `1 <epoch> <offset> <event> <body>`, with `-` for what there is none of. The scripts
//! write it as well; a node that knows only another version leaves it, and finds a gap.
//!
//! That somebody came or went is `join <info>` or `leave <info>`, and kept nowhere.

use std::sync::Arc;

use crate::domain::channel::ChannelName;
use crate::domain::ids::EventId;
use crate::domain::publication::{
    Delivery, Epoch, Passage, PassageKind, Publication, PublicationBody, Version,
};
use crate::ports::StoreError;
use crate::ports::broker::{Arriving, Outgoing};

use super::corrupt;

const VERSION: &str = "1";
const NONE: &str = "-";
const JOIN: &str = "join";
const LEAVE: &str = "leave";

/// The message of a publication to a channel without history.
pub(super) fn message(outgoing: &Outgoing) -> Result<String, StoreError> {
    let event = event_text(outgoing.event);
    let event = if event.is_empty() { NONE.to_owned() } else { event };
    Ok(format!("{VERSION} {NONE} 0 {event} {}", body_text(&outgoing.body)?))
}

/// The message that somebody came or went.
pub(super) fn passage_message(passage: &Passage) -> Result<String, StoreError> {
    let kind = match passage.kind {
        PassageKind::Join => JOIN,
        PassageKind::Leave => LEAVE,
    };
    let info = serde_json::to_string(&passage.info).map_err(corrupt)?;
    Ok(format!("{kind} {info}"))
}

/// What a message says; `None` if it is not one of this version.
pub(super) fn arriving(channel: ChannelName, message: &str) -> Option<Arriving> {
    let (kind, rest) = match message.split_once(' ')? {
        (JOIN, rest) => (PassageKind::Join, rest),
        (LEAVE, rest) => (PassageKind::Leave, rest),
        _ => return delivery(channel, message).map(Arriving::Publication),
    };
    let info = serde_json::from_str(rest).ok()?;
    Some(Arriving::Passage(Passage { channel, kind, info }))
}

fn delivery(channel: ChannelName, message: &str) -> Option<Delivery> {
    let mut parts = message.splitn(5, ' ');
    let mut next = || parts.next();
    if next()? != VERSION {
        return None;
    }
    let epoch = match next()? {
        NONE => None,
        epoch => Some(Epoch::parse(epoch)?),
    };
    let offset = next()?.parse().ok()?;
    let event = match next()? {
        NONE => None,
        event => Some(event.parse().ok()?),
    };
    let body = Arc::new(serde_json::from_str(next()?).ok()?);
    Some(Delivery { channel, epoch, publication: Publication { offset, event, body } })
}

/// An event as the scripts have it.
pub(super) fn event_text(event: Option<EventId>) -> String {
    event.map(|event| event.0.simple().to_string()).unwrap_or_default()
}

/// A body as it is kept and sent.
pub(super) fn body_text(body: &PublicationBody) -> Result<String, StoreError> {
    serde_json::to_string(body).map_err(corrupt)
}

/// A version as the scripts have it: a number in digits that sort as numbers do, and an epoch; the number is '' where
/// there is none.
pub(super) fn version_texts(version: Option<&Version>) -> [String; 2] {
    let texts = |version: &Version| [format!("{:020}", version.number), version.epoch.clone()];
    version.map(texts).unwrap_or_default()
}

/// An entry of a stream.
pub(super) fn publication(id: &str, event: &str, body: &str) -> Result<Publication, StoreError> {
    let offset = id.split('-').next().and_then(|offset| offset.parse().ok());
    let offset = offset.ok_or_else(|| corrupt(format_args!("{id:?} is no id of an entry")))?;
    let event = match event {
        "" => None,
        event => Some(event.parse().map_err(corrupt)?),
    };
    let body = Arc::new(serde_json::from_str(body).map_err(corrupt)?);
    Ok(Publication { offset, event, body })
}
