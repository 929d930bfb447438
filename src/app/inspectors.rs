//! What looks at the stores that the settings name, without opening them.

use std::path::PathBuf;
use std::sync::Arc;

use crate::adapters::memory::inspect::MemoryInspector;
use crate::adapters::mongodb::{MongoInspector, MongoSchema};
use crate::adapters::mysql::MysqlInspector;
use crate::adapters::postgres::PostgresInspector;
use crate::adapters::redis::{RedisInspector, RedisOptions};
use crate::adapters::sqlite::{Schema, SqliteInspector};
use crate::adapters::system::{SystemClock, SystemEntropy};
use crate::ports::clock::Clock;
use crate::ports::inspection::Inspect;
use crate::queries::doctor::Patient;
use crate::settings::{Settings, StoreUrl};

/// All stores. Events and content are one where they are in one place.
pub(super) fn patients(settings: &Settings) -> Vec<Patient> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut patients = vec![Patient { store: "accounts", inspector: accounts(settings, &clock) }];
    patients.extend(documents(settings, &clock));
    patients.push(Patient { store: "analytics", inspector: analytics(settings, &clock) });
    patients.push(Patient { store: "realtime", inspector: realtime(settings, &clock) });
    patients
}

fn accounts(settings: &Settings, clock: &Arc<dyn Clock>) -> Arc<dyn Inspect> {
    match &settings.accounts.url {
        StoreUrl::Mysql(url) => {
            let pool = settings.accounts.pool.clone();
            Arc::new(MysqlInspector::new(url.expose(), pool, Arc::clone(clock)))
        }
        url => file(settings, url, Schema::Accounts, clock),
    }
}

fn analytics(settings: &Settings, clock: &Arc<dyn Clock>) -> Arc<dyn Inspect> {
    match &settings.analytics.url {
        StoreUrl::Postgres(url) => {
            let pool = settings.analytics.pool.clone();
            Arc::new(PostgresInspector::new(url.expose(), pool, Arc::clone(clock)))
        }
        url => file(settings, url, Schema::Analytics, clock),
    }
}

fn realtime(settings: &Settings, clock: &Arc<dyn Clock>) -> Arc<dyn Inspect> {
    match &settings.realtime.url {
        StoreUrl::Redis(url) => {
            let options = RedisOptions::of(&settings.realtime, url);
            Arc::new(RedisInspector::new(options, Arc::clone(clock), Arc::new(SystemEntropy)))
        }
        _ => Arc::new(MemoryInspector),
    }
}

/// The stores of events and of content.
fn documents(settings: &Settings, clock: &Arc<dyn Clock>) -> Vec<Patient> {
    let (events, content) = (&settings.events, &settings.content);
    let log = MongoSchema::Log(settings.idempotency.ttl);
    let server = |url: &str, store, pool, schemas| {
        MongoInspector::new(url, store, pool, schemas, Arc::clone(clock))
    };
    if let (StoreUrl::Mongodb(log_url), StoreUrl::Mongodb(url)) = (&events.url, &content.url)
        && log_url == url
    {
        let schemas = vec![log, MongoSchema::Content];
        let both = server(url.expose(), "events", events.pool.clone(), schemas);
        let inspector = Arc::new(both.beside_log(url.expose()));
        return vec![Patient { store: "events/content", inspector }];
    }
    let is_server = |url| matches!(url, &StoreUrl::Mongodb(_));
    let in_one_file = path(settings, &events.url, Schema::Log)
        == path(settings, &content.url, Schema::Log)
        && !is_server(&events.url)
        && !is_server(&content.url);
    if in_one_file {
        let inspector = file(settings, &events.url, Schema::Log, clock);
        return vec![Patient { store: "events/content", inspector }];
    }
    let of_events: Arc<dyn Inspect> = match &events.url {
        StoreUrl::Mongodb(url) => {
            Arc::new(server(url.expose(), "events", events.pool.clone(), vec![log]))
        }
        url => file(settings, url, Schema::Log, clock),
    };
    let of_content: Arc<dyn Inspect> = match &content.url {
        StoreUrl::Mongodb(url) => {
            let schemas = vec![MongoSchema::Content];
            let mut server = server(url.expose(), "content", content.pool.clone(), schemas);
            if let StoreUrl::Mongodb(log) = &events.url {
                server = server.beside_log(log.expose());
            }
            Arc::new(server)
        }
        url => file(settings, url, Schema::Log, clock),
    };
    vec![
        Patient { store: "events", inspector: of_events },
        Patient { store: "content", inspector: of_content },
    ]
}

fn file(
    settings: &Settings,
    url: &StoreUrl,
    schema: Schema,
    clock: &Arc<dyn Clock>,
) -> Arc<dyn Inspect> {
    Arc::new(SqliteInspector::new(&path(settings, url, schema), schema, Arc::clone(clock)))
}

fn path(settings: &Settings, url: &StoreUrl, schema: Schema) -> PathBuf {
    url.file_or(&settings.data_dir.join(schema.file_name()))
}
