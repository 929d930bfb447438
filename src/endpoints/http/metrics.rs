//! `/metrics`.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::domain::problem::{Problem, ProblemKind};
use crate::endpoints::reply::Refused;
use crate::endpoints::request::App;
use crate::metrics::{CONTENT_TYPE, HubSample};

/// Shows what the node counts, for Prometheus.
///
/// It asks for no key: it is for operators, who keep it behind their balancer.
#[utoipa::path(
    get, path = "/metrics", tag = "operations", operation_id = "metrics",
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub async fn show(State(app): State<App>) -> Result<Response, Refused> {
    let channels = u64::try_from(app.hub.registry().channels()).unwrap_or(u64::MAX);
    let mut sample = HubSample { channels, ..HubSample::default() };
    for shard in app.hub.stats().await {
        sample.connections += shard.connections;
        sample.blocked += shard.blocked;
        sample.queued_bytes += shard.queued_bytes;
        sample.subscriptions += shard.subscriptions;
        sample.deliveries += shard.deliveries;
        sample.writes += shard.writes;
        for (code, count) in shard.closes {
            *sample.closes.entry(code).or_default() += count;
        }
    }
    let text = app.metrics.render(&sample).map_err(|error| {
        tracing::error!(%error, "could not write the metrics");
        Problem::new(ProblemKind::Internal, "internal_error", "The metrics could not be written.")
    })?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}
