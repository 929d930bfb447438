//! Databases of a test's own on real servers, for several nodes to share. Dropping them removes everything that was
//! made there.

use std::error::Error;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, PgConnection};

use super::skip::skipped;

/// Whether servers are started on real databases instead of embedded stores where their test names none:
/// `CARILLON_TEST_STORES=servers` says so.
pub(crate) fn on_servers() -> bool {
    std::env::var("CARILLON_TEST_STORES").as_deref() == Ok("servers")
}

/// Why something could not be done on a server.
type Failure = Box<dyn Error + Send + Sync>;

/// How long a server may take to make or remove a database.
const SERVER_PATIENCE: Duration = Duration::from_secs(30);

/// How many connections a node of a test has at the most to each database: the servers are shared by all tests.
const POOL_MAX: &str = "8";

/// The administrators' URLs of the four servers.
struct Servers {
    mysql: String,
    postgres: String,
    mongodb: String,
    redis: String,
}

impl Servers {
    /// The servers that the environment names, or why there are not all of them.
    fn named() -> Result<Self, String> {
        Ok(Self {
            mysql: named("MYSQL")?,
            postgres: named("POSTGRES")?,
            mongodb: named("MONGODB")?,
            redis: named("REDIS")?,
        })
    }
}

/// The administrator's URL of one server, or why there is none.
fn named(server: &str) -> Result<String, String> {
    let variable = format!("CARILLON_TEST_{server}_URL");
    let url = std::env::var(&variable).unwrap_or_default();
    if !url.is_empty() {
        return Ok(url);
    }
    let reason = std::env::var(format!("CARILLON_TEST_{server}_MISSING")).unwrap_or_default();
    let reason = if reason.is_empty() { "tests/servers starts one".to_owned() } else { reason };
    Err(format!("{variable} names no server: {reason}"))
}

/// A MySQL database, a PostgreSQL database, a MongoDB database and a prefix of keys in Redis, which nobody else uses,
/// and the URLs by which nodes reach them. Declare it before the servers on it, so that it is dropped after them.
pub(crate) struct Databases {
    servers: Servers,
    name: String,
    accounts: String,
    events: String,
    content: String,
    analytics: String,
    realtime: String,
}

impl Databases {
    /// Empty ones for the test `name`, or none, after saying that it is skipped, where a server is missing.
    pub(crate) async fn fresh(name: &str) -> Option<Self> {
        match Self::make().await {
            Ok(databases) => Some(databases),
            Err(reason) => {
                skipped(name, &reason);
                None
            }
        }
    }

    /// Empty ones, or why they cannot be had.
    pub(crate) async fn make() -> Result<Self, String> {
        let servers = Servers::named()?;
        let name = format!("carillon_test_{}", uuid::Uuid::new_v4().simple());
        let mongodb = with_credentials_of_admin(&with_database(&servers.mongodb, &name));
        let databases = Self {
            accounts: with_database(&servers.mysql, &name),
            events: mongodb.clone(),
            content: mongodb,
            analytics: with_database(&servers.postgres, &name),
            realtime: servers.redis.clone(),
            servers,
            name,
        };
        // MongoDB makes a database with its first document. Whatever fails here, `drop` removes what was made.
        let made = tokio::time::timeout(SERVER_PATIENCE, databases.create()).await;
        made.expect("the servers answer").expect("databases can be made on the servers");
        Ok(databases)
    }

    /// The MySQL database of the accounts.
    pub(crate) fn accounts_url(&self) -> &str {
        &self.accounts
    }

    /// The MongoDB database of the event log.
    pub(crate) fn events_url(&self) -> &str {
        &self.events
    }

    /// The MongoDB database of the content: that of the log, unless it was changed.
    pub(crate) fn content_url(&self) -> &str {
        &self.content
    }

    /// The PostgreSQL database of the analytics.
    pub(crate) fn analytics_url(&self) -> &str {
        &self.analytics
    }

    /// The Redis that nodes share.
    pub(crate) fn realtime_url(&self) -> &str {
        &self.realtime
    }

    /// What all keys and channels in Redis begin with.
    pub(crate) fn prefix(&self) -> String {
        format!("{}:", self.name)
    }

    /// The settings of a node on them, as its environment.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let urls = [
            ("CARILLON_ACCOUNTS__URL", self.accounts_url()),
            ("CARILLON_EVENTS__URL", self.events_url()),
            ("CARILLON_CONTENT__URL", self.content_url()),
            ("CARILLON_ANALYTICS__URL", self.analytics_url()),
            ("CARILLON_REALTIME__URL", self.realtime_url()),
        ];
        let mut settings: Vec<_> = urls.map(|(name, url)| (name.to_owned(), url.to_owned())).into();
        settings.push(("CARILLON_REALTIME__KEY_PREFIX".to_owned(), self.prefix()));
        for store in ["ACCOUNTS", "EVENTS", "CONTENT", "ANALYTICS"] {
            for (bound, count) in [("MAX", POOL_MAX), ("MIN", "1")] {
                let name = format!("CARILLON_{store}__POOL__{bound}_CONNECTIONS");
                settings.push((name, count.to_owned()));
            }
        }
        settings
    }

    async fn create(&self) -> Result<(), Failure> {
        let (servers, name) = (&self.servers, &self.name);
        let utf8 = "CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci";
        in_mysql(&servers.mysql, &format!("CREATE DATABASE {name} {utf8}")).await?;
        in_postgres(&servers.postgres, &format!("CREATE DATABASE {name}")).await
    }
}

/// Other ways to the same databases.
#[allow(dead_code, reason = "not every store has a test that comes between it and a node")]
impl Databases {
    /// Reaches the accounts by another URL, such as one through a proxy.
    pub(crate) fn with_accounts(mut self, url: &str) -> Self {
        url.clone_into(&mut self.accounts);
        self
    }

    /// Reaches the log by another URL.
    pub(crate) fn with_events(mut self, url: &str) -> Self {
        url.clone_into(&mut self.events);
        self
    }

    /// Reaches the content by another URL.
    pub(crate) fn with_content(mut self, url: &str) -> Self {
        url.clone_into(&mut self.content);
        self
    }

    /// Reaches the analytics by another URL.
    pub(crate) fn with_analytics(mut self, url: &str) -> Self {
        url.clone_into(&mut self.analytics);
        self
    }

    /// Reaches Redis by another URL, or another Redis, of which the test takes care itself.
    pub(crate) fn with_realtime(mut self, url: &str) -> Self {
        url.clone_into(&mut self.realtime);
        self
    }
}

impl Drop for Databases {
    fn drop(&mut self) {
        // A runtime cannot be waited for from within another; this one has a thread of its own.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime can be made").block_on(remove(&self.servers, &self.name));
            });
        });
    }
}

/// Removes everything of this name; what fails is told, for the test is over.
async fn remove(servers: &Servers, name: &str) {
    let tell = |server: &str, outcome: Result<Result<(), Failure>, _>| match outcome {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => eprintln!("{name} is still on the {server} server: {failure}"),
        Err(_) => eprintln!("{name} is still on the {server} server, which does not answer"),
    };
    let drop_mysql = format!("DROP DATABASE IF EXISTS {name}");
    let drop_postgres = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    let prefix = format!("{name}:");
    let (mysql, postgres, mongodb, redis) = tokio::join!(
        tokio::time::timeout(SERVER_PATIENCE, in_mysql(&servers.mysql, &drop_mysql)),
        tokio::time::timeout(SERVER_PATIENCE, in_postgres(&servers.postgres, &drop_postgres)),
        tokio::time::timeout(SERVER_PATIENCE, drop_mongodb(&servers.mongodb, name)),
        tokio::time::timeout(SERVER_PATIENCE, unlink(&servers.redis, &prefix)),
    );
    tell("MySQL", mysql);
    tell("PostgreSQL", postgres);
    tell("MongoDB", mongodb);
    tell("Redis", redis);
}

async fn in_mysql(server: &str, statement: &str) -> Result<(), Failure> {
    let mut connection = MySqlConnection::connect(&with_database(server, "")).await?;
    connection.execute(AssertSqlSafe(statement)).await?;
    Ok(connection.close().await?)
}

async fn in_postgres(server: &str, statement: &str) -> Result<(), Failure> {
    let mut connection = PgConnection::connect(server).await?;
    connection.execute(AssertSqlSafe(statement)).await?;
    Ok(connection.close().await?)
}

async fn drop_mongodb(server: &str, name: &str) -> Result<(), Failure> {
    let client = mongodb::Client::with_uri_str(server).await?;
    Ok(client.database(name).drop().await?)
}

/// Removes all keys that begin with `prefix`.
async fn unlink(server: &str, prefix: &str) -> Result<(), Failure> {
    let mut connection = redis::Client::open(server)?.get_multiplexed_async_connection().await?;
    let (mut cursor, pattern) = (0_u64, format!("{prefix}*"));
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(1_000);
        let (next, keys): (u64, Vec<Vec<u8>>) = scan.query_async(&mut connection).await?;
        if !keys.is_empty() {
            let () = redis::cmd("UNLINK").arg(keys).query_async(&mut connection).await?;
        }
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}

/// The URL with another path: `database` on the same server.
fn with_database(url: &str, database: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("a URL has a scheme");
    let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
    let host = rest.split('/').next().expect("a split has a first part");
    let options = if options.is_empty() { String::new() } else { format!("?{options}") };
    format!("{scheme}://{host}/{database}{options}")
}

/// The URL such that whoever logs in is looked up where the administrator is, unless it says where already.
fn with_credentials_of_admin(url: &str) -> String {
    if !url.contains('@') || url.contains("authSource") {
        return url.to_owned();
    }
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}authSource=admin")
}
