//! `/v1/posts`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::paging::{self, PageQuery};
use crate::commands::publish_post::Draft;
use crate::commands::validation::Faults;
use crate::domain::ids::{PostId, UserId};
use crate::domain::post::{Difficulty, PostStatus};
use crate::domain::problem::{Problem, ProblemKind};
use crate::domain::publication::Json;
use crate::endpoints::reply::{Refused, answer, json, storable};
use crate::endpoints::request::{
    App, Caller, IdempotencyKey, JsonBody, MaybeCaller, Parameters, to_the_end,
};
use crate::ports::content::PostFilter;
use crate::ports::idempotency::Minted;

/// The body of a new post.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct PostBody {
    title: String,
    content: String,
    tags: Option<Vec<String>>,
    categories: Option<Vec<String>>,
    difficulty: Option<Difficulty>,
    status: Option<PostStatus>,
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

/// `POST /v1/posts`
pub async fn create(
    State(app): State<App>,
    Caller(caller): Caller,
    key: IdempotencyKey,
    JsonBody { value: body, raw }: JsonBody<PostBody>,
) -> Result<Response, Refused> {
    let scope = key.scope(format!("user:{}", caller.user.id), "POST /v1/posts");
    let services = Arc::clone(&app);
    let work = async move {
        let (services, author) = (&services, &caller.user);
        let publish = |minted: Minted| async move {
            let id = minted.resource.parse().map_err(|_| {
                let detail = "A kept idempotency key holds no post id.";
                Problem::new(ProblemKind::Internal, "internal_error", detail)
            })?;
            let event = minted.event;
            let post = services.publish_post.run(author, body.into(), id, event).await?;
            storable(StatusCode::CREATED, &post)
        };
        services.once.run(scope, &raw, services.mint.post(), publish).await
    };
    Ok(answer(to_the_end(&app, work).await?))
}

/// `GET /v1/posts/{id}`
pub async fn show(
    State(app): State<App>,
    MaybeCaller(caller): MaybeCaller,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let id: PostId = id.parse().map_err(|_| Problem::not_found("post"))?;
    let post = app.posts.one(id, caller.map(|caller| caller.user.id)).await?;
    Ok(json(StatusCode::OK, &post))
}

/// Which posts are asked for, as it came.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ListQuery {
    tag: Option<String>,
    author: Option<String>,
    status: Option<String>,
}

/// `GET /v1/posts`
pub async fn list(
    State(app): State<App>,
    MaybeCaller(caller): MaybeCaller,
    Parameters(query): Parameters<ListQuery>,
    Parameters(page): Parameters<PageQuery>,
) -> Result<Response, Refused> {
    let mut faults = Faults::default();
    let (before, limit) = page.read(&mut faults);
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
    };
    let page = app.posts.list(filter, caller.map(|caller| caller.user.id), before, limit).await?;
    Ok(paging::list(&page)?)
}
