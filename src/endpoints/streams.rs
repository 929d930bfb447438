//! Connections over HTTP alone: what the hub says is the body of a response that does not end.

pub mod emulation;
pub mod http_stream;
mod origins;
pub mod sse;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::sync::mpsc;

use super::request::App;
use super::websocket::session::Session;
use super::websocket::upgrade::connection_token;
use crate::domain::ids::ClientId;
use crate::domain::problem::{Problem, ProblemKind};
use crate::hub::{EmulationSession, Transport, Wire};

/// Writes that may wait between the hub and the response's body; what waits
/// beyond that is bounded as for every connection.
const BODY_QUEUE: usize = 4;

/// A connection that is about to be streamed.
struct Beginning {
    wire: Wire,
    content_type: &'static str,
    /// The token of the request's headers.
    token: Option<String>,
    /// What the client has to say at once.
    first: Bytes,
}

impl Beginning {
    fn new(headers: &HeaderMap, wire: Wire, content_type: &'static str, first: Bytes) -> Self {
        Self { wire, content_type, token: connection_token(headers), first }
    }

    /// Hands the connection to the hub, which writes what the response says.
    async fn stream(self, app: App) -> Response {
        let Self { wire, content_type, token, first } = self;
        let client = ClientId::from_random(app.entropy.bytes::<16>());
        let session = EmulationSession::from_random(app.entropy.bytes::<16>());
        let (sender, receiver) = mpsc::channel::<Bytes>(BODY_QUEUE);
        let hub = std::sync::Arc::clone(&app.hub);
        let converse = move |link| {
            let mut conversation = Session::new(link, app, client, token);
            conversation.begin(session, &first);
            conversation
        };
        hub.adopt(Transport::Body(sender), wire, Bytes::new(), converse).await;
        let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
            let bytes = receiver.recv().await?;
            Some((Ok::<_, std::convert::Infallible>(bytes), receiver))
        });
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
            // Proxies that gather answers would hold messages back.
            (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
        ];
        (StatusCode::OK, headers, Body::from_stream(stream)).into_response()
    }
}

/// The client says nothing that a connection could begin with.
fn invalid_connect(detail: &str) -> Problem {
    Problem::new(ProblemKind::BadRequest, "invalid_connect", detail)
}

/// The transport is switched off.
fn switched_off() -> Problem {
    let detail = "The settings of this hub switch this transport off.";
    Problem::new(ProblemKind::NotFound, "transport_disabled", detail)
}
