//! `/v1/feed`.

use axum::extract::State;
use axum::response::Response;

use super::paging::{self, List, PageQuery};
use crate::endpoints::reply::Refused;
use crate::endpoints::request::{App, Caller, MaybeCaller, Parameters};
use crate::ports::content::PostFilter;
use crate::queries::posts::PostView;

/// Lists all published posts, latest first.
#[utoipa::path(
    get, path = "/v1/feed", tag = "posts", operation_id = "feed",
    params(PageQuery), security((), ("session" = [])),
    responses((status = 200, body = List<PostView>))
)]
pub async fn all(
    State(app): State<App>,
    MaybeCaller(caller): MaybeCaller,
    Parameters(page): Parameters<PageQuery>,
) -> Result<Response, Refused> {
    let (after, limit) = page.checked()?;
    let caller = caller.map(|caller| caller.user.id);
    let page = app.posts.list(PostFilter::default(), caller, after.as_ref(), limit).await?;
    Ok(paging::list(&page))
}

/// Lists the published posts of whom the caller follows, latest first.
#[utoipa::path(
    get, path = "/v1/feed/home", tag = "posts", operation_id = "home_feed",
    params(PageQuery), security(("session" = [])),
    responses((status = 200, body = List<PostView>))
)]
pub async fn home(
    State(app): State<App>,
    Caller(caller): Caller,
    Parameters(page): Parameters<PageQuery>,
) -> Result<Response, Refused> {
    let (after, limit) = page.checked()?;
    let caller = caller.user.id;
    let filter = PostFilter { followed_by: Some(caller), ..PostFilter::default() };
    Ok(paging::list(&app.posts.list(filter, Some(caller), after.as_ref(), limit).await?))
}
