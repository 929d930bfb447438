//! How the stores are.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::ids::{Incarnation, UserId};
use crate::ports::StoreError;
use crate::ports::accounts::Accounts;
use crate::ports::analytics::Analytics;
use crate::ports::event_log::{EventLog, LogCursor};

/// How long a store may take to answer before it counts as unhealthy.
const PATIENCE: Duration = Duration::from_secs(2);

/// How one store is.
#[derive(Debug)]
pub struct StoreHealth {
    /// The name that operators know: `mysql`, `postgresql`, `mongodb` or `redis`.
    pub service: &'static str,
    /// How long its answer took.
    pub latency: Duration,
    /// Why it is unhealthy, if it is.
    pub error: Option<String>,
}

/// Asks every store something small.
pub struct Health {
    /// Stands where MySQL would.
    pub accounts: Arc<dyn Accounts>,
    /// Stands where MongoDB would.
    pub log: Arc<dyn EventLog>,
    /// Stands where PostgreSQL would.
    pub analytics: Arc<dyn Analytics>,
    /// The run of this node.
    pub incarnation: Incarnation,
}

impl Health {
    /// How each store is, all asked at once. The broker lives in this process,
    /// so that it answers is proven by this code running.
    pub async fn check(&self) -> [StoreHealth; 4] {
        let cursor = LogCursor { incarnation: self.incarnation, seq: 0 };
        let (mysql, mongodb, postgresql) = tokio::join!(
            probe("mysql", self.accounts.user(UserId(0))),
            probe("mongodb", self.log.read_after(cursor, 1)),
            probe("postgresql", self.analytics.cursors()),
        );
        let redis = StoreHealth { service: "redis", latency: Duration::ZERO, error: None };
        [mysql, postgresql, mongodb, redis]
    }
}

async fn probe<T>(
    service: &'static str,
    question: impl Future<Output = Result<T, StoreError>>,
) -> StoreHealth {
    let asked_at = tokio::time::Instant::now();
    let error = match tokio::time::timeout(PATIENCE, question).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("no answer in time".to_owned()),
    };
    StoreHealth { service, latency: asked_at.elapsed(), error }
}
