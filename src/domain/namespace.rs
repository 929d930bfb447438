//! Namespaces: what the channels of one kind are allowed and how they remember.

use serde::{Deserialize, Serialize};
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::channel::ChannelName;
use super::ids::PostId;

/// How a subscriber that was away is brought up to date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistoryRecovery {
    /// From the channel's history alone; beyond it the client hears `recovered: false`.
    #[default]
    Window,
    /// From the history, else from the event log, however far back.
    Log,
}

/// What a subscriber that was away is brought up to date with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecoveryMode {
    /// Everything that it missed.
    #[default]
    Stream,
    /// The latest publication alone, for it says all there is to know.
    Cache,
}

/// The options of a namespace, under the names that Centrifugo gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelOptions {
    /// Whether the channel knows who is subscribed.
    pub presence: bool,
    /// Whether it is told in the channel who joins and leaves, to those who ask for it.
    pub join_leave: bool,
    /// Whether all subscribers are told who joins and leaves, although they did not ask for it.
    pub force_push_join_leave: bool,
    /// How many publications the history keeps; 0 keeps none.
    pub history_size: usize,
    /// How long the history keeps a publication; zero keeps none.
    pub history_ttl: Duration,
    /// Whether subscriptions recover although the client did not ask for it.
    pub force_recovery: bool,
    /// What recovery brings.
    pub force_recovery_mode: RecoveryMode,
    /// Whether subscriptions are positioned although the client did not ask for it.
    pub force_positioning: bool,
    /// Whether any authenticated client may subscribe.
    pub allow_subscribe_for_client: bool,
    /// Whether an anonymous client may do what `allow_subscribe_for_client` allows.
    pub allow_subscribe_for_anonymous: bool,
    /// Whether any authenticated client may publish.
    pub allow_publish_for_client: bool,
    /// Whether a subscriber may publish.
    pub allow_publish_for_subscriber: bool,
    /// Whether an anonymous client may do what the publish options allow.
    pub allow_publish_for_anonymous: bool,
    /// Whether any authenticated client may read the history.
    pub allow_history_for_client: bool,
    /// Whether a subscriber may read the history.
    pub allow_history_for_subscriber: bool,
    /// Whether an anonymous client may do what the history options allow.
    pub allow_history_for_anonymous: bool,
    /// Whether any authenticated client may read the presence.
    pub allow_presence_for_client: bool,
    /// Whether a subscriber may read the presence.
    pub allow_presence_for_subscriber: bool,
    /// Whether an anonymous client may do what the presence options allow.
    pub allow_presence_for_anonymous: bool,
    /// Whether `ns:#42` may be joined by user 42.
    pub allow_user_limited_channels: bool,
    /// Whether subscribers may take publications as Fossil deltas.
    pub allows_fossil_deltas: bool,
    /// Whether all publications are told to those as deltas, and not only where it is asked for.
    pub delta_publish: bool,
    /// Whether publications are interactions, kept in the event log.
    pub durable: bool,
    /// How a subscriber that was away is brought up to date.
    pub history_recovery: HistoryRecovery,
    /// A channel of the product: it speaks for the log, so no client publishes to it.
    pub built_in: bool,
}

impl ChannelOptions {
    /// Whether publications get offsets and are kept for a while.
    pub fn keeps_history(&self) -> bool {
        self.history_size > 0 && !self.history_ttl.is_zero()
    }

    /// Whether each relay is recorded in the log, so that recovery has no horizon.
    pub fn recovers_from_log(&self) -> bool {
        self.durable && self.keeps_history() && self.history_recovery == HistoryRecovery::Log
    }

    fn built_in() -> Self {
        Self {
            history_size: 1_000,
            history_ttl: Duration::from_secs(24 * 3600),
            force_recovery: true,
            force_positioning: true,
            allow_subscribe_for_client: true,
            allow_history_for_subscriber: true,
            allow_history_for_client: true,
            allows_fossil_deltas: true,
            delta_publish: true,
            durable: true,
            history_recovery: HistoryRecovery::Log,
            built_in: true,
            ..Self::default()
        }
    }
}

/// Options of a channel that are others for one subscription; `None` leaves one as it is. Written as Centrifugo writes them:
/// `{"presence": {"value": false}}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Overrides {
    /// Whether the subscriber is seen in the presence.
    #[serde(with = "switch")]
    pub presence: Option<bool>,
    /// Whether others are told that the subscriber joins and leaves.
    #[serde(with = "switch")]
    pub join_leave: Option<bool>,
    /// Whether the subscriber is told who joins and leaves although the client did not ask for it.
    #[serde(with = "switch")]
    pub force_push_join_leave: Option<bool>,
    /// Whether the subscription recovers although the client did not ask for it.
    #[serde(with = "switch")]
    pub force_recovery: Option<bool>,
    /// Whether the subscription is positioned although the client did not ask for it.
    #[serde(with = "switch")]
    pub force_positioning: Option<bool>,
}

impl Overrides {
    /// The options that hold for the subscription.
    pub fn over(&self, options: ChannelOptions) -> ChannelOptions {
        let forced = self.force_push_join_leave;
        ChannelOptions {
            presence: self.presence.unwrap_or(options.presence),
            join_leave: self.join_leave.unwrap_or(options.join_leave),
            force_push_join_leave: forced.unwrap_or(options.force_push_join_leave),
            force_recovery: self.force_recovery.unwrap_or(options.force_recovery),
            force_positioning: self.force_positioning.unwrap_or(options.force_positioning),
            ..options
        }
    }
}

/// `BoolValue` of Centrifugo, which tells false from not given.
mod switch {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Switch {
        #[serde(default)]
        value: bool,
    }

    pub fn serialize<S: Serializer>(value: &Option<bool>, to: S) -> Result<S::Ok, S::Error> {
        value.map(|value| Switch { value }).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
        Ok(Option::<Switch>::deserialize(from)?.map(|switch| switch.value))
    }
}

/// All namespaces of a node: the built-in ones and what the settings add.
#[derive(Clone, Debug)]
pub struct Namespaces {
    named: FxHashMap<String, ChannelOptions>,
    without: Option<ChannelOptions>,
}

/// The names that the product itself speaks on; settings cannot redefine them.
/// On `node` the nodes speak to each other, and no client knows any such channel.
pub const BUILT_IN_NAMESPACES: [&str; 7] =
    ["feed", "tag", "author", "post", "notifications", "trending", "node"];

impl Namespaces {
    /// The built-in namespaces and `configured` ones; `without` are the options
    /// of channels that have no namespace, if there may be any.
    pub fn new(
        configured: impl IntoIterator<Item = (String, ChannelOptions)>,
        without: Option<ChannelOptions>,
    ) -> Self {
        let mut named: FxHashMap<_, _> = configured.into_iter().collect();
        for name in BUILT_IN_NAMESPACES {
            let mut options = ChannelOptions::built_in();
            match name {
                "post" => {
                    options.presence = true;
                    options.allow_presence_for_subscriber = true;
                    options.allow_presence_for_client = true;
                }
                "notifications" => {
                    // Joined by the server at connect, and by nobody else.
                    options.allow_subscribe_for_client = false;
                    options.allow_history_for_client = false;
                    options.allow_user_limited_channels = true;
                }
                "trending" => {
                    // Lists are no events: each says all that the one before it did.
                    options.history_size = 1;
                    options.force_recovery_mode = RecoveryMode::Cache;
                    options.durable = false;
                    options.history_recovery = HistoryRecovery::Window;
                }
                _ => {}
            }
            named.insert(name.to_owned(), options);
        }
        Self { named, without }
    }

    /// The options of `channel`, or `None` where its namespace is not known.
    pub fn options(&self, channel: &ChannelName) -> Option<&ChannelOptions> {
        match channel.namespace() {
            Some(namespace) => {
                self.named.get(namespace).filter(|o| !o.built_in || product_speaks_on(channel))
            }
            None => self.without.as_ref(),
        }
    }
}

/// Whether a channel of a built-in namespace is one that the product speaks on.
fn product_speaks_on(channel: &ChannelName) -> bool {
    let is_number = |text: &str| text.parse::<i64>().is_ok_and(|number| number.to_string() == text);
    let Some((namespace, rest)) = channel.as_str().split_once(':') else { return false };
    match namespace {
        "feed" => rest == "all",
        "author" => is_number(rest),
        "post" => rest.parse::<PostId>().is_ok(),
        // Whose inbox may be opened is a question of permission.
        "notifications" => true,
        "trending" => matches!(rest, "1h" | "24h" | "7d"),
        "tag" => !rest.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_channels_that_the_product_speaks_on_are_known_in_its_namespaces() {
        let namespaces = Namespaces::new([], None);
        let known = |name: &str| {
            let channel = ChannelName::parse(name, 255).unwrap();
            namespaces.options(&channel).is_some()
        };
        let post = "post:6553f1000102abcdef070707";
        for name in ["feed:all", "author:7", "tag:c#", "notifications:#42", "trending:24h", post] {
            assert!(known(name), "{name}");
        }
        let unknown = ["feed:x", "author:ada", "author:007"];
        for name in unknown.into_iter().chain(["trending:2h", "post:1", "$feed:all", "tag:"]) {
            assert!(!known(name), "{name}");
        }
    }
}
