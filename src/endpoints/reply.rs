//! Answers: resources, and problems as RFC 9457 defines them.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

use super::limited::{TakenCell, seconds};
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

/// What a product command was refused for: codes below 400 are the protocol's own, and these
/// repeat the HTTP status, with the problem's code as the message.
pub fn command_error_of(problem: &Problem) -> ClientError {
    match problem.kind {
        ProblemKind::Forbidden
        | ProblemKind::NotFound
        | ProblemKind::Conflict
        | ProblemKind::TooLarge
        | ProblemKind::Invalid => {
            let code = u32::from(status_of(problem.kind).as_u16());
            ClientError { code, message: problem.code, temporary: false }
        }
        _ => client_error_of(problem),
    }
}

/// A store that failed, as a client hears of it; the log hears the cause.
pub fn client_error_of_store(error: StoreError) -> ClientError {
    client_error_of(&error.into())
}

/// Why a request was refused or failed (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem, examples(json!({
    "type": "urn:carillon:problem:invalid_fields", "title": "Unprocessable Entity", "status": 422,
    "code": "invalid_fields", "detail": "Some fields are not valid; `errors` says which and why.",
    "errors": [{"field": "title", "code": "required", "detail": "Must not be empty."}],
    "request_id": "0e6b1f2a-5d0c-4f0e-9a53-6c1f8a1f3c52"
})))]
pub(super) struct ProblemBody<'a> {
    /// `urn:carillon:problem:` and the code.
    r#type: String,
    /// What the status means.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// Never changes; programs tell problems apart by it.
    code: &'static str,
    /// For people.
    detail: &'a str,
    /// One entry for each field that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldBody<'a>>,
    /// As in the header X-Request-Id.
    request_id: &'a str,
}

/// What is wrong with one field.
#[derive(Serialize, ToSchema)]
#[schema(as = FieldProblem)]
struct FieldBody<'a> {
    /// Its name in the body or the query.
    field: &'a str,
    /// Never changes.
    code: &'static str,
    /// For people.
    detail: &'a str,
}

/// Gives every request an id, says it in every answer, writes the bodies of problems, and counts answers.
pub async fn finish(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let taken = TakenCell::default();
    request.extensions_mut().insert(taken.clone());
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
    taken.write_headers(response.headers_mut());
    let route = route.as_ref().map_or("unknown", MatchedPath::as_str);
    app.metrics.http.answered(method.as_str(), route, response.status().as_u16(), began.elapsed());
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
        errors.map(|e| FieldBody { field: &e.field, code: e.code, detail: &e.detail }).collect();
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
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds(wait).max(1)));
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
    if status == StatusCode::NO_CONTENT {
        return status.into_response();
    }
    (status, [(header::CONTENT_TYPE, "application/json")], stored.body).into_response()
}
