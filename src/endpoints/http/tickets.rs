//! `/v1/connection-tickets`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::time::Timestamp;
use crate::endpoints::limited::Writer;
use crate::endpoints::reply::{Refused, json};
use crate::endpoints::request::App;

/// What connects once, within its time.
#[derive(Serialize, ToSchema)]
#[schema(as = ConnectionTicket)]
struct Ticket {
    /// For the connect command.
    ticket: String,
    expires_at: Timestamp,
}

/// Issues a secret for one connection.
#[utoipa::path(
    post, path = "/v1/connection-tickets",
    tag = "sessions", operation_id = "issue_connection_ticket",
    security(("session" = [])),
    responses((status = 201, body = Ticket), Writer)
)]
pub async fn issue(State(app): State<App>, Writer(caller): Writer) -> Result<Response, Refused> {
    let (ticket, expires_at) = app.accounts.issue_ticket.run(&caller).await?;
    Ok(json(StatusCode::CREATED, &Ticket { ticket, expires_at }))
}
