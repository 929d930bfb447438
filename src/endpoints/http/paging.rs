//! Lists in parts: `?cursor=&limit=`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::commands::validation::Faults;
use crate::domain::ids::PostId;
use crate::domain::post::Post;
use crate::domain::problem::Problem;
use crate::queries::posts::Page;

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 200;

/// Which part of a list is asked for, as it came.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PageQuery {
    cursor: Option<String>,
    limit: Option<String>,
}

#[derive(Serialize)]
struct List<'a, T> {
    items: &'a [T],
    next_cursor: Option<String>,
}

impl PageQuery {
    /// After which post, and how many.
    pub fn read(&self, faults: &mut Faults) -> (Option<PostId>, usize) {
        let limit = match self.limit.as_deref().filter(|text| !text.is_empty()).map(str::parse) {
            None => LIMIT_DEFAULT,
            Some(Ok(limit)) if (1..=LIMIT_MAX).contains(&limit) => limit,
            Some(_) => {
                faults.add(
                    "limit",
                    "out_of_range",
                    format!("Must be a number from 1 to {LIMIT_MAX}."),
                );
                LIMIT_DEFAULT
            }
        };
        let cursor = self.cursor.as_deref().filter(|text| !text.is_empty());
        let after = cursor.map(read_cursor);
        if after == Some(None) {
            faults.add(
                "cursor",
                "invalid_cursor",
                "Must be the `next_cursor` of an earlier answer.",
            );
        }
        (after.flatten(), limit)
    }
}

// The cursor is opaque to callers, so that it may become something else.
fn read_cursor(text: &str) -> Option<PostId> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    std::str::from_utf8(&bytes).ok()?.parse().ok()
}

/// The body of one part of a list of posts.
pub fn list(page: &Page<Post>) -> Result<axum::response::Response, Problem> {
    let next_cursor = page.next.map(|id| URL_SAFE_NO_PAD.encode(id.to_string()));
    let body = List { items: &page.items, next_cursor };
    Ok(crate::endpoints::reply::json(axum::http::StatusCode::OK, &body))
}
