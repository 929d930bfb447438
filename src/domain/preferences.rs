//! What a user wants to be told, and how things should look.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::notification::NotificationKind;

/// The colours of the pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// Light on dark.
    #[default]
    Dark,
    /// Dark on light.
    Light,
    /// As the system says.
    System,
}

/// Ways in which a user wants to be told, and of what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NotificationPreferences {
    /// By mail.
    pub email: bool,
    /// By push.
    pub push: bool,
    /// Kinds that are `false` do not reach the inbox; the others do.
    pub types: BTreeMap<NotificationKind, bool>,
}

impl Default for NotificationPreferences {
    fn default() -> Self {
        Self { email: true, push: false, types: BTreeMap::new() }
    }
}

/// The preferences of a user. Serialised they are the resource of the API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Preferences {
    /// The colours of the pages.
    pub theme: Theme,
    /// Ways in which the user wants to be told.
    pub notifications: NotificationPreferences,
}

impl Preferences {
    /// Whether the user wants to be told of such things in the inbox.
    pub fn wants(&self, kind: NotificationKind) -> bool {
        self.notifications.types.get(&kind).copied().unwrap_or(true)
    }
}
