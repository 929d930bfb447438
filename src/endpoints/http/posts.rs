//! `/v1/posts`.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::paging::{self, List, PageQuery};
use crate::commands::draft::Draft;
use crate::commands::edit_post::PostEdit;
use crate::commands::validation::Faults;
use crate::domain::ids::{PostId, UserId};
use crate::domain::post::{Difficulty, PostStatus};
use crate::domain::publication::Json;
use crate::endpoints::action::{Action, Asked, perform};
use crate::endpoints::limited::Writer;
use crate::endpoints::openapi::problems::NotTheAuthor;
use crate::endpoints::reply::{Refused, answer, json};
use crate::endpoints::request::{App, JsonBody, MaybeCaller, Parameters, path_id};
use crate::ports::content::PostFilter;
use crate::queries::posts::PostView;

/// The body of a new post.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
#[schema(examples(json!({"title": "Hello", "content": "The first post.", "tags": ["rust"]})))]
pub struct PostBody {
    #[schema(required, min_length = 1, max_length = 200)]
    title: String,
    /// Markdown.
    #[schema(required, min_length = 1, max_length = 200_000)]
    content: String,
    /// Taken in lower case.
    #[schema(max_items = 10)]
    tags: Option<Vec<String>>,
    #[schema(max_items = 10)]
    categories: Option<Vec<String>>,
    difficulty: Option<Difficulty>,
    /// `published`, if it is not said.
    status: Option<PostStatus>,
    /// Any JSON object.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Json>,
}

impl From<PostBody> for Draft {
    fn from(body: PostBody) -> Self {
        Self {
            title: body.title,
            content: body.content,
            tags: body.tags.unwrap_or_default(),
            categories: body.categories.unwrap_or_default(),
            difficulty: body.difficulty,
            status: body.status.unwrap_or_default(),
            metadata: body.metadata,
        }
    }
}

/// The body of an edit; what is missing stays.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
#[schema(examples(json!({"title": "Hello again", "version": 1})))]
pub struct EditBody {
    #[schema(min_length = 1, max_length = 200)]
    title: Option<String>,
    /// Markdown.
    #[schema(min_length = 1, max_length = 200_000)]
    content: Option<String>,
    /// Taken in lower case.
    #[schema(max_items = 10)]
    tags: Option<Vec<String>>,
    #[schema(max_items = 10)]
    categories: Option<Vec<String>>,
    difficulty: Option<Difficulty>,
    /// A draft can be published, a published post archived, an archived one published again.
    status: Option<PostStatus>,
    /// Any JSON object.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Json>,
    /// The version that the caller saw; an edit of any other is refused.
    #[schema(minimum = 1)]
    version: Option<u64>,
}

impl From<EditBody> for PostEdit {
    fn from(body: EditBody) -> Self {
        let EditBody { title, content, tags, categories, difficulty, status, metadata, version } =
            body;
        Self { title, content, tags, categories, difficulty, status, metadata, version }
    }
}

/// Publishes a post, or keeps a draft.
#[utoipa::path(
    post, path = "/v1/posts", tag = "posts", operation_id = "publish_post",
    params(Asked), request_body = PostBody, security(("session" = [])),
    responses((status = 201, body = PostView), Writer)
)]
pub async fn create(
    State(app): State<App>,
    Writer(caller): Writer,
    asked: Asked,
    JsonBody { value: body, raw }: JsonBody<PostBody>,
) -> Result<Response, Refused> {
    let action = Action::PublishPost(Box::new(body.into()));
    Ok(answer(perform(&app, caller.user, asked.with_body(&raw), action).await?))
}

/// Changes one of the caller's posts; what is missing or null stays.
#[utoipa::path(
    patch, path = "/v1/posts/{id}", tag = "posts", operation_id = "edit_post",
    params(("id" = PostId, Path), Asked), request_body = EditBody, security(("session" = [])),
    responses((status = 200, body = PostView), Writer, NotTheAuthor)
)]
pub async fn edit(
    State(app): State<App>,
    Writer(caller): Writer,
    Path(id): Path<String>,
    asked: Asked,
    JsonBody { value: body, raw }: JsonBody<EditBody>,
) -> Result<Response, Refused> {
    let action = Action::EditPost(path_id(&id, "post")?, Box::new(body.into()));
    Ok(answer(perform(&app, caller.user, asked.with_body(&raw), action).await?))
}

/// Removes one of the caller's posts; moderators remove anyone's.
#[utoipa::path(
    delete, path = "/v1/posts/{id}", tag = "posts", operation_id = "remove_post",
    params(("id" = PostId, Path), Asked), security(("session" = [])),
    responses((status = 204), Writer, NotTheAuthor)
)]
pub async fn remove(
    State(app): State<App>,
    Writer(caller): Writer,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Response, Refused> {
    let action = Action::RemovePost(path_id(&id, "post")?);
    Ok(answer(perform(&app, caller.user, asked, action).await?))
}

/// Shows a post.
#[utoipa::path(
    get, path = "/v1/posts/{id}", tag = "posts", operation_id = "show_post",
    params(("id" = String, Path, description = "The id of the post, or its slug.")),
    security((), ("session" = [])),
    responses((status = 200, body = PostView))
)]
pub async fn show(
    State(app): State<App>,
    MaybeCaller(caller): MaybeCaller,
    Path(name): Path<String>,
) -> Result<Response, Refused> {
    let post = app.posts.one(&name, caller.map(|caller| caller.user.id)).await?;
    Ok(json(StatusCode::OK, &post))
}

/// Which posts are asked for, as it came.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// In any case.
    tag: Option<String>,
    /// The number of an account.
    #[param(value_type = Option<UserId>)]
    author: Option<String>,
    /// Drafts are listed for their author alone.
    #[param(value_type = Option<PostStatus>)]
    status: Option<String>,
}

/// Lists posts, latest first; those that are published, unless a status is given.
#[utoipa::path(
    get, path = "/v1/posts", tag = "posts", operation_id = "list_posts",
    params(ListQuery, PageQuery), security((), ("session" = [])),
    responses((status = 200, body = List<PostView>))
)]
pub async fn list(
    State(app): State<App>,
    MaybeCaller(caller): MaybeCaller,
    Parameters(query): Parameters<ListQuery>,
    Parameters(page): Parameters<PageQuery>,
) -> Result<Response, Refused> {
    let mut faults = Faults::default();
    let (after, limit) = page.read(&mut faults);
    let author = query.author.as_deref().filter(|text| !text.is_empty()).map(str::parse);
    if matches!(author, Some(Err(_))) {
        faults.add("author", "not_a_number", "Must be the number of an account.");
    }
    let status = query.status.as_deref().filter(|text| !text.is_empty()).map(PostStatus::parse);
    if status == Some(None) {
        faults.add("status", "unknown_status", "Must be draft, published or archived.");
    }
    faults.into_result()?;
    let filter = PostFilter {
        tag: query.tag.filter(|tag| !tag.is_empty()).map(|tag| tag.to_lowercase()),
        author: author.and_then(Result::ok).map(UserId),
        status: status.flatten(),
        followed_by: None,
    };
    let caller = caller.map(|caller| caller.user.id);
    Ok(paging::list(&app.posts.list(filter, caller, after.as_ref(), limit).await?))
}
