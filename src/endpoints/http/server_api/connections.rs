//! What a back end asks of connections, wherever they are.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::*;
use crate::client_protocol::codes::Disconnect;
use crate::client_protocol::directive::{Act, Directive, Joining, Selection};
use crate::domain::namespace::Overrides;
use crate::domain::publication::Json;
use crate::endpoints::reply::client_error_of_store;
use crate::endpoints::request::JsonBody;

/// The codes that a back end may close a connection with.
const DISCONNECT_CODES: std::ops::RangeInclusive<u16> = 3_000..=4_999;
/// Bytes of a reason, which has to fit into a close frame (RFC 6455, section 5.5).
const REASON_MAX_BYTES: usize = 120;

/// A place in a channel's stream.
#[derive(Deserialize, ToSchema)]
struct Since {
    /// Within the epoch.
    #[serde(default)]
    offset: u64,
    /// Empty matches any.
    #[serde(default)]
    epoch: String,
}

/// Who is subscribed to what.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"user": "42", "channel": "chat:lobby"})))]
pub(super) struct SubscribeBody {
    /// The user's number as text; empty for anonymous clients.
    #[serde(default)]
    user: String,
    #[serde(default)]
    #[schema(required)]
    channel: String,
    /// Only the connection with this id.
    #[serde(default)]
    client: String,
    /// Only the connection with this session, as its connect reply names it.
    #[serde(default)]
    session: String,
    /// What the client is told with it, any JSON.
    #[serde(default)]
    #[schema(value_type = Value)]
    data: Option<Json>,
    /// The same in base 64.
    #[serde(default)]
    b64data: String,
    /// What others may know about the subscription, any JSON.
    #[serde(default)]
    #[schema(value_type = Value)]
    info: Option<Json>,
    /// The same in base 64.
    #[serde(default)]
    b64info: String,
    /// Options of the channel that are others for this subscription, such as `{"presence": {"value": false}}`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    r#override: Option<Overrides>,
    /// When the subscription ends by itself (Unix seconds); 0: never.
    #[serde(default)]
    expire_at: i64,
    /// Where the client is in the channel, if it is to recover.
    #[serde(default)]
    recover_since: Option<Since>,
}

/// Who leaves what.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"user": "42", "channel": "chat:lobby"})))]
pub(super) struct UnsubscribeBody {
    /// The user's number as text; empty for anonymous clients.
    #[serde(default)]
    user: String,
    #[serde(default)]
    #[schema(required)]
    channel: String,
    /// Only the connection with this id.
    #[serde(default)]
    client: String,
    /// Only the connection with this session, as its connect reply names it.
    #[serde(default)]
    session: String,
}

/// How a connection ends.
#[derive(Deserialize, ToSchema)]
struct Ending {
    /// 3000 to 4999; below 3500 and from 4000 to 4499 clients connect again.
    #[schema(minimum = 3_000, maximum = 4_999)]
    code: u16,
    /// At most 120 bytes.
    #[serde(default)]
    reason: String,
}

/// Whose connections end.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"user": "42"})))]
pub(super) struct DisconnectBody {
    /// The user's number as text; empty for anonymous clients.
    #[serde(default)]
    user: String,
    /// Only the connection with this id.
    #[serde(default)]
    client: String,
    /// Only the connection with this session, as its connect reply names it.
    #[serde(default)]
    session: String,
    /// Not the connections with these ids.
    #[serde(default)]
    whitelist: Vec<String>,
    /// Code and reason; 3503 if they are not given.
    #[serde(default)]
    disconnect: Option<Ending>,
}

/// What connections are told.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"user": "42", "data": {"text": "hello"}})))]
pub(super) struct SendBody {
    /// The user's number as text; empty for anonymous clients.
    #[serde(default)]
    #[schema(required)]
    user: String,
    /// Only the connection with this id.
    #[serde(default)]
    client: String,
    /// Only the connection with this session, as its connect reply names it.
    #[serde(default)]
    session: String,
    /// What they are told, any JSON.
    #[schema(value_type = Value)]
    data: Option<Json>,
    /// The same in base 64, instead.
    #[serde(default)]
    b64data: String,
}

/// Whose connections end at another time.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"user": "42", "expire_at": 1_900_000_000})))]
pub(super) struct RefreshBody {
    /// The user's number as text; empty for anonymous clients.
    #[serde(default)]
    user: String,
    /// Only the connection with this id.
    #[serde(default)]
    client: String,
    /// Only the connection with this session, as its connect reply names it.
    #[serde(default)]
    session: String,
    /// Whether they end at once, as ones that have expired.
    #[serde(default)]
    expired: bool,
    /// When they expire unless the client shows a new token (Unix seconds); never if it is 0 or not given.
    #[serde(default)]
    expire_at: Option<i64>,
}

async fn direct(app: &App, to: Selection, act: Act) -> Result<Done, ClientError> {
    let ordered = app.control.order(Directive { to, act }).await;
    ordered.map(|()| Done {}).map_err(client_error_of_store)
}

pub(super) async fn subscribe_by(app: &App, body: SubscribeBody) -> Result<Done, ClientError> {
    let channel = check_channel(app, &body.channel)?;
    let since = body.recover_since.map(|since| (since.epoch, since.offset));
    let to = Selection {
        user: body.user,
        client: body.client,
        session: body.session,
        whitelist: Vec::new(),
    };
    let joining = Joining {
        channel,
        since,
        data: given(body.data, &body.b64data)?,
        info: given(body.info, &body.b64info)?.map(Arc::new),
        overrides: body.r#override.unwrap_or_default(),
        expire_at: body.expire_at,
    };
    direct(app, to, Act::Subscribe(Box::new(joining))).await
}

pub(super) async fn unsubscribe_by(app: &App, body: UnsubscribeBody) -> Result<Done, ClientError> {
    let channel = check_channel(app, &body.channel)?;
    let to = Selection {
        user: body.user,
        client: body.client,
        session: body.session,
        whitelist: Vec::new(),
    };
    direct(app, to, Act::Unsubscribe { channel }).await
}

pub(super) async fn disconnect_by(app: &App, body: DisconnectBody) -> Result<Done, ClientError> {
    let Disconnect { code, reason } = Disconnect::FORCE_NO_RECONNECT;
    let ending = body.disconnect.unwrap_or(Ending { code, reason: reason.into_owned() });
    if !DISCONNECT_CODES.contains(&ending.code) || ending.reason.len() > REASON_MAX_BYTES {
        return Err(ClientError::BAD_REQUEST);
    }
    let to = Selection {
        user: body.user,
        client: body.client,
        session: body.session,
        whitelist: body.whitelist,
    };
    direct(app, to, Act::Disconnect { code: ending.code, reason: ending.reason }).await
}

pub(super) async fn refresh_by(app: &App, body: RefreshBody) -> Result<Done, ClientError> {
    let to = Selection {
        user: body.user,
        client: body.client,
        session: body.session,
        whitelist: Vec::new(),
    };
    direct(app, to, Act::Refresh { expired: body.expired, expire_at: body.expire_at }).await
}

pub(super) async fn send_by(app: &App, body: SendBody) -> Result<Done, ClientError> {
    let data = given(body.data, &body.b64data)?.ok_or(ClientError::BAD_REQUEST)?;
    let to = Selection {
        user: body.user,
        client: body.client,
        session: body.session,
        whitelist: Vec::new(),
    };
    direct(app, to, Act::Send { data }).await
}

/// Subscribes connections of a user to a channel.
#[utoipa::path(
    post, path = "/api/subscribe", tag = "server API", operation_id = "subscribe_user",
    request_body = SubscribeBody, security(("api_key" = [])),
    responses((status = 200, body = Outcome<Done>))
)]
pub async fn subscribe(
    State(app): State<App>,
    headers: HeaderMap,
    body: JsonBody<serde::de::IgnoredAny>,
) -> Result<Response, Refused> {
    authorize(&app, &headers).await?;
    Ok(told(subscribe_by(&app, read(&body.raw)?).await))
}

/// Ends subscriptions of a user's connections to a channel.
#[utoipa::path(
    post, path = "/api/unsubscribe", tag = "server API", operation_id = "unsubscribe_user",
    request_body = UnsubscribeBody, security(("api_key" = [])),
    responses((status = 200, body = Outcome<Done>))
)]
pub async fn unsubscribe(
    State(app): State<App>,
    headers: HeaderMap,
    body: JsonBody<serde::de::IgnoredAny>,
) -> Result<Response, Refused> {
    authorize(&app, &headers).await?;
    Ok(told(unsubscribe_by(&app, read(&body.raw)?).await))
}

/// Closes connections of a user.
#[utoipa::path(
    post, path = "/api/disconnect", tag = "server API", operation_id = "disconnect_user",
    request_body = DisconnectBody, security(("api_key" = [])),
    responses((status = 200, body = Outcome<Done>))
)]
pub async fn disconnect(
    State(app): State<App>,
    headers: HeaderMap,
    body: JsonBody<serde::de::IgnoredAny>,
) -> Result<Response, Refused> {
    authorize(&app, &headers).await?;
    Ok(told(disconnect_by(&app, read(&body.raw)?).await))
}

/// Says when connections of a user expire.
#[utoipa::path(
    post, path = "/api/refresh", tag = "server API", operation_id = "refresh_user",
    request_body = RefreshBody, security(("api_key" = [])),
    responses((status = 200, body = Outcome<Done>))
)]
pub async fn refresh(
    State(app): State<App>,
    headers: HeaderMap,
    body: JsonBody<serde::de::IgnoredAny>,
) -> Result<Response, Refused> {
    authorize(&app, &headers).await?;
    Ok(told(refresh_by(&app, read(&body.raw)?).await))
}

/// Tells connections of a user something, outside of any channel.
///
/// Clients hear it as an asynchronous message of the protocol. It is kept nowhere: whoever is not connected does not hear of it.
/// Centrifugo has no such method.
#[utoipa::path(
    post, path = "/api/send", tag = "server API", operation_id = "send_to_user",
    request_body = SendBody, security(("api_key" = [])),
    responses((status = 200, body = Outcome<Done>))
)]
pub async fn send(
    State(app): State<App>,
    headers: HeaderMap,
    body: JsonBody<serde::de::IgnoredAny>,
) -> Result<Response, Refused> {
    authorize(&app, &headers).await?;
    Ok(told(send_by(&app, read(&body.raw)?).await))
}
