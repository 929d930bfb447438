//! Opens the stores that the settings name.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::AppError;
use crate::adapters::memory::broker::MemoryBroker;
use crate::adapters::memory::presence::MemoryPresence;
use crate::adapters::memory::rate_limits::MemoryRateLimits;
use crate::adapters::memory::trending::MemoryTrending;
use crate::adapters::sqlite::{
    Database, Schema, SqliteAccounts, SqliteAnalytics, SqliteContent, SqliteEventLog,
    SqliteIdempotencyKeys, SqliteRelayLedger,
};
use crate::adapters::system::{SystemClock, SystemEntropy};
use crate::domain::namespace::Namespaces;
use crate::domain::publication::Delivery;
use crate::domain::trending::Weights;
use crate::metrics::Metrics;
use crate::ports::account_control::AccountControl;
use crate::ports::accounts::Accounts;
use crate::ports::analytics::Analytics;
use crate::ports::broker::Broker;
use crate::ports::clock::Clock;
use crate::ports::comments::Comments;
use crate::ports::content::Content;
use crate::ports::entropy::Entropy;
use crate::ports::event_log::{EventLog, RelayLedger};
use crate::ports::idempotency::IdempotencyKeys;
use crate::ports::inbox::Inbox;
use crate::ports::marks::Marks;
use crate::ports::presence::Presence;
use crate::ports::present::PresentReader;
use crate::ports::rate_limits::RateLimits;
use crate::ports::trending::Trending;
use crate::settings::{Settings, StoreUrl, TrendingWeights};

/// Deliveries that may wait between the broker and the hub.
const DELIVERY_QUEUE_MAX: usize = 4_096;

/// The stores, what the machine provides, and what is counted of both.
pub(super) struct Stores {
    pub(super) accounts: Arc<dyn Accounts>,
    pub(super) control: Arc<dyn AccountControl>,
    pub(super) log: Arc<dyn EventLog>,
    pub(super) ledger: Arc<dyn RelayLedger>,
    pub(super) keys: Arc<dyn IdempotencyKeys>,
    pub(super) content: Arc<dyn Content>,
    pub(super) marks: Arc<dyn Marks>,
    pub(super) comments: Arc<dyn Comments>,
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) analytics: Arc<dyn Analytics>,
    pub(super) presence: Arc<dyn Presence>,
    pub(super) trending: Arc<dyn Trending>,
    pub(super) rate_limits: Arc<dyn RateLimits>,
    pub(super) broker: Arc<dyn Broker>,
    /// What the broker delivers to this node, until the hub takes it.
    pub(super) deliveries: Option<mpsc::Receiver<Delivery>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) namespaces: Arc<Namespaces>,
    pub(super) metrics: Arc<Metrics>,
    /// Held for as long as the node runs: two nodes must not share a directory.
    _lock: File,
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
    let path_of = |url: &StoreUrl, schema: Schema| url.file_or(&data.join(schema.file_name()));
    let migrate = settings.migrate_on_start;
    let accounts = Database::open(
        &path_of(&settings.accounts.url, Schema::Accounts),
        Schema::Accounts,
        migrate,
    )
    .await?;
    let log_path = path_of(&settings.events.url, Schema::Log);
    let log = Database::open(&log_path, Schema::Log, migrate).await?;
    let content_path = path_of(&settings.content.url, Schema::Log);
    // In one file, a commit of the log makes the documents before it durable as well.
    let covered = content_path == log_path;
    let content = match covered {
        true => Arc::clone(&log),
        false => Database::open(&content_path, Schema::Log, migrate).await?,
    };
    let analytics = Database::open(
        &path_of(&settings.analytics.url, Schema::Analytics),
        Schema::Analytics,
        migrate,
    )
    .await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), clock.now());
    let ledger: Arc<dyn RelayLedger> = Arc::new(SqliteRelayLedger::new(Arc::clone(&log)));
    let (sink, deliveries) = mpsc::channel(DELIVERY_QUEUE_MAX);
    let content = Arc::new(SqliteContent::new(content, covered, Arc::clone(&clock)));
    let present = PresentReader { content: content.clone(), inbox: content.clone() };
    let broker = MemoryBroker::new(Arc::clone(&ledger), present, Arc::clone(&clock), sink).await?;
    let broker = broker.holding_at_most(settings.realtime.history_max_bytes);
    let accounts = Arc::new(SqliteAccounts::new(accounts));
    Ok(Stores {
        control: Arc::clone(&accounts) as Arc<dyn AccountControl>,
        accounts,
        log: Arc::new(SqliteEventLog::new(Arc::clone(&log))),
        ledger,
        keys: Arc::new(SqliteIdempotencyKeys::new(log)),
        marks: content.clone(),
        comments: content.clone(),
        inbox: content.clone(),
        content,
        analytics: Arc::new(SqliteAnalytics::new(analytics)),
        presence: Arc::new(MemoryPresence::default()),
        trending: Arc::new(MemoryTrending::new(weights(&settings.trending.weights))),
        rate_limits: Arc::new(MemoryRateLimits::new(Arc::clone(&clock))),
        broker: Arc::new(broker),
        deliveries: Some(deliveries),
        clock,
        entropy: Arc::new(SystemEntropy),
        namespaces: Arc::new(settings.channel.to_namespaces()),
        metrics: Arc::new(metrics),
        _lock: lock,
    })
}

fn weights(settings: &TrendingWeights) -> Weights {
    Weights {
        view: settings.view.into(),
        like: settings.like.into(),
        comment: settings.comment.into(),
        share: settings.share.into(),
        bookmark: settings.bookmark.into(),
    }
}

fn lock_directory(data: &Path) -> Result<File, AppError> {
    let path = data.join("lock");
    let file = File::create(&path)
        .map_err(|error| format!("cannot write to {}: {error}", data.display()))?;
    file.try_lock().map_err(|_| format!("another node uses {}", data.display()))?;
    Ok(file)
}
