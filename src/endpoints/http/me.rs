//! `/v1/me`.

use axum::http::StatusCode;
use axum::response::Response;

use super::users::OwnUser;
use crate::endpoints::reply::json;
use crate::endpoints::request::Caller;

/// `GET /v1/me`
pub async fn show(Caller(caller): Caller) -> Response {
    json(StatusCode::OK, &OwnUser::from(&caller.user))
}
