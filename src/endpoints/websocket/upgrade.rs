//! From an HTTP request to a socket that the hub owns.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tungstenite::handshake::derive_accept_key;
use utoipa::IntoParams;

use super::session::Session;
use crate::admission::origin;
use crate::domain::ids::ClientId;
use crate::domain::problem::{Problem, ProblemKind};
use crate::endpoints::openapi::problems::{ForeignOrigin, NotAWebsocket};
use crate::endpoints::reply::Refused;
use crate::endpoints::request::{App, Parameters, bearer};
use crate::hub::codec::Agreement;
use crate::hub::{Conversation, Link, Message, Transport, Wire};

/// The subprotocol of JSON messages.
const JSON: &str = "centrifuge-json";
/// The subprotocol of Protobuf messages.
const PROTOBUF: &str = "centrifuge-protobuf";
/// The cookie that may carry the connection token.
const TOKEN_COOKIE: &str = "carillon_session";

/// What a client asks of its WebSocket in the query.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct WebSocketQuery {
    /// `protobuf` for binary messages; JSON otherwise. The subprotocol `centrifuge-protobuf` asks for the same.
    format: Option<String>,
}

/// What the client of a unidirectional WebSocket may say in the query.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct UniQuery {
    /// A connect command in JSON, such as `{"token": "cst_…"}`; otherwise the first message has to be one.
    cf_connect: Option<String>,
}

/// Opens a WebSocket that speaks the Centrifugal client protocol (version 2), in JSON or in Protobuf.
///
/// The token may stand in the connect command instead: a session token, or a ticket of
/// `POST /v1/connection-tickets`.
#[utoipa::path(
    get, path = "/connection/websocket", tag = "connections", operation_id = "websocket",
    params(WebSocketQuery), security((), ("session" = [])),
    responses((status = 101), NotAWebsocket, ForeignOrigin)
)]
pub async fn websocket(
    State(app): State<App>,
    Parameters(query): Parameters<WebSocketQuery>,
    request: Request,
) -> Result<Response, Refused> {
    let subprotocol = subprotocol(request.headers());
    let protobuf = match subprotocol {
        Some(subprotocol) => subprotocol == PROTOBUF,
        None => query.format.as_deref() == Some("protobuf"),
    };
    let wire = if protobuf { Wire::WebSocketProtobuf } else { Wire::WebSocket };
    let mut response = accept(app, request, wire, None)?;
    if let Some(subprotocol) = subprotocol {
        let chosen = HeaderValue::from_static(subprotocol);
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, chosen);
    }
    Ok(response)
}

/// Opens a WebSocket on which the hub alone speaks, after a first message that says who the client is.
///
/// The client's first message is a connect command in JSON, such as `{"token": "cst_…"}`; what comes then are pushes.
#[utoipa::path(
    get, path = "/connection/uni_websocket", tag = "connections", operation_id = "uni_websocket",
    params(UniQuery), security((), ("session" = [])),
    responses((status = 101), NotAWebsocket, ForeignOrigin)
)]
pub async fn uni_websocket(
    State(app): State<App>,
    Parameters(query): Parameters<UniQuery>,
    request: Request,
) -> Result<Response, Refused> {
    accept(app, request, Wire::UniWebSocket, query.cf_connect)
}

/// Answers an opening handshake and hands the socket to the hub. `first` is what the client has said already.
fn accept(
    app: App,
    mut request: Request,
    wire: Wire,
    first: Option<String>,
) -> Result<Response, Refused> {
    let accept = check_handshake(request.headers())?;
    let authority = request.uri().authority().map(|authority| authority.as_str());
    check_origin(&app, request.headers(), authority)?;
    let token = connection_token(request.headers());
    let compression = compression(&app, request.headers());
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let Some(upgrade) = upgrade else {
        return Err(not_a_handshake("This connection cannot be upgraded.").into());
    };
    tokio::spawn(async move {
        match upgrade.await.map(into_transport) {
            Ok(Ok((transport, head))) => {
                let client = ClientId::from_random(app.entropy.bytes::<16>());
                let hub = std::sync::Arc::clone(&app.hub);
                let converse = move |link: Link| {
                    if let Some(agreement) = compression {
                        link.compress(agreement);
                    }
                    let mut session = Session::new(link, app, client, token);
                    if let Some(first) = first {
                        session.hear(Message::Text(&first));
                    }
                    session
                };
                hub.adopt(transport, wire, head, converse).await;
            }
            Ok(Err(error)) => tracing::warn!(%error, "could not take a socket over"),
            Err(error) => tracing::debug!(%error, "an upgrade did not complete"),
        }
    });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    let mut response = (StatusCode::SWITCHING_PROTOCOLS, headers).into_response();
    if let Some(agreement) = compression {
        let agreed = HeaderValue::try_from(agreement.answer());
        let agreed = agreed.expect("the answer is of visible ASCII characters");
        response.headers_mut().insert(header::SEC_WEBSOCKET_EXTENSIONS, agreed);
    }
    Ok(response)
}

/// What can be agreed about compressed messages with a client (RFC 7692, section 5).
fn compression(app: &App, headers: &HeaderMap) -> Option<Agreement> {
    if !app.limits.websocket_compression {
        return None;
    }
    let offers = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).into_iter();
    Agreement::with(offers.filter_map(|offer| offer.to_str().ok()))
}

/// The first of the subprotocols that the client offers and this hub speaks (RFC 6455, section 1.9).
fn subprotocol(headers: &HeaderMap) -> Option<&'static str> {
    let offers = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
    let offers = offers.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let spoken = |offer: &str| [JSON, PROTOBUF].into_iter().find(|spoken| offer.trim() == *spoken);
    offers.into_iter().find_map(spoken)
}

/// Refuses pages of origins that may not connect. `authority` is the host of
/// the request's target, for clients that send no `Host`.
pub(in crate::endpoints) fn check_origin(
    app: &App,
    headers: &HeaderMap,
    authority: Option<&str>,
) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = text(header::HOST).or(authority);
    if origin::is_allowed(text(header::ORIGIN), host, &app.limits.allowed_origins) {
        return Ok(());
    }
    let detail = "Pages of this origin may not connect; see the setting client.allowed_origins.";
    Err(Problem::new(ProblemKind::Forbidden, "origin_not_allowed", detail))
}

/// The connection token of a request's headers.
pub(in crate::endpoints) fn connection_token(headers: &HeaderMap) -> Option<String> {
    bearer(headers).map(str::to_owned).or_else(|| cookie(headers))
}

/// Checks the opening handshake (RFC 6455, section 4.2.1) and answers its key.
fn check_handshake(headers: &HeaderMap) -> Result<HeaderValue, Problem> {
    let has = |name, token: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(token))
    };
    if !has(header::CONNECTION, "upgrade") || !has(header::UPGRADE, "websocket") {
        return Err(not_a_handshake("This path takes WebSocket connections."));
    }
    if !has(header::SEC_WEBSOCKET_VERSION, "13") {
        return Err(not_a_handshake("The version of the WebSocket protocol must be 13."));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let key = key.ok_or_else(|| not_a_handshake("The header Sec-WebSocket-Key is missing."))?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
        .map_err(|_| not_a_handshake("The header Sec-WebSocket-Key is not valid."))
}

fn not_a_handshake(detail: &str) -> Problem {
    Problem::new(ProblemKind::BadRequest, "not_a_websocket_handshake", detail)
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let cookies =
        headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == TOKEN_COOKIE).map(|(_, value)| value.to_owned())
}

/// Gives the bare socket back from under hyper, with what hyper read too much.
fn into_transport(upgraded: Upgraded) -> std::io::Result<(Transport, Bytes)> {
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => {
            let socket = parts.io.into_inner().into_std()?;
            // A frame is written whole; there is nothing to wait for.
            socket.set_nodelay(true)?;
            Ok((Transport::Tcp(socket), parts.read_buf))
        }
        Err(upgraded) => match upgraded.downcast::<TokioIo<TlsStream<TcpStream>>>() {
            Ok(parts) => {
                let (socket, tls) = parts.io.into_inner().into_inner();
                socket.set_nodelay(true)?;
                Ok((Transport::Tls(socket.into_std()?, Box::new(tls)), parts.read_buf))
            }
            Err(_) => Err(std::io::Error::other("the connection is neither TCP nor TLS over TCP")),
        },
    }
}
