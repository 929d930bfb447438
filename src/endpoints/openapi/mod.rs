//! `/openapi.json`: what describes every route (OpenAPI 3.1), made of what stands at the handlers. The router is built
//! of the same, so that neither knows a route that the other does not.

pub mod problems;
pub(super) mod schemas;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::openapi::OpenApi as Described;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoParams, OpenApi};

use super::action::Asked;
use super::console::holds;
use super::reply::ProblemBody;
use super::request::App;

/// What stands in the document beside the operations.
#[derive(OpenApi)]
#[openapi(
    info(title = "Carillon", description = include_str!("about.md")),
    components(schemas(ProblemBody)),
    tags(
        (name = "users", description = "Accounts, as others see them."),
        (name = "sessions", description = "Logging in and out."),
        (name = "me", description = "The caller's account and preferences."),
        (name = "posts", description = "Posts, and lists of them."),
        (name = "interactions", description = "What users do with posts."),
        (name = "comments", description = "Comments on posts, threaded one level."),
        (name = "follows", description = "Who follows whom."),
        (name = "notifications", description = "The caller's inbox."),
        (name = "connections", description = "Where what happens arrives at once."),
        (name = "server API", description = "Centrifugo's HTTP API, for back ends."),
        (name = "operations", description = "For operators."),
    )
)]
pub struct Frame;

/// The document as it is sent.
pub struct Document {
    body: Bytes,
    tag: HeaderValue,
}

impl Document {
    /// Writes a description down.
    pub fn of(described: &impl Serialize) -> Self {
        let body = serde_json::to_vec(described).expect("a description has texts as keys");
        let hash =
            Sha256::digest(&body).iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte));
        let tag = HeaderValue::try_from(format!("\"{hash:032x}\""));
        Self { body: body.into(), tag: tag.expect("hex digits in quotes can stand in a header") }
    }

    /// Sends it, unless the caller has it.
    pub fn answer(&self, headers: &HeaderMap) -> Response {
        let Self { body, tag } = self;
        let caching = [
            (header::ETAG, tag.clone()),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        if headers.get(header::IF_NONE_MATCH).is_some_and(|held| holds(&text(held), &text(tag))) {
            return (StatusCode::NOT_MODIFIED, caching).into_response();
        }
        (caching, [(header::CONTENT_TYPE, "application/json")], body.clone()).into_response()
    }
}

/// Describes every operation that there is (OpenAPI 3.1).
#[utoipa::path(
    get, path = "/openapi.json", tag = "operations", operation_id = "describe",
    responses(
        (status = 200, body = Object),
        (status = 304, description = "It is what `If-None-Match` names."),
    )
)]
pub async fn show(State(app): State<App>, headers: HeaderMap) -> Response {
    app.document.answer(&headers)
}

/// Adds to every operation what follows from what stands at its handler, and defines what they share.
pub fn complete(mut described: Described) -> Described {
    for (path, item) in &mut described.paths.paths {
        for operation in operations(item) {
            problems::complete(path, operation);
        }
    }
    let components = described.components.get_or_insert_default();
    schemas::tidy(&mut components.schemas);
    problems::define(components);
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The token of `POST /v1/sessions`."))
        .build();
    components.add_security_scheme("session", SecurityScheme::Http(token));
    let key =
        ApiKeyValue::with_description("X-API-Key", "A key of the settings, or of an operator.");
    components.add_security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(key)));
    described
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete]
        .into_iter()
        .flatten()
}

/// The header that a write may have.
impl IntoParams for Asked {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let key = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(255));
        let about = "Visible ASCII. Sent again with the same key and body within 24 hours, the request gets the first \
                     answer again and writes nothing.";
        let parameter = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .description(Some(about))
            .schema(Some(key));
        vec![parameter.build()]
    }
}

#[cfg(test)]
mod tests;
