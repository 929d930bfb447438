//! Sessions and tickets, and the sockets that live by them.

use std::time::Duration;

use serde_json::json;

use crate::support::{Closed, Server, Socket};

/// The contract says one second; the machine that runs the tests may be busy.
const SOON: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_ticket_opens_one_socket_and_no_second() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let answer = api.post("/v1/connection-tickets").token(&ada.token).send().await;
    let ticket = answer.expect(201)["ticket"].as_str().expect("a ticket");
    assert!(ticket.starts_with("ctk_"), "{answer}");
    assert!(answer.body["expires_at"].is_string(), "{answer}");

    let mut socket = server.socket(ticket).await;
    socket.subscribe("feed:all").await;
    api.publish(&ada, "By ticket").await;
    let publication = socket.publication("feed:all").await;
    assert_eq!(publication["data"]["post"]["title"], "By ticket");

    let mut second = Socket::open(server.address()).await;
    let (_, connect) = second.command("connect", json!({"token": ticket}));
    second.send(&connect).await;
    second.expect_closed(3500).await;
}

#[tokio::test]
async fn the_inbox_is_subscribed_by_the_server_at_connect() {
    let server = Server::start().await;
    let ada = server.api().person("ada").await;
    let socket = server.socket(&ada.token).await;
    let inbox = format!("notifications:#{}", ada.id);
    assert!(socket.hello["subs"][&inbox].is_object(), "{}", socket.hello);
}

#[tokio::test]
async fn ending_a_session_closes_its_socket_and_no_other() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let other = api.login(&ada.email).await;
    let mut ended = server.socket(&ada.token).await;
    let mut stays = server.socket(&other).await;
    let path = "/v1/sessions/current";
    api.delete(path).token(&ada.token).send().await.expect(204);

    assert_eq!(ended.closed_within(SOON).await, Closed(Some(3500)));
    stays.result("ping", json!({})).await;
    api.get("/v1/me").token(&ada.token).send().await.problem(401);
    api.get("/v1/me").token(&other).send().await.expect(200);
}

#[tokio::test]
async fn ending_all_sessions_closes_every_socket_of_the_user() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let other = api.login(&ada.username).await;
    let ticket = api.post("/v1/connection-tickets").token(&other).send().await;
    let ticket = ticket.expect(201)["ticket"].as_str().expect("a ticket");
    let mut sockets =
        [server.socket(&ada.token).await, server.socket(&other).await, server.socket(ticket).await];
    let mut stays = server.socket(&bob.token).await;
    api.delete("/v1/sessions").token(&ada.token).send().await.expect(204);

    for socket in &mut sockets {
        assert_eq!(socket.closed_within(SOON).await, Closed(Some(3500)));
    }
    stays.result("ping", json!({})).await;
    api.get("/v1/me").token(&other).send().await.problem(401);
}

#[tokio::test]
async fn a_session_that_has_ended_opens_no_socket() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    server.socket(&ada.token).await;
    let path = "/v1/sessions/current";
    api.delete(path).token(&ada.token).send().await.expect(204);
    let mut socket = Socket::open(server.address()).await;
    let (_, connect) = socket.command("connect", json!({"token": ada.token}));
    socket.send(&connect).await;
    socket.expect_closed(3500).await;
}

#[tokio::test]
async fn the_upgrade_request_may_carry_the_token_itself() {
    let server = Server::start().await;
    let ada = server.api().person("ada").await;
    let bearer = format!("Bearer {}", ada.token);
    let headers = [("authorization", bearer.as_str())];
    let mut socket = Socket::attempt(server.address(), &headers).await.expect("an upgrade");
    let hello = socket.result("connect", json!({})).await;
    let inbox = format!("notifications:#{}", ada.id);
    assert!(hello["subs"][&inbox].is_object(), "connected as its owner: {hello}");
}

#[tokio::test]
async fn me_is_the_user_with_what_is_for_oneself() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let me = api.get("/v1/me").token(&ada.token).send().await;
    let me = me.expect(200);
    assert_eq!(me["id"], json!(ada.id));
    assert_eq!(me["username"], json!(ada.username));
    assert_eq!(me["email"], json!(ada.email));
    assert_eq!(me["plan"], "free");
    assert_eq!(me["email_verified"], false);
    assert!(me["created_at"].is_string(), "{me}");
    assert!(!me.to_string().contains("argon2"), "no hash leaves the server: {me}");
}
