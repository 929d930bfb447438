//! `/health`.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::domain::time::Timestamp;
use crate::endpoints::reply::json;
use crate::endpoints::request::App;

#[derive(Serialize)]
struct Report {
    timestamp: Timestamp,
    services: BTreeMap<&'static str, Service>,
}

#[derive(Serialize)]
struct Service {
    status: &'static str,
    latency_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
}

/// `GET /health`: how each store is; 503 if one is unhealthy.
pub async fn report(State(app): State<App>) -> Response {
    let mut services = BTreeMap::new();
    let mut status = StatusCode::OK;
    for store in app.health.check().await {
        if store.error.is_some() {
            status = StatusCode::SERVICE_UNAVAILABLE;
        }
        let latency_ms = (store.latency.as_secs_f64() * 1e6).round() / 1e3;
        let word = if store.error.is_some() { "unhealthy" } else { "embedded" };
        services.insert(store.service, Service { status: word, latency_ms, error: store.error });
    }
    json(status, &Report { timestamp: app.clock.now(), services })
}

/// `GET /health/live`: whether the process runs.
pub async fn live() -> Response {
    json(StatusCode::OK, &Status { status: "live" })
}

/// `GET /health/ready`: whether it should get requests.
pub async fn ready(State(app): State<App>) -> Response {
    if app.ready.load(Ordering::Acquire) {
        json(StatusCode::OK, &Status { status: "ready" })
    } else {
        json(StatusCode::SERVICE_UNAVAILABLE, &Status { status: "starting" })
    }
}
