//! What a back end reads of all nodes.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::*;
use crate::client_protocol::node::NodeInfo;
use crate::endpoints::reply::client_error_of_store;
use crate::endpoints::request::JsonBody;

/// Which channels are listed.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"pattern": "chat:*"})))]
pub(super) struct ChannelsBody {
    /// `*` stands for any characters, `?` for one; all channels if it is empty.
    #[serde(default)]
    pattern: String,
}

/// A call without parameters.
#[derive(Deserialize, ToSchema)]
pub(super) struct NoBody {}

/// A channel with subscribers.
#[derive(Serialize, ToSchema)]
struct ChannelInfo {
    /// Connections that are subscribed to it.
    num_clients: u64,
}

/// The channels with subscribers on any node.
#[derive(Serialize, ToSchema)]
pub(super) struct ChannelsResult {
    #[schema(value_type = Object)]
    channels: BTreeMap<String, ChannelInfo>,
}

/// The nodes that are there.
#[derive(Serialize, ToSchema)]
pub(super) struct InfoResult {
    nodes: Vec<NodeInfo>,
}

pub(super) async fn channels_by(
    app: &App,
    body: ChannelsBody,
) -> Result<ChannelsResult, ClientError> {
    let channels = app.control.channels(&body.pattern).await.map_err(client_error_of_store)?;
    let info = |(name, num_clients)| (name, ChannelInfo { num_clients });
    Ok(ChannelsResult { channels: channels.into_iter().map(info).collect() })
}

pub(super) async fn info_by(app: &App, _: NoBody) -> Result<InfoResult, ClientError> {
    Ok(InfoResult { nodes: app.control.nodes().await })
}

/// Lists the channels with subscribers.
#[utoipa::path(
    post, path = "/api/channels", tag = "server API", operation_id = "channels",
    request_body = ChannelsBody, security(("api_key" = [])),
    responses((status = 200, body = Outcome<ChannelsResult>))
)]
pub async fn channels(
    State(app): State<App>,
    headers: HeaderMap,
    body: JsonBody<serde::de::IgnoredAny>,
) -> Result<Response, Refused> {
    authorize(&app, &headers).await?;
    Ok(told(channels_by(&app, read(&body.raw)?).await))
}

/// Lists the nodes.
#[utoipa::path(
    post, path = "/api/info", tag = "server API", operation_id = "info",
    request_body = NoBody, security(("api_key" = [])),
    responses((status = 200, body = Outcome<InfoResult>))
)]
pub async fn info(
    State(app): State<App>,
    headers: HeaderMap,
    body: JsonBody<serde::de::IgnoredAny>,
) -> Result<Response, Refused> {
    authorize(&app, &headers).await?;
    Ok(told(info_by(&app, read(&body.raw)?).await))
}
