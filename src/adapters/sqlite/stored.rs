//! How domain values are written in SQLite.

use sqlx::Error;
use uuid::Uuid;

use crate::domain::account::TokenHash;
use crate::domain::event::Event;

use super::database::unreadable;

/// SQLite's integers end at 2^63 - 1. No count of ours comes near; a number
/// that a client made up is taken for the greatest there is.
pub(super) fn integer(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// Reads a count back.
pub(super) fn count(stored: i64) -> Result<u64, Error> {
    u64::try_from(stored).map_err(unreadable)
}

/// Reads a UUID of 16 bytes, most significant first.
pub(super) fn uuid(stored: &[u8]) -> Result<Uuid, Error> {
    Uuid::from_slice(stored).map_err(unreadable)
}

/// Reads the hash of a token.
pub(super) fn token_hash(stored: &[u8]) -> Result<TokenHash, Error> {
    stored.try_into().map(TokenHash).map_err(unreadable)
}

/// Writes rows as the JSON array that a statement reads with `json_each`: one
/// statement then takes any number of rows and is prepared once.
pub(super) fn rows<T: serde::Serialize>(
    rows: impl IntoIterator<Item = T>,
) -> Result<String, Error> {
    let rows: Vec<_> = rows.into_iter().collect();
    serde_json::to_string(&rows).map_err(|e| Error::Encode(e.into()))
}

/// Writes an id for a JSON array, from which the statement takes it with `unhex`.
pub(super) fn hex(id: Uuid) -> String {
    id.simple().to_string()
}

/// Writes a document.
pub(super) fn to_json(document: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(document).map_err(|e| Error::Encode(e.into()))
}

/// Reads an event.
pub(super) fn event(json: &str) -> Result<Event, Error> {
    serde_json::from_str(json).map_err(unreadable)
}
