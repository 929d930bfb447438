//! `/api/…`: Centrifugo's server HTTP API.

mod batch;
mod connections;
mod nodes;
mod publish;
mod reads;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::client_protocol::codes::ClientError;
use crate::domain::account::TokenHash;
use crate::domain::channel::ChannelName;
use crate::domain::problem::{Problem, ProblemKind};
use crate::domain::publication::Json;
use crate::endpoints::reply::{Refused, json};
use crate::endpoints::request::{App, parse};

pub use batch::*;
pub use connections::*;
pub use nodes::*;
pub use publish::*;
pub use reads::*;

/// A payload that is given as it is, or in base 64. Here it must be JSON, which not every store could keep if it holds the
/// NUL character.
fn given(json: Option<Json>, base64: &str) -> Result<Option<Json>, ClientError> {
    if base64.is_empty() {
        return Ok(json);
    }
    let bytes = STANDARD.decode(base64).map_err(|_| ClientError::BAD_REQUEST)?;
    let text = String::from_utf8(bytes).map_err(|_| ClientError::BAD_REQUEST)?;
    let json = Json::from_string(text).map_err(|_| ClientError::BAD_REQUEST)?;
    if json.holds_nul() { Err(ClientError::BAD_REQUEST) } else { Ok(Some(json)) }
}

/// It was done.
#[derive(Serialize, ToSchema)]
pub struct Succeeded<T> {
    result: T,
}

/// It was refused.
#[derive(Serialize, ToSchema)]
pub struct Failed {
    error: ClientError,
}

/// What became of a call.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Outcome<T> {
    /// It was done.
    Result(Succeeded<T>),
    /// It was refused.
    Error(Failed),
}

impl<T> From<Result<T, ClientError>> for Outcome<T> {
    fn from(outcome: Result<T, ClientError>) -> Self {
        match outcome {
            Ok(result) => Self::Result(Succeeded { result }),
            Err(error) => Self::Error(Failed { error }),
        }
    }
}

/// A result that says nothing more.
#[derive(Default, Serialize, ToSchema)]
pub struct Done {}

/// Answers a call: 200, whatever became of it.
fn told<T: Serialize>(outcome: Result<T, ClientError>) -> Response {
    json(StatusCode::OK, &Outcome::from(outcome))
}

fn check_channel(app: &App, name: &str) -> Result<ChannelName, ClientError> {
    let channel = ChannelName::parse(name, app.limits.channel_max_bytes)
        .map_err(|_| ClientError::BAD_REQUEST)?;
    match app.publish.namespaces.options(&channel) {
        Some(_) => Ok(channel),
        None => Err(ClientError::UNKNOWN_CHANNEL),
    }
}

/// Centrifugo answers a body that is no request with 400.
fn read<T: DeserializeOwned>(raw: &[u8]) -> Result<T, Problem> {
    parse(raw).map_err(|problem| Problem { kind: ProblemKind::BadRequest, ..problem })
}

/// Compares the key of `X-API-Key` or `Authorization: apikey …` by its hash, so
/// that the time it takes tells nothing about it. One that is not the key of the
/// settings may be one that an operator created.
async fn authorize(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let from_authorization = || {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("apikey").then(|| key.trim())
    };
    let shown =
        headers.get("x-api-key").and_then(|value| value.to_str().ok()).or_else(from_authorization);
    let hash = shown.map(TokenHash::of);
    if app.limits.api_insecure || hash.is_some_and(|hash| Some(hash.0) == app.limits.api_key_hash) {
        return Ok(());
    }
    if let Some(hash) = hash
        && app.accounts.authenticator.is_api_key(&hash).await?
    {
        return Ok(());
    }
    let detail = "A valid key is needed in the header X-API-Key.";
    Err(Problem::new(ProblemKind::Unauthorized, "invalid_api_key", detail))
}
