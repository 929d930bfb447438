//! Publishing.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Failed, Outcome, Succeeded, authorize, check_channel, given, read};
use crate::client_protocol::codes::ClientError;
use crate::commands::publish::Publishing;
use crate::domain::channel::ChannelName;
use crate::domain::namespace::ChannelOptions;
use crate::domain::problem::{Problem, ProblemKind};
use crate::domain::publication::{Json, PublishOptions, StreamPosition, Version};
use crate::endpoints::reply::{Refused, answer, client_error_of, storable};
use crate::endpoints::request::{App, JsonBody, to_the_end};
use crate::ports::idempotency::{KeyScope, Minted, StoredAnswer};

/// Channels in one broadcast.
const BROADCAST_MAX: usize = 1_000;

/// What is published, and where.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"channel": "chat:lobby", "data": {"text": "hello"}})))]
struct PublishBody {
    #[serde(default)]
    #[schema(required)]
    channel: String,
    /// Any JSON.
    #[schema(value_type = Value)]
    data: Option<Json>,
    /// The same in base 64, instead.
    #[serde(default)]
    b64data: String,
    /// Labels for the receiver.
    #[serde(default)]
    tags: BTreeMap<String, String>,
    /// Whether the history does not keep it; it has no offset then. Refused (107) where recovery is from the log.
    #[serde(default)]
    skip_history: bool,
    /// Whether it may be told as a delta although the namespace has no `delta_publish`.
    #[serde(default)]
    delta: bool,
    /// Where each publication tells all there is to know: it is not published unless the version is greater than the
    /// last one in the channel's history. 0 is no version.
    #[serde(default)]
    version: u64,
    /// Which count the version belongs to: one of another count is published whatever its number.
    #[serde(default)]
    version_epoch: String,
    /// As the header Idempotency-Key elsewhere.
    #[serde(default)]
    idempotency_key: String,
}

/// What is published, and in which channels.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"channels": ["chat:lobby", "chat:help"], "data": {"text": "hello"}})))]
struct BroadcastBody {
    #[serde(default)]
    #[schema(required, min_items = 1, max_items = 1_000)]
    channels: Vec<String>,
    /// Any JSON.
    #[schema(value_type = Value)]
    data: Option<Json>,
    /// The same in base 64, instead.
    #[serde(default)]
    b64data: String,
    /// Labels for the receiver.
    #[serde(default)]
    tags: BTreeMap<String, String>,
    /// Whether the history does not keep it; it has no offset then. Refused (107) where recovery is from the log.
    #[serde(default)]
    skip_history: bool,
    /// Whether it may be told as a delta although the namespace has no `delta_publish`.
    #[serde(default)]
    delta: bool,
    /// Where each publication tells all there is to know: it is not published unless the version is greater than the
    /// last one in the channel's history. 0 is no version.
    #[serde(default)]
    version: u64,
    /// Which count the version belongs to: one of another count is published whatever its number.
    #[serde(default)]
    version_epoch: String,
    /// As the header Idempotency-Key elsewhere.
    #[serde(default)]
    idempotency_key: String,
}

/// Where a publication stands.
#[derive(Serialize, ToSchema)]
struct PublishResult {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    epoch: Option<String>,
}

/// What became of each publication, in the order of the channels.
#[derive(Serialize, ToSchema)]
struct BroadcastResult {
    responses: Vec<Outcome<PublishResult>>,
}

impl From<Option<StreamPosition>> for PublishResult {
    fn from(position: Option<StreamPosition>) -> Self {
        let (epoch, offset) = position.map(|p| (p.epoch.as_str().to_owned(), p.offset)).unzip();
        Self { offset, epoch }
    }
}

/// Publishes to a channel.
///
/// Like the other methods it answers as Centrifugo does: 200 with `result`, or with `error`.
#[utoipa::path(
    post, path = "/api/publish", tag = "server API", operation_id = "publish",
    request_body = PublishBody, security(("api_key" = [])),
    responses((status = 200, body = Outcome<PublishResult>))
)]
pub async fn publish(
    State(app): State<App>,
    headers: HeaderMap,
    body: JsonBody<serde::de::IgnoredAny>,
) -> Result<Response, Refused> {
    authorize(&app, &headers).await?;
    Ok(answer(publish_by(&app, body.raw).await?))
}

pub(super) async fn publish_by(app: &App, raw: Bytes) -> Result<StoredAnswer, Problem> {
    let request: PublishBody = read(&raw)?;
    let PublishBody { skip_history, delta, version, version_epoch, .. } = request;
    let options = options(skip_history, delta, version, version_epoch);
    let checked = check_target(app, &request.channel, &options);
    let (channel, data) =
        match checked.and_then(|channel| Ok((channel, payload(request.data, &request.b64data)?))) {
            Ok(checked) => checked,
            Err(error) => return storable(StatusCode::OK, &Failed { error }),
        };
    let publishing = publishing(vec![channel], data, request.tags, options);
    if request.idempotency_key.is_empty() {
        return publish_unkeyed(app, publishing).await;
    }
    let services = Arc::clone(app);
    let run = move |minted: Minted| async move {
        let mut places = services.publish.run(publishing, minted.event).await?;
        let result = PublishResult::from(places.pop().flatten());
        storable(StatusCode::OK, &Succeeded { result })
    };
    // Boxed, so that what needs none of this does not carry room for it.
    Box::pin(once(app, request.idempotency_key, "POST /api/publish", raw, run)).await
}

/// Publishes without an idempotency key. What goes on by itself is waited for here, without a task of its own.
async fn publish_unkeyed(app: &App, publishing: Publishing) -> Result<StoredAnswer, Problem> {
    let published = match app.publish.begin(app.publish.prepare(publishing, app.mint.event())) {
        Ok(begun) => begun.wait().await,
        Err(prepared) => {
            let services = Arc::clone(app);
            let work = async move { services.publish.finish(*prepared).await };
            Box::pin(to_the_end(app, work)).await
        }
    };
    match published {
        Ok(mut places) => {
            let result = PublishResult::from(places.pop().flatten());
            storable(StatusCode::OK, &Succeeded { result })
        }
        Err(problem) => failed(problem),
    }
}

/// Publishes to many channels at once.
#[utoipa::path(
    post, path = "/api/broadcast", tag = "server API", operation_id = "broadcast",
    request_body = BroadcastBody, security(("api_key" = [])),
    responses((status = 200, body = Outcome<BroadcastResult>))
)]
pub async fn broadcast(
    State(app): State<App>,
    headers: HeaderMap,
    body: JsonBody<serde::de::IgnoredAny>,
) -> Result<Response, Refused> {
    authorize(&app, &headers).await?;
    Ok(answer(broadcast_by(&app, body.raw).await?))
}

pub(super) async fn broadcast_by(app: &App, raw: Bytes) -> Result<StoredAnswer, Problem> {
    let request: BroadcastBody = read(&raw)?;
    let BroadcastBody { skip_history, delta, version, version_epoch, .. } = request;
    let options = options(skip_history, delta, version, version_epoch);
    let count = request.channels.len();
    let data = match payload(request.data, &request.b64data) {
        Ok(data) if (1..=BROADCAST_MAX).contains(&count) => data,
        _ => return storable(StatusCode::OK, &Failed { error: ClientError::BAD_REQUEST }),
    };
    let checked: Vec<_> =
        request.channels.iter().map(|name| check_target(app, name, &options)).collect();
    let mut channels: Vec<ChannelName> = checked.iter().flatten().cloned().collect();
    channels.sort_unstable();
    channels.dedup();
    let services = Arc::clone(app);
    let run = move |minted: Minted| async move {
        let publishing = publishing(channels.clone(), data, request.tags, options);
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
    once(app, request.idempotency_key, "POST /api/broadcast", raw, run).await
}

async fn once<F>(
    app: &App,
    key: String,
    route: &'static str,
    raw: Bytes,
    run: impl FnOnce(Minted) -> F + Send + 'static,
) -> Result<StoredAnswer, Problem>
where
    F: Future<Output = Result<StoredAnswer, Problem>> + Send + 'static,
{
    let scope = KeyScope { principal: "api".to_owned(), route: route.to_owned(), key };
    let scope = Some(scope).filter(|scope| !scope.key.is_empty());
    let services = Arc::clone(app);
    let work = async move { services.once.run(scope, &raw, services.mint.bare(), run).await };
    match to_the_end(app, work).await {
        Ok(stored) => Ok(stored),
        Err(problem) => failed(problem),
    }
}

/// What a call is answered that failed.
fn failed(problem: Problem) -> Result<StoredAnswer, Problem> {
    // A back end must not take an unknown outcome for an error of the protocol.
    if !problem.wrote_nothing() || problem.kind == ProblemKind::Conflict {
        return Err(problem);
    }
    storable(StatusCode::OK, &Failed { error: client_error_of(&problem) })
}

fn payload(data: Option<Json>, base64: &str) -> Result<Json, ClientError> {
    given(data, base64)?.ok_or(ClientError::BAD_REQUEST)
}

fn publishing(
    channels: Vec<ChannelName>,
    data: Json,
    tags: BTreeMap<String, String>,
    options: PublishOptions,
) -> Publishing {
    Publishing { channels, data, tags, info: None, actor: None, options }
}

fn options(skip_history: bool, delta: bool, version: u64, version_epoch: String) -> PublishOptions {
    let version = Version { number: version, epoch: version_epoch };
    PublishOptions { skip_history, delta, version: Some(version).filter(|it| it.number > 0) }
}

/// Reads the name of a channel that is to be published to. Where subscribers recover all there ever was, nothing can be left
/// out of the history.
fn check_target(
    app: &App,
    name: &str,
    options: &PublishOptions,
) -> Result<ChannelName, ClientError> {
    let channel = check_channel(app, name)?;
    let of_channel = app.publish.namespaces.options(&channel);
    if options.skip_history && of_channel.is_some_and(ChannelOptions::recovers_from_log) {
        return Err(ClientError::BAD_REQUEST);
    }
    Ok(channel)
}
