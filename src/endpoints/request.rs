//! What is taken from a request: the body, the caller, the idempotency key.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::reply::Refused;
use super::services::Services;
use crate::domain::account::SignedIn;
use crate::domain::problem::{FieldError, Problem, ProblemKind};
use crate::domain::publication::holds_nul;
use crate::ports::idempotency::KeyScope;

/// What every handler shares.
pub type App = Arc<Services>;

/// How much of a body that is too large is read and thrown away, so that the
/// caller gets to read the answer.
const DISCARD_MAX_BYTES: usize = 64 * 1024 * 1024;

/// A JSON body and the bytes that it was read from.
pub struct JsonBody<T> {
    /// What it says.
    pub value: T,
    /// As it came; what an idempotency key is compared by.
    pub raw: Bytes,
}

impl<T: DeserializeOwned> FromRequest<App> for JsonBody<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refused> {
        let is_json = |text: &str| {
            let essence = text.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
            essence == "application/json" || essence.ends_with("+json")
        };
        let content_type = request.headers().get(header::CONTENT_TYPE);
        if content_type.is_some_and(|value| !value.to_str().is_ok_and(is_json)) {
            let detail = "The body must be application/json.";
            return Err(Problem::new(
                ProblemKind::UnsupportedType,
                "unsupported_media_type",
                detail,
            )
            .into());
        }
        let raw = read_body(request.into_body(), app.limits.max_body_bytes).await?;
        // serde would read an array as the fields in their order, which is no body of ours.
        if raw.trim_ascii_start().first() == Some(&b'[') {
            let detail = "The body must be a JSON object, not an array.";
            return Err(Problem::new(ProblemKind::Invalid, "invalid_type", detail).into());
        }
        Ok(Self { value: parse(&raw)?, raw })
    }
}

/// Reads a body of at most `max` bytes.
pub async fn read_body(mut body: Body, max: usize) -> Result<Bytes, Problem> {
    let mut read = Vec::new();
    let mut total = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Problem::new(
                ProblemKind::BadRequest,
                "incomplete_body",
                "The body ended before its time.",
            )
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        total += data.len();
        if total <= max {
            read.extend_from_slice(&data);
        } else if total > DISCARD_MAX_BYTES {
            break;
        }
    }
    if total > max {
        let detail = format!("A body may have at most {max} bytes.");
        return Err(Problem::new(ProblemKind::TooLarge, "body_too_large", detail));
    }
    Ok(read.into())
}

/// Reads a JSON text, in which no string may hold the NUL character: not every
/// store could keep it.
pub fn parse<T: DeserializeOwned>(raw: &[u8]) -> Result<T, Problem> {
    if holds_nul(raw) {
        let detail = "Texts must not contain the NUL character.";
        return Err(Problem::new(ProblemKind::Invalid, "nul_character", detail));
    }
    // Nearly all can be read; what cannot is read once more, to say where it is wrong.
    if let Ok(read) = serde_json::from_slice(raw) {
        return Ok(read);
    }
    let mut reader = serde_json::Deserializer::from_slice(raw);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|fault| {
        let (field, error) = (fault.path().to_string(), fault.into_inner());
        if error.is_data() { misfit(field, &error) } else { malformed(&error) }
    })?;
    reader.end().map_err(|error| malformed(&error))?;
    Ok(read)
}

fn malformed(error: &serde_json::Error) -> Problem {
    let detail = format!("The body is no JSON: {error}.");
    Problem::new(ProblemKind::BadRequest, "malformed_json", detail)
}

/// JSON, but not what is asked for; says which field it is, if it is one.
fn misfit(field: String, error: &serde_json::Error) -> Problem {
    let detail = format!("The body does not fit: {error}.");
    let problem = Problem::new(ProblemKind::Invalid, "invalid_type", detail);
    if field == "." {
        return problem;
    }
    let detail = format!("Does not fit: {error}.");
    let errors = vec![FieldError { field: field.into(), code: "invalid_type", detail }];
    Problem { errors, ..problem }
}

/// The parameters of the query; what cannot be read is a problem like any other.
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Parameters<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        match Query::from_request_parts(parts, app).await {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(_) => {
                let detail = "The query cannot be read.";
                Err(Problem::new(ProblemKind::BadRequest, "invalid_query", detail).into())
            }
        }
    }
}

/// The token of `Authorization: Bearer …`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The caller, who must be logged in.
pub struct Caller(pub SignedIn);

impl FromRequestParts<App> for Caller {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        match MaybeCaller::from_request_parts(parts, app).await? {
            MaybeCaller(Some(signed_in)) => Ok(Self(signed_in)),
            MaybeCaller(None) => Err(Problem::unauthorized().into()),
        }
    }
}

/// The caller, who may be anyone; but a token that is shown must be good.
pub struct MaybeCaller(pub Option<SignedIn>);

impl FromRequestParts<App> for MaybeCaller {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        let Some(token) = bearer(&parts.headers) else {
            return Ok(Self(None));
        };
        match app.accounts.authenticator.session(token).await? {
            Some(signed_in) => Ok(Self(Some(signed_in))),
            None => Err(Problem::unauthorized().into()),
        }
    }
}

/// Carries something out to its end even if the caller hangs up meanwhile: what
/// was begun in one store must not stop before it has reached the next.
pub async fn to_the_end<T: Send + 'static>(
    app: &App,
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    app.io.spawn(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request's task failed");
        let detail = "The request failed for a reason that the operators' log says.";
        Err(Problem::new(ProblemKind::Internal, "internal_error", detail))
    })
}

/// An id in the path; a text that is none names nothing.
pub fn path_id<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::not_found(what))
}

/// The `Idempotency-Key` of a request, if it has one.
pub struct IdempotencyKey(pub Option<String>);

impl FromRequestParts<App> for IdempotencyKey {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Refused> {
        let Some(value) = parts.headers.get("idempotency-key") else {
            return Ok(Self(None));
        };
        let key = value.to_str().map_err(|_| {
            let detail = "The Idempotency-Key must be visible ASCII.";
            Problem::new(ProblemKind::BadRequest, "invalid_idempotency_key", detail)
        })?;
        Ok(Self(Some(key.to_owned())))
    }
}

impl IdempotencyKey {
    /// The key in the scope of one principal and route.
    pub fn scope(self, principal: String, route: &str) -> Option<KeyScope> {
        self.0.map(|key| KeyScope { principal, route: route.to_owned(), key })
    }
}
