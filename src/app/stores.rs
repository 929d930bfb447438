//! Opens the stores that the settings name.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::AppError;
use super::log_stores::{self, ContentPorts, LogPorts};
use super::realtime_stores::{self, RealtimePorts};
use super::sql_stores::{self, AccountPorts, AnalyticsPorts};
use crate::adapters::redis::Surroundings;
use crate::adapters::system::{SystemClock, SystemEntropy};
use crate::domain::namespace::Namespaces;
use crate::metrics::Metrics;
use crate::ports::account_control::AccountControl;
use crate::ports::accounts::Accounts;
use crate::ports::analytics::Analytics;
use crate::ports::audit::analytics::{AggregateAudit, ProjectionAudit};
use crate::ports::audit::content::{CountAudit, DocumentAudit};
use crate::ports::audit::log::LogAudit;
use crate::ports::broker::Broker;
use crate::ports::clock::Clock;
use crate::ports::comments::Comments;
use crate::ports::content::Content;
use crate::ports::entropy::Entropy;
use crate::ports::event_log::{EventLog, RelayLedger};
use crate::ports::failpoint::Failpoints;
use crate::ports::idempotency::IdempotencyKeys;
use crate::ports::inbox::Inbox;
use crate::ports::marks::Marks;
use crate::ports::presence::Presence;
use crate::ports::present::PresentReader;
use crate::ports::rate_limits::RateLimits;
use crate::ports::runs::Runs;
use crate::ports::session_cache::SessionCache;
use crate::ports::trending::Trending;
use crate::relay::inbound::Incoming;
use crate::settings::Settings;

/// The environment variable that names the place at which a test stops the
/// process. It is no setting: builds without debug assertions ignore it.
const FAILPOINT: &str = "CARILLON_TEST_FAILPOINT";

/// The stores, what the machine provides, and what is counted of both.
pub(super) struct Stores {
    pub(super) accounts: Arc<dyn Accounts>,
    pub(super) control: Arc<dyn AccountControl>,
    pub(super) log: Arc<dyn EventLog>,
    pub(super) ledger: Arc<dyn RelayLedger>,
    pub(super) runs: Arc<dyn Runs>,
    pub(super) keys: Arc<dyn IdempotencyKeys>,
    pub(super) content: Arc<dyn Content>,
    pub(super) marks: Arc<dyn Marks>,
    pub(super) comments: Arc<dyn Comments>,
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) counts: Arc<dyn CountAudit>,
    pub(super) analytics: Arc<dyn Analytics>,
    pub(super) presence: Arc<dyn Presence>,
    pub(super) trending: Arc<dyn Trending>,
    pub(super) rate_limits: Arc<dyn RateLimits>,
    pub(super) session_cache: Arc<dyn SessionCache>,
    pub(super) broker: Arc<dyn Broker>,
    /// What the broker brings to this node, until the inbound relay takes it.
    pub(super) incoming: Option<Incoming>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) namespaces: Arc<Namespaces>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) failpoints: Failpoints,
    pub(super) audit: AuditPorts,
    /// Held for as long as the node runs: two nodes must not share a directory.
    _lock: Option<File>,
}

/// What only audits and rebuilds ask of the stores.
pub(super) struct AuditPorts {
    pub(super) log: Arc<dyn LogAudit>,
    pub(super) documents: Arc<dyn DocumentAudit>,
    pub(super) projected: Arc<dyn ProjectionAudit>,
    pub(super) aggregates: Arc<dyn AggregateAudit>,
}

impl Stores {
    /// Reads what announcements tell beside their event.
    pub(super) fn present(&self) -> PresentReader {
        PresentReader { content: Arc::clone(&self.content), inbox: Arc::clone(&self.inbox) }
    }
}

/// Opens and migrates all stores, and takes hold of the data directory.
pub(super) async fn open(settings: &Settings) -> Result<Stores, AppError> {
    let data = &settings.data_dir;
    std::fs::create_dir_all(data)
        .map_err(|error| format!("cannot create {}: {error}", data.display()))?;
    let lock = lock_directory(data)?;
    open_beside(settings, Some(lock)).await
}

/// Opens and migrates all stores, whoever has hold of the data directory: only where none of them is in it.
pub(super) async fn open_beside(
    settings: &Settings,
    lock: Option<File>,
) -> Result<Stores, AppError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let failpoints = Failpoints::new(std::env::var(FAILPOINT).ok());
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), clock.now());
    let AccountPorts { accounts, control } = sql_stores::open_accounts(settings).await?;
    let AnalyticsPorts { analytics, projected, aggregates } =
        sql_stores::open_analytics(settings, &clock, &failpoints).await?;
    let (
        LogPorts { log, ledger, runs, keys, audit },
        ContentPorts { content, marks, comments, inbox, counts, documents },
    ) = log_stores::open(settings, &clock).await?;
    let audit = AuditPorts { log: audit, documents, projected, aggregates };
    let present = PresentReader { content: Arc::clone(&content), inbox: Arc::clone(&inbox) };
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let surroundings = Surroundings {
        ledger: Arc::clone(&ledger),
        present,
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
    };
    let RealtimePorts { broker, presence, trending, rate_limits, session_cache, incoming } =
        realtime_stores::open(settings, surroundings).await?;
    Ok(Stores {
        accounts,
        control,
        log,
        ledger,
        runs,
        keys,
        content,
        marks,
        comments,
        inbox,
        counts,
        analytics,
        presence,
        trending,
        rate_limits,
        session_cache,
        broker,
        incoming: Some(incoming),
        clock,
        entropy,
        namespaces: Arc::new(settings.channel.to_namespaces()),
        metrics: Arc::new(metrics),
        failpoints,
        audit,
        _lock: lock,
    })
}

/// Takes hold of the data directory.
pub(super) fn lock_directory(data: &Path) -> Result<File, AppError> {
    let path = data.join("lock");
    let file = File::create(&path)
        .map_err(|error| format!("cannot write to {}: {error}", data.display()))?;
    file.try_lock().map_err(|_| format!("another node uses {}", data.display()))?;
    Ok(file)
}
