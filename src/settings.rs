//! The settings: plain data, read from all their sources and validated once, at the start.
//!
//! `config.default.toml` says what each of them means; it is built in, it is the
//! lowest layer, and it is the schema that the other layers are checked against.
//! Each layer is checked before it is laid over the one below, so that a fault
//! is reported with where it comes from, even if a higher layer hides it.

mod channels;
mod checks;
mod environment;
mod fault;
mod file;
mod rules;
mod schema;
mod sections;
mod tokens;
mod values;

#[cfg(test)]
mod tests;

use std::net::Ipv6Addr;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value};

pub use channels::{Channel, ChannelSettings, ModeSetting, NamespaceSettings, RecoverySetting};
pub use fault::{Fault, SettingsError};
pub use sections::{
    Accounts, Analytics, Client, Content, Events, Http, HttpApi, HttpServer, Hub, Idempotency,
    Limits, Log, Pool, Realtime, Relay, Shutdown, Tls, Transport, Trending, TrendingWeights,
    WebSocket, WritesPerMinute,
};
pub use tokens::{SubscriptionToken, Token, TokenChecks};
pub use values::{LogFormat, Secret, ServerUrl, StoreUrl};

/// The text of `config.default.toml`: every setting, its default and what it means.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// Everything that can be set. The fields bear the names of their keys, and
/// `config.default.toml` describes each.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the embedded databases are kept.
    pub data_dir: PathBuf,
    /// Whether the schema is brought up to date at the start.
    pub migrate_on_start: bool,
    /// Where the server listens.
    pub http_server: HttpServer,
    /// Bounds of every HTTP request.
    pub http: Http,
    /// Accounts, sessions and the hashing of passwords.
    pub accounts: Accounts,
    /// The event log and its committer.
    pub events: Events,
    /// Posts, and the sweep that finishes what a crash left.
    pub content: Content,
    /// The projection into the analytics.
    pub analytics: Analytics,
    /// The trending lists.
    pub trending: Trending,
    /// What carries publications between nodes.
    pub realtime: Realtime,
    /// The stage between the log and the channels.
    pub relay: Relay,
    /// Repeats of writes with an Idempotency-Key.
    pub idempotency: Idempotency,
    /// What a realtime client may do, and how long it may be silent or slow.
    pub client: Client,
    /// The WebSocket transport.
    pub websocket: WebSocket,
    /// Server-sent events with emulation.
    pub sse: Transport,
    /// HTTP streaming with emulation.
    pub http_stream: Transport,
    /// The shards that own the connections.
    pub hub: Hub,
    /// How often things may be done.
    pub limits: Limits,
    /// The server API under `/api/`.
    pub http_api: HttpApi,
    /// Namespaces and their options.
    pub channel: Channel,
    /// The log messages on stderr.
    pub log: Log,
    /// How the server ends.
    pub shutdown: Shutdown,
}

/// Where settings are taken from, besides the defaults; a later field overrides an earlier one.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A file of settings: TOML, or JSON or YAML by its ending.
    pub file: Option<PathBuf>,
    /// The environment of the process; what does not begin with `CARILLON_` is not looked at.
    pub environment: Vec<(String, String)>,
    /// `--listen ADDR:PORT`.
    pub listen: Option<String>,
    /// `--data DIR`.
    pub data: Option<PathBuf>,
}

impl Settings {
    /// Reads and validates all settings, or says everything that is wrong with them.
    ///
    /// # Errors
    /// [`SettingsError`] with one [`Fault`] for each unknown key, wrong type, bad value
    /// and contradiction, in all sources.
    pub fn load(sources: &Sources) -> Result<Self, SettingsError> {
        let mut tree = schema::defaults();
        let mut faults = Vec::new();

        let mut file_was_read = true;
        if let Some(path) = &sources.file {
            match file::read(path) {
                Ok(given) => schema::overlay(&mut tree, schema::check(&given, &mut faults)),
                Err(fault) => {
                    file_was_read = false;
                    faults.push(fault);
                }
            }
        }
        let environment = environment::read(&sources.environment, &mut faults);
        schema::overlay(&mut tree, environment.given);

        let Some(mut settings) = Self::from_checked(tree, &mut faults) else {
            return Err(SettingsError { faults });
        };
        settings.apply_command_line(sources, &mut faults);
        // Without what the file says, a contradiction may be none.
        if file_was_read {
            for mut fault in checks::contradictions(&settings, &faults) {
                environment.names.attribute(&mut fault);
                faults.push(fault);
            }
        }
        if faults.is_empty() { Ok(settings) } else { Err(SettingsError { faults }) }
    }

    /// Turns a tree that holds nothing but checked values into settings.
    fn from_checked(tree: Map<String, Value>, faults: &mut Vec<Fault>) -> Option<Self> {
        match serde_json::from_value(Value::Object(schema::fill_namespaces(tree))) {
            Ok(settings) => Some(settings),
            Err(_) => {
                // The message of serde may hold a secret. It cannot occur as long as
                // every limit in `rules` is within the type of its field.
                faults.push(Fault::new("config.default.toml", "does not agree with the program"));
                None
            }
        }
    }

    fn apply_command_line(&mut self, sources: &Sources, faults: &mut Vec<Fault>) {
        if let Some(data) = &sources.data {
            if data.as_os_str().is_empty() {
                faults.push(Fault::new("--data", "must not be empty"));
            } else {
                self.data_dir.clone_from(data);
            }
        }
        if let Some(listen) = &sources.listen {
            match parse_listen(listen) {
                Some((address, port)) => {
                    self.http_server.address = address;
                    self.http_server.port = port;
                }
                None => faults.push(Fault::new(
                    "--listen",
                    "must be ADDR:PORT, such as 127.0.0.1:8000 or [::1]:8000",
                )),
            }
        }
    }
}

/// Splits `ADDR:PORT`; an IPv6 address is in brackets, without which the port is ambiguous.
fn parse_listen(listen: &str) -> Option<(String, u16)> {
    let (address, port) = listen.rsplit_once(':')?;
    // `u16::from_str` would accept a sign.
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let port = port.parse().ok()?;
    if let Some(inner) = address.strip_prefix('[') {
        let inner = inner.strip_suffix(']')?;
        inner.parse::<Ipv6Addr>().ok()?;
        return Some((inner.to_owned(), port));
    }
    values::check_address(address).ok()?;
    (!address.contains(':')).then(|| (address.to_owned(), port))
}
