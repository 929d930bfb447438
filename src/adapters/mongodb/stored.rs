//! How domain values are written in BSON.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{self, DateTime, Document, doc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::event::Event;
use crate::domain::ids::EventId;
use crate::domain::page::Cursor;
use crate::domain::time::Timestamp;

use super::store::Failure;

/// BSON's integers end at 2^63 - 1. No count of ours comes near; a number that a
/// client made up is taken for the greatest there is.
pub(super) fn integer(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// Reads a count back; one that a crash left below zero is zero.
pub(super) fn count(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

/// Writes a UUID as binary of subtype 4, which sorts as its bytes do.
pub(super) fn uuid(id: Uuid) -> bson::Uuid {
    bson::Uuid::from_bytes(id.into_bytes())
}

/// Reads a UUID back.
pub(super) fn read_uuid(id: bson::Uuid) -> Uuid {
    Uuid::from_bytes(id.bytes())
}

/// Writes the id of an event.
pub(super) fn event_id(id: EventId) -> bson::Uuid {
    uuid(id.0)
}

/// Reads the id of an event back.
pub(super) fn read_event_id(id: bson::Uuid) -> EventId {
    EventId(read_uuid(id))
}

/// Writes a point in time; both sides count milliseconds.
pub(super) fn date(time: Timestamp) -> DateTime {
    DateTime::from_millis(time.as_millis())
}

/// Reads a point in time back.
pub(super) fn time(date: DateTime) -> Timestamp {
    Timestamp::from_millis(date.timestamp_millis())
}

/// Writes the id of a post or a comment.
pub(super) fn object_id(id: impl std::fmt::Display) -> ObjectId {
    ObjectId::parse_str(id.to_string()).expect("ids of documents are 24 hex digits")
}

/// Reads the id of a post or a comment back.
pub(super) fn read_object_id<T: std::str::FromStr<Err: std::fmt::Display>>(
    id: ObjectId,
) -> Result<T, Failure> {
    id.to_hex().parse().map_err(Failure::unreadable)
}

/// An event within the document that it is about: whole, as its JSON text, for BSON keeps
/// neither white space nor the digits of a number, and payloads come back exactly.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoredEvent {
    /// Its id, by which it is found.
    pub(super) id: bson::Uuid,
    /// The text.
    pub(super) body: String,
}

impl StoredEvent {
    /// Writes an event.
    pub(super) fn of(event: &Event) -> Result<Self, Failure> {
        Ok(Self { id: event_id(event.id), body: to_json(event)? })
    }

    /// Reads it back.
    pub(super) fn read(&self) -> Result<Event, Failure> {
        event(&self.body)
    }
}

impl From<StoredEvent> for bson::Bson {
    fn from(event: StoredEvent) -> Self {
        doc! { "id": event.id, "body": event.body }.into()
    }
}

/// Writes a value as JSON text.
pub(super) fn to_json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(Failure::unreadable)
}

/// Reads an event from its JSON text.
pub(super) fn event(body: &str) -> Result<Event, Failure> {
    serde_json::from_str(body).map_err(Failure::unreadable)
}

/// What follows a place in a list that is sorted by a time and then by an id, both `$lt` (latest
/// first) or `$gt`. The first condition bounds the index, which a choice of two would not.
pub(super) fn beyond(
    after: &Cursor,
    fields: (&str, &str),
    id: impl Into<bson::Bson>,
    past: &str,
) -> Document {
    let (time, place) = fields;
    let at = date(after.at);
    let up_to = if past == "$lt" { "$lte" } else { "$gte" };
    doc! {
        time: { up_to: at },
        "$or": [{ time: { past: at } }, { place: { past: id.into() } }],
    }
}
