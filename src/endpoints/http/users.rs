//! `/v1/users`.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::commands::register_user::Registration;
use crate::domain::account::{Plan, User};
use crate::domain::ids::UserId;
use crate::endpoints::action::{Asked, once};
use crate::endpoints::limited::Registering;
use crate::endpoints::openapi::problems::Taken;
use crate::endpoints::reply::{Refused, answer, json, storable};
use crate::endpoints::request::{App, JsonBody, path_id};
use crate::ports::marks::FollowCounts;
use crate::queries::users::UserView;

/// An account as its owner sees it.
#[derive(Serialize, ToSchema)]
pub struct OwnUser<'a> {
    #[serde(flatten)]
    public: UserView,
    email: &'a str,
    email_verified: bool,
    plan: Plan,
}

impl<'a> OwnUser<'a> {
    /// An account with its follow counts.
    pub fn of(user: &'a User, counts: FollowCounts) -> Self {
        Self {
            public: UserView::of(user, counts),
            email: &user.email,
            email_verified: user.email_verified,
            plan: user.plan,
        }
    }
}

/// Shows a user.
#[utoipa::path(
    get, path = "/v1/users/{id}", tag = "users", operation_id = "show_user",
    params(("id" = UserId, Path)),
    responses((status = 200, body = UserView))
)]
pub async fn show(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Refused> {
    let user = app.users.one(UserId(path_id(&id, "user")?)).await?;
    Ok(json(StatusCode::OK, &user))
}

/// The body of a registration. What is missing is empty, and refused as such
/// with all other faults.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
#[schema(examples(json!({
    "email": "ada@example.org", "username": "ada", "password": "correct horse",
})))]
pub struct RegisterBody {
    #[schema(required, format = "email", min_length = 1, max_length = 255)]
    email: String,
    /// Unique without regard to case.
    #[schema(required, min_length = 3, max_length = 50, pattern = "^[A-Za-z0-9_.-]+$")]
    username: String,
    #[schema(required, format = Password, min_length = 8, max_length = 256)]
    password: String,
    #[schema(max_length = 50)]
    first_name: Option<String>,
    #[schema(max_length = 50)]
    last_name: Option<String>,
}

/// Registers an account.
#[utoipa::path(
    post, path = "/v1/users", tag = "users", operation_id = "register",
    request_body = RegisterBody,
    responses((status = 201, body = OwnUser), Registering, Taken)
)]
pub async fn register(
    State(app): State<App>,
    Registering(ip): Registering,
    asked: Asked,
    JsonBody { value: body, .. }: JsonBody<RegisterBody>,
) -> Result<Response, Refused> {
    let registration = Registration {
        email: body.email,
        username: body.username,
        password: body.password,
        first_name: body.first_name.unwrap_or_default(),
        last_name: body.last_name.unwrap_or_default(),
    };
    // What is kept of a request must not help anyone to guess its password.
    let Registration { email, username, first_name, last_name, .. } = &registration;
    let asked = asked.with_body(
        [email, username, first_name, last_name].map(String::as_str).join("\n").as_bytes(),
    );
    let register = |app: App| async move {
        let user = app.accounts.register_user.run(registration).await?;
        storable(StatusCode::CREATED, &OwnUser::of(&user, FollowCounts::default()))
    };
    Ok(answer(once(&app, format!("ip:{ip}"), asked, register).await?))
}
