//! `/emulation`: what the clients of streams say.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use utoipa::ToSchema;

use super::http_stream::is_protobuf;
use super::origins;
use crate::client_protocol::emulation::EmulationRequest;
use crate::domain::problem::{Problem, ProblemKind};
use crate::endpoints::openapi::problems::{ForeignOrigin, NoStream};
use crate::endpoints::reply::Refused;
use crate::endpoints::request::{App, parse, read_body};
use crate::hub::EmulationSession;

/// How much larger than the commands in it a request may be: JSON writes a text's quotes with a backslash each.
const OVERHEAD: usize = 2;

/// Commands of a streamed connection. The answers come on its stream.
#[derive(Deserialize, ToSchema)]
#[schema(as = EmulationRequest)]
pub struct Body {
    /// `node` of the connect reply.
    #[serde(default)]
    node: String,
    /// `session` of the connect reply.
    session: String,
    /// Commands in JSON, a line each.
    data: String,
}

/// Takes what the client of a stream says; any node does, wherever the stream is.
#[utoipa::path(
    post, path = "/emulation", tag = "connections", operation_id = "emulation",
    request_body(content((Body = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 204), ForeignOrigin, NoStream)
)]
pub async fn emulation(State(app): State<App>, request: Request) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let origin = origins::check(&app, &parts.headers)?;
    let raw = read_body(body, app.limits.message_max_bytes * OVERHEAD).await?;
    let (node, session, data) = match is_protobuf(&parts.headers) {
        true => {
            let request = EmulationRequest::decode(&raw).ok_or_else(malformed)?;
            (request.node, request.session, Bytes::from(request.data))
        }
        false => {
            let Body { node, session, data } = parse(&raw)?;
            (node, session, Bytes::from(data))
        }
    };
    if data.len() > app.limits.message_max_bytes {
        let detail = format!("Commands may have at most {} bytes.", app.limits.message_max_bytes);
        return Err(Problem::new(ProblemKind::TooLarge, "body_too_large", detail).into());
    }
    let session: EmulationSession = session.parse().map_err(|_| no_session())?;
    if app.control.hear_emulated(&node, session, data).await? {
        return Ok(origin.let_read(StatusCode::NO_CONTENT.into_response()));
    }
    Err(no_session().into())
}

/// Answers a browser that asks whether a page of another origin may do that.
#[utoipa::path(
    options, path = "/emulation", tag = "connections", operation_id = "emulation_preflight",
    responses((status = 204, description = "It may, as the headers say."), ForeignOrigin)
)]
pub async fn preflight(State(app): State<App>, headers: HeaderMap) -> Result<Response, Refused> {
    origins::preflight(&app, &headers)
}

fn malformed() -> Problem {
    let detail = "The body is no EmulationRequest in Protobuf.";
    Problem::new(ProblemKind::BadRequest, "malformed_protobuf", detail)
}

fn no_session() -> Problem {
    Problem::not_found("stream of this session")
}
