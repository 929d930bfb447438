//! HTTP streaming: the response is read as it comes, a line of JSON or a Protobuf message after the other.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;

use super::{Beginning, invalid_connect, origins, switched_off};
use crate::endpoints::openapi::problems::{ForeignOrigin, SwitchedOff};
use crate::endpoints::reply::Refused;
use crate::endpoints::request::{App, read_body};
use crate::hub::Wire;

/// What lines of JSON are sent as.
const JSON_LINES: &str = "application/x-ndjson";
/// What Protobuf is sent as.
pub(super) const PROTOBUF: &str = "application/octet-stream";

/// The client protocol as a response that does not end. The client's commands go to `POST /emulation`.
///
/// The body carries the first commands: JSON, a line each, or Protobuf as `application/octet-stream`; the response is of the
/// same kind.
#[utoipa::path(
    post, path = "/connection/http_stream", tag = "connections", operation_id = "http_stream",
    request_body(content((String = "application/json"), (Vec<u8> = "application/octet-stream"))),
    security((), ("session" = [])),
    responses(
        (status = 200, content((String = "application/x-ndjson"), (Vec<u8> = "application/octet-stream"))),
        ForeignOrigin, SwitchedOff
    )
)]
pub async fn http_stream(State(app): State<App>, request: Request) -> Result<Response, Refused> {
    if !app.limits.http_stream {
        return Err(switched_off().into());
    }
    let (parts, body) = request.into_parts();
    let origin = origins::check(&app, &parts.headers)?;
    let first = read_body(body, app.limits.message_max_bytes).await?;
    if first.is_empty() {
        return Err(invalid_connect("The body must carry a connect command.").into());
    }
    let (wire, content_type) = match is_protobuf(&parts.headers) {
        true => (Wire::ProtobufStream, PROTOBUF),
        false => (Wire::JsonStream, JSON_LINES),
    };
    let beginning = Beginning::new(&parts.headers, wire, content_type, first);
    Ok(origin.let_read(beginning.stream(app).await))
}

/// Answers a browser that asks whether a page of another origin may do that.
#[utoipa::path(
    options, path = "/connection/http_stream", tag = "connections", operation_id = "http_stream_preflight",
    responses((status = 204, description = "It may, as the headers say."), ForeignOrigin)
)]
pub async fn preflight(State(app): State<App>, headers: HeaderMap) -> Result<Response, Refused> {
    origins::preflight(&app, &headers)
}

/// Whether a request carries Protobuf; JSON otherwise, as browsers also send it without saying so.
pub(super) fn is_protobuf(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes() == PROTOBUF.as_bytes())
}
