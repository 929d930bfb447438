//! `/v1/trending`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::paging::{List, PageQuery};
use crate::commands::validation::Faults;
use crate::domain::trending::{TrendingItem, Window};
use crate::endpoints::reply::{Refused, json};
use crate::endpoints::request::{App, Parameters};

/// Which list is asked for, as it came.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct TrendingQuery {
    /// How far to look back; `24h`, if it is not said.
    #[param(inline, value_type = Option<Window>)]
    window: Option<String>,
    /// Whether to tell what each kind of interaction adds to the score.
    #[param(value_type = bool, default = false)]
    explain: Option<String>,
}

/// Lists published posts by their score, highest first.
///
/// A ranked list has no further parts: `next_cursor` is always null.
#[utoipa::path(
    get, path = "/v1/trending", tag = "posts", operation_id = "trending",
    params(TrendingQuery, PageQuery),
    responses((status = 200, body = List<TrendingItem>))
)]
pub async fn list(
    State(app): State<App>,
    Parameters(query): Parameters<TrendingQuery>,
    Parameters(page): Parameters<PageQuery>,
) -> Result<Response, Refused> {
    let mut faults = Faults::default();
    let (_, limit) = page.read(&mut faults);
    let named = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let window = named(&query.window).map_or(Some(Window::Day), |name| Window::parse(&name));
    if window.is_none() {
        faults.add("window", "unknown_window", "Must be 1h, 24h or 7d.");
    }
    let explain = match named(&query.explain).as_deref() {
        None | Some("false" | "0") => false,
        Some("true" | "1") => true,
        Some(_) => {
            faults.add("explain", "not_a_boolean", "Must be true or false.");
            false
        }
    };
    faults.into_result()?;
    let items = app.trending.run(window.unwrap_or(Window::Day), limit, explain).await?;
    // A ranked list has no further parts.
    Ok(json(StatusCode::OK, &List { items: &items, next_cursor: None }))
}
