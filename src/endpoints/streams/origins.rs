//! Pages of other origins: those that may connect may read the answers too (<https://fetch.spec.whatwg.org/#http-cors-protocol>).

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::domain::problem::Problem;
use crate::endpoints::reply::Refused;
use crate::endpoints::request::App;
use crate::endpoints::websocket::upgrade::check_origin;

/// How many seconds a browser may remember what it was allowed.
const REMEMBERED: HeaderValue = HeaderValue::from_static("300");

/// The origin of a page that may connect; `None` for programs that are no browsers, and for requests without one.
pub(super) struct Origin(Option<HeaderValue>);

/// Refuses pages of origins that may not connect.
pub(super) fn check(app: &App, headers: &HeaderMap) -> Result<Origin, Problem> {
    check_origin(app, headers, None)?;
    Ok(Origin(headers.get(header::ORIGIN).cloned()))
}

impl Origin {
    /// Lets the page read a response. Its cookies are not asked for: the token stands in the connect command.
    pub(super) fn let_read(self, mut response: Response) -> Response {
        let Some(origin) = self.0 else { return response };
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        response
    }
}

/// Answers a browser that asks whether it may send what a form could not.
pub(super) fn preflight(app: &App, headers: &HeaderMap) -> Result<Response, Refused> {
    let origin = check(app, headers)?;
    let allowed: [(HeaderName, HeaderValue); 3] = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST")),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("authorization, content-type"),
        ),
        (header::ACCESS_CONTROL_MAX_AGE, REMEMBERED),
    ];
    Ok(origin.let_read((StatusCode::NO_CONTENT, allowed).into_response()))
}
