//! Server-sent events: the protocol for clients that speak through `/emulation`, and pushes alone for a plain `EventSource`
//! or curl.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Beginning, invalid_connect, origins, switched_off};
use crate::client_protocol::command::ConnectRequest;
use crate::endpoints::openapi::problems::{ForeignOrigin, SwitchedOff};
use crate::endpoints::reply::Refused;
use crate::endpoints::request::{App, Parameters, parse};
use crate::hub::Wire;

/// What responses of server-sent events are.
const CONTENT_TYPE: &str = "text/event-stream";

/// What the client has to say, in the query, as Centrifugo takes it.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct UniQuery {
    /// A connect command in JSON, such as `{"token": "cst_…"}`.
    cf_connect: Option<String>,
}

/// The same for clients that go on through `/emulation`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Query {
    /// The first commands, such as `{"id": 1, "connect": {"token": "cst_…"}}`, a line each.
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
    let origin = origins::check(&app, &headers)?;
    let connect = query.cf_connect.unwrap_or_else(|| "{}".to_owned());
    if parse::<ConnectRequest>(connect.as_bytes()).is_err() {
        let detail = "The parameter cf_connect must be a connect command in JSON.";
        return Err(invalid_connect(detail).into());
    }
    let wire = Wire::UniEventStream;
    let beginning = Beginning::new(&headers, wire, CONTENT_TYPE, connect.into());
    Ok(origin.let_read(beginning.stream(app).await))
}

/// The client protocol as server-sent events. The client's commands go to `POST /emulation`.
#[utoipa::path(
    get, path = "/connection/sse", tag = "connections", operation_id = "sse",
    params(Query), security((), ("session" = [])),
    responses((status = 200, body = String, content_type = "text/event-stream"), ForeignOrigin, SwitchedOff)
)]
pub async fn sse(
    State(app): State<App>,
    headers: HeaderMap,
    Parameters(query): Parameters<Query>,
) -> Result<Response, Refused> {
    if !app.limits.sse {
        return Err(switched_off().into());
    }
    let origin = origins::check(&app, &headers)?;
    let Some(first) = query.cf_connect.filter(|first| !first.trim().is_empty()) else {
        let detail = "The parameter cf_connect must carry a connect command.";
        return Err(invalid_connect(detail).into());
    };
    let beginning = Beginning::new(&headers, Wire::EventStream, CONTENT_TYPE, first.into());
    Ok(origin.let_read(beginning.stream(app).await))
}
