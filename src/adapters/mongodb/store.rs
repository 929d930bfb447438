//! A database of a MongoDB deployment: how it is reached, how long it may take, and what its errors mean.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use mongodb::action::Find;
use mongodb::error::{Error, ErrorKind, WriteFailure};
use mongodb::options::{
    Acknowledgment, ClientOptions, CollectionOptions, ReadConcern, ReadPreference,
    SelectionCriteria, ServerAddress, WriteConcern,
};
use mongodb::{Client, Collection, Database};
use serde::de::DeserializeOwned;

use crate::adapters::pooled::NOT_A_URL;
use crate::ports::StoreError;
use crate::settings;

/// The database that is used where the URL names none.
const DEFAULT_DATABASE: &str = "carillon";
/// The server's code for a key that a unique index has already.
const DUPLICATE_KEY: i32 = 11_000;

/// How a deployment is used; times are bounds.
#[derive(Clone, Copy, Debug)]
pub struct MongoOptions {
    /// How many connections there may be.
    pub max_pool_size: u32,
    /// How many connections are kept.
    pub min_pool_size: u32,
    /// How long a connection may be idle.
    pub max_idle_time: Duration,
    /// How long to look for a server that takes the operation.
    pub selection_timeout: Duration,
    /// How long one operation may take, looking for a server and waiting for a connection included.
    pub operation_timeout: Duration,
    /// How long a majority may take to have a write. Shorter than `operation_timeout`, so that the
    /// server gives up first and frees the connection.
    pub write_timeout: Duration,
}

/// The part of an operation's time that a majority has for a write, in percent.
const WRITE_SHARE: u32 = 80;

impl MongoOptions {
    /// What the settings ask for.
    pub fn of(pool: &settings::Pool) -> Self {
        Self {
            max_pool_size: pool.max_connections,
            min_pool_size: pool.min_connections,
            max_idle_time: pool.idle_timeout,
            selection_timeout: pool.acquire_timeout.min(pool.operation_timeout),
            operation_timeout: pool.operation_timeout,
            write_timeout: pool.operation_timeout * WRITE_SHARE / 100,
        }
    }
}

impl Default for MongoOptions {
    fn default() -> Self {
        Self {
            max_pool_size: 20,
            min_pool_size: 5,
            max_idle_time: Duration::from_secs(30),
            selection_timeout: Duration::from_secs(2),
            operation_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(4),
        }
    }
}

/// When a write counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// A majority has it in its journal: it survives the loss of power and of a minority.
    Majority,
    /// The primary has it in memory. The next write that waits for a majority on the same replica
    /// set makes it as durable as itself, for a log of operations is copied in its order; so does an insert
    /// that finds everything there, for the server then waits for the last operation that it knows of. What a
    /// primary loses with itself before that, the next primary never had.
    Covered,
}

/// What kept an operation from being done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The driver or the server said no.
    #[error(transparent)]
    Driver(#[from] Error),
    /// Nobody answered in time. A write may have taken place.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// What is stored is not what this version stores.
    #[error("{0}")]
    Unreadable(String),
}

impl Failure {
    /// What is stored cannot be read.
    pub(super) fn unreadable(cause: impl std::fmt::Display) -> Self {
        Self::Unreadable(cause.to_string())
    }

    /// Whether a unique index refused the only document of a write.
    pub(super) fn is_duplicate(&self) -> bool {
        let Self::Driver(error) = self else { return false };
        match &*error.kind {
            ErrorKind::Write(WriteFailure::WriteError(refused)) => refused.code == DUPLICATE_KEY,
            ErrorKind::Command(refused) => refused.code == DUPLICATE_KEY,
            _ => false,
        }
    }

    /// The documents of an unordered insert that were refused, each with whether a unique index did it. All
    /// others were inserted, as durable as was asked. `None`: nothing is known of any document.
    pub(super) fn refused(&self) -> Option<Vec<(usize, bool)>> {
        let Self::Driver(error) = self else { return None };
        let ErrorKind::InsertMany(failure) = &*error.kind else { return None };
        if failure.write_concern_error.is_some() {
            return None;
        }
        let refused = failure.write_errors.as_ref().filter(|refused| !refused.is_empty())?.iter();
        Some(refused.map(|one| (one.index, one.code == DUPLICATE_KEY)).collect())
    }
}

/// A database, as one store uses it.
pub struct Mongo {
    database: Database,
    hosts: Vec<ServerAddress>,
    replica_set: Option<String>,
    options: MongoOptions,
    store: &'static str,
}

impl Mongo {
    /// Makes ready to use the database that a `mongodb://` or `mongodb+srv://` URL names (`carillon` if
    /// none), for `store` as operators know it. Servers are connected to when they are needed, so that
    /// this fails for a URL only that cannot be read or resolved.
    pub async fn connect(
        url: &str,
        store: &'static str,
        options: MongoOptions,
    ) -> Result<Arc<Self>, StoreError> {
        let unavailable = |cause: Error| {
            let cause = match &*cause.kind {
                ErrorKind::InvalidArgument { .. } => NOT_A_URL.to_owned(),
                _ => cause.to_string(),
            };
            StoreError::Unavailable { store, cause }
        };
        let mut client = ClientOptions::parse(url).await.map_err(unavailable)?;
        client.app_name.get_or_insert_with(|| "carillon".to_owned());
        client.max_pool_size = Some(options.max_pool_size);
        client.min_pool_size = Some(options.min_pool_size);
        client.max_idle_time = Some(options.max_idle_time);
        client.connect_timeout = Some(options.selection_timeout);
        client.server_selection_timeout = Some(options.selection_timeout);
        // Every promise of the stores is one of the primary.
        client.selection_criteria =
            Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        let name = client.default_database.clone();
        let (hosts, replica_set) = (client.hosts.clone(), client.repl_set_name.clone());
        let client = Client::with_options(client).map_err(unavailable)?;
        let database = client.database(name.as_deref().unwrap_or(DEFAULT_DATABASE));
        Ok(Arc::new(Self { database, hosts, replica_set, options, store }))
    }

    /// The same database and connections for another store.
    pub fn shared_with(&self, store: &'static str) -> Arc<Self> {
        Arc::new(Self {
            database: self.database.clone(),
            hosts: self.hosts.clone(),
            replica_set: self.replica_set.clone(),
            options: self.options,
            store,
        })
    }

    /// Whether both are on one replica set, whose writes become durable in their order.
    pub fn shares_replica_set(&self, other: &Self) -> bool {
        let same = |host: &ServerAddress| other.hosts.contains(host);
        self.replica_set == other.replica_set && self.hosts.iter().any(same)
    }

    /// The database, for what is not done in one collection.
    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    /// A collection whose reads see what the primary has, durable or not.
    pub(super) fn collection<T: Send + Sync>(
        &self,
        name: &str,
        durability: Durability,
    ) -> Collection<T> {
        self.open(name, durability, ReadConcern::local())
    }

    /// A collection that is written durably, and whose reads see what no failover takes back.
    pub(super) fn durable_collection<T: Send + Sync>(&self, name: &str) -> Collection<T> {
        self.open(name, Durability::Majority, ReadConcern::majority())
    }

    fn open<T: Send + Sync>(
        &self,
        name: &str,
        durability: Durability,
        read_concern: ReadConcern,
    ) -> Collection<T> {
        let concern = WriteConcern::builder();
        let concern = match durability {
            Durability::Covered => concern.w(Acknowledgment::Nodes(1)).build(),
            Durability::Majority => concern
                .w(Acknowledgment::Majority)
                .journal(true)
                .w_timeout(self.options.write_timeout)
                .build(),
        };
        let options =
            CollectionOptions::builder().write_concern(concern).read_concern(read_concern).build();
        self.database.collection_with_options(name, options)
    }

    /// Waits for an operation, but not forever.
    pub(super) async fn bounded<T>(
        &self,
        operation: impl IntoFuture<Output = Result<T, Error>>,
    ) -> Result<T, Failure> {
        let limit = self.options.operation_timeout;
        match tokio::time::timeout(limit, operation.into_future()).await {
            Ok(done) => done.map_err(Failure::from),
            Err(_) => Err(Failure::TimedOut(limit)),
        }
    }

    /// Reads all that a query finds.
    pub(super) async fn all<T>(&self, query: Find<'_, T>) -> Result<Vec<T>, Failure>
    where
        T: DeserializeOwned + Send + Sync + Unpin,
    {
        self.bounded(async { query.await?.try_collect().await }).await
    }

    /// An error that says why the store cannot be used.
    pub(super) fn unavailable(&self, cause: impl std::fmt::Display) -> StoreError {
        StoreError::Unavailable { store: self.store, cause: cause.to_string() }
    }

    /// What callers hear of an operation that was not done.
    pub(super) fn failed(&self, failure: Failure) -> StoreError {
        let (store, cause) = (self.store, failure.to_string());
        match failure {
            Failure::Unreadable(_) => StoreError::Corrupt { store, cause },
            Failure::TimedOut(_) => StoreError::Unavailable { store, cause },
            Failure::Driver(error) => match &*error.kind {
                ErrorKind::Bson(_)
                | ErrorKind::BsonDeserialization(_)
                | ErrorKind::BsonSerialization(_) => StoreError::Corrupt { store, cause },
                _ => StoreError::Unavailable { store, cause },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Document, deserialize_from_document, doc};

    use super::*;

    fn of_an_insert(failure: Document) -> Failure {
        let failure = deserialize_from_document(failure).unwrap();
        Failure::Driver(ErrorKind::InsertMany(failure).into())
    }

    #[test]
    fn documents_are_known_only_without_an_error_of_the_write_concern() {
        let refused = [
            doc! { "index": 1, "code": DUPLICATE_KEY, "errmsg": "E11000" },
            doc! { "index": 4, "code": 121, "errmsg": "Document failed validation" },
        ];
        let some = doc! { "writeErrors": refused.to_vec() };
        assert_eq!(of_an_insert(some.clone()).refused(), Some(vec![(1, true), (4, false)]));
        let timeout = doc! { "code": 64, "codeName": "WriteConcernFailed", "errmsg": "timed out" };
        let mut both = some;
        both.insert("writeConcernError", timeout.clone());
        assert_eq!(of_an_insert(both).refused(), None);
        assert_eq!(of_an_insert(doc! { "writeConcernError": timeout }).refused(), None);
        assert_eq!(of_an_insert(doc! { "writeErrors": [] }).refused(), None);
        assert_eq!(Failure::TimedOut(Duration::ZERO).refused(), None);
    }

    #[tokio::test]
    async fn one_replica_set_is_known_by_its_hosts() {
        let open =
            async |url| Mongo::connect(url, "events", MongoOptions::default()).await.unwrap();
        let log = open("mongodb://a:1,b:1/log?replicaSet=r").await;
        assert!(log.shares_replica_set(&*open("mongodb://b:1/content?replicaSet=r").await));
        assert!(!log.shares_replica_set(&*open("mongodb://c:1/log?replicaSet=r").await));
        assert!(!log.shares_replica_set(&*open("mongodb://a:1/log?replicaSet=s").await));
    }
}
