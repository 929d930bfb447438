//! `/v1/feed`.

use axum::extract::State;
use axum::response::Response;

use super::paging::{self, PageQuery};
use crate::commands::validation::Faults;
use crate::endpoints::reply::Refused;
use crate::endpoints::request::{App, Parameters};
use crate::ports::content::PostFilter;

/// `GET /v1/feed`: all published posts, newest first.
pub async fn all(
    State(app): State<App>,
    Parameters(page): Parameters<PageQuery>,
) -> Result<Response, Refused> {
    let mut faults = Faults::default();
    let (before, limit) = page.read(&mut faults);
    faults.into_result()?;
    let page = app.posts.list(PostFilter::default(), None, before, limit).await?;
    Ok(paging::list(&page)?)
}
