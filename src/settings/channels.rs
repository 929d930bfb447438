//! The settings of namespaces, and what the domain makes of them.

use std::time::Duration;

use serde::Deserialize;

use crate::domain::namespace::{ChannelOptions, HistoryRecovery, Namespaces, RecoveryMode};

use super::values::duration;

/// Namespaces and their options.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// The options of channels that have no namespace. As in Centrifugo there always
    /// are such channels, but by default nobody may do anything with them.
    pub without_namespace: ChannelSettings,
    /// The namespaces, with unique names that are not built in.
    pub namespaces: Vec<NamespaceSettings>,
}

/// One namespace.
#[derive(Clone, Debug, Deserialize)]
pub struct NamespaceSettings {
    /// What stands before the `:`.
    pub name: String,
    /// The options of its channels.
    #[serde(flatten)]
    pub options: ChannelSettings,
}

/// The options of channels; [`ChannelOptions`] describes them under the same names.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the domain's type documents the same fields")]
pub struct ChannelSettings {
    pub presence: bool,
    pub join_leave: bool,
    pub force_push_join_leave: bool,
    pub history_size: usize,
    #[serde(deserialize_with = "duration")]
    pub history_ttl: Duration,
    pub force_recovery: bool,
    pub force_recovery_mode: ModeSetting,
    pub force_positioning: bool,
    pub allow_subscribe_for_client: bool,
    pub allow_subscribe_for_anonymous: bool,
    pub allow_publish_for_client: bool,
    pub allow_publish_for_subscriber: bool,
    pub allow_publish_for_anonymous: bool,
    pub allow_history_for_client: bool,
    pub allow_history_for_subscriber: bool,
    pub allow_history_for_anonymous: bool,
    pub allow_presence_for_client: bool,
    pub allow_presence_for_subscriber: bool,
    pub allow_presence_for_anonymous: bool,
    pub allow_user_limited_channels: bool,
    pub allowed_delta_types: Vec<DeltaSetting>,
    pub delta_publish: bool,
    pub durable: bool,
    pub history_recovery: RecoverySetting,
}

/// How a subscriber that was away is brought up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecoverySetting {
    /// [`HistoryRecovery::Window`].
    Window,
    /// [`HistoryRecovery::Log`].
    Log,
}

/// A kind of deltas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeltaSetting {
    /// Fossil's, which SDKs know.
    Fossil,
}

/// What a subscriber that was away is brought up to date with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModeSetting {
    /// [`RecoveryMode::Stream`].
    Stream,
    /// [`RecoveryMode::Cache`].
    Cache,
}

impl Channel {
    /// All namespaces of the node, the built-in ones included.
    pub fn to_namespaces(&self) -> Namespaces {
        let configured = self
            .namespaces
            .iter()
            .map(|namespace| (namespace.name.clone(), namespace.options.to_options()));
        Namespaces::new(configured, Some(self.without_namespace.to_options()))
    }
}

impl ChannelSettings {
    /// The options as the domain knows them.
    pub fn to_options(&self) -> ChannelOptions {
        ChannelOptions {
            presence: self.presence,
            join_leave: self.join_leave,
            force_push_join_leave: self.force_push_join_leave,
            history_size: self.history_size,
            history_ttl: self.history_ttl,
            force_recovery: self.force_recovery,
            force_recovery_mode: match self.force_recovery_mode {
                ModeSetting::Stream => RecoveryMode::Stream,
                ModeSetting::Cache => RecoveryMode::Cache,
            },
            force_positioning: self.force_positioning,
            allow_subscribe_for_client: self.allow_subscribe_for_client,
            allow_subscribe_for_anonymous: self.allow_subscribe_for_anonymous,
            allow_publish_for_client: self.allow_publish_for_client,
            allow_publish_for_subscriber: self.allow_publish_for_subscriber,
            allow_publish_for_anonymous: self.allow_publish_for_anonymous,
            allow_history_for_client: self.allow_history_for_client,
            allow_history_for_subscriber: self.allow_history_for_subscriber,
            allow_history_for_anonymous: self.allow_history_for_anonymous,
            allow_presence_for_client: self.allow_presence_for_client,
            allow_presence_for_subscriber: self.allow_presence_for_subscriber,
            allow_presence_for_anonymous: self.allow_presence_for_anonymous,
            allow_user_limited_channels: self.allow_user_limited_channels,
            allows_fossil_deltas: self.allowed_delta_types.contains(&DeltaSetting::Fossil),
            delta_publish: self.delta_publish,
            durable: self.durable,
            history_recovery: match self.history_recovery {
                RecoverySetting::Window => HistoryRecovery::Window,
                RecoverySetting::Log => HistoryRecovery::Log,
            },
            built_in: false,
        }
    }
}
