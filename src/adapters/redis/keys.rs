//! The names of keys. All keys of a channel stand under one hash tag, so that a cluster keeps them together.

use crate::domain::channel::ChannelName;

/// Names keys and Pub/Sub channels.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    /// Keys that begin with `prefix`, in which there are no braces.
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The key `name` of a channel.
    pub(super) fn of(&self, channel: &ChannelName, name: &str) -> String {
        format!("{}{{{channel}}}:{name}", self.prefix)
    }

    /// Where a channel's publications are sent to.
    pub(super) fn audience(&self, channel: &ChannelName) -> String {
        format!("{}{{{channel}}}", self.prefix)
    }

    /// The channel whose publications are sent to `audience`.
    pub(super) fn channel_of(&self, audience: &str) -> Option<ChannelName> {
        let rest = audience.strip_prefix(&self.prefix)?;
        let name = rest.strip_prefix('{')?.strip_suffix('}')?;
        ChannelName::parse(name, usize::MAX).ok()
    }

    /// A key that belongs to no channel; `tag` decides which shard of a cluster has it.
    pub(super) fn apart(&self, tag: &str, name: &str) -> String {
        format!("{}{{{tag}}}:{name}", self.prefix)
    }

    /// A key that no script touches together with another.
    pub(super) fn alone(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audience_names_its_channel() {
        let keys = Keys::new("x:");
        let channel = ChannelName::tag("rust");
        assert_eq!(keys.audience(&channel), "x:{tag:rust}");
        assert_eq!(keys.of(&channel, "meta"), "x:{tag:rust}:meta");
        assert_eq!(keys.channel_of("x:{tag:rust}"), Some(channel));
        for other in ["y:{tag:rust}", "x:tag:rust", "x:{}", "{tag:rust}"] {
            assert_eq!(keys.channel_of(other), None, "{other}");
        }
    }
}
