//! `/v1/notifications`: the caller's inbox.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::paging::{List, PageQuery};
use crate::commands::read_notifications::Reading;
use crate::commands::validation::Faults;
use crate::domain::ids::EventId;
use crate::domain::notification::{InboxState, Notification};
use crate::endpoints::action::{Action, Asked, perform};
use crate::endpoints::limited::Writer;
use crate::endpoints::reply::{Refused, answer, json};
use crate::endpoints::request::{App, Caller, Parameters, path_id};

/// Which items are asked for, as it came.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct InboxQuery {
    /// Only those that were not read.
    #[param(value_type = bool, default = false)]
    unread: Option<String>,
}

/// A part of an inbox, and what the whole holds in numbers.
#[derive(Serialize, ToSchema)]
#[schema(as = InboxPage)]
struct InboxBody<'a> {
    #[serde(flatten)]
    list: List<'a, Notification>,
    #[serde(flatten)]
    state: InboxState,
}

/// Lists the caller's inbox, latest first.
///
/// What is listed counts as seen from then on.
#[utoipa::path(
    get, path = "/v1/notifications", tag = "notifications", operation_id = "list_notifications",
    params(InboxQuery, PageQuery), security(("session" = [])),
    responses((status = 200, body = InboxBody))
)]
pub async fn list(
    State(app): State<App>,
    Caller(caller): Caller,
    Parameters(query): Parameters<InboxQuery>,
    Parameters(page): Parameters<PageQuery>,
) -> Result<Response, Refused> {
    let mut faults = Faults::default();
    let (after, limit) = page.read(&mut faults);
    let unread_only = match query.unread.as_deref() {
        None | Some("" | "false" | "0") => false,
        Some("true" | "1") => true,
        Some(_) => {
            faults.add("unread", "not_a_boolean", "Must be true or false.");
            false
        }
    };
    faults.into_result()?;
    let user = caller.user.id;
    let (page, state) = app.inbox.list(user, unread_only, after.as_ref(), limit).await?;
    Ok(json(StatusCode::OK, &InboxBody { list: List::of(&page), state }))
}

/// Marks one notification as read.
#[utoipa::path(
    post, path = "/v1/notifications/{id}/read",
    tag = "notifications", operation_id = "read_notification",
    params(("id" = EventId, Path), Asked), security(("session" = [])),
    responses((status = 200, body = InboxState), Writer)
)]
pub async fn read(
    State(app): State<App>,
    Writer(caller): Writer,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Response, Refused> {
    let action = Action::Read(Reading::One(path_id(&id, "notification")?));
    Ok(answer(perform(&app, caller.user, asked, action).await?))
}

/// Marks all notifications until now as read.
#[utoipa::path(
    post, path = "/v1/notifications/read-all",
    tag = "notifications", operation_id = "read_all_notifications",
    params(Asked), security(("session" = [])),
    responses((status = 200, body = InboxState), Writer)
)]
pub async fn read_all(
    State(app): State<App>,
    Writer(caller): Writer,
    asked: Asked,
) -> Result<Response, Refused> {
    Ok(answer(perform(&app, caller.user, asked, Action::Read(Reading::All)).await?))
}
