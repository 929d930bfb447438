//! Lists in parts: `?cursor=&limit=`.

use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::commands::validation::Faults;
use crate::domain::page::{Cursor, Page};
use crate::domain::time::Timestamp;
use crate::endpoints::reply::json;

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 200;

/// Which part of a list is asked for, as it came.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// The `next_cursor` of the part before; without one, the list begins.
    cursor: Option<String>,
    /// How many items at most.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: Option<String>,
}

/// One part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct List<'a, T> {
    /// In the list's order.
    pub items: &'a [T],
    /// What to ask for the next part with; null at the end.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

impl<'a, T> List<'a, T> {
    /// A part as callers get it.
    pub fn of(page: &'a Page<T>) -> Self {
        Self { items: &page.items, next_cursor: page.next.as_ref().map(write_cursor) }
    }
}

impl PageQuery {
    /// After which item, and how many.
    pub fn read(&self, faults: &mut Faults) -> (Option<Cursor>, usize) {
        let limit = match self.limit.as_deref().filter(|text| !text.is_empty()).map(str::parse) {
            None => LIMIT_DEFAULT,
            Some(Ok(limit)) if (1..=LIMIT_MAX).contains(&limit) => limit,
            Some(_) => {
                let detail = format!("Must be a number from 1 to {LIMIT_MAX}.");
                faults.add("limit", "out_of_range", detail);
                LIMIT_DEFAULT
            }
        };
        let cursor = self.cursor.as_deref().filter(|text| !text.is_empty());
        let after = cursor.map(read_cursor);
        if after == Some(None) {
            let detail = "Must be the `next_cursor` of an earlier answer.";
            faults.add("cursor", "invalid_cursor", detail);
        }
        (after.flatten(), limit)
    }

    /// The same, where nothing else of the query can be wrong.
    pub fn checked(&self) -> Result<(Option<Cursor>, usize), crate::domain::problem::Problem> {
        let mut faults = Faults::default();
        let read = self.read(&mut faults);
        faults.into_result().map(|()| read)
    }
}

// A cursor is opaque to callers, so that it may become something else.
fn write_cursor(cursor: &Cursor) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{}", cursor.at.as_millis(), cursor.id))
}

fn read_cursor(text: &str) -> Option<Cursor> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let (millis, id) = text.split_once('.')?;
    let plain = id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let at = Timestamp::from_millis(millis.parse().ok()?);
    (plain && !id.is_empty() && id.len() <= 36).then(|| Cursor { at, id: id.to_owned() })
}

/// The answer that holds one part of a list.
pub fn list<T: Serialize>(page: &Page<T>) -> Response {
    json(StatusCode::OK, &List::of(page))
}
