//! What users do with posts: `/v1/posts/{id}/like`, `…/bookmark`, `…/share`, `…/view`.

use axum::extract::{Path, State};
use axum::response::Response;

use crate::domain::ids::PostId;
use crate::endpoints::action::{Action, Asked, Bookmarks, Likes, Shares, Views, perform};
use crate::endpoints::limited::Writer;
use crate::endpoints::reply::{Refused, answer};
use crate::endpoints::request::{App, path_id};

/// Likes a post; liking it twice is one like.
#[utoipa::path(
    put, path = "/v1/posts/{id}/like", tag = "interactions", operation_id = "like_post",
    params(("id" = PostId, Path), Asked), security(("session" = [])),
    responses((status = 200, body = Likes), Writer)
)]
pub async fn like(
    State(app): State<App>,
    Writer(caller): Writer,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Response, Refused> {
    let action = Action::LikePost(path_id(&id, "post")?);
    Ok(answer(perform(&app, caller.user, asked, action).await?))
}

/// Takes a like back, if there is one.
#[utoipa::path(
    delete, path = "/v1/posts/{id}/like", tag = "interactions", operation_id = "unlike_post",
    params(("id" = PostId, Path), Asked), security(("session" = [])),
    responses((status = 200, body = Likes), Writer)
)]
pub async fn unlike(
    State(app): State<App>,
    Writer(caller): Writer,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Response, Refused> {
    let action = Action::UnlikePost(path_id(&id, "post")?);
    Ok(answer(perform(&app, caller.user, asked, action).await?))
}

/// Bookmarks a post; doing so twice is one bookmark.
#[utoipa::path(
    put, path = "/v1/posts/{id}/bookmark", tag = "interactions", operation_id = "bookmark_post",
    params(("id" = PostId, Path), Asked), security(("session" = [])),
    responses((status = 200, body = Bookmarks), Writer)
)]
pub async fn bookmark(
    State(app): State<App>,
    Writer(caller): Writer,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Response, Refused> {
    let action = Action::BookmarkPost(path_id(&id, "post")?);
    Ok(answer(perform(&app, caller.user, asked, action).await?))
}

/// Takes a bookmark back, if there is one.
#[utoipa::path(
    delete, path = "/v1/posts/{id}/bookmark",
    tag = "interactions", operation_id = "unbookmark_post",
    params(("id" = PostId, Path), Asked), security(("session" = [])),
    responses((status = 200, body = Bookmarks), Writer)
)]
pub async fn unbookmark(
    State(app): State<App>,
    Writer(caller): Writer,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Response, Refused> {
    let action = Action::UnbookmarkPost(path_id(&id, "post")?);
    Ok(answer(perform(&app, caller.user, asked, action).await?))
}

/// Says that the caller shared a post elsewhere.
#[utoipa::path(
    post, path = "/v1/posts/{id}/share", tag = "interactions", operation_id = "share_post",
    params(("id" = PostId, Path), Asked), security(("session" = [])),
    responses((status = 200, body = Shares), Writer)
)]
pub async fn share(
    State(app): State<App>,
    Writer(caller): Writer,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Response, Refused> {
    let action = Action::SharePost(path_id(&id, "post")?);
    Ok(answer(perform(&app, caller.user, asked, action).await?))
}

/// Says that the caller views a post; one view an hour counts.
#[utoipa::path(
    post, path = "/v1/posts/{id}/view", tag = "interactions", operation_id = "view_post",
    params(("id" = PostId, Path), Asked), security(("session" = [])),
    responses((status = 200, body = Views), Writer)
)]
pub async fn view(
    State(app): State<App>,
    Writer(caller): Writer,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Response, Refused> {
    let action = Action::ViewPost(path_id(&id, "post")?);
    Ok(answer(perform(&app, caller.user, asked, action).await?))
}
