//! `/v1/posts/{id}/comments` and `/v1/comments/{id}`.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::paging::{self, List, PageQuery};
use crate::commands::comment_on_post::Remark;
use crate::domain::comment::Comment;
use crate::domain::ids::{CommentId, PostId};
use crate::endpoints::action::{Action, Asked, perform};
use crate::endpoints::limited::Writer;
use crate::endpoints::openapi::problems::NotTheAuthor;
use crate::endpoints::reply::{Refused, answer};
use crate::endpoints::request::{App, JsonBody, MaybeCaller, Parameters, path_id};

/// The body of a new comment.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
#[schema(examples(json!({"content": "Well said, @ada."})))]
pub struct CommentBody {
    /// White space around it is cut off.
    #[schema(required, min_length = 1, max_length = 10_000)]
    content: String,
    /// The comment on the same post that this one replies to, if it replies to one.
    #[schema(value_type = Option<CommentId>)]
    parent_id: Option<String>,
}

/// The body of an edit.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct CommentEditBody {
    /// White space around it is cut off.
    #[schema(required, min_length = 1, max_length = 10_000)]
    content: String,
}

/// Comments on a post, or replies to a comment; whom it names with `@username` is notified.
#[utoipa::path(
    post, path = "/v1/posts/{id}/comments", tag = "comments", operation_id = "comment_on_post",
    params(("id" = PostId, Path), Asked), request_body = CommentBody, security(("session" = [])),
    responses((status = 201, body = Comment), Writer)
)]
pub async fn create(
    State(app): State<App>,
    Writer(caller): Writer,
    Path(id): Path<String>,
    asked: Asked,
    JsonBody { value: body, raw }: JsonBody<CommentBody>,
) -> Result<Response, Refused> {
    let post = path_id(&id, "post")?;
    let remark = Remark { post, parent: body.parent_id, content: body.content };
    let asked = asked.with_body(&raw);
    Ok(answer(perform(&app, caller.user, asked, Action::Comment(remark)).await?))
}

/// Lists the comments on a post, replies among them, oldest first.
#[utoipa::path(
    get, path = "/v1/posts/{id}/comments", tag = "comments", operation_id = "list_comments",
    params(("id" = PostId, Path), PageQuery), security((), ("session" = [])),
    responses((status = 200, body = List<Comment>))
)]
pub async fn list(
    State(app): State<App>,
    MaybeCaller(caller): MaybeCaller,
    Path(id): Path<String>,
    Parameters(page): Parameters<PageQuery>,
) -> Result<Response, Refused> {
    let (after, limit) = page.checked()?;
    let (post, caller) = (path_id(&id, "post")?, caller.map(|caller| caller.user.id));
    Ok(paging::list(&app.comments.list(post, caller, after.as_ref(), limit).await?))
}

/// Changes one of the caller's comments.
#[utoipa::path(
    patch, path = "/v1/comments/{id}", tag = "comments", operation_id = "edit_comment",
    params(("id" = CommentId, Path), Asked),
    request_body = CommentEditBody,
    security(("session" = [])),
    responses((status = 200, body = Comment), Writer, NotTheAuthor)
)]
pub async fn edit(
    State(app): State<App>,
    Writer(caller): Writer,
    Path(id): Path<String>,
    asked: Asked,
    JsonBody { value: body, raw }: JsonBody<CommentEditBody>,
) -> Result<Response, Refused> {
    let action = Action::EditComment(path_id(&id, "comment")?, body.content);
    Ok(answer(perform(&app, caller.user, asked.with_body(&raw), action).await?))
}

/// Removes one of the caller's comments; moderators remove anyone's.
#[utoipa::path(
    delete, path = "/v1/comments/{id}", tag = "comments", operation_id = "remove_comment",
    params(("id" = CommentId, Path), Asked), security(("session" = [])),
    responses((status = 204), Writer, NotTheAuthor)
)]
pub async fn remove(
    State(app): State<App>,
    Writer(caller): Writer,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Response, Refused> {
    let action = Action::RemoveComment(path_id(&id, "comment")?);
    Ok(answer(perform(&app, caller.user, asked, action).await?))
}
