//! Who follows whom: `/v1/users/{id}/follow`, `…/followers`, `…/following`.

use axum::extract::{Path, State};
use axum::response::Response;

use super::paging::{self, List, PageQuery};
use crate::domain::ids::UserId;
use crate::endpoints::action::{Action, Asked, perform};
use crate::endpoints::limited::Writer;
use crate::endpoints::reply::{Refused, answer};
use crate::endpoints::request::{App, Parameters, path_id};
use crate::queries::users::{Direction, UserView};

/// Follows a user; doing so twice changes nothing.
#[utoipa::path(
    put, path = "/v1/users/{id}/follow", tag = "follows", operation_id = "follow_user",
    params(("id" = UserId, Path), Asked), security(("session" = [])),
    responses((status = 204), Writer)
)]
pub async fn follow(
    State(app): State<App>,
    Writer(caller): Writer,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Response, Refused> {
    let action = Action::Follow(UserId(path_id(&id, "user")?));
    Ok(answer(perform(&app, caller.user, asked, action).await?))
}

/// Follows a user no longer.
#[utoipa::path(
    delete, path = "/v1/users/{id}/follow", tag = "follows", operation_id = "unfollow_user",
    params(("id" = UserId, Path), Asked), security(("session" = [])),
    responses((status = 204), Writer)
)]
pub async fn unfollow(
    State(app): State<App>,
    Writer(caller): Writer,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Response, Refused> {
    let action = Action::Unfollow(UserId(path_id(&id, "user")?));
    Ok(answer(perform(&app, caller.user, asked, action).await?))
}

/// Lists who follow a user, latest first.
#[utoipa::path(
    get, path = "/v1/users/{id}/followers", tag = "follows", operation_id = "list_followers",
    params(("id" = UserId, Path), PageQuery),
    responses((status = 200, body = List<UserView>))
)]
pub async fn followers(
    app: State<App>,
    id: Path<String>,
    page: Parameters<PageQuery>,
) -> Result<Response, Refused> {
    list(app, id, page, Direction::Followers).await
}

/// Lists whom a user follows, latest first.
#[utoipa::path(
    get, path = "/v1/users/{id}/following", tag = "follows", operation_id = "list_following",
    params(("id" = UserId, Path), PageQuery),
    responses((status = 200, body = List<UserView>))
)]
pub async fn following(
    app: State<App>,
    id: Path<String>,
    page: Parameters<PageQuery>,
) -> Result<Response, Refused> {
    list(app, id, page, Direction::Following).await
}

async fn list(
    State(app): State<App>,
    Path(id): Path<String>,
    Parameters(page): Parameters<PageQuery>,
    direction: Direction,
) -> Result<Response, Refused> {
    let (after, limit) = page.checked()?;
    let user = UserId(path_id(&id, "user")?);
    Ok(paging::list(&app.users.follows(user, direction, after.as_ref(), limit).await?))
}
