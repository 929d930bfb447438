//! How Redis is reached, and how long it may take.

use std::path::PathBuf;
use std::time::Duration;

use crate::settings::{Realtime, ServerUrl};

use super::tls;

/// What all adapters of one Redis share. Times are bounds.
#[derive(Clone)]
pub struct RedisOptions {
    /// `redis://[user:password@]host[:port][/database]`, `rediss://` for TLS; `redis-cluster://` and
    /// `rediss-cluster://`, with `?node=host:port` for each further node, for a cluster.
    pub url: String,
    /// The certificates (PEM) of the authorities that are trusted instead of this machine's; the settings' URL
    /// names them as `?ca_file=`.
    pub ca_file: Option<PathBuf>,
    /// What all keys and channels begin with. Two installations that share a Redis need two of
    /// them, even in two databases: Pub/Sub knows no databases. No braces.
    pub prefix: String,
    /// How long it may take to connect.
    pub connect_timeout: Duration,
    /// How long an answer may take.
    pub command_timeout: Duration,
    /// How often the way of a publication through Pub/Sub is tried.
    pub probe_interval: Duration,
}

impl RedisOptions {
    /// What the settings say, for the Redis at `url`.
    pub fn of(settings: &Realtime, url: &ServerUrl) -> Self {
        let (url, ca_file) = tls::split(url.expose());
        Self {
            url,
            ca_file: ca_file.map(PathBuf::from),
            prefix: settings.key_prefix.clone(),
            connect_timeout: settings.connect_timeout,
            command_timeout: settings.command_timeout,
            probe_interval: settings.probe_interval,
        }
    }

    /// The usual bounds, for the Redis at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        let (url, ca_file) = tls::split(&url.into());
        Self {
            url,
            ca_file: ca_file.map(PathBuf::from),
            prefix: "carillon:".into(),
            connect_timeout: Duration::from_secs(2),
            command_timeout: Duration::from_secs(2),
            probe_interval: Duration::from_secs(5),
        }
    }

    /// Whether the URL names a cluster.
    pub(super) fn is_cluster(&self) -> bool {
        let scheme = self.url.split(':').next().unwrap_or_default();
        matches!(scheme, "redis-cluster" | "rediss-cluster")
    }
}
