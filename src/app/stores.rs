//! Opens the stores that the settings name.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::AppError;
use super::log_stores::{self, ContentPorts, LogPorts};
use super::realtime_stores::{self, RealtimePorts};
use super::sql_stores::{self, AccountPorts};
use crate::adapters::redis::Surroundings;
use crate::adapters::system::{SystemClock, SystemEntropy};
use crate::domain::namespace::Namespaces;
use crate::domain::publication::Delivery;
use crate::metrics::Metrics;
use crate::ports::account_control::AccountControl;
use crate::ports::accounts::Accounts;
use crate::ports::analytics::Analytics;
use crate::ports::broker::{Broker, Lapse};
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
use crate::settings::Settings;

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
    /// Where what the broker delivers was interrupted.
    pub(super) lapses: Option<mpsc::Receiver<Lapse>>,
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
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), clock.now());
    let AccountPorts { accounts, control } = sql_stores::open_accounts(settings).await?;
    let analytics = sql_stores::open_analytics(settings, &clock).await?;
    let (LogPorts { log, ledger, keys }, ContentPorts { content, marks, comments, inbox }) =
        log_stores::open(settings, &clock).await?;
    let present = PresentReader { content: Arc::clone(&content), inbox: Arc::clone(&inbox) };
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let surroundings = Surroundings {
        ledger: Arc::clone(&ledger),
        present,
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
    };
    let RealtimePorts { broker, presence, trending, rate_limits, deliveries, lapses } =
        realtime_stores::open(settings, surroundings).await?;
    Ok(Stores {
        accounts,
        control,
        log,
        ledger,
        keys,
        content,
        marks,
        comments,
        inbox,
        analytics,
        presence,
        trending,
        rate_limits,
        broker,
        deliveries: Some(deliveries),
        lapses: Some(lapses),
        clock,
        entropy,
        namespaces: Arc::new(settings.channel.to_namespaces()),
        metrics: Arc::new(metrics),
        _lock: lock,
    })
}

fn lock_directory(data: &Path) -> Result<File, AppError> {
    let path = data.join("lock");
    let file = File::create(&path)
        .map_err(|error| format!("cannot write to {}: {error}", data.display()))?;
    file.try_lock().map_err(|_| format!("another node uses {}", data.display()))?;
    Ok(file)
}
