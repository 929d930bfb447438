//! `/asyncapi.json`: what describes the channels of the product and their publications (AsyncAPI 3.0). The shapes come
//! from the types that publications are written from; a test compares the rest with what is published.

mod channels;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use self::channels::{CHANNELS, Channel, Message, Shape};
use super::openapi::schemas::tidy;
use super::request::App;
use crate::domain::comment::Comment;
use crate::domain::event::{Actor, InboxRead};
use crate::domain::ids::{EventId, PostId};
use crate::domain::notification::{InboxState, Notification};
use crate::domain::post::{Post, PostCounts};
use crate::domain::time::Timestamp;
use crate::domain::trending::{TrendingItem, Window};

/// The shapes that messages are made of; what stands in those comes with them.
#[derive(OpenApi)]
#[openapi(components(schemas(
    Actor,
    Comment,
    EventId,
    InboxRead,
    InboxState,
    Notification,
    Post,
    PostCounts,
    PostId,
    Timestamp,
    TrendingItem
)))]
struct Shapes;

/// Describes every channel and what is published to it (AsyncAPI 3.0).
#[utoipa::path(
    get, path = "/asyncapi.json", tag = "operations", operation_id = "describe_channels",
    responses(
        (status = 200, body = Object),
        (status = 304, description = "It is what `If-None-Match` names."),
    )
)]
pub async fn show(State(app): State<App>, headers: HeaderMap) -> Response {
    app.channels_document.answer(&headers)
}

/// The whole description.
pub fn described() -> Value {
    let mut shapes = Shapes::openapi().components.unwrap_or_default().schemas;
    tidy(&mut shapes);
    let mut messages = Map::new();
    for channel in &CHANNELS {
        for message in channel.messages {
            messages.insert(component(channel, message), described_message(message));
        }
    }
    let all = |make: fn(&Channel) -> Value| {
        CHANNELS.iter().map(|one| (one.key.to_owned(), make(one))).collect::<Map<_, _>>()
    };
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Carillon",
            "version": env!("CARGO_PKG_VERSION"),
            "description": include_str!("about.md"),
        },
        "defaultContentType": "application/json",
        "servers": servers(),
        "channels": all(described_channel),
        "operations": all(described_operation),
        "components": {
            "messages": messages,
            "schemas": shapes,
            "securitySchemes": {"session": {
                "type": "http",
                "scheme": "bearer",
                "description": "The token of `POST /v1/sessions`, a ticket or a JWT; also as `token` of the connect command.",
            }},
        },
    })
}

fn servers() -> Value {
    let server = |pathname: &str, protocol: &str, description: &str| {
        json!({
            "host": "{host}",
            "pathname": pathname,
            "protocol": protocol,
            "description": description,
            "variables": {"host": {"default": "127.0.0.1:8000", "description": "Host and port of a node."}},
            "security": [refer("securitySchemes", "session")],
        })
    };
    json!({
        "websocket": server("/connection/websocket", "ws", "Both ways: any channels, and commands."),
        "sse": server("/connection/sse", "http", "The same over HTTP alone; commands go to /emulation."),
        "http_stream": server("/connection/http_stream", "http", "The same, as one response that does not end."),
        "uni_websocket": server("/connection/uni_websocket", "ws", "One way: the inbox."),
        "uni_sse": server("/connection/uni_sse", "http", "One way, as server-sent events: the inbox."),
    })
}

fn refer(part: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{part}/{name}")})
}

/// The name that a message has among all: types can have other fields in other channels.
fn component(channel: &Channel, message: &Message) -> String {
    format!("{}.{}", channel.messages_key, message.kind)
}

fn described_channel(channel: &Channel) -> Value {
    let messages = channel.messages.iter();
    let messages = messages
        .map(|message| (message.kind.to_owned(), refer("messages", &component(channel, message))));
    let mut described = json!({
        "address": channel.address,
        "description": channel.about,
        "messages": messages.collect::<Map<_, _>>(),
    });
    if let Some((name, about)) = channel.parameter {
        let mut parameter = json!({"description": about});
        if name == "window" {
            parameter["enum"] = Window::ALL.map(Window::as_str).as_slice().into();
        }
        described["parameters"] = json!({ name: parameter });
    }
    described
}

fn described_operation(channel: &Channel) -> Value {
    let messages = channel.messages.iter().map(
        |message| json!({"$ref": format!("#/channels/{}/messages/{}", channel.key, message.kind)}),
    );
    json!({
        "action": "send",
        "channel": {"$ref": format!("#/channels/{}", channel.key)},
        "summary": channel.about,
        "messages": messages.collect::<Vec<_>>(),
    })
}

fn described_message(message: &Message) -> Value {
    let mut properties = Map::new();
    properties.insert("type".to_owned(), json!({"type": "string", "const": message.kind}));
    properties.insert("id".to_owned(), refer("schemas", "EventId"));
    properties.insert("time".to_owned(), refer("schemas", "Timestamp"));
    if message.has_actor {
        properties.insert("actor".to_owned(), refer("schemas", "Actor"));
    }
    let mut required = vec!["type", "id", "time"];
    for (name, shape) in message.fields {
        let schema = match shape {
            Shape::One(of) => refer("schemas", of),
            Shape::List(of) => json!({"type": "array", "items": refer("schemas", of)}),
        };
        properties.insert((*name).to_owned(), schema);
        required.push(name);
    }
    let own = json!({"type": "object", "required": required, "properties": properties});
    let payload = if message.flattened.is_empty() {
        own
    } else {
        let flattened = message.flattened.iter().map(|name| refer("schemas", name));
        let parts: Vec<_> = [own].into_iter().chain(flattened).collect();
        json!({ "allOf": parts })
    };
    json!({"name": message.kind, "summary": message.about, "payload": payload})
}

#[cfg(test)]
mod tests;
