//! `/health`.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::time::Timestamp;
use crate::endpoints::reply::json;
use crate::endpoints::request::App;

#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
struct Report {
    timestamp: Timestamp,
    /// By `mysql`, `postgresql`, `mongodb` and `redis`.
    services: BTreeMap<&'static str, Service>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = StoreHealth)]
struct Service {
    /// `healthy`, `unhealthy`, or `embedded` for a store that is part of this process and answers.
    status: &'static str,
    latency_ms: f64,
    /// Why it is unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = NodeStatus)]
struct Status {
    /// `live`, `ready` or `starting`.
    status: &'static str,
}

/// Says how each store is.
#[utoipa::path(
    get, path = "/health", tag = "operations", operation_id = "health",
    responses(
        (status = 200, description = "No store is unhealthy.", body = Report),
        (status = 503, description = "A store is unhealthy.", body = Report),
    )
)]
pub async fn report(State(app): State<App>) -> Response {
    let mut services = BTreeMap::new();
    let mut status = StatusCode::OK;
    for store in app.health.check().await {
        if store.error.is_some() {
            status = StatusCode::SERVICE_UNAVAILABLE;
        }
        let latency_ms = (store.latency.as_secs_f64() * 1e6).round() / 1e3;
        let word = match (&store.error, store.is_embedded) {
            (Some(_), _) => "unhealthy",
            (None, true) => "embedded",
            (None, false) => "healthy",
        };
        services.insert(store.service, Service { status: word, latency_ms, error: store.error });
    }
    json(status, &Report { timestamp: app.clock.now(), services })
}

/// Says that the process runs.
#[utoipa::path(
    get, path = "/health/live", tag = "operations", operation_id = "live",
    responses((status = 200, body = Status))
)]
pub async fn live() -> Response {
    json(StatusCode::OK, &Status { status: "live" })
}

/// Says whether the node should get requests.
#[utoipa::path(
    get, path = "/health/ready", tag = "operations", operation_id = "ready",
    responses(
        (status = 200, body = Status),
        (status = 503, description = "It is starting.", body = Status),
    )
)]
pub async fn ready(State(app): State<App>) -> Response {
    if app.ready.load(Ordering::Acquire) {
        json(StatusCode::OK, &Status { status: "ready" })
    } else {
        json(StatusCode::SERVICE_UNAVAILABLE, &Status { status: "starting" })
    }
}
