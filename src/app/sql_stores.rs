//! Opens the stores of accounts and of analytics.

use std::sync::Arc;

use super::AppError;
use crate::adapters::mysql::{MysqlAccounts, MysqlServer};
use crate::adapters::postgres::{PostgresAnalytics, PostgresServer};
use crate::adapters::sqlite::{Database, Schema, SqliteAccounts, SqliteAnalytics};
use crate::ports::account_control::AccountControl;
use crate::ports::accounts::Accounts;
use crate::ports::analytics::Analytics;
use crate::ports::audit::analytics::{AggregateAudit, ProjectionAudit};
use crate::ports::clock::Clock;
use crate::ports::failpoint::Failpoints;
use crate::settings::{Settings, StoreUrl};

/// The ports of the accounts.
pub(super) struct AccountPorts {
    pub(super) accounts: Arc<dyn Accounts>,
    pub(super) control: Arc<dyn AccountControl>,
}

impl AccountPorts {
    fn of<T: Accounts + AccountControl + 'static>(store: T) -> Self {
        let store = Arc::new(store);
        Self { accounts: store.clone(), control: store }
    }
}

/// The ports of the analytics.
pub(super) struct AnalyticsPorts {
    pub(super) analytics: Arc<dyn Analytics>,
    pub(super) projected: Arc<dyn ProjectionAudit>,
    pub(super) aggregates: Arc<dyn AggregateAudit>,
}

impl AnalyticsPorts {
    fn of<T: Analytics + ProjectionAudit + AggregateAudit + 'static>(store: T) -> Self {
        let store = Arc::new(store);
        Self { analytics: store.clone(), projected: store.clone(), aggregates: store }
    }
}

/// Opens and migrates the store of accounts.
pub(super) async fn open_accounts(settings: &Settings) -> Result<AccountPorts, AppError> {
    let (accounts, migrate) = (&settings.accounts, settings.migrate_on_start);
    if let StoreUrl::Mysql(url) = &accounts.url {
        let server = MysqlServer::open(url.expose(), &accounts.pool, migrate).await?;
        return Ok(AccountPorts::of(MysqlAccounts::new(server)));
    }
    let path = accounts.url.file_or(&settings.data_dir.join(Schema::Accounts.file_name()));
    let db = Database::open(&path, Schema::Accounts, migrate).await?;
    Ok(AccountPorts::of(SqliteAccounts::new(db)))
}

/// Opens and migrates the analytics.
pub(super) async fn open_analytics(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    failpoints: &Failpoints,
) -> Result<AnalyticsPorts, AppError> {
    let (analytics, migrate) = (&settings.analytics, settings.migrate_on_start);
    if let StoreUrl::Postgres(url) = &analytics.url {
        let server = PostgresServer::open(url.expose(), &analytics.pool, migrate).await?;
        let analytics = PostgresAnalytics::start(server, Arc::clone(clock)).await;
        return Ok(AnalyticsPorts::of(analytics.stopping_at(failpoints.clone())));
    }
    let path = analytics.url.file_or(&settings.data_dir.join(Schema::Analytics.file_name()));
    let db = Database::open(&path, Schema::Analytics, migrate).await?;
    Ok(AnalyticsPorts::of(SqliteAnalytics::new(db)))
}
