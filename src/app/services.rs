//! Wires commands and queries, and takes the limits from the settings.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use super::AppError;
use super::community::community;
use super::stores::Stores;
use super::tokens;
use super::write_path::WritePath;
use crate::admission::account_news::AccountNews;
use crate::admission::authenticate::Authenticator;
use crate::admission::cached_sessions::CachedSessions;
use crate::admission::good_keys::GoodKeys;
use crate::admission::known_changes::KnownChanges;
use crate::admission::permissions::Permissions;
use crate::admission::rate_limit::{Quotas, RateLimiter};
use crate::commands::change_password::ChangePassword;
use crate::commands::close_account::CloseAccount;
use crate::commands::end_session::EndSession;
use crate::commands::issue_ticket::IssueTicket;
use crate::commands::mint::Mint;
use crate::commands::once::Once;
use crate::commands::open_session::OpenSession;
use crate::commands::passwords::Passwords;
use crate::commands::publish::Publish;
use crate::commands::register_user::RegisterUser;
use crate::commands::update_profile::UpdateProfile;
use crate::domain::ids::Incarnation;
use crate::endpoints::asyncapi;
use crate::endpoints::openapi::Document;
use crate::endpoints::router;
use crate::endpoints::services::{AccountServices, Limits, Services};
use crate::hub::{Hub, HubOptions};
use crate::ports::rate_limits::Quota;
use crate::queries::comments::CommentReader;
use crate::queries::health::{Embedded, Health};
use crate::queries::inbox::InboxReader;
use crate::queries::posts::Posts;
use crate::queries::recovery::{PageLimit, Recovery};
use crate::queries::trending::TrendingList;
use crate::queries::users::Users;
use crate::relay::control::Control;
use crate::relay::follow_index::FollowIndex;
use crate::settings::{Settings, StoreUrl};

/// Bytes read from a socket at once.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// The limits of the hub.
pub(super) fn hub_options(settings: &Settings) -> HubOptions {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let client = &settings.client;
    HubOptions {
        shards: if settings.hub.shards == 0 { cores } else { settings.hub.shards },
        shard_queue_max: settings.hub.shard_queue_max,
        flush_yield_writes: settings.hub.flush_yield_writes,
        queue_max_bytes: client.queue_max_size,
        queue_max_age: client.queue_max_age,
        ping_interval: client.ping_interval,
        pong_timeout: client.pong_timeout,
        stale_close_delay: client.stale_close_delay,
        message_size_limit: settings.websocket.message_size_limit,
        compression_level: settings.websocket.compression_level,
        compression_min_size: settings.websocket.compression_min_size,
        read_buffer_bytes: READ_BUFFER_BYTES,
        recovery_buffer_max_publications: client.recovery_buffer_max_publications,
    }
}

/// Everything that the endpoints call.
pub(super) fn services(
    settings: &Settings,
    stores: &Stores,
    path: &WritePath,
    (hub, follows, control): (Arc<Hub>, Arc<FollowIndex>, Arc<Control>),
    incarnation: Incarnation,
) -> Result<Services, AppError> {
    let (clock, entropy) = (&stores.clock, &stores.entropy);
    Ok(Services {
        accounts: account_services(settings, stores)?,
        permissions: Permissions {
            namespaces: Arc::clone(&stores.namespaces),
            insecure: settings.client.insecure,
        },
        rate_limiter: rate_limiter(settings, stores),
        community: community(stores, path),
        publish: Publish {
            committer: Arc::clone(&path.committer),
            broker: Arc::clone(&stores.broker),
            namespaces: Arc::clone(&stores.namespaces),
            clock: Arc::clone(clock),
        },
        mint: Mint::new(Arc::clone(clock), Arc::clone(entropy)),
        once: Once {
            keys: Arc::clone(&stores.keys),
            clock: Arc::clone(clock),
            incarnation,
            lease: settings.idempotency.lease,
            wait_timeout: settings.idempotency.wait_timeout,
        },
        posts: Posts { content: Arc::clone(&stores.content), marks: Arc::clone(&stores.marks) },
        comments: CommentReader {
            content: Arc::clone(&stores.content),
            comments: Arc::clone(&stores.comments),
        },
        users: Users { accounts: Arc::clone(&stores.accounts), marks: Arc::clone(&stores.marks) },
        inbox: InboxReader { inbox: Arc::clone(&stores.inbox) },
        recovery: recovery(settings, stores),
        trending: TrendingList {
            trending: Arc::clone(&stores.trending),
            content: Arc::clone(&stores.content),
            clock: Arc::clone(clock),
        },
        health: Health {
            accounts: Arc::clone(&stores.accounts),
            log: Arc::clone(&stores.log),
            content: Arc::clone(&stores.content),
            analytics: Arc::clone(&stores.analytics),
            presence: Arc::clone(&stores.presence),
            incarnation,
            embedded: embedded(settings),
        },
        broker: Arc::clone(&stores.broker),
        presence: Arc::clone(&stores.presence),
        hub,
        control,
        metrics: Arc::clone(&stores.metrics),
        follows,
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
        limits: limits(settings)?,
        document: Document::of(&router::described()),
        channels_document: Document::of(&asyncapi::described()),
        io: Handle::current(),
        ready: AtomicBool::new(true),
    })
}

/// Which stores are part of this process.
fn embedded(settings: &Settings) -> Embedded {
    let is_mongodb = |url: &StoreUrl| matches!(url, StoreUrl::Mongodb(_));
    Embedded {
        mysql: !matches!(settings.accounts.url, StoreUrl::Mysql(_)),
        postgresql: !matches!(settings.analytics.url, StoreUrl::Postgres(_)),
        mongodb: !is_mongodb(&settings.events.url) && !is_mongodb(&settings.content.url),
        redis: !matches!(settings.realtime.url, StoreUrl::Redis(_)),
    }
}

fn recovery(settings: &Settings, stores: &Stores) -> Recovery {
    let limit = PageLimit {
        publications: settings.client.recovery_max_publication_limit,
        bytes: settings.client.recovery_max_bytes,
    };
    Recovery {
        broker: Arc::clone(&stores.broker),
        ledger: Arc::clone(&stores.ledger),
        present: stores.present(),
        limit,
    }
}

/// Everything that there is to do with accounts.
pub(super) fn account_services(
    settings: &Settings,
    stores: &Stores,
) -> Result<AccountServices, AppError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let hashers = match settings.accounts.hash_concurrency {
        0 => cores.saturating_sub(1).max(1),
        count => count,
    };
    let (accounts, clock, entropy) = (&stores.accounts, &stores.clock, &stores.entropy);
    let passwords =
        Passwords::new(hashers, settings.accounts.hash_wait_timeout, Arc::clone(entropy));
    let passwords = Arc::new(passwords.map_err(|error| format!("cannot hash passwords: {error}"))?);
    let (authenticator, news) = authenticator(settings, stores);
    let authenticator = authenticator.trusting(tokens::bearers(settings, &stores.clock)?);
    Ok(AccountServices {
        authenticator,
        news,
        register_user: RegisterUser {
            accounts: Arc::clone(accounts),
            passwords: Arc::clone(&passwords),
            clock: Arc::clone(clock),
        },
        open_session: OpenSession {
            accounts: Arc::clone(accounts),
            passwords: Arc::clone(&passwords),
            clock: Arc::clone(clock),
            entropy: Arc::clone(entropy),
            ttl: settings.accounts.session_ttl,
        },
        end_session: EndSession { accounts: Arc::clone(accounts), clock: Arc::clone(clock) },
        issue_ticket: IssueTicket {
            accounts: Arc::clone(accounts),
            clock: Arc::clone(clock),
            entropy: Arc::clone(entropy),
            ttl: settings.accounts.ticket_ttl,
        },
        update_profile: UpdateProfile { accounts: Arc::clone(accounts), clock: Arc::clone(clock) },
        change_password: ChangePassword {
            accounts: Arc::clone(accounts),
            passwords,
            clock: Arc::clone(clock),
        },
        close_account: CloseAccount {
            control: Arc::clone(&stores.control),
            clock: Arc::clone(clock),
        },
    })
}

/// Who tells who is calling, and who tells it that an account changed.
fn authenticator(settings: &Settings, stores: &Stores) -> (Authenticator, AccountNews) {
    let (accounts, control) = (Arc::clone(&stores.accounts), Arc::clone(&stores.control));
    let authenticator = Authenticator::new(accounts, control, Arc::clone(&stores.clock));
    let ttl = settings.accounts.session_cache_ttl;
    let (known, broker) = (Arc::new(KnownChanges::new(ttl)), Arc::clone(&stores.broker));
    if ttl.is_zero() {
        return (authenticator, AccountNews { known, sessions: None, broker });
    }
    let cache = Arc::clone(&stores.session_cache);
    let sessions = Arc::new(CachedSessions::new(cache, Arc::clone(&known), ttl));
    let authenticator = authenticator.remembering(Arc::clone(&sessions), GoodKeys::new(ttl));
    (authenticator, AccountNews { known, sessions: Some(sessions), broker })
}

fn rate_limiter(settings: &Settings, stores: &Stores) -> RateLimiter {
    let limits = &settings.limits;
    let writes = &limits.writes_per_minute;
    let quotas = Quotas {
        registrations: Quota::per_minute(limits.registrations_per_minute),
        logins: Quota::per_minute(limits.logins_per_minute),
        free_writes: Quota::per_minute(writes.free),
        pro_writes: Quota::per_minute(writes.pro),
        enterprise_writes: Quota::per_minute(writes.enterprise),
    };
    RateLimiter {
        store: Arc::clone(&stores.rate_limits),
        quotas: limits.enabled.then_some(quotas),
        metrics: stores.metrics.admission.clone(),
    }
}

fn limits(settings: &Settings) -> Result<Limits, AppError> {
    let key = &settings.http_api.key;
    let hash = || Sha256::digest(key.expose().as_bytes()).into();
    let client_ip_header = match settings.limits.client_ip_header.as_str() {
        "" => None,
        name => Some(name.parse().map_err(|_| format!("{name:?} is not the name of a header"))?),
    };
    Ok(Limits {
        client_ip_header,
        max_body_bytes: settings.http.max_body_bytes,
        request_timeout: settings.http.request_timeout,
        insecure: settings.client.insecure,
        allow_anonymous: settings.client.allow_anonymous_connect_without_token,
        allowed_origins: settings.client.allowed_origins.clone(),
        ping_seconds: u32::try_from(settings.client.ping_interval.as_millis().div_ceil(1_000))
            .unwrap_or(u32::MAX),
        channel_limit: settings.client.channel_limit,
        channel_max_bytes: settings.client.channel_max_length,
        history_max: settings.client.history_max_publication_limit,
        sse: settings.sse.enabled,
        http_stream: settings.http_stream.enabled,
        message_max_bytes: settings.websocket.message_size_limit,
        websocket_compression: settings.websocket.compression,
        expired_close_delay: settings.client.expired_close_delay,
        expired_sub_close_delay: settings.client.expired_sub_close_delay,
        commands_per_frame: settings.client.command_max_in_frame,
        api_key_hash: (!key.is_empty()).then(hash),
        api_insecure: settings.http_api.insecure,
    })
}
