//! What the endpoints call.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::admission::authenticate::Authenticator;
use crate::admission::permissions::Permissions;
use crate::commands::end_session::EndSession;
use crate::commands::issue_ticket::IssueTicket;
use crate::commands::mint::Mint;
use crate::commands::once::Once;
use crate::commands::open_session::OpenSession;
use crate::commands::publish::Publish;
use crate::commands::publish_post::PublishPost;
use crate::commands::register_user::RegisterUser;
use crate::hub::Hub;
use crate::ports::broker::Broker;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::ports::presence::Presence;
use crate::queries::health::Health;
use crate::queries::posts::Posts;
use crate::queries::recovery::Recovery;

/// Everything that a request may need, wired in `app.rs`.
#[allow(missing_docs, reason = "each field is the command or query of its name")]
pub struct Services {
    pub accounts: AccountServices,
    pub permissions: Permissions,
    pub publish_post: PublishPost,
    pub publish: Publish,
    pub mint: Mint,
    pub once: Once,
    pub posts: Posts,
    pub recovery: Recovery,
    pub health: Health,
    pub broker: Arc<dyn Broker>,
    pub presence: Arc<dyn Presence>,
    pub hub: Arc<Hub>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub limits: Limits,
    /// Where everything runs that waits for a store.
    pub io: Handle,
    /// Whether all that is rebuilt from the log is there.
    pub ready: AtomicBool,
}

/// What there is to do with accounts.
#[allow(missing_docs, reason = "each field is the command of its name")]
pub struct AccountServices {
    pub authenticator: Authenticator,
    pub register_user: RegisterUser,
    pub open_session: OpenSession,
    pub end_session: EndSession,
    pub issue_ticket: IssueTicket,
}

/// Bounds and switches that the endpoints check themselves.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest body of an HTTP request.
    pub max_body_bytes: usize,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// Connections without a token are anonymous and may do everything in configured namespaces.
    pub insecure: bool,
    /// Connections without a token are anonymous.
    pub allow_anonymous: bool,
    /// Origins other than the server's own that may connect.
    pub allowed_origins: Vec<String>,
    /// Seconds between the server's pings, rounded up, as clients are told.
    pub ping_seconds: u32,
    /// Channels that a client may be subscribed to, not counting those that the server subscribed.
    pub channel_limit: usize,
    /// Bytes of a channel name.
    pub channel_max_bytes: usize,
    /// Publications in one answer to a history command.
    pub history_max: usize,
    /// Commands in one frame.
    pub commands_per_frame: usize,
    /// The SHA-256 of the server API's key; `None` if no key is set.
    pub api_key_hash: Option<[u8; 32]>,
    /// The server API needs no key.
    pub api_insecure: bool,
}
