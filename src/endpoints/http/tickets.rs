//! `/v1/connection-tickets`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::domain::time::Timestamp;
use crate::endpoints::reply::{Refused, json};
use crate::endpoints::request::{App, Caller};

#[derive(Serialize)]
struct Ticket {
    ticket: String,
    expires_at: Timestamp,
}

/// `POST /v1/connection-tickets`
pub async fn issue(State(app): State<App>, Caller(caller): Caller) -> Result<Response, Refused> {
    let (ticket, expires_at) = app.accounts.issue_ticket.run(&caller).await?;
    Ok(json(StatusCode::CREATED, &Ticket { ticket, expires_at }))
}
