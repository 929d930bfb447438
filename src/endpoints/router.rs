//! The table of contents: every path, and what answers it.

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware;
use axum::routing::{delete, get, post};

use super::http::{feed, health, me, posts, server_api, sessions, tickets, users};
use super::reply::{self, Refused};
use super::request::App;
use super::sse;
use super::websocket::upgrade;
use crate::domain::problem::{Problem, ProblemKind};

/// All routes.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/connection/websocket", get(upgrade::websocket))
        .route("/connection/uni_sse", get(sse::uni_sse))
        .route("/v1/users", post(users::register))
        .route("/v1/sessions", post(sessions::open).delete(sessions::end_all))
        .route("/v1/sessions/current", delete(sessions::end_current))
        .route("/v1/connection-tickets", post(tickets::issue))
        .route("/v1/me", get(me::show))
        .route("/v1/posts", post(posts::create).get(posts::list))
        .route("/v1/posts/{id}", get(posts::show))
        .route("/v1/feed", get(feed::all))
        .route("/api/publish", post(server_api::publish))
        .route("/api/broadcast", post(server_api::broadcast))
        .route("/health", get(health::report))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(app.clone(), reply::finish))
        .with_state(app)
}

async fn unknown_path(uri: Uri) -> Refused {
    let detail = format!("Nothing is at {}.", uri.path());
    Problem::new(ProblemKind::NotFound, "unknown_path", detail).into()
}

async fn wrong_method(method: Method) -> Refused {
    let detail = format!("This path does not take {method}.");
    Problem::new(ProblemKind::MethodNotAllowed, "method_not_allowed", detail).into()
}
