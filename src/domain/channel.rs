//! Channel names: `namespace:rest`, with a user boundary (`#`) or private (`$`).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ids::{PostId, UserId};

/// The name of a channel, checked once and cheap to copy.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelName(Arc<str>);

/// Why a text is no channel name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidChannel {
    /// The name is empty.
    #[error("a channel name must not be empty")]
    Empty,
    /// The name is longer than `client.channel_max_length` allows.
    #[error("the channel name is too long")]
    TooLong,
    /// Braces would change the Redis hash tag; NUL and other control
    /// characters have no place in a name.
    #[error("a channel name must not contain braces or control characters")]
    ForbiddenCharacter,
}

impl ChannelName {
    /// Checks `name` against `max_bytes` and the characters that are refused.
    pub fn parse(name: &str, max_bytes: usize) -> Result<Self, InvalidChannel> {
        if name.is_empty() {
            return Err(InvalidChannel::Empty);
        }
        if name.len() > max_bytes {
            return Err(InvalidChannel::TooLong);
        }
        if name.chars().any(|c| c == '{' || c == '}' || c.is_control()) {
            return Err(InvalidChannel::ForbiddenCharacter);
        }
        Ok(Self(name.into()))
    }

    /// A name that the hub builds itself from parts that are valid by construction.
    pub fn built_in(name: String) -> Self {
        debug_assert!(!name.is_empty() && !name.contains(['{', '}']));
        Self(name.into())
    }

    /// `feed:all`, which carries every post.
    pub fn feed() -> Self {
        Self::built_in("feed:all".into())
    }

    /// `author:<id>`, which carries the posts of one author.
    pub fn author(author: UserId) -> Self {
        Self::built_in(format!("author:{author}"))
    }

    /// `tag:<tag>`, which carries the posts with one tag.
    pub fn tag(tag: &str) -> Self {
        Self::built_in(format!("tag:{tag}"))
    }

    /// `post:<id>`, which carries what happens to one post.
    pub fn post(post: PostId) -> Self {
        Self::built_in(format!("post:{post}"))
    }

    /// `node:follows`, by which nodes tell each other who follows whom. No client
    /// can join it: its namespace is none that clients know.
    pub fn follows() -> Self {
        Self::built_in("node:follows".into())
    }

    /// `node:control`, by which nodes tell each other what back ends ask of connections, and that they are there.
    pub fn control() -> Self {
        Self::built_in("node:control".into())
    }

    /// `node:accounts`, by which nodes tell each other that there are changes of accounts to read.
    pub fn accounts() -> Self {
        Self::built_in("node:accounts".into())
    }

    /// `trending:<window>`, which carries one ranked list.
    pub fn trending(window: &str) -> Self {
        Self::built_in(format!("trending:{window}"))
    }

    /// `notifications:#<id>`, the inbox of one user.
    pub fn inbox(user: UserId) -> Self {
        Self::built_in(format!("notifications:#{user}"))
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the first `:`, without the `$` of a private channel;
    /// `None` for a channel without a namespace.
    pub fn namespace(&self) -> Option<&str> {
        let name = self.0.strip_prefix('$').unwrap_or(&self.0);
        name.split_once(':').map(|(namespace, _)| namespace)
    }

    /// Whether the name begins with `$`: joining needs a subscription token.
    pub fn is_private(&self) -> bool {
        self.0.starts_with('$')
    }

    /// The users named after `#` (`ns:#42,43`), or `None` if the channel names none.
    pub fn allowed_users(&self) -> Option<impl Iterator<Item = &str>> {
        self.0.split_once('#').map(|(_, users)| users.split(','))
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl Serialize for ChannelName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ChannelName {
    /// Reads a name that the hub itself wrote; a client's goes through [`ChannelName::parse`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name, usize::MAX).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str) -> ChannelName {
        ChannelName::parse(name, 255).unwrap()
    }

    #[test]
    fn a_name_has_a_namespace_a_boundary_and_a_privacy_mark() {
        assert_eq!(channel("feed:all").namespace(), Some("feed"));
        assert_eq!(channel("lobby").namespace(), None);
        assert_eq!(channel("$team:x").namespace(), Some("team"));
        assert!(channel("$team:x").is_private());
        let users: Vec<_> =
            channel("dm:#42,43").allowed_users().unwrap().map(str::to_owned).collect();
        assert_eq!(users, ["42", "43"]);
        assert!(channel("feed:all").allowed_users().is_none());
    }

    #[test]
    fn braces_control_characters_and_lengths_are_refused() {
        assert_eq!(ChannelName::parse("", 9), Err(InvalidChannel::Empty));
        assert_eq!(ChannelName::parse("0123456789", 9), Err(InvalidChannel::TooLong));
        for bad in ["a:{b}", "a:\0", "a:\n"] {
            assert_eq!(ChannelName::parse(bad, 9), Err(InvalidChannel::ForbiddenCharacter));
        }
    }
}
