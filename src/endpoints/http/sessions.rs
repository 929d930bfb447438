//! `/v1/sessions`.

use std::sync::Arc;

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::users::OwnUser;
use crate::client_protocol::codes::Disconnect;
use crate::commands::end_session::Extent;
use crate::commands::validation::Faults;
use crate::domain::time::Timestamp;
use crate::endpoints::listener::Peer;
use crate::endpoints::reply::{Refused, json};
use crate::endpoints::request::{App, Caller, JsonBody, to_the_end};
use crate::hub::Owner;

/// The body of a login.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct LoginBody {
    login: String,
    password: String,
}

#[derive(Serialize)]
struct Opened<'a> {
    token: &'a str,
    expires_at: Timestamp,
    user: OwnUser<'a>,
}

/// `POST /v1/sessions`
pub async fn open(
    State(app): State<App>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    headers: HeaderMap,
    JsonBody { value: body, .. }: JsonBody<LoginBody>,
) -> Result<Response, Refused> {
    let mut faults = Faults::default();
    faults.check_length("login", &body.login, 1, 255);
    faults.check_length("password", &body.password, 1, 256);
    faults.into_result()?;
    let user_agent =
        headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let ip = peer.ip().to_string();
    let opened = app.accounts.open_session.run(&body.login, body.password, user_agent, ip).await?;
    let user = OwnUser::from(&opened.user);
    let answer = Opened { token: &opened.token, expires_at: opened.expires_at, user };
    Ok(json(StatusCode::CREATED, &answer))
}

/// `DELETE /v1/sessions/current`
pub async fn end_current(app: State<App>, caller: Caller) -> Result<StatusCode, Refused> {
    end(app, caller, Extent::Current).await
}

/// `DELETE /v1/sessions`
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
        for session in services.accounts.end_session.run(&caller, extent).await? {
            let owner = Owner { user: caller.user.id.0, session: session.short() };
            services.hub.close(owner, Disconnect::INVALID_TOKEN).await;
        }
        Ok(())
    };
    to_the_end(&app, work).await?;
    Ok(StatusCode::NO_CONTENT)
}
