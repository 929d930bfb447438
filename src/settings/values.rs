//! The types of single settings.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// A text that must not be seen in logs; its `Debug` does not show it.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The secret `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The text itself, for the one place that compares or uses it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "unset" } else { "redacted" })
    }
}

/// Which adapter holds a store, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StoreUrl {
    /// `""`: the embedded adapter, in the data directory if it keeps anything.
    #[default]
    Embedded,
    /// `sqlite:PATH`: the embedded adapter, in this file.
    Sqlite(PathBuf),
    /// `memory:`: this process.
    Memory,
    /// `mysql://…` or `mariadb://…`: a server of MySQL or MariaDB.
    Mysql(ServerUrl),
    /// `postgres://…` or `postgresql://…`: a server of PostgreSQL.
    Postgres(ServerUrl),
    /// `mongodb://…` or `mongodb+srv://…`: a deployment of MongoDB.
    Mongodb(ServerUrl),
    /// `redis://…`, `rediss://…`, `redis-cluster://…` or `rediss-cluster://…`: a Redis or a cluster of them.
    Redis(ServerUrl),
}

/// The whole URL of a server, with its scheme. It may hold a password; its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl(String);

impl ServerUrl {
    /// The URL itself, for the one place that connects.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("redacted")
    }
}

impl StoreUrl {
    /// Reads a URL. The problem never shows it, for it may hold a password.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        if url.is_empty() {
            return Ok(Self::Embedded);
        }
        let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
        match scheme {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "memory" => Err("memory: takes nothing after it".to_owned()),
            "sqlite" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if path.is_empty() || path.starts_with(':') || path.contains(['?', '\0']) {
                    Err("sqlite: must be followed by the path of a file and nothing else".into())
                } else {
                    Ok(Self::Sqlite(path.into()))
                }
            }
            "mysql" | "mariadb" => server(url, rest).map(Self::Mysql),
            "postgres" | "postgresql" => server(url, rest).map(Self::Postgres),
            "mongodb" | "mongodb+srv" => server(url, rest).map(Self::Mongodb),
            "redis" | "rediss" | "redis-cluster" | "rediss-cluster" => {
                server(url, rest).map(Self::Redis)
            }
            _ => Err("unknown scheme".to_owned()),
        }
    }

    /// The file to keep the store in, which is `embedded` unless the URL names one.
    pub fn file_or(&self, embedded: &Path) -> PathBuf {
        match self {
            Self::Sqlite(path) => path.clone(),
            // A server keeps nothing in files of ours.
            Self::Embedded
            | Self::Memory
            | Self::Mysql(_)
            | Self::Postgres(_)
            | Self::Mongodb(_)
            | Self::Redis(_) => embedded.to_owned(),
        }
    }
}

/// Takes a URL whose part after the scheme and its colon is `rest`.
fn server(url: &str, rest: &str) -> Result<ServerUrl, String> {
    match rest.strip_prefix("//") {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') => Ok(ServerUrl(url.to_owned())),
        _ => Err("must be SCHEME://USER:PASSWORD@HOST:PORT/DATABASE".to_owned()),
    }
}

impl<'de> Deserialize<'de> for StoreUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let url = String::deserialize(deserializer)?;
        Self::parse(&url).map_err(de::Error::custom)
    }
}

/// How log messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Reads a duration such as `1h30m`.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(de::Error::custom)
}

/// Checks that `address` may be an IP address or the name of a host.
pub(super) fn check_address(address: &str) -> Result<(), String> {
    if address.is_empty() {
        return Err("must not be empty; \"0.0.0.0\" or \"::\" listens on all addresses".to_owned());
    }
    let is_name =
        address.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if is_name || address.parse::<std::net::Ipv6Addr>().is_ok() {
        return Ok(());
    }
    Err(format!("must be an IP address or the name of a host without a port, not {address:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_url_names_an_adapter_or_why_not() {
        assert_eq!(StoreUrl::parse(""), Ok(StoreUrl::Embedded));
        assert_eq!(StoreUrl::parse("memory:"), Ok(StoreUrl::Memory));
        for url in ["sqlite:/tmp/a.db", "sqlite:///tmp/a.db"] {
            let parsed = StoreUrl::parse(url).unwrap();
            assert_eq!(parsed.file_or(Path::new("x")), Path::new("/tmp/a.db"));
        }
        for url in ["sqlite:", "sqlite::memory:", "sqlite:a?mode=ro", "memory:x"] {
            assert!(StoreUrl::parse(url).is_err(), "{url}");
        }
        for (url, scheme) in [
            ("mysql://u:hunter2@h/d", "Mysql"),
            ("postgres://h:1/d", "Postgres"),
            ("mongodb+srv://u:p@h/d", "Mongodb"),
        ] {
            let parsed = StoreUrl::parse(url).unwrap();
            assert_eq!(format!("{parsed:?}"), format!("{scheme}(redacted)"));
            assert!(
                matches!(parsed, StoreUrl::Mysql(s) | StoreUrl::Postgres(s) | StoreUrl::Mongodb(s) if s.expose() == url)
            );
        }
        for url in ["mysql:", "mysql://", "postgres:///hunter2", "postgresql:hunter2"] {
            assert!(!StoreUrl::parse(url).unwrap_err().contains("hunter2"), "{url}");
        }
        for scheme in ["redis", "rediss", "redis-cluster", "rediss-cluster"] {
            let parsed = StoreUrl::parse(&format!("{scheme}://u:hunter2@h:1")).unwrap();
            assert_eq!(format!("{parsed:?}"), "Redis(redacted)");
        }
        for url in ["oracle://hunter2@h", "hunter2"] {
            assert_eq!(StoreUrl::parse(url), Err("unknown scheme".to_owned()));
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "redacted");
        assert_eq!(format!("{:?}", Secret::default()), "unset");
        assert_eq!(Secret::new("hunter2").expose(), "hunter2");
    }
}
