//! How the stores are, as this node can use them: asked over its own connections.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::channel::ChannelName;
use crate::domain::ids::{Incarnation, PostId, UserId};
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::accounts::Accounts;
use crate::ports::analytics::Analytics;
use crate::ports::content::Content;
use crate::ports::event_log::{EventLog, LogCursor};
use crate::ports::presence::Presence;

/// How long a store may take to answer before it counts as unhealthy.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many characters of an error are told; drivers can be long-winded.
const ERROR_MAX: usize = 300;

/// How one store is.
#[derive(Debug)]
pub struct StoreHealth {
    /// The name that operators know: `mysql`, `postgresql`, `mongodb` or `redis`.
    pub service: &'static str,
    /// Whether it is part of this process and no server.
    pub is_embedded: bool,
    /// How long its answer took, or how long was waited for it.
    pub latency: Duration,
    /// Why it is unhealthy, if it is.
    pub error: Option<String>,
}

/// Which of the stores are part of this process.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "each field is the service of its name")]
pub struct Embedded {
    pub mysql: bool,
    pub postgresql: bool,
    pub mongodb: bool,
    pub redis: bool,
}

/// Asks every store something small.
pub struct Health {
    /// MySQL, or what stands where it would.
    pub accounts: Arc<dyn Accounts>,
    /// MongoDB, or what stands where it would.
    pub log: Arc<dyn EventLog>,
    /// MongoDB as well, perhaps another one.
    pub content: Arc<dyn Content>,
    /// PostgreSQL, or what stands where it would.
    pub analytics: Arc<dyn Analytics>,
    /// Redis, or what stands where it would.
    pub presence: Arc<dyn Presence>,
    /// The run of this node.
    pub incarnation: Incarnation,
    /// Which of them are no servers.
    pub embedded: Embedded,
}

impl Health {
    /// How each store is, all asked at once: within little more than two seconds, whatever they do.
    pub async fn check(&self) -> [StoreHealth; 4] {
        let cursor = LogCursor { incarnation: self.incarnation, seq: 0 };
        let (channel, nobody) = (ChannelName::feed(), UserId(0));
        let nothing = [PostId::from_parts(Timestamp::default(), 0, [0; 3])];
        let documents = async {
            let log = self.log.read_after(cursor, 1);
            tokio::try_join!(log, self.content.published(&nothing))
        };
        let embedded = self.embedded;
        let (mysql, postgresql, mongodb, redis) = tokio::join!(
            probe("mysql", embedded.mysql, self.accounts.user(nobody)),
            probe("postgresql", embedded.postgresql, self.analytics.cursors()),
            probe("mongodb", embedded.mongodb, documents),
            probe("redis", embedded.redis, self.presence.stats(&channel)),
        );
        [mysql, postgresql, mongodb, redis]
    }
}

async fn probe<T>(
    service: &'static str,
    is_embedded: bool,
    question: impl Future<Output = Result<T, StoreError>>,
) -> StoreHealth {
    let asked_at = tokio::time::Instant::now();
    let error = match tokio::time::timeout(PATIENCE, question).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(short(&error.to_string())),
        Err(_) => Some(format!("no answer within {PATIENCE:?}")),
    };
    StoreHealth { service, is_embedded, latency: asked_at.elapsed(), error }
}

/// The beginning of a text.
fn short(text: &str) -> String {
    match text.char_indices().nth(ERROR_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
