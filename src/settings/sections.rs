//! The sections of the settings; `config.default.toml` says what each field means in full.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::tokens::{SubscriptionToken, Token};
use super::values::{LogFormat, Secret, StoreUrl, duration};

/// Where the server listens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpServer {
    /// An IP address, without brackets, or the name of a host.
    pub address: String,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// Whether and with what to serve TLS.
    pub tls: Tls,
}

/// The TLS of the server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Whether to serve TLS; then both files are named.
    pub enabled: bool,
    /// The file with the certificate chain.
    pub cert_pem: PathBuf,
    /// The file with the private key.
    pub key_pem: PathBuf,
}

/// Bounds of every HTTP request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// The largest body.
    pub max_body_bytes: usize,
    /// How long a TLS handshake, and the head of a request, may take.
    #[serde(deserialize_with = "duration")]
    pub header_timeout: Duration,
    /// How long a request may take.
    #[serde(deserialize_with = "duration")]
    pub request_timeout: Duration,
}

/// The connections of a node to one database server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// How many there are at the most.
    pub max_connections: u32,
    /// How many are kept ready.
    pub min_connections: u32,
    /// How long one that is not needed is kept.
    #[serde(deserialize_with = "duration")]
    pub idle_timeout: Duration,
    /// How long an operation waits for one.
    #[serde(deserialize_with = "duration")]
    pub acquire_timeout: Duration,
    /// How long an operation may take, that wait included.
    #[serde(deserialize_with = "duration")]
    pub operation_timeout: Duration,
}

/// Accounts, sessions and the hashing of passwords.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// Where accounts are kept.
    pub url: StoreUrl,
    /// The connections to a server of MySQL.
    pub pool: Pool,
    /// How long a login lasts.
    #[serde(deserialize_with = "duration")]
    pub session_ttl: Duration,
    /// How long a session is taken from the cache; may be zero.
    #[serde(deserialize_with = "duration")]
    pub session_cache_ttl: Duration,
    /// How long a connection ticket is good for.
    #[serde(deserialize_with = "duration")]
    pub ticket_ttl: Duration,
    /// How often to look for account changes made elsewhere.
    #[serde(deserialize_with = "duration")]
    pub changes_interval: Duration,
    /// How many passwords are hashed at once; 0: cores - 1, at least one.
    pub hash_concurrency: usize,
    /// How long a login waits for its turn to hash; may be zero.
    #[serde(deserialize_with = "duration")]
    pub hash_wait_timeout: Duration,
}

/// The event log and its committer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// Where the log is kept.
    pub url: StoreUrl,
    /// The connections to a deployment of MongoDB.
    pub pool: Pool,
    /// How many events a batch holds.
    pub batch_max_events: usize,
    /// How many bytes a batch holds.
    pub batch_max_bytes: usize,
    /// How many events may wait for the next batch.
    pub queue_max_events: usize,
    /// How many bytes of events may wait or be written.
    pub queue_max_bytes: usize,
    /// How long a write waits for its event to be appended.
    #[serde(deserialize_with = "duration")]
    pub append_timeout: Duration,
    /// How often the lease of a run is renewed.
    #[serde(deserialize_with = "duration")]
    pub lease_interval: Duration,
    /// How long a lease lasts.
    #[serde(deserialize_with = "duration")]
    pub lease_term: Duration,
}

/// Posts, and the sweep that appends events which a crash kept from the log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// Where posts are kept.
    pub url: StoreUrl,
    /// The connections to a deployment of MongoDB, unless it is the one of the events.
    pub pool: Pool,
    /// How often to sweep.
    #[serde(deserialize_with = "duration")]
    pub sweep_interval: Duration,
    /// How old a document must be for the sweep; may be zero.
    #[serde(deserialize_with = "duration")]
    pub sweep_age: Duration,
}

/// The projection into the analytics.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Analytics {
    /// Where aggregates are kept.
    pub url: StoreUrl,
    /// The connections to a server of PostgreSQL.
    pub pool: Pool,
    /// How many events a batch holds.
    pub batch_max_events: usize,
    /// How often to look for new events.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
}

/// The trending lists.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trending {
    /// How often a list may be published.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    /// How many posts a published list shows.
    pub list_size: usize,
    /// What interactions add to a score.
    pub weights: TrendingWeights,
}

/// What one interaction of each kind adds to a score.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrendingWeights {
    /// A view.
    pub view: u32,
    /// A like.
    pub like: u32,
    /// A comment.
    pub comment: u32,
    /// A share.
    pub share: u32,
    /// A bookmark.
    pub bookmark: u32,
}

/// What carries publications between nodes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Realtime {
    /// The broker.
    pub url: StoreUrl,
    /// What all keys in Redis begin with.
    pub key_prefix: String,
    /// How long it may take to connect to Redis.
    #[serde(deserialize_with = "duration")]
    pub connect_timeout: Duration,
    /// How long an answer of Redis may take.
    #[serde(deserialize_with = "duration")]
    pub command_timeout: Duration,
    /// How often the way of a publication through Redis is tried.
    #[serde(deserialize_with = "duration")]
    pub probe_interval: Duration,
    /// How often what subscribers have is compared with the tops of their channels.
    #[serde(deserialize_with = "duration")]
    pub compare_interval: Duration,
    /// How many bytes all histories may hold in this process.
    pub history_max_bytes: usize,
}

/// The stage between the log and the channels.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relay {
    /// How long an answer waits for its publication; may be zero.
    #[serde(deserialize_with = "duration")]
    pub wait_timeout: Duration,
    /// How many events may wait.
    pub queue_max_events: usize,
    /// How many events are relayed in one go.
    pub batch_max_events: usize,
}

/// Repeats of writes with an Idempotency-Key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idempotency {
    /// How long a key is remembered.
    #[serde(deserialize_with = "duration")]
    pub ttl: Duration,
    /// After how long a repeat takes over.
    #[serde(deserialize_with = "duration")]
    pub lease: Duration,
    /// How long a repeat waits for the first; may be zero.
    #[serde(deserialize_with = "duration")]
    pub wait_timeout: Duration,
}

/// What a realtime client may do, and how long it may be silent or slow.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Development: no token, and everything allowed in configured namespaces.
    pub insecure: bool,
    /// Whether a client without a token is an anonymous user.
    pub allow_anonymous_connect_without_token: bool,
    /// Origins that may connect besides the server's own.
    pub allowed_origins: Vec<String>,
    /// How long an expired connection token may take to be refreshed; may be zero.
    #[serde(deserialize_with = "duration")]
    pub expired_close_delay: Duration,
    /// How long an expired subscription token may take to be refreshed; may be zero.
    #[serde(deserialize_with = "duration")]
    pub expired_sub_close_delay: Duration,
    /// What connection tokens that are JWTs are checked with.
    pub token: Token,
    /// What subscription tokens are checked with, if not with the same.
    pub subscription_token: SubscriptionToken,
    /// How often the server pings.
    #[serde(deserialize_with = "duration")]
    pub ping_interval: Duration,
    /// How long a pong may take; shorter than `ping_interval`.
    #[serde(deserialize_with = "duration")]
    pub pong_timeout: Duration,
    /// How long a connection may stay open without a connect command.
    #[serde(deserialize_with = "duration")]
    pub stale_close_delay: Duration,
    /// How many bytes may wait for a slow reader.
    pub queue_max_size: usize,
    /// How long a message may wait for a slow reader.
    #[serde(deserialize_with = "duration")]
    pub queue_max_age: Duration,
    /// How many channels a client may subscribe to.
    pub channel_limit: usize,
    /// How many bytes a channel's name may have.
    pub channel_max_length: usize,
    /// How many publications one history command gets.
    pub history_max_publication_limit: usize,
    /// How many publications the reply to a recovering subscribe holds.
    pub recovery_max_publication_limit: usize,
    /// How many bytes of publications that reply holds.
    pub recovery_max_bytes: usize,
    /// How many commands a frame may hold.
    pub command_max_in_frame: usize,
    /// How many live publications may wait for a recovery.
    pub recovery_buffer_max_publications: usize,
}

/// The WebSocket transport.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebSocket {
    /// The largest message that a client may send.
    pub message_size_limit: usize,
    /// Whether messages are compressed for clients that offer it.
    pub compression: bool,
    /// The shortest message that is compressed.
    pub compression_min_size: usize,
    /// How hard messages are compressed.
    pub compression_level: u32,
}

/// A transport that can be switched off.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transport {
    /// Whether it is served.
    pub enabled: bool,
}

/// The shards that own the connections.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hub {
    /// How many; 0: one per core.
    pub shards: usize,
    /// How many messages may wait for one.
    pub shard_queue_max: usize,
    /// After how many writes one lets other work run.
    pub flush_yield_writes: usize,
}

/// The server API under `/api/`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpApi {
    /// What it wants in `X-API-Key`; while it is empty the API is closed.
    pub key: Secret,
    /// Development: it wants no key.
    pub insecure: bool,
}

/// How often things may be done.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Whether anything is limited.
    pub enabled: bool,
    /// Registrations, by address.
    pub registrations_per_minute: NonZeroU32,
    /// Logins, by address.
    pub logins_per_minute: NonZeroU32,
    /// The header in which a proxy names the caller's address; empty: there is no proxy.
    pub client_ip_header: String,
    /// Writes, by account.
    pub writes_per_minute: WritesPerMinute,
}

/// How many writes an account may do in a minute, by its plan.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WritesPerMinute {
    /// With the plan free.
    pub free: NonZeroU32,
    /// With the plan pro.
    pub pro: NonZeroU32,
    /// With the plan enterprise.
    pub enterprise: NonZeroU32,
}

/// The log messages on stderr.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// `trace`, `debug`, `info`, `warn`, `error` or `off`.
    pub level: String,
    /// How they are written.
    pub format: LogFormat,
}

/// How the server ends.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    /// How long connections may take to end; may be zero.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
}
