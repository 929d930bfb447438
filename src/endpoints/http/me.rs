//! `/v1/me`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::users::OwnUser;
use crate::client_protocol::codes::Disconnect;
use crate::commands::update_profile::ProfileUpdate;
use crate::domain::account::User;
use crate::domain::ids::UserId;
use crate::domain::preferences::Preferences;
use crate::endpoints::limited::Writer;
use crate::endpoints::openapi::problems::{Taken, WrongPassword};
use crate::endpoints::reply::{Refused, json};
use crate::endpoints::request::{App, Caller, JsonBody, to_the_end};
use crate::hub::{Hub, Owner};

/// The body of a change of the profile. What is missing or null stays.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
#[schema(examples(json!({"first_name": "Ada", "last_name": "Lovelace"})))]
pub struct ProfileBody {
    /// A new address is not verified.
    #[schema(format = "email", min_length = 1, max_length = 255)]
    email: Option<String>,
    #[schema(max_length = 50)]
    first_name: Option<String>,
    #[schema(max_length = 50)]
    last_name: Option<String>,
}

/// The body of a change of the password.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct PasswordBody {
    #[schema(required, format = Password, min_length = 1, max_length = 256)]
    current_password: String,
    #[schema(required, format = Password, min_length = 8, max_length = 256)]
    new_password: String,
}

/// Shows the caller's account.
#[utoipa::path(
    get, path = "/v1/me", tag = "me", operation_id = "show_me",
    security(("session" = [])),
    responses((status = 200, body = OwnUser))
)]
pub async fn show(State(app): State<App>, Caller(caller): Caller) -> Result<Response, Refused> {
    own_user(&app, &caller.user).await
}

async fn own_user(app: &App, user: &User) -> Result<Response, Refused> {
    let counts = app.users.counts(user.id).await?;
    Ok(json(StatusCode::OK, &OwnUser::of(user, counts)))
}

/// Changes the caller's account; what is missing or null stays.
#[utoipa::path(
    patch, path = "/v1/me", tag = "me", operation_id = "update_me",
    request_body = ProfileBody, security(("session" = [])),
    responses((status = 200, body = OwnUser), Writer, Taken)
)]
pub async fn update(
    State(app): State<App>,
    Writer(caller): Writer,
    JsonBody { value: body, .. }: JsonBody<ProfileBody>,
) -> Result<Response, Refused> {
    let ProfileBody { email, first_name, last_name } = body;
    let update = ProfileUpdate { email, first_name, last_name };
    let user = app.accounts.update_profile.run(caller.user.id, update).await?;
    app.accounts.news.changed(&caller).await;
    own_user(&app, &user).await
}

/// Changes the caller's password, which ends all sessions and closes their sockets.
#[utoipa::path(
    put, path = "/v1/me/password", tag = "me", operation_id = "change_password",
    request_body = PasswordBody, security(("session" = [])),
    responses((status = 204), Writer, WrongPassword)
)]
pub async fn change_password(
    State(app): State<App>,
    Writer(caller): Writer,
    JsonBody { value: body, .. }: JsonBody<PasswordBody>,
) -> Result<StatusCode, Refused> {
    let services = Arc::clone(&app);
    let work = async move {
        let PasswordBody { current_password, new_password } = body;
        let command = &services.accounts.change_password;
        command.run(&caller.user, current_password, new_password).await?;
        services.accounts.news.changed(&caller).await;
        close_sockets(&services.hub, caller.user.id).await;
        Ok(())
    };
    to_the_end(&app, work).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Closes the caller's account, its sessions and their sockets.
#[utoipa::path(
    delete, path = "/v1/me", tag = "me", operation_id = "close_account",
    security(("session" = [])),
    responses((status = 204), Writer)
)]
pub async fn close(State(app): State<App>, Writer(caller): Writer) -> Result<StatusCode, Refused> {
    let services = Arc::clone(&app);
    let work = async move {
        services.accounts.close_account.run(caller.user.id).await?;
        services.accounts.news.changed(&caller).await;
        close_sockets(&services.hub, caller.user.id).await;
        Ok(())
    };
    to_the_end(&app, work).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Those of this node, at once; the other nodes read of it.
async fn close_sockets(hub: &Hub, user: UserId) {
    hub.close(Owner { user: user.0, session: 0 }, Disconnect::INVALID_TOKEN).await;
}

/// Shows the caller's preferences.
#[utoipa::path(
    get, path = "/v1/me/preferences", tag = "me", operation_id = "show_preferences",
    security(("session" = [])),
    responses((status = 200, body = Preferences))
)]
pub async fn preferences(
    State(app): State<App>,
    Caller(caller): Caller,
) -> Result<Response, Refused> {
    let preferences = app.inbox.inbox.preferences(caller.user.id).await?;
    Ok(json(StatusCode::OK, &preferences))
}

/// Replaces the caller's preferences; what is missing is as by default.
#[utoipa::path(
    put, path = "/v1/me/preferences", tag = "me", operation_id = "put_preferences",
    request_body = Preferences, security(("session" = [])),
    responses((status = 200, body = Preferences), Writer)
)]
pub async fn put_preferences(
    State(app): State<App>,
    Writer(caller): Writer,
    JsonBody { value: preferences, .. }: JsonBody<Preferences>,
) -> Result<Response, Refused> {
    app.inbox.inbox.put_preferences(caller.user.id, &preferences).await?;
    Ok(json(StatusCode::OK, &preferences))
}
