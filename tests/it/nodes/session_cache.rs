//! Sessions that are cached: who goes on without MySQL, and that nobody is believed for longer than the truth allows.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{NAMESPACE, Nodes};
use crate::support::{
    Answer, Api, Cut, Databases, PATIENCE, Person, Server, Socket, Start, id, until,
};

/// Within what time every node acts on a change of an account.
const SOON: Duration = Duration::from_secs(1);

/// Two nodes whose way to MySQL can be cut.
async fn nodes_behind_a_cut(name: &str) -> Option<(Nodes, Cut)> {
    let databases = Databases::fresh(name).await?;
    let (cut, through) = Cut::before(databases.accounts_url(), 3306).await;
    let databases = databases.with_accounts(&through);
    let starts = (0..2).map(|_| {
        let start = Start::on(&databases).settings(NAMESPACE);
        start.environment("CARILLON_ACCOUNTS__POOL__ACQUIRE_TIMEOUT", "1s").run()
    });
    let servers = join_all(starts).await;
    Some((Nodes { servers, _databases: databases }, cut))
}

async fn me(node: &Server, token: &str) -> Answer {
    node.api().get("/v1/me").token(token).send().await
}

async fn log_in(api: &Api, person: &Person) -> Answer {
    let body = json!({"login": person.username, "password": "correct horse battery staple"});
    api.post("/v1/sessions").json(&body).send().await
}

async fn register(api: &Api) -> Answer {
    let body = json!({"email": "late@example.test", "username": "late",
        "password": "correct horse battery staple"});
    api.post("/v1/users").json(&body).send().await
}

#[tokio::test]
async fn while_mysql_is_away_whoever_is_cached_goes_on_and_nobody_else_comes_in() {
    let name = "while_mysql_is_away_whoever_is_cached_goes_on_and_nobody_else_comes_in";
    let Some((nodes, cut)) = nodes_behind_a_cut(name).await else { return };
    let (a, b) = (nodes[0].api(), nodes[1].api());
    let (ada, bob) = (a.person("ada").await, a.person("bob").await);
    let post = a.publish(&ada, "Before").await;
    // Bob was seen on the first node alone.
    me(&nodes[0], &bob.token).await.expect(200);
    let stranger = a.login(&bob.username).await;
    let mut connected = nodes[0].socket(&ada.token).await;
    connected.subscribe("feed:all").await;

    cut.cut();
    for node in nodes.iter() {
        for person in [&ada, &bob] {
            assert_eq!(me(node, &person.token).await.expect(200)["id"], json!(person.id));
        }
    }
    a.publish(&ada, "Meanwhile").await;
    connected.told("feed:all", "post.published").await;
    assert_eq!(b.like(&bob, id(&post)).await["likes"], json!(1));
    connected.call("like_post", json!({"post_id": id(&post)})).await;
    let mut late = nodes[1].socket(&bob.token).await;
    late.call("view_post", json!({"post_id": id(&post)})).await;
    for api in [&a, &b] {
        log_in(api, &ada).await.problem_coded(503, "store_unavailable");
        register(api).await.problem_coded(503, "store_unavailable");
    }
    me(&nodes[1], &stranger).await.problem_coded(503, "store_unavailable");
    me(&nodes[1], "no session").await.problem_coded(401, "unauthorized");
    // Being away ends nobody's connection.
    connected.result("ping", json!({})).await;

    cut.mend();
    until(PATIENCE, "MySQL to be used again", || async {
        let answer = log_in(&b, &ada).await;
        (answer.status == 201).then_some(())
    })
    .await;
    register(&b).await.expect(201);
    me(&nodes[1], &stranger).await.expect(200);
    // And the nodes read what changes.
    b.delete("/v1/sessions").token(&ada.token).send().await.expect(204);
    connected.expect_closed(3500).await;
    me(&nodes[0], &ada.token).await.problem(401);
}

/// Waits until every node refuses the session: how long that took. Meanwhile it may be good, but nothing else.
async fn refused_by_all(nodes: &Nodes, token: &str, since: Instant) -> Duration {
    for node in nodes.iter() {
        until(PATIENCE, "the session to be refused", || async {
            let answer = me(node, token).await;
            assert!([200, 401].contains(&answer.status), "{answer}");
            (answer.status == 401).then_some(())
        })
        .await;
    }
    since.elapsed()
}

#[tokio::test]
async fn a_ban_is_out_of_every_cache_within_a_second() {
    let name = "a_ban_is_out_of_every_cache_within_a_second";
    let Some(nodes) = Nodes::start(name, 2).await else { return };
    let api = nodes[0].api();
    let mut waits = Vec::new();
    for _ in 0..5 {
        let person = api.person("banned").await;
        for node in nodes.iter() {
            me(node, &person.token).await.expect(200);
        }
        let banned = nodes[0].beside(&["admin", "ban", &person.username]).await;
        assert_eq!(banned.code, Some(0), "{}", banned.stderr);
        waits.push(refused_by_all(&nodes, &person.token, Instant::now()).await);
        // Taking the ban back brings no session back.
        let unbanned = nodes[0].beside(&["admin", "unban", &person.username]).await;
        assert_eq!(unbanned.code, Some(0), "{}", unbanned.stderr);
        for node in nodes.iter() {
            me(node, &person.token).await.problem(401);
        }
    }
    // The middle one, for a machine that stands still for a moment is not what is tested.
    waits.sort();
    assert!(waits[2] < SOON, "{waits:?}");
}

/// On nodes that look for changes by themselves only every ten minutes.
async fn nodes_that_wait(name: &str) -> Option<Nodes> {
    let start = |start: Start| {
        let start = start.settings(NAMESPACE);
        start.environment("CARILLON_ACCOUNTS__CHANGES_INTERVAL", "10m")
    };
    Nodes::with(name, 2, start).await
}

#[tokio::test]
async fn a_change_on_one_node_hurries_the_others() {
    let name = "a_change_on_one_node_hurries_the_others";
    let Some(nodes) = nodes_that_wait(name).await else { return };
    let api = nodes[0].api();
    for path in ["/v1/sessions", "/v1/me", "/v1/me/password"] {
        let person = api.person("leaver").await;
        let other = api.login(&person.username).await;
        let mut sockets = nodes.sockets(&person, &[]).await;
        for node in nodes.iter() {
            me(node, &person.token).await.expect(200);
        }
        let asked = match path {
            "/v1/me/password" => api.put(path).json(&json!({
                "current_password": "correct horse battery staple",
                "new_password": "another password that is long",
            })),
            _ => api.delete(path),
        };
        // It is another session that asks, so that the cache is not told of the one that is looked at.
        asked.token(&other).send().await.expect(204);
        me(&nodes[0], &person.token).await.problem(401);
        refused_by_all(&nodes, &person.token, Instant::now()).await;
        for socket in &mut sockets {
            socket.expect_closed(3500).await;
        }
    }
}

#[tokio::test]
async fn whoever_changes_their_account_sees_it_on_every_node() {
    let name = "whoever_changes_their_account_sees_it_on_every_node";
    let Some(nodes) = Nodes::start(name, 2).await else { return };
    let ada = nodes[0].api().person("ada").await;
    for (n, first_name) in ["Ada", "Augusta", ""].into_iter().enumerate() {
        for node in nodes.iter() {
            me(node, &ada.token).await.expect(200);
        }
        let (here, there) = (&nodes[n % 2], &nodes[(n + 1) % 2]);
        let body = json!({"first_name": first_name});
        here.api().patch("/v1/me").token(&ada.token).json(&body).send().await.expect(200);
        let shown = |answer: Answer| answer.expect(200)["first_name"].clone();
        assert_eq!(shown(me(here, &ada.token).await), json!(first_name));
        until(PATIENCE, "the change to show on the other node", || async {
            (shown(me(there, &ada.token).await) == json!(first_name)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_node_that_starts_believes_no_session_that_ended_while_nobody_looked() {
    let name = "a_node_that_starts_believes_no_session_that_ended_while_nobody_looked";
    let Some(mut nodes) = Nodes::start(name, 1).await else { return };
    let api = nodes[0].api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    for person in [&ada, &bob] {
        me(&nodes[0], &person.token).await.expect(200);
    }
    nodes[0].kill();
    let banned = nodes[0].beside(&["admin", "ban", &bob.username]).await;
    assert_eq!(banned.code, Some(0), "{}", banned.stderr);
    nodes[0].restart().await;
    me(&nodes[0], &bob.token).await.problem(401);
    me(&nodes[0], &ada.token).await.expect(200);
    let mut socket = Socket::open(nodes[0].address()).await;
    let (_, connect): (u64, String) = socket.command("connect", json!({"token": bob.token}));
    socket.send(&connect).await;
    socket.expect_closed(3500).await;
    let shown: Value = nodes[0].socket(&ada.token).await.hello;
    assert!(shown["client"].is_string(), "{shown}");
}
