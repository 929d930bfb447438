//! Identities. Each kind has its own type, so that one is never taken for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

use super::time::Timestamp;

/// The number of an account, given by `Accounts` and never used twice.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
#[schema(examples(42))]
pub struct UserId(pub i64);

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identity of an event: a UUIDv7 (RFC 9562), minted once by the command
/// that decided the event and kept through every retry.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
#[schema(value_type = String, format = "uuid")]
pub struct EventId(pub Uuid);

impl EventId {
    /// Builds an id from the time and ten random bytes.
    pub fn from_parts(now: Timestamp, random: [u8; 10]) -> Self {
        Self(uuid_v7(now, random))
    }
}

impl EventId {
    /// When it was minted, to the millisecond.
    pub fn minted_at(self) -> Timestamp {
        minted_at(self.0)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for EventId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

/// One run of one node: from the moment it opens the log until it ends.
/// Events are numbered within their incarnation, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub Uuid);

impl Incarnation {
    /// Builds an incarnation id from the time and ten random bytes.
    pub fn from_parts(now: Timestamp, random: [u8; 10]) -> Self {
        Self(uuid_v7(now, random))
    }

    /// When the run began, to the millisecond.
    pub fn began_at(self) -> Timestamp {
        minted_at(self.0)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identity of one client connection, told to the client at connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientId(pub Uuid);

impl ClientId {
    /// Builds a version 4 UUID from sixteen random bytes.
    pub fn from_random(random: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(random).into_uuid())
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An identity in the form of a MongoDB ObjectId, written as 24 hex digits.
macro_rules! object_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ToSchema)]
        #[schema(value_type = String, pattern = "^[0-9a-fA-F]{24}$", examples("692030d97d3a000001a1b2c3"))]
        pub struct $name([u8; 12]);

        impl $name {
            /// Builds an id that sorts by time: four bytes of whole seconds, as the BSON
            /// specification has it, then two of milliseconds and three of `count`, which
            /// keeps ids of one node in their order, then three random ones.
            pub fn from_parts(now: Timestamp, count: u32, random: [u8; 3]) -> Self {
                Self(object_id_bytes(now, count, random))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = InvalidObjectId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse_object_id(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

object_id! {
    /// The identity of a post.
    PostId
}

object_id! {
    /// The identity of a comment.
    CommentId
}

/// A text that is not 24 hex digits was given where an id belongs.
#[derive(Debug, thiserror::Error)]
#[error("an id is 24 hex digits")]
pub struct InvalidObjectId;

fn object_id_bytes(now: Timestamp, count: u32, random: [u8; 3]) -> [u8; 12] {
    let seconds = u32::try_from(now.as_millis() / 1000).unwrap_or(u32::MAX);
    let millis = u16::try_from(now.as_millis().rem_euclid(1000)).unwrap_or(0);
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&seconds.to_be_bytes());
    bytes[4..6].copy_from_slice(&millis.to_be_bytes());
    bytes[6..9].copy_from_slice(&count.to_be_bytes()[1..]);
    bytes[9..].copy_from_slice(&random);
    bytes
}

fn parse_object_id(text: &str) -> Result<[u8; 12], InvalidObjectId> {
    if text.len() != 24 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(InvalidObjectId);
    }
    let mut bytes = [0; 12];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| InvalidObjectId)?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| InvalidObjectId)?;
    }
    Ok(bytes)
}

/// The time that a UUIDv7 begins with.
fn minted_at(id: Uuid) -> Timestamp {
    let millis = id.as_bytes()[..6].iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte));
    Timestamp::from_millis(millis)
}

fn uuid_v7(now: Timestamp, random: [u8; 10]) -> Uuid {
    let millis = u64::try_from(now.as_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn post_id_reads_back_what_it_writes_and_refuses_the_rest() {
        let id = PostId::from_parts(Timestamp::from_millis(1_700_000_000_258), 0x00ab_cdef, [7; 3]);
        assert_eq!(id.to_string(), "6553f1000102abcdef070707");
        assert_eq!(id.to_string().parse::<PostId>().unwrap(), id);
        for bad in ["", "6553f100", "6553f10007070707070707zz", "６553f100070707070707070"] {
            assert!(bad.parse::<PostId>().is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn event_ids_sort_by_time() {
        let early = EventId::from_parts(Timestamp::from_millis(1_000), [255; 10]);
        let late = EventId::from_parts(Timestamp::from_millis(1_001), [0; 10]);
        assert!(early < late);
        assert_eq!(early.0.get_version_num(), 7);
    }
}
