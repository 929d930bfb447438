//! Error, unsubscribe and disconnect codes, with the texts that Centrifugo gives them.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;

/// The answer to a command that was refused. The connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ClientError {
    /// 100 to 112 as Centrifugo defines them.
    pub code: u32,
    /// For people.
    pub message: &'static str,
    /// Whether the same command may succeed later.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub temporary: bool,
}

impl ClientError {
    const fn new(code: u32, message: &'static str) -> Self {
        Self { code, message, temporary: false }
    }

    /// 100: something failed here; trying again may help.
    pub const INTERNAL: Self =
        Self { code: 100, message: "internal server error", temporary: true };
    /// 101: the client must identify itself first.
    pub const UNAUTHORIZED: Self = Self::new(101, "unauthorized");
    /// 102: the channel's namespace is not configured.
    pub const UNKNOWN_CHANNEL: Self = Self::new(102, "unknown channel");
    /// 103: the client may not do this.
    pub const PERMISSION_DENIED: Self = Self::new(103, "permission denied");
    /// 105: the client is subscribed to the channel.
    pub const ALREADY_SUBSCRIBED: Self = Self::new(105, "already subscribed");
    /// 106: a limit of the settings was reached.
    pub const LIMIT_EXCEEDED: Self = Self::new(106, "limit exceeded");
    /// 107: the command is malformed.
    pub const BAD_REQUEST: Self = Self::new(107, "bad request");
    /// 108: the channel or the hub does not offer this.
    pub const NOT_AVAILABLE: Self = Self::new(108, "not available");
    /// 109: the connection token has expired.
    pub const TOKEN_EXPIRED: Self = Self::new(109, "token expired");
    /// 110: what was asked for has expired; no token can be blamed.
    pub const EXPIRED: Self = Self::new(110, "expired");
    /// 111: more requests than the limits allow.
    pub const TOO_MANY_REQUESTS: Self =
        Self { code: 111, message: "too many requests", temporary: true };
    /// 112: what the client missed can no longer be served.
    pub const UNRECOVERABLE_POSITION: Self = Self::new(112, "unrecoverable position");
}

/// Why the server closes a connection. Codes 3000 to 3499 and 4000 to 4499 ask
/// the client to reconnect; all others are terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disconnect {
    /// The code of the close frame.
    pub code: u16,
    /// The text of the close frame.
    pub reason: Cow<'static, str>,
}

impl Disconnect {
    const fn new(code: u16, reason: &'static str) -> Self {
        Self { code, reason: Cow::Borrowed(reason) }
    }

    /// 1000: the client said goodbye first.
    pub const NORMAL: Self = Self::new(1000, "");
    /// 3000: the connection ended without a close frame.
    pub const CONNECTION_CLOSED: Self = Self::new(3000, "connection closed");
    /// 3001: the node is going down.
    pub const SHUTDOWN: Self = Self::new(3001, "shutdown");
    /// 3004: something failed here.
    pub const SERVER_ERROR: Self = Self::new(3004, "internal server error");
    /// 3005: the session or token has run out.
    pub const EXPIRED: Self = Self::new(3005, "connection expired");
    /// 3008: the client reads slower than its channels are written to.
    pub const SLOW: Self = Self::new(3008, "slow");
    /// 3010: the client's state cannot be trusted; it reconnects and recovers.
    pub const INSUFFICIENT_STATE: Self = Self::new(3010, "insufficient state");
    /// 3012: no pong came in time.
    pub const NO_PONG: Self = Self::new(3012, "no pong");
    /// 3500: the token is unknown, malformed or revoked.
    pub const INVALID_TOKEN: Self = Self::new(3500, "invalid token");
    /// 3501: the client does not speak the protocol.
    pub const BAD_REQUEST: Self = Self::new(3501, "bad request");
    /// 3502: no connect command came in time.
    pub const STALE: Self = Self::new(3502, "stale");
    /// 3503: an operator or a back end closed the connection for good.
    pub const FORCE_NO_RECONNECT: Self = Self::new(3503, "force disconnect");
}

/// Why the server ended a subscription. From 2500 on, SDKs subscribe again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Unsubscribed {
    /// 2000 to 2999.
    pub code: u32,
    /// For people.
    pub reason: &'static str,
}

impl Unsubscribed {
    /// 2000: a back end ended the subscription.
    pub const SERVER: Self = Self { code: 2000, reason: "server unsubscribe" };
    /// 2500: the subscription's state cannot be trusted; the client subscribes again and recovers.
    pub const INSUFFICIENT_STATE: Self = Self { code: 2500, reason: "insufficient state" };
    /// 2501: the subscription's token has expired; the client subscribes again with a new one.
    pub const EXPIRED: Self = Self { code: 2501, reason: "subscription expired" };
}
