//! `/api/…`: Centrifugo's server HTTP API.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::client_protocol::codes::ClientError;
use crate::commands::publish::Publishing;
use crate::domain::channel::ChannelName;
use crate::domain::problem::{Problem, ProblemKind};
use crate::domain::publication::{Json, StreamPosition};
use crate::endpoints::reply::{Refused, answer, client_error_of, json, storable};
use crate::endpoints::request::{App, JsonBody, parse, to_the_end};
use crate::ports::idempotency::{KeyScope, Minted, StoredAnswer};

/// Channels in one broadcast.
const BROADCAST_MAX: usize = 1_000;

/// The body of `/api/publish`.
#[derive(Deserialize)]
struct PublishBody {
    #[serde(default)]
    channel: String,
    data: Option<Json>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    idempotency_key: String,
}

/// The body of `/api/broadcast`.
#[derive(Deserialize)]
struct BroadcastBody {
    #[serde(default)]
    channels: Vec<String>,
    data: Option<Json>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    idempotency_key: String,
}

/// Where a publication stands.
#[derive(Serialize)]
struct PublishResult {
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
}

#[derive(Serialize)]
struct Succeeded<T> {
    result: T,
}

#[derive(Serialize)]
struct Failed {
    error: ClientError,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Result(Succeeded<PublishResult>),
    Error(Failed),
}

#[derive(Serialize)]
struct BroadcastResult {
    responses: Vec<Outcome>,
}

impl From<Option<StreamPosition>> for PublishResult {
    fn from(position: Option<StreamPosition>) -> Self {
        let (epoch, offset) = position.map(|p| (p.epoch.as_str().to_owned(), p.offset)).unzip();
        Self { offset, epoch }
    }
}

/// `POST /api/publish`
pub async fn publish(
    State(app): State<App>,
    headers: HeaderMap,
    body: JsonBody<serde::de::IgnoredAny>,
) -> Result<Response, Refused> {
    authorize(&app, &headers)?;
    let request: PublishBody = read(&body.raw)?;
    let checked = check_channel(&app, &request.channel);
    let (channel, data) = match checked
        .and_then(|channel| Ok((channel, request.data.ok_or(ClientError::BAD_REQUEST)?)))
    {
        Ok(checked) => checked,
        Err(error) => return Ok(json(StatusCode::OK, &Failed { error })),
    };
    let services = Arc::clone(&app);
    let run = move |minted: Minted| async move {
        let publishing = publishing(vec![channel], data, request.tags);
        let mut places = services.publish.run(publishing, minted.event).await?;
        let result = PublishResult::from(places.pop().flatten());
        storable(StatusCode::OK, &Succeeded { result })
    };
    once(&app, request.idempotency_key, "POST /api/publish", body.raw, run).await
}

/// `POST /api/broadcast`
pub async fn broadcast(
    State(app): State<App>,
    headers: HeaderMap,
    body: JsonBody<serde::de::IgnoredAny>,
) -> Result<Response, Refused> {
    authorize(&app, &headers)?;
    let request: BroadcastBody = read(&body.raw)?;
    let count = request.channels.len();
    let Some(data) = request.data.filter(|_| (1..=BROADCAST_MAX).contains(&count)) else {
        return Ok(json(StatusCode::OK, &Failed { error: ClientError::BAD_REQUEST }));
    };
    let checked: Vec<_> = request.channels.iter().map(|name| check_channel(&app, name)).collect();
    let mut channels: Vec<ChannelName> = checked.iter().flatten().cloned().collect();
    channels.sort_unstable();
    channels.dedup();
    let services = Arc::clone(&app);
    let run = move |minted: Minted| async move {
        let publishing = publishing(channels.clone(), data, request.tags);
        let places = if channels.is_empty() {
            Vec::new()
        } else {
            services.publish.run(publishing, minted.event).await?
        };
        let place = |channel: &ChannelName| {
            let index = channels.binary_search(channel).ok()?;
            places.get(index).cloned().flatten()
        };
        let outcome = |checked: Result<ChannelName, ClientError>| match checked {
            Ok(channel) => Outcome::Result(Succeeded { result: place(&channel).into() }),
            Err(error) => Outcome::Error(Failed { error }),
        };
        let responses = checked.into_iter().map(outcome).collect();
        storable(StatusCode::OK, &Succeeded { result: BroadcastResult { responses } })
    };
    once(&app, request.idempotency_key, "POST /api/broadcast", body.raw, run).await
}

async fn once<F>(
    app: &App,
    key: String,
    route: &'static str,
    raw: Bytes,
    run: impl FnOnce(Minted) -> F + Send + 'static,
) -> Result<Response, Refused>
where
    F: Future<Output = Result<StoredAnswer, Problem>> + Send + 'static,
{
    let scope = KeyScope { principal: "api".to_owned(), route: route.to_owned(), key };
    let scope = Some(scope).filter(|scope| !scope.key.is_empty());
    let services = Arc::clone(app);
    let work = async move { services.once.run(scope, &raw, services.mint.bare(), run).await };
    match to_the_end(app, work).await {
        Ok(stored) => Ok(answer(stored)),
        // A back end must not take an unknown outcome for an error of the protocol.
        Err(problem) if !problem.wrote_nothing() || problem.kind == ProblemKind::Conflict => {
            Err(problem.into())
        }
        Err(problem) => Ok(json(StatusCode::OK, &Failed { error: client_error_of(&problem) })),
    }
}

fn publishing(
    channels: Vec<ChannelName>,
    data: Json,
    tags: BTreeMap<String, String>,
) -> Publishing {
    Publishing { channels, data, tags, info: None, actor: None }
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
/// that the time it takes tells nothing about it.
fn authorize(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let from_authorization = || {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("apikey").then(|| key.trim())
    };
    let shown =
        headers.get("x-api-key").and_then(|value| value.to_str().ok()).or_else(from_authorization);
    let hash = shown.map(|key| <[u8; 32]>::from(Sha256::digest(key.as_bytes())));
    if app.limits.api_insecure || (hash.is_some() && hash == app.limits.api_key_hash) {
        return Ok(());
    }
    let detail = "A valid key is needed in the header X-API-Key.";
    Err(Problem::new(ProblemKind::Unauthorized, "invalid_api_key", detail))
}
