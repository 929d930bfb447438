//! The table of contents: every path, and what answers it.

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::asyncapi;
use super::console;
use super::http::{
    comments, feed, follows, health, interactions, me, metrics, notifications, posts, server_api,
    sessions, tickets, trending, users,
};
use super::openapi;
use super::reply::{self, Refused};
use super::request::App;
use super::streams::{emulation, http_stream, sse};
use super::websocket::upgrade;
use crate::domain::problem::{Problem, ProblemKind};

/// Every route that takes requests of programs, with what describes it. Path and method stand at the handler.
fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::Frame::openapi())
        .routes(routes!(upgrade::websocket))
        .routes(routes!(upgrade::uni_websocket))
        .routes(routes!(sse::sse))
        .routes(routes!(sse::uni_sse))
        .routes(routes!(http_stream::http_stream, http_stream::preflight))
        .routes(routes!(emulation::emulation, emulation::preflight))
        .routes(routes!(users::register))
        .routes(routes!(users::show))
        .routes(routes!(sessions::open, sessions::end_all))
        .routes(routes!(sessions::end_current))
        .routes(routes!(tickets::issue))
        .routes(routes!(me::show, me::update, me::close))
        .routes(routes!(me::change_password))
        .routes(routes!(me::preferences, me::put_preferences))
        .routes(routes!(posts::create, posts::list))
        .routes(routes!(posts::show, posts::edit, posts::remove))
        .routes(routes!(interactions::like, interactions::unlike))
        .routes(routes!(interactions::bookmark, interactions::unbookmark))
        .routes(routes!(interactions::share))
        .routes(routes!(interactions::view))
        .routes(routes!(comments::create, comments::list))
        .routes(routes!(comments::edit, comments::remove))
        .routes(routes!(follows::follow, follows::unfollow))
        .routes(routes!(follows::followers))
        .routes(routes!(follows::following))
        .routes(routes!(feed::all))
        .routes(routes!(feed::home))
        .routes(routes!(notifications::list))
        .routes(routes!(notifications::read_all))
        .routes(routes!(notifications::read))
        .routes(routes!(trending::list))
        .routes(routes!(server_api::publish))
        .routes(routes!(server_api::broadcast))
        .routes(routes!(server_api::subscribe))
        .routes(routes!(server_api::unsubscribe))
        .routes(routes!(server_api::disconnect))
        .routes(routes!(server_api::refresh))
        .routes(routes!(server_api::send))
        .routes(routes!(server_api::presence))
        .routes(routes!(server_api::presence_stats))
        .routes(routes!(server_api::history))
        .routes(routes!(server_api::history_remove))
        .routes(routes!(server_api::channels))
        .routes(routes!(server_api::info))
        .routes(routes!(server_api::batch))
        .routes(routes!(health::report))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::show))
        .routes(routes!(openapi::show))
        .routes(routes!(asyncapi::show))
}

/// All routes.
pub fn router(app: App) -> Router {
    Router::from(routes())
        // The files of the pages, which are for people.
        .route("/", get(console::page))
        .route("/console.css", get(console::style))
        .route("/console.js", get(console::script))
        .route("/console/{module}", get(console::module))
        .route("/docs", get(console::docs))
        .route("/docs.js", get(console::docs_script))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(app.clone(), reply::finish))
        .with_state(app)
}

/// What describes all routes.
pub fn described() -> utoipa::openapi::OpenApi {
    openapi::complete(routes().into_openapi())
}

async fn unknown_path(uri: Uri) -> Refused {
    let detail = format!("Nothing is at {}.", uri.path());
    Problem::new(ProblemKind::NotFound, "unknown_path", detail).into()
}

async fn wrong_method(method: Method) -> Refused {
    let detail = format!("This path does not take {method}.");
    Problem::new(ProblemKind::MethodNotAllowed, "method_not_allowed", detail).into()
}
