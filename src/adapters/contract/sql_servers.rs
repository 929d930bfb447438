//! What tests of adapters for SQL servers share: databases of their own, and patience.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::settings::Pool;

use super::skip::skip;

/// How long a test waits for something that should come at once; it bounds a failure, not a success.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The URL of the server that `variable` names; the test is skipped if it names none.
pub(crate) fn server_url(variable: &str) -> String {
    let url = std::env::var(variable).unwrap_or_default();
    if url.is_empty() {
        skip(&format!("{variable} names no server"));
    }
    url
}

/// The name of a database that nobody else has.
pub(crate) fn new_name() -> String {
    format!("carillon_test_{}", uuid::Uuid::new_v4().simple())
}

/// The URL with another path: `database` on the same server.
pub(crate) fn with_database(url: &str, database: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
    let host = rest.split('/').next().unwrap();
    let options = if options.is_empty() { String::new() } else { format!("?{options}") };
    format!("{scheme}://{host}/{database}{options}")
}

/// Where the server of a URL listens.
pub(crate) fn address_of(url: &str, default_port: u16) -> String {
    let (_, rest) = url.split_once("://").unwrap();
    let host = rest.split(['/', '?']).next().unwrap();
    let host = host.rsplit('@').next().unwrap();
    if host.contains(':') { host.to_owned() } else { format!("{host}:{default_port}") }
}

/// The URL with another address.
pub(crate) fn with_address(url: &str, address: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let user = rest[..end].rfind('@').map_or("", |at| &rest[..=at]);
    format!("{scheme}://{user}{address}{}", &rest[end..])
}

/// The pool of a test: tests are many, and the machine may be busy.
pub(crate) fn pool() -> Pool {
    Pool {
        max_connections: 8,
        min_connections: 0,
        idle_timeout: Duration::from_secs(30),
        acquire_timeout: PATIENCE,
        operation_timeout: PATIENCE,
    }
}

/// A pool that gives up soon.
pub(crate) fn hasty_pool() -> Pool {
    Pool {
        max_connections: 2,
        acquire_timeout: Duration::from_millis(500),
        operation_timeout: Duration::from_secs(1),
        ..pool()
    }
}

/// Looks again and again until `look` answers something.
pub(crate) async fn until<T, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let started = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        if let Some(value) = look().await {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {what}");
    }
}

/// Waits for `future` from within a function that cannot, such as `drop`, on the threads of the test.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}
