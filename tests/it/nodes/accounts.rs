//! What somebody may do is the same on every node: sessions, bans, idempotency keys, limits.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Nodes;
use crate::support::{Api, Person, Socket, pages};

/// Within what time every node acts on a change of an account.
const SOON: Duration = Duration::from_secs(1);

/// Waits until every socket was closed because its session ended: how long that took.
async fn all_closed(sockets: &mut [Socket], since: Instant) -> Duration {
    for socket in sockets {
        socket.expect_closed(3500).await;
    }
    since.elapsed()
}

/// Every proof of the session is refused on every node.
async fn is_nobody(nodes: &Nodes, token: &str) {
    for node in nodes.iter() {
        node.api().get("/v1/me").token(token).send().await.problem_coded(401, "unauthorized");
        let mut socket = Socket::open(node.address()).await;
        let (_, connect) = socket.command("connect", json!({"token": token}));
        socket.send(&connect).await;
        socket.expect_closed(3500).await;
    }
}

#[tokio::test]
async fn a_session_that_ends_on_one_node_ends_on_all_within_a_second() {
    let name = "a_session_that_ends_on_one_node_ends_on_all_within_a_second";
    let Some(nodes) = Nodes::start(name, 3).await else { return };
    let api = nodes[0].api();
    let mut waits = Vec::new();
    for round in 0..5 {
        let (person, other) = (api.person("leaver").await, api.person("stayer").await);
        let mut sockets = nodes.sockets(&person, &["feed:all"]).await;
        let mut stays = nodes.sockets(&other, &[]).await;
        // The session has been seen on every node, so that each may have it cached.
        for node in nodes.iter() {
            node.api().get("/v1/me").token(&person.token).send().await.expect(200);
        }
        let path = ["/v1/sessions", "/v1/sessions/current", "ban"][round % 3];
        if path == "ban" {
            let banned = nodes[0].beside(&["admin", "ban", &person.username]).await;
            assert_eq!(banned.code, Some(0), "{}", banned.stderr);
        } else {
            api.delete(path).token(&person.token).send().await.expect(204);
        }
        let since = Instant::now();
        waits.push(all_closed(&mut sockets, since).await);
        is_nobody(&nodes, &person.token).await;
        for socket in &mut stays {
            socket.result("ping", json!({})).await;
        }
    }
    // The middle one, for a machine that stands still for a moment is not what is tested.
    waits.sort();
    assert!(waits[2] < SOON, "{waits:?}");
}

async fn post_with_key(api: &Api, person: &Person, title: &str) -> crate::support::Answer {
    let body = json!({"title": title, "content": "However often it is sent."});
    api.post("/v1/posts").token(&person.token).key("k1").json(&body).send().await
}

#[tokio::test]
async fn a_key_used_on_one_node_gets_the_same_answer_on_another() {
    let name = "a_key_used_on_one_node_gets_the_same_answer_on_another";
    let Some(nodes) = Nodes::start(name, 2).await else { return };
    let (a, b) = (nodes[0].api(), nodes[1].api());
    let ada = a.person("ada").await;
    let mut sockets = nodes.sockets(&ada, &["feed:all"]).await;
    let first = post_with_key(&a, &ada, "Only once").await;
    let again = post_with_key(&b, &ada, "Only once").await;
    assert_eq!(again.expect(201), first.expect(201));
    post_with_key(&b, &ada, "Something else").await.problem(422);
    assert_eq!(pages(&b, "/v1/feed", 50).await.len(), 1);
    for socket in &mut sockets {
        socket.publication("feed:all").await;
        assert!(socket.left("feed:all").await.is_empty(), "told once");
    }
}

#[tokio::test]
async fn a_key_used_on_all_nodes_at_once_makes_one_post() {
    let name = "a_key_used_on_all_nodes_at_once_makes_one_post";
    let Some(nodes) = Nodes::start(name, 3).await else { return };
    let ada = nodes[0].api().person("ada").await;
    let mut requests = tokio::task::JoinSet::new();
    for number in 0..12 {
        let (api, ada) = (nodes[number % 3].api(), ada.clone());
        requests.spawn(async move { post_with_key(&api, &ada, "Only once").await });
    }
    let mut ids = Vec::new();
    for answer in requests.join_all().await {
        if answer.status == 409 {
            assert!(!answer.header("retry-after").is_empty(), "still running says when: {answer}");
        } else {
            ids.push(answer.expect(201)["id"].clone());
        }
    }
    assert!(!ids.is_empty(), "one of them got its answer");
    assert!(ids.iter().all(|id| *id == ids[0]), "all got the same: {ids:?}");
    for node in nodes.iter() {
        assert_eq!(pages(&node.api(), "/v1/feed", 50).await.len(), 1);
    }
}

#[tokio::test]
async fn limits_are_shared() {
    let name = "limits_are_shared";
    let limited = Nodes::with(name, 2, |start| {
        start
            .environment("CARILLON_LIMITS__ENABLED", "true")
            .environment("CARILLON_LIMITS__WRITES_PER_MINUTE__FREE", "4")
            .environment("CARILLON_LIMITS__LOGINS_PER_MINUTE", "3")
    });
    let Some(nodes) = limited.await else { return };
    let (a, b) = (nodes[0].api(), nodes[1].api());
    let ada = a.person("ada").await;
    let body = json!({"title": "Title", "content": "Content."});
    let write = async |api: &Api| api.post("/v1/posts").token(&ada.token).json(&body).send().await;
    for (api, left) in [(&a, 3), (&b, 2), (&b, 1), (&a, 0)] {
        let answer = write(api).await;
        answer.expect(201);
        let told = answer.header("ratelimit");
        assert!(told.starts_with(&format!("\"writes\";r={left};")), "{told}");
    }
    for api in [&a, &b] {
        let refused = write(api).await;
        refused.problem_coded(429, "rate_limited");
        assert!(!refused.header("retry-after").is_empty(), "it says when: {refused}");
    }
    // The one login of `person` has been counted, wherever the next ones come.
    let wrong = json!({"login": "nobody", "password": "a wrong password"});
    let login = async |api: &Api| api.post("/v1/sessions").json(&wrong).send().await;
    for (api, status) in [(&b, 401), (&a, 401), (&b, 429), (&a, 429)] {
        login(api).await.problem(status);
    }
}
