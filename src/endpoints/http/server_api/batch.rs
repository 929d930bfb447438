//! Many calls in one request.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Map, Value, json};

use super::*;
use crate::endpoints::reply::client_error_of;
use crate::endpoints::request::JsonBody;
use crate::ports::idempotency::StoredAnswer;

/// Calls in one batch.
const COMMANDS_MAX: usize = 1_000;
/// Calls of a parallel batch that are carried out at once.
const AT_ONCE: usize = 16;

/// Calls, each an object with the method as its only key.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({
    "commands": [{"publish": {"channel": "chat:lobby", "data": {}}}, {"channels": {}}]
})))]
struct BatchBody {
    #[schema(value_type = Vec<Object>, max_items = 1_000)]
    commands: Vec<Map<String, Value>>,
    /// Whether they are carried out at once instead of one after the other.
    #[serde(default)]
    parallel: bool,
}

/// What became of each call, in their order: its result under the name of the method, or an error.
#[derive(Serialize, ToSchema)]
struct BatchResult {
    #[schema(value_type = Vec<Object>)]
    replies: Vec<Value>,
}

/// Carries many calls out.
#[utoipa::path(
    post, path = "/api/batch", tag = "server API", operation_id = "batch",
    request_body = BatchBody, security(("api_key" = [])),
    responses((status = 200, body = BatchResult))
)]
pub async fn batch(
    State(app): State<App>,
    headers: HeaderMap,
    body: JsonBody<serde::de::IgnoredAny>,
) -> Result<Response, Refused> {
    authorize(&app, &headers).await?;
    let BatchBody { commands, parallel } = read(&body.raw)?;
    if commands.len() > COMMANDS_MAX {
        return Ok(told::<Done>(Err(ClientError::LIMIT_EXCEEDED)));
    }
    let at_once = if parallel { AT_ONCE } else { 1 };
    let replies = stream::iter(commands).map(|command| reply(&app, command));
    let replies = replies.buffered(at_once).collect().await;
    Ok(json(StatusCode::OK, &BatchResult { replies }))
}

async fn reply(app: &App, command: Map<String, Value>) -> Value {
    let mut calls = command.into_iter();
    let (Some((method, parameters)), None) = (calls.next(), calls.next()) else {
        return json!({"error": ClientError::BAD_REQUEST});
    };
    let raw = Bytes::from(parameters.to_string());
    let outcome = match call(app, &method, raw).await {
        Ok(Value::Object(outcome)) => outcome,
        Ok(_) => Map::new(),
        Err(problem) => return json!({"error": client_error_of(&problem)}),
    };
    match outcome.into_iter().next() {
        Some((kind, result)) if kind == "result" => {
            Value::Object(Map::from_iter([(method, result)]))
        }
        Some((_, error)) => json!({"error": error}),
        None => json!({"error": ClientError::INTERNAL}),
    }
}

/// What a call by itself would be answered.
async fn call(app: &App, method: &str, raw: Bytes) -> Result<Value, Problem> {
    let stored = |answer: StoredAnswer| serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    Ok(match method {
        "publish" => stored(publish_by(app, raw).await?),
        "broadcast" => stored(broadcast_by(app, raw).await?),
        "subscribe" => value(subscribe_by(app, read(&raw)?).await),
        "unsubscribe" => value(unsubscribe_by(app, read(&raw)?).await),
        "disconnect" => value(disconnect_by(app, read(&raw)?).await),
        "send" => value(send_by(app, read(&raw)?).await),
        "refresh" => value(refresh_by(app, read(&raw)?).await),
        "presence" => value(presence_by(app, read(&raw)?).await),
        "presence_stats" => value(presence_stats_by(app, read(&raw)?).await),
        "history" => value(history_by(app, read(&raw)?).await),
        "history_remove" => value(history_remove_by(app, read(&raw)?).await),
        "channels" => value(channels_by(app, read(&raw)?).await),
        "info" => value(info_by(app, read(&raw)?).await),
        _ => value::<Done>(Err(ClientError::NOT_AVAILABLE)),
    })
}

fn value<T: Serialize>(outcome: Result<T, ClientError>) -> Value {
    serde_json::to_value(Outcome::from(outcome)).unwrap_or(Value::Null)
}
