//! Directives: what a back end asks of connections, wherever they are.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::channel::ChannelName;
use crate::domain::namespace::Overrides;
use crate::domain::publication::Json;

/// Which connections are meant: all of a user's, unless it says more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// The user's number as text; empty for anonymous clients.
    pub user: String,
    /// Only the connection with this id, if not empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client: String,
    /// Only the connection with this session, as its connect reply names it, if not empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub session: String,
    /// Not the connections with these ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub whitelist: Vec<String>,
}

impl Selection {
    /// Whether a connection is meant.
    pub fn means(&self, user: &str, client: &str, session: &str) -> bool {
        self.user == user
            && (self.session.is_empty() || self.session == session)
            && (self.client.is_empty() || self.client == client)
            && !self.whitelist.iter().any(|spared| spared == client)
    }
}

/// How a channel is joined that a back end chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joining {
    /// The channel, whose namespace is known.
    pub channel: ChannelName,
    /// Where the client is in the channel, if it is to recover: the epoch, and the offset within it.
    pub since: Option<(String, u64)>,
    /// What the client is told with it.
    pub data: Option<Json>,
    /// What others may know about the subscription.
    #[serde(default)]
    pub info: Option<Arc<Json>>,
    /// Options of the channel that are others for it.
    #[serde(default)]
    pub overrides: Overrides,
    /// When it ends by itself (Unix seconds); 0: never.
    #[serde(default)]
    pub expire_at: i64,
}

/// What is asked of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// To join a channel.
    Subscribe(Box<Joining>),
    /// To leave a channel.
    Unsubscribe {
        /// The channel.
        channel: ChannelName,
    },
    /// To end.
    Disconnect {
        /// The code of the close frame, 3000 to 4999.
        code: u16,
        /// The text of the close frame.
        reason: String,
    },
    /// To tell its client something.
    Send {
        /// What, any JSON.
        data: Json,
    },
    /// To end at another time than it would.
    Refresh {
        /// At once, as one that has expired.
        expired: bool,
        /// At this time (Unix seconds); never by itself if there is none.
        expire_at: Option<i64>,
    },
}

/// What is asked of which connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directive {
    /// Which connections.
    pub to: Selection,
    /// What is asked of them.
    pub act: Act,
}
