//! How domain values are written in PostgreSQL.

use sqlx::Error;
use time::OffsetDateTime;

use crate::adapters::pooled::unreadable;
use crate::domain::event::Fact;
use crate::domain::time::Timestamp;

const NANOS_PER_MILLI: i128 = 1_000_000;

/// Writes a point in time as a timestamptz.
pub(super) fn datetime(time: Timestamp) -> Result<OffsetDateTime, Error> {
    let nanos = i128::from(time.as_millis()) * NANOS_PER_MILLI;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).map_err(|e| Error::Encode(e.into()))
}

/// Reads a point in time back; what is finer than a millisecond was not written by a node.
pub(super) fn timestamp(time: OffsetDateTime) -> Timestamp {
    let millis = time.unix_timestamp_nanos().div_euclid(NANOS_PER_MILLI);
    Timestamp::from_millis(millis.try_into().unwrap_or(i64::MAX))
}

/// PostgreSQL's integers end at 2^63 - 1. No count of ours comes near.
pub(super) fn integer(number: u64) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// Reads a count back.
pub(super) fn count(stored: i64) -> Result<u64, Error> {
    u64::try_from(stored).map_err(unreadable)
}

/// Writes a document.
pub(super) fn to_json(document: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(document).map_err(|e| Error::Encode(e.into()))
}

/// Writes what a fact carries beside its kind.
pub(super) fn data(fact: &Fact) -> Result<String, Error> {
    match fact {
        Fact::PostPublished(post) | Fact::PostDrafted(post) => to_json(post),
        Fact::PostUpdated(change) | Fact::PostRemoved(change) => to_json(change),
        Fact::PostLiked(mark)
        | Fact::PostUnliked(mark)
        | Fact::PostBookmarked(mark)
        | Fact::PostUnbookmarked(mark)
        | Fact::PostShared(mark)
        | Fact::PostViewed(mark) => to_json(mark),
        Fact::PostCommented(change)
        | Fact::CommentEdited(change)
        | Fact::CommentRemoved(change) => to_json(change),
        Fact::UserFollowed(follow) | Fact::UserUnfollowed(follow) => to_json(follow),
        Fact::NotificationRead(read) => to_json(read),
        Fact::ChannelPublished(bare) => to_json(bare),
    }
}
