//! `/v1/sessions`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::users::OwnUser;
use crate::client_protocol::codes::Disconnect;
use crate::commands::end_session::Extent;
use crate::commands::validation::Faults;
use crate::domain::problem::ProblemKind;
use crate::domain::time::Timestamp;
use crate::endpoints::limited::LoggingIn;
use crate::endpoints::openapi::problems::InvalidCredentials;
use crate::endpoints::reply::{Refused, json};
use crate::endpoints::request::{App, Caller, JsonBody, to_the_end};
use crate::hub::Owner;

/// The body of a login.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
#[schema(examples(json!({"login": "ada", "password": "correct horse"})))]
pub struct LoginBody {
    /// The user name or the mail address.
    #[schema(required, min_length = 1, max_length = 255)]
    login: String,
    #[schema(required, format = Password, min_length = 1, max_length = 256)]
    password: String,
}

/// A login.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
struct Opened<'a> {
    /// For `Authorization: Bearer`, and for the connect command.
    token: &'a str,
    expires_at: Timestamp,
    user: OwnUser<'a>,
}

/// Logs in.
#[utoipa::path(
    post, path = "/v1/sessions", tag = "sessions", operation_id = "log_in",
    request_body = LoginBody,
    responses((status = 201, body = Opened), LoggingIn, InvalidCredentials)
)]
pub async fn open(
    State(app): State<App>,
    LoggingIn(ip): LoggingIn,
    headers: HeaderMap,
    JsonBody { value: body, .. }: JsonBody<LoginBody>,
) -> Result<Response, Refused> {
    let mut faults = Faults::default();
    faults.check_length("login", &body.login, 1, 255);
    faults.check_length("password", &body.password, 1, 256);
    faults.into_result()?;
    let user_agent =
        headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let ip = ip.to_string();
    let opened = app.accounts.open_session.run(&body.login, body.password, user_agent, ip).await;
    let opened = opened.inspect_err(|problem| {
        if problem.kind == ProblemKind::Unauthorized {
            app.metrics.admission.login_failed();
        }
    })?;
    let counts = app.users.counts(opened.user.id).await?;
    let user = OwnUser::of(&opened.user, counts);
    let answer = Opened { token: &opened.token, expires_at: opened.expires_at, user };
    Ok(json(StatusCode::CREATED, &answer))
}

/// Logs out: ends this session and closes its sockets.
#[utoipa::path(
    delete, path = "/v1/sessions/current", tag = "sessions", operation_id = "log_out",
    security(("session" = [])),
    responses((status = 204))
)]
pub async fn end_current(app: State<App>, caller: Caller) -> Result<StatusCode, Refused> {
    end(app, caller, Extent::Current).await
}

/// Logs out everywhere: ends all sessions of the caller and closes their sockets.
#[utoipa::path(
    delete, path = "/v1/sessions", tag = "sessions", operation_id = "log_out_everywhere",
    security(("session" = [])),
    responses((status = 204))
)]
pub async fn end_all(app: State<App>, caller: Caller) -> Result<StatusCode, Refused> {
    end(app, caller, Extent::All).await
}

async fn end(
    State(app): State<App>,
    Caller(caller): Caller,
    extent: Extent,
) -> Result<StatusCode, Refused> {
    let services = Arc::clone(&app);
    let work = async move {
        let ended = services.accounts.end_session.run(&caller, extent).await?;
        services.accounts.news.changed(&caller).await;
        for session in ended {
            let owner = Owner { user: caller.user.id.0, session: session.short() };
            services.hub.close(owner, Disconnect::INVALID_TOKEN).await;
        }
        Ok(())
    };
    to_the_end(&app, work).await?;
    Ok(StatusCode::NO_CONTENT)
}
