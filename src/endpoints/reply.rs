//! Answers: resources, and problems as RFC 9457 defines them.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use uuid::Uuid;

use super::request::App;
use crate::client_protocol::codes::ClientError;
use crate::domain::problem::{Problem, ProblemKind};
use crate::ports::StoreError;
use crate::ports::idempotency::StoredAnswer;

/// A problem on its way to the caller. [`finish`] writes the body, since only
/// it knows the request's id.
#[derive(Clone, Debug)]
pub struct Refused(pub Problem);

impl<E: Into<Problem>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = status_of(self.0.kind).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The one place where kinds of problems become statuses.
fn status_of(kind: ProblemKind) -> StatusCode {
    match kind {
        ProblemKind::BadRequest => StatusCode::BAD_REQUEST,
        ProblemKind::Unauthorized => StatusCode::UNAUTHORIZED,
        ProblemKind::Forbidden => StatusCode::FORBIDDEN,
        ProblemKind::NotFound => StatusCode::NOT_FOUND,
        ProblemKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ProblemKind::Conflict => StatusCode::CONFLICT,
        ProblemKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ProblemKind::UnsupportedType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ProblemKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        ProblemKind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        ProblemKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ProblemKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The one place where problems become errors of the client protocol.
pub fn client_error_of(problem: &Problem) -> ClientError {
    match problem.kind {
        ProblemKind::Unauthorized => ClientError::UNAUTHORIZED,
        ProblemKind::Forbidden => ClientError::PERMISSION_DENIED,
        ProblemKind::TooMany => ClientError::TOO_MANY_REQUESTS,
        ProblemKind::Internal | ProblemKind::Unavailable => ClientError::INTERNAL,
        ProblemKind::MethodNotAllowed => ClientError::NOT_AVAILABLE,
        ProblemKind::BadRequest
        | ProblemKind::NotFound
        | ProblemKind::Conflict
        | ProblemKind::TooLarge
        | ProblemKind::UnsupportedType
        | ProblemKind::Invalid => ClientError::BAD_REQUEST,
    }
}

/// A store that failed, as a client hears of it; the log hears the cause.
pub fn client_error_of_store(error: StoreError) -> ClientError {
    client_error_of(&error.into())
}

#[derive(Serialize)]
struct ProblemBody<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldBody<'a>>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct FieldBody<'a> {
    field: &'static str,
    code: &'static str,
    detail: &'a str,
}

/// Gives every request an id, says it in every answer, and writes the bodies of problems.
pub async fn finish(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = uuid::Builder::from_random_bytes(app.entropy.bytes::<16>()).into_uuid();
    let mut response =
        match tokio::time::timeout(app.limits.request_timeout, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Refused(took_too_long()).into_response(),
        };
    if let Some(Refused(problem)) = response.extensions_mut().remove::<Refused>() {
        response = render(&problem, response.status(), id);
    }
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

fn took_too_long() -> Problem {
    let detail = "The request took longer than http.request_timeout; its outcome is unknown.";
    Problem::new(ProblemKind::Unavailable, "request_timeout", detail)
}

fn render(problem: &Problem, status: StatusCode, id: Uuid) -> Response {
    if status.is_server_error() {
        tracing::warn!(request_id = %id, code = problem.code, "a request failed");
    }
    let errors = problem.errors.iter();
    let errors =
        errors.map(|e| FieldBody { field: e.field, code: e.code, detail: &e.detail }).collect();
    let body = ProblemBody {
        r#type: format!("urn:carillon:problem:{}", problem.code),
        title: status.canonical_reason().unwrap_or("Problem"),
        status: status.as_u16(),
        code: problem.code,
        detail: &problem.detail,
        errors,
        request_id: &id.to_string(),
    };
    let mut response = json(status, &body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(wait) = problem.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// An answer with a JSON body.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    (status, axum::Json(body)).into_response()
}

/// An answer that is kept with its idempotency key.
pub fn storable(status: StatusCode, body: &impl Serialize) -> Result<StoredAnswer, Problem> {
    let body = serde_json::to_vec(body).map_err(|error| {
        tracing::error!(%error, "could not write an answer");
        Problem::new(ProblemKind::Internal, "internal_error", "The answer could not be written.")
    })?;
    Ok(StoredAnswer { status: status.as_u16(), body })
}

/// Gives an answer that was made now or kept.
pub fn answer(stored: StoredAnswer) -> Response {
    let status = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/json")], stored.body).into_response()
}
