//! How domain values are written in MySQL.

use sqlx::Error;
use sqlx::mysql::MySqlRow;
use sqlx::{Row, types::time::PrimitiveDateTime};
use time::OffsetDateTime;

use crate::adapters::pooled::unreadable;
use crate::domain::account::TokenHash;
use crate::domain::time::Timestamp;

const NANOS_PER_MILLI: i128 = 1_000_000;

/// Writes a point in time as a DATETIME(3), in UTC.
pub(super) fn datetime(time: Timestamp) -> Result<PrimitiveDateTime, Error> {
    let nanos = i128::from(time.as_millis()) * NANOS_PER_MILLI;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos);
    let time = time.map_err(|e| Error::Encode(e.into()))?;
    Ok(PrimitiveDateTime::new(time.date(), time.time()))
}

/// Reads a point in time.
pub(super) fn timestamp(row: &MySqlRow, column: &str) -> Result<Timestamp, Error> {
    let time: PrimitiveDateTime = row.try_get(column)?;
    let millis = time.assume_utc().unix_timestamp_nanos().div_euclid(NANOS_PER_MILLI);
    i64::try_from(millis).map(Timestamp::from_millis).map_err(unreadable)
}

/// Reads the hash of a token.
pub(super) fn token_hash(stored: &[u8]) -> Result<TokenHash, Error> {
    stored.try_into().map(TokenHash).map_err(unreadable)
}
