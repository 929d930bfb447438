//! `/v1/users`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::commands::register_user::Registration;
use crate::domain::account::{Plan, User};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::endpoints::reply::{Refused, json};
use crate::endpoints::request::{App, JsonBody};

/// An account as its owner sees it.
#[derive(Serialize)]
pub struct OwnUser<'a> {
    id: UserId,
    username: &'a str,
    display_name: String,
    first_name: &'a str,
    last_name: &'a str,
    created_at: Timestamp,
    followers: u64,
    following: u64,
    email: &'a str,
    email_verified: bool,
    plan: Plan,
}

impl<'a> From<&'a User> for OwnUser<'a> {
    fn from(user: &'a User) -> Self {
        Self {
            id: user.id,
            username: &user.username,
            display_name: user.display_name(),
            first_name: &user.first_name,
            last_name: &user.last_name,
            created_at: user.created_at,
            // Nobody can follow yet in this version.
            followers: 0,
            following: 0,
            email: &user.email,
            email_verified: user.email_verified,
            plan: user.plan,
        }
    }
}

/// The body of a registration. What is missing is empty, and refused as such
/// with all other faults.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub struct RegisterBody {
    email: String,
    username: String,
    password: String,
    first_name: Option<String>,
    last_name: Option<String>,
}

/// `POST /v1/users`
pub async fn register(
    State(app): State<App>,
    JsonBody { value: body, .. }: JsonBody<RegisterBody>,
) -> Result<Response, Refused> {
    let registration = Registration {
        email: body.email,
        username: body.username,
        password: body.password,
        first_name: body.first_name.unwrap_or_default(),
        last_name: body.last_name.unwrap_or_default(),
    };
    let user = app.accounts.register_user.run(registration).await?;
    Ok(json(StatusCode::CREATED, &OwnUser::from(&user)))
}
