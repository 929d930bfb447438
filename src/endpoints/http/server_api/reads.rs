//! What a back end reads of a channel.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::*;
use crate::domain::namespace::ChannelOptions;
use crate::domain::publication::{ClientInfo, Json, Publication};
use crate::endpoints::reply::client_error_of_store;
use crate::endpoints::request::JsonBody;
use crate::ports::broker::{HistoryQuery, Retention};

/// Names a channel.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"channel": "chat:lobby"})))]
pub(super) struct ChannelBody {
    #[serde(default)]
    #[schema(required)]
    channel: String,
}

/// A place in a channel's stream.
#[derive(Deserialize, ToSchema)]
struct HistorySince {
    #[serde(default)]
    offset: u64,
    /// Empty matches any.
    #[serde(default)]
    epoch: String,
}

/// Which publications are read.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"channel": "chat:lobby", "limit": 10})))]
pub(super) struct HistoryBody {
    #[serde(default)]
    #[schema(required)]
    channel: String,
    /// 0 asks for the position alone; below 0 for as many as the settings allow.
    #[serde(default)]
    limit: i64,
    /// Only those after this place (before it, if reversed).
    #[serde(default)]
    since: Option<HistorySince>,
    /// Latest first.
    #[serde(default)]
    reverse: bool,
}

/// Who is subscribed to a channel, by connection.
#[derive(Serialize, ToSchema)]
pub(super) struct PresenceResult {
    #[schema(value_type = Object)]
    presence: BTreeMap<String, ClientInfo>,
}

/// How many are subscribed to a channel.
#[derive(Serialize, ToSchema)]
pub(super) struct PresenceStatsResult {
    /// Connections.
    num_clients: u64,
    /// Users; all anonymous ones count as one.
    num_users: u64,
}

/// A publication of a channel's history.
#[derive(Serialize, ToSchema)]
struct Past {
    offset: u64,
    /// As it was published.
    #[schema(value_type = Value)]
    data: Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object, nullable = false)]
    info: Option<ClientInfo>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
}

/// A part of a channel's history.
#[derive(Serialize, ToSchema)]
pub(super) struct HistoryResult {
    /// In the order asked for.
    publications: Vec<Past>,
    /// The epoch of the stream.
    epoch: String,
    /// The top of the stream.
    offset: u64,
}

impl From<Publication> for Past {
    fn from(publication: Publication) -> Self {
        let body = &*publication.body;
        let (data, info, tags) = (body.data.clone(), body.info.clone(), body.tags.clone());
        Self { offset: publication.offset, data, info, tags }
    }
}

fn options_of<'a>(app: &'a App, channel: &ChannelName) -> Result<&'a ChannelOptions, ClientError> {
    app.publish.namespaces.options(channel).ok_or(ClientError::UNKNOWN_CHANNEL)
}

fn present_in(app: &App, name: &str) -> Result<ChannelName, ClientError> {
    let channel = check_channel(app, name)?;
    let presence = options_of(app, &channel)?.presence;
    if presence { Ok(channel) } else { Err(ClientError::NOT_AVAILABLE) }
}

fn kept_in(app: &App, name: &str) -> Result<(ChannelName, Retention), ClientError> {
    let channel = check_channel(app, name)?;
    let retention = Retention::of(options_of(app, &channel)?).ok_or(ClientError::NOT_AVAILABLE)?;
    Ok((channel, retention))
}

pub(super) async fn presence_by(
    app: &App,
    body: ChannelBody,
) -> Result<PresenceResult, ClientError> {
    let channel = present_in(app, &body.channel)?;
    let clients = app.presence.list(&channel).await.map_err(client_error_of_store)?;
    let presence = clients.into_iter().map(|info| (info.client.clone(), info)).collect();
    Ok(PresenceResult { presence })
}

pub(super) async fn presence_stats_by(
    app: &App,
    body: ChannelBody,
) -> Result<PresenceStatsResult, ClientError> {
    let channel = present_in(app, &body.channel)?;
    let stats = app.presence.stats(&channel).await.map_err(client_error_of_store)?;
    Ok(PresenceStatsResult { num_clients: stats.clients, num_users: stats.users })
}

pub(super) async fn history_by(app: &App, body: HistoryBody) -> Result<HistoryResult, ClientError> {
    let (channel, retention) = kept_in(app, &body.channel)?;
    let max = app.limits.history_max;
    let limit = usize::try_from(body.limit).map_or(max, |limit| limit.min(max));
    let since = body.since.as_ref().map(|since| since.offset);
    let query = HistoryQuery { since, limit, reverse: body.reverse };
    let page = app.broker.history(&channel, retention, &query).await;
    let page = page.map_err(client_error_of_store)?;
    let epoch = body.since.map(|since| since.epoch).filter(|epoch| !epoch.is_empty());
    if epoch.is_some_and(|epoch| epoch != page.top.epoch.as_str()) {
        return Err(ClientError::UNRECOVERABLE_POSITION);
    }
    let (epoch, offset) = (page.top.epoch.as_str().to_owned(), page.top.offset);
    let publications = page.publications.into_iter().map(Past::from).collect();
    Ok(HistoryResult { publications, epoch, offset })
}

pub(super) async fn history_remove_by(app: &App, body: ChannelBody) -> Result<Done, ClientError> {
    let (channel, retention) = kept_in(app, &body.channel)?;
    app.broker.clear(&channel, retention).await.map_err(client_error_of_store)?;
    Ok(Done {})
}

/// Tells who is subscribed to a channel.
#[utoipa::path(
    post, path = "/api/presence", tag = "server API", operation_id = "channel_presence",
    request_body = ChannelBody, security(("api_key" = [])),
    responses((status = 200, body = Outcome<PresenceResult>))
)]
pub async fn presence(
    State(app): State<App>,
    headers: HeaderMap,
    body: JsonBody<serde::de::IgnoredAny>,
) -> Result<Response, Refused> {
    authorize(&app, &headers).await?;
    Ok(told(presence_by(&app, read(&body.raw)?).await))
}

/// Tells how many are subscribed to a channel.
#[utoipa::path(
    post, path = "/api/presence_stats", tag = "server API", operation_id = "channel_presence_stats",
    request_body = ChannelBody, security(("api_key" = [])),
    responses((status = 200, body = Outcome<PresenceStatsResult>))
)]
pub async fn presence_stats(
    State(app): State<App>,
    headers: HeaderMap,
    body: JsonBody<serde::de::IgnoredAny>,
) -> Result<Response, Refused> {
    authorize(&app, &headers).await?;
    Ok(told(presence_stats_by(&app, read(&body.raw)?).await))
}

/// Reads a channel's history.
#[utoipa::path(
    post, path = "/api/history", tag = "server API", operation_id = "channel_history",
    request_body = HistoryBody, security(("api_key" = [])),
    responses((status = 200, body = Outcome<HistoryResult>))
)]
pub async fn history(
    State(app): State<App>,
    headers: HeaderMap,
    body: JsonBody<serde::de::IgnoredAny>,
) -> Result<Response, Refused> {
    authorize(&app, &headers).await?;
    Ok(told(history_by(&app, read(&body.raw)?).await))
}

/// Forgets a channel's history.
///
/// Offsets go on. Where subscribers recover from the log, they still do.
#[utoipa::path(
    post, path = "/api/history_remove", tag = "server API", operation_id = "remove_history",
    request_body = ChannelBody, security(("api_key" = [])),
    responses((status = 200, body = Outcome<Done>))
)]
pub async fn history_remove(
    State(app): State<App>,
    headers: HeaderMap,
    body: JsonBody<serde::de::IgnoredAny>,
) -> Result<Response, Refused> {
    authorize(&app, &headers).await?;
    Ok(told(history_remove_by(&app, read(&body.raw)?).await))
}
