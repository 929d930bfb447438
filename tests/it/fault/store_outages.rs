//! The table of what goes on while a store is away: MongoDB and PostgreSQL. Those of Redis and of MySQL are in
//! `redis_outages.rs` and in `nodes/session_cache.rs`.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::support::{Cut, Databases, PATIENCE, Person, Server, Socket, Start, id, until};

/// Channels that a test publishes to: `typing` keeps nothing.
const NAMESPACES: &str = r#"
[[channel.namespaces]]
name = "typing"
allow_subscribe_for_client = true
presence = true
allow_presence_for_subscriber = true
durable = false
"#;

/// A node whose way to one store can be cut, two people, a post, and a socket that hears of it.
struct Scene {
    server: Server,
    cut: Cut,
    ada: Person,
    bob: Person,
    post: String,
    socket: Socket,
    /// The analytics, reached past the wire.
    analytics: String,
    _databases: Databases,
}

impl Scene {
    async fn set(name: &str, store: &str) -> Option<Self> {
        let databases = Databases::fresh(name).await?;
        let analytics = databases.analytics_url().to_owned();
        let (cut, databases) = match store {
            "postgresql" => {
                let (cut, url) = Cut::before(databases.analytics_url(), 5432).await;
                (cut, databases.with_analytics(&url))
            }
            _ => {
                let (cut, url) = Cut::before(databases.events_url(), 27017).await;
                (cut, databases.with_events(&url).with_content(&url))
            }
        };
        let server = Start::on(&databases)
            .settings(NAMESPACES)
            .environment("CARILLON_EVENTS__APPEND_TIMEOUT", "2s")
            .run()
            .await;
        let api = server.api();
        let (ada, bob) = (api.person("ada").await, api.person("bob").await);
        let post = id(&api.publish(&ada, "In spite of it").await).to_owned();
        let mut socket = server.socket(&bob.token).await;
        socket.subscribe(&format!("post:{post}")).await;
        let _databases = databases;
        Some(Self { server, cut, ada, bob, post, socket, analytics, _databases })
    }

    fn channel(&self) -> String {
        format!("post:{}", self.post)
    }

    /// Waits until `/health` tells of this store alone that it is so; a node is ready all the while.
    async fn told(&self, service: &str, status: &str) {
        until(PATIENCE * 2, &format!("{service} to be {status}"), async || {
            let answer = self.server.api().get("/health").send().await;
            let others = answer.body["services"].as_object().expect("services").iter();
            let mut others = others.filter(|(name, _)| *name != service);
            let as_told = answer.body["services"][service]["status"] == status;
            let well = others.all(|(_, service)| service["status"] == "healthy");
            let code = if status == "healthy" { 200 } else { 503 };
            (as_told && well && answer.status == code).then_some(())
        })
        .await;
        let ready = self.server.api().get("/health/ready").send().await;
        assert_eq!(ready.status, 200, "{ready}");
    }
}

#[tokio::test]
async fn while_postgresql_is_away_everything_but_the_analytics_goes_on() {
    let name = "while_postgresql_is_away_everything_but_the_analytics_goes_on";
    let Some(mut scene) = Scene::set(name, "postgresql").await else { return };
    scene.cut.cut();
    scene.told("postgresql", "unhealthy").await;
    let api = scene.server.api();
    assert_eq!(api.like(&scene.bob, &scene.post).await["likes"], 1);
    for n in 0..5 {
        api.comment(&scene.ada, &scene.post, &format!("Comment {n}.")).await;
    }
    for _ in 0..6 {
        scene.socket.publication(&scene.channel()).await;
    }
    assert_eq!(api.read_post(&scene.bob, &scene.post).await["counts"]["comments"], 5);
    scene.cut.mend();
    scene.told("postgresql", "healthy").await;
    // What waited in the log is projected: the post, the like and the comments.
    let analytics = PgConnection::connect(&scene.analytics).await;
    let mut analytics = analytics.expect("the database is there");
    until(PATIENCE * 2, "seven interactions", async || {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM interactions")
            .fetch_one(&mut analytics)
            .await
            .expect("a count");
        assert!(count <= 7, "{count} interactions");
        (count == 7).then_some(())
    })
    .await;
}

#[tokio::test]
async fn while_mongodb_is_away_nothing_is_acknowledged_and_the_rest_goes_on() {
    let name = "while_mongodb_is_away_nothing_is_acknowledged_and_the_rest_goes_on";
    let Some(mut scene) = Scene::set(name, "mongodb").await else { return };
    let mut other = scene.server.socket(&scene.ada.token).await;
    other.subscribe("typing:room").await;
    scene.cut.cut();
    scene.told("mongodb", "unhealthy").await;
    let api = scene.server.api();

    // A write may or may not have taken place; the same key tells later.
    let like = || {
        let ask = api.put(&format!("/v1/posts/{}/like", scene.post));
        ask.token(&scene.bob.token).key("a like in the dark")
    };
    let refused = like().send().await;
    refused.problem(503);
    assert!(!refused.header("retry-after").is_empty(), "{refused}");

    // Subscriptions, presence and publications that are no interactions do not need it.
    scene.socket.subscribe("typing:room").await;
    let presence = scene.socket.result("presence", json!({"channel": "typing:room"})).await;
    assert_eq!(presence["presence"].as_object().expect("clients").len(), 2, "{presence}");
    let bare = json!({"channel": "typing:room", "data": {"typing": true}});
    api.server_result("publish", &bare).await;
    for socket in [&mut scene.socket, &mut other] {
        assert_eq!(socket.publication("typing:room").await["data"], json!({"typing": true}));
    }

    scene.cut.mend();
    scene.told("mongodb", "healthy").await;
    let answer: Value = until(Duration::from_secs(60), "the like to be acknowledged", async || {
        let answer = like().send().await;
        (answer.status == 200).then_some(answer.body)
    })
    .await;
    assert_eq!(answer, json!({"likes": 1, "liked": true}));
    let told = scene.socket.publication(&scene.channel()).await;
    assert_eq!(
        (&told["data"]["type"], &told["data"]["counts"]["likes"]),
        (&json!("post.liked"), &json!(1))
    );
    let post = api.read_post(&scene.bob, &scene.post).await;
    assert_eq!(post["counts"]["likes"], 1, "{post}");
}
