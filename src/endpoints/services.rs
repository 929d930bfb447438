//! What the endpoints call.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::http::HeaderName;
use tokio::runtime::Handle;

use crate::admission::account_news::AccountNews;
use crate::admission::authenticate::Authenticator;
use crate::admission::permissions::Permissions;
use crate::admission::rate_limit::RateLimiter;
use crate::commands::bookmark_post::BookmarkPost;
use crate::commands::change_password::ChangePassword;
use crate::commands::close_account::CloseAccount;
use crate::commands::comment_on_post::CommentOnPost;
use crate::commands::edit_comment::EditComment;
use crate::commands::edit_post::EditPost;
use crate::commands::end_session::EndSession;
use crate::commands::follow_user::FollowUser;
use crate::commands::issue_ticket::IssueTicket;
use crate::commands::like_post::LikePost;
use crate::commands::mint::Mint;
use crate::commands::once::Once;
use crate::commands::open_session::OpenSession;
use crate::commands::publish::Publish;
use crate::commands::publish_post::PublishPost;
use crate::commands::read_notifications::ReadNotifications;
use crate::commands::register_user::RegisterUser;
use crate::commands::remove_comment::RemoveComment;
use crate::commands::remove_post::RemovePost;
use crate::commands::share_post::SharePost;
use crate::commands::unbookmark_post::UnbookmarkPost;
use crate::commands::unfollow_user::UnfollowUser;
use crate::commands::unlike_post::UnlikePost;
use crate::commands::update_profile::UpdateProfile;
use crate::commands::view_post::ViewPost;
use crate::endpoints::openapi::Document;
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::ports::broker::Broker;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::ports::presence::Presence;
use crate::queries::comments::CommentReader;
use crate::queries::health::Health;
use crate::queries::inbox::InboxReader;
use crate::queries::posts::Posts;
use crate::queries::recovery::Recovery;
use crate::queries::trending::TrendingList;
use crate::queries::users::Users;
use crate::relay::control::Control;
use crate::relay::follow_index::FollowIndex;

/// Everything that a request may need, wired in `app.rs`.
#[allow(missing_docs, reason = "each field is the command or query of its name")]
pub struct Services {
    pub accounts: AccountServices,
    pub permissions: Permissions,
    pub rate_limiter: RateLimiter,
    pub community: Community,
    pub publish: Publish,
    pub mint: Mint,
    pub once: Once,
    pub posts: Posts,
    pub comments: CommentReader,
    pub users: Users,
    pub inbox: InboxReader,
    pub recovery: Recovery,
    pub trending: TrendingList,
    pub health: Health,
    pub broker: Arc<dyn Broker>,
    pub presence: Arc<dyn Presence>,
    pub hub: Arc<Hub>,
    pub control: Arc<Control>,
    pub metrics: Arc<Metrics>,
    pub follows: Arc<FollowIndex>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub limits: Limits,
    pub document: Document,
    pub channels_document: Document,
    /// Where everything runs that waits for a store.
    pub io: Handle,
    /// Whether all that is rebuilt from the log is there.
    pub ready: AtomicBool,
}

/// What users do with posts, with each other and with their inbox.
#[allow(missing_docs, reason = "each field is the command of its name")]
pub struct Community {
    pub publish_post: PublishPost,
    pub edit_post: EditPost,
    pub remove_post: RemovePost,
    pub like_post: LikePost,
    pub unlike_post: UnlikePost,
    pub bookmark_post: BookmarkPost,
    pub unbookmark_post: UnbookmarkPost,
    pub share_post: SharePost,
    pub view_post: ViewPost,
    pub comment_on_post: CommentOnPost,
    pub edit_comment: EditComment,
    pub remove_comment: RemoveComment,
    pub follow_user: FollowUser,
    pub unfollow_user: UnfollowUser,
    pub read_notifications: ReadNotifications,
}

/// What there is to do with accounts.
#[allow(missing_docs, reason = "each field is the command of its name")]
pub struct AccountServices {
    pub authenticator: Authenticator,
    /// Told of every change that is made of an account.
    pub news: AccountNews,
    pub register_user: RegisterUser,
    pub open_session: OpenSession,
    pub end_session: EndSession,
    pub issue_ticket: IssueTicket,
    pub update_profile: UpdateProfile,
    pub change_password: ChangePassword,
    pub close_account: CloseAccount,
}

/// Bounds and switches that the endpoints check themselves.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The header in which a trusted proxy names the caller's address.
    pub client_ip_header: Option<HeaderName>,
    /// The largest body of an HTTP request.
    pub max_body_bytes: usize,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// Connections without a token are anonymous and may do everything in configured namespaces.
    pub insecure: bool,
    /// Connections without a token are anonymous.
    pub allow_anonymous: bool,
    /// Whether `/connection/sse` is served.
    pub sse: bool,
    /// Whether `/connection/http_stream` is served.
    pub http_stream: bool,
    /// Bytes of the largest message that a client may send.
    pub message_max_bytes: usize,
    /// Whether messages of WebSockets are compressed for clients that offer it.
    pub websocket_compression: bool,
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
    /// How long an expired connection token may take to be refreshed.
    pub expired_close_delay: Duration,
    /// How long an expired subscription token may take to be refreshed.
    pub expired_sub_close_delay: Duration,
    /// Commands in one frame.
    pub commands_per_frame: usize,
    /// The SHA-256 of the server API's key; `None` if no key is set.
    pub api_key_hash: Option<[u8; 32]>,
    /// The server API needs no key.
    pub api_insecure: bool,
}
