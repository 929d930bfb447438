//! `/connection/uni_sse`: the unidirectional protocol as server-sent events, for
//! a plain `EventSource` or curl.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;
use utoipa::IntoParams;

use super::openapi::problems::ForeignOrigin;
use super::reply::Refused;
use super::request::{App, Parameters, parse};
use super::websocket::session::Session;
use super::websocket::upgrade::{check_origin, connection_token};
use crate::client_protocol::command::ConnectRequest;
use crate::domain::ids::ClientId;
use crate::domain::problem::{Problem, ProblemKind};
use crate::hub::{Transport, Wire};

/// Writes that may wait between the hub and the response's body; what waits
/// beyond that is bounded as for every connection.
const BODY_QUEUE: usize = 4;

/// The connect command in the query, as Centrifugo takes it.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct UniQuery {
    /// A connect command in JSON, such as `{"token": "cst_…"}`.
    cf_connect: Option<String>,
}

/// Streams the caller's inbox as server-sent events, for a plain `EventSource` or curl.
///
/// The token may stand in the connect command instead.
#[utoipa::path(
    get, path = "/connection/uni_sse", tag = "connections", operation_id = "uni_sse",
    params(UniQuery), security((), ("session" = [])),
    responses((status = 200, body = String, content_type = "text/event-stream"), ForeignOrigin)
)]
pub async fn uni_sse(
    State(app): State<App>,
    headers: HeaderMap,
    Parameters(query): Parameters<UniQuery>,
) -> Result<Response, Refused> {
    check_origin(&app, &headers, None)?;
    let connect = query.cf_connect.as_deref().map(|text| {
        parse::<ConnectRequest>(text.as_bytes()).map_err(|_| {
            let detail = "The parameter cf_connect must be a connect command in JSON.";
            Problem::new(ProblemKind::BadRequest, "invalid_connect", detail)
        })
    });
    let connect = connect.transpose()?.unwrap_or_default();
    let token = connection_token(&headers);
    let client = ClientId::from_random(app.entropy.bytes::<16>());
    let (sender, receiver) = mpsc::channel::<Bytes>(BODY_QUEUE);
    let hub = Arc::clone(&app.hub);
    let converse = move |link| Session::unidirectional(link, app, client, token, connect);
    hub.adopt(Transport::Body(sender), Wire::EventStream, Bytes::new(), converse).await;
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
        let bytes = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(bytes), receiver))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
        // Proxies that gather answers would hold events back.
        (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((StatusCode::OK, headers, Body::from_stream(stream)).into_response())
}
