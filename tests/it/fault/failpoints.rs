//! A kill between a document and its event: the retry finishes what was begun, and so does catch-up without one.

use serde_json::{Value, json};

use crate::support::{Api, PATIENCE, Person, Position, Server, Start, id, until};

const FAILPOINT: &str = "CARILLON_TEST_FAILPOINT";

/// A post of Ada's that Bob has not liked yet, and where a subscriber of its channel stands.
struct Scene {
    server: Server,
    ada: Person,
    bob: Person,
    post: String,
    since: Position,
}

impl Scene {
    async fn set() -> Self {
        // Looking more often only shortens the test; how old a document must be is as always.
        let server = Start::default().settings("content.sweep_interval = \"500ms\"").run().await;
        let api = server.api();
        let (ada, bob) = (api.person("ada").await, api.person("bob").await);
        let post = id(&api.publish(&ada, "Interrupted").await).to_owned();
        let mut socket = server.socket(&bob.token).await;
        let since = socket.subscribe(&format!("post:{post}")).await;
        Self { server, ada, bob, post, since }
    }

    fn api(&self) -> Api {
        self.server.api()
    }

    /// Sends a like or its opposite to a server that halts at `failpoint`, kills it there, and starts it without.
    async fn interrupted(&mut self, method: &str, failpoint: &str) {
        self.server.environment(FAILPOINT, Some(failpoint));
        self.server.restart().await;
        let ask = self.ask(method).attempt();
        let request = tokio::spawn(ask);
        self.server.logged(&format!("halted at {failpoint}")).await;
        self.server.kill();
        let answer = request.await.expect("the request does not panic");
        assert!(answer.is_err(), "nothing was acknowledged: {answer:?}");
        self.server.environment(FAILPOINT, None);
        self.server.restart().await;
    }

    /// The like or its opposite, with the one key of the test.
    fn ask(&self, method: &str) -> crate::support::Ask {
        let path = format!("/v1/posts/{}/like", self.post);
        let api = self.api();
        let ask = if method == "PUT" { api.put(&path) } else { api.delete(&path) };
        ask.token(&self.bob.token).key(&format!("key of {method}"))
    }

    /// Makes sure that nothing is on its way any more, and answers the types of all publications of the post's channel
    /// since the beginning: first what recovery brings, then what comes live, up to a last comment.
    async fn told(&self) -> Vec<Value> {
        let channel = format!("post:{}", self.post);
        let mut socket = self.server.socket(&self.bob.token).await;
        let back = socket.recover(&channel, &self.since).await;
        assert!(back.recovered);
        let mut told = back.publications;
        self.api().comment(&self.ada, &self.post, "The end.").await;
        while told.last().is_none_or(|last| last["data"]["type"] != "post.commented") {
            told.push(socket.publication(&channel).await);
        }
        told
    }

    /// Waits until catch-up has finished what was begun: until a subscriber is told of this many publications.
    async fn caught_up(&self, count: usize) {
        let channel = format!("post:{}", self.post);
        let what = format!("{count} publications in {channel}");
        until(PATIENCE * 2, &what, || async {
            let mut socket = self.server.socket(&self.bob.token).await;
            let back = socket.recover(&channel, &self.since).await;
            (back.publications.len() >= count).then_some(())
        })
        .await;
    }

    /// Checks the count, what subscribers were told in the end, and the author's inbox.
    async fn expect(&self, likes: u64, kinds: &[&str]) {
        let told = self.told().await;
        let mut wanted: Vec<_> = kinds.to_vec();
        wanted.push("post.commented");
        let found: Vec<_> = told.iter().map(|p| p["data"]["type"].clone()).collect();
        assert_eq!(found, wanted, "{told:?}");
        let last = told.last().expect("at least the comment");
        assert_eq!(last["data"]["counts"]["likes"], json!(likes), "{last}");
        let post = self.api().read_post(&self.bob, &self.post).await;
        assert_eq!(post["counts"]["likes"], json!(likes), "{post}");
        assert_eq!(post["liked"], json!(likes == 1), "{post}");

        // What comes last is in the inbox, and before it there is exactly the one like.
        self.api().comment(&self.bob, &self.post, "The very end.").await;
        let inbox = self.api().inbox_of(&self.ada, 2).await;
        let types: Vec<_> =
            inbox["items"].as_array().expect("items").iter().map(|i| i["type"].clone()).collect();
        assert_eq!(types, ["commented", "liked"], "{inbox}");
        assert_eq!(inbox["unread_count"], 2, "{inbox}");
    }
}

#[tokio::test]
async fn a_like_killed_before_its_event_is_finished_by_the_retry() {
    let mut scene = Scene::set().await;
    scene.interrupted("PUT", "like_post.document_written").await;
    let answer = scene.ask("PUT").send().await;
    assert_eq!(answer.expect(200), &json!({"likes": 1, "liked": true}));
    scene.expect(1, &["post.liked"]).await;
    let answer = scene.ask("PUT").send().await;
    assert_eq!(answer.expect(200), &json!({"likes": 1, "liked": true}), "the first answer again");
}

#[tokio::test]
async fn a_like_killed_before_its_event_is_finished_by_a_retry_without_the_key() {
    let mut scene = Scene::set().await;
    scene.interrupted("PUT", "like_post.document_written").await;
    let answer = scene.api().like(&scene.bob, &scene.post).await;
    assert_eq!(answer, json!({"likes": 1, "liked": true}));
    scene.expect(1, &["post.liked"]).await;
}

#[tokio::test]
async fn a_like_killed_before_its_event_is_finished_without_a_retry() {
    let mut scene = Scene::set().await;
    scene.interrupted("PUT", "like_post.document_written").await;
    scene.caught_up(1).await;
    scene.expect(1, &["post.liked"]).await;
}

#[tokio::test]
async fn an_unlike_killed_before_its_event_is_finished_by_the_retry() {
    let mut scene = Scene::set().await;
    scene.api().like(&scene.bob, &scene.post).await;
    scene.interrupted("DELETE", "unlike_post.document_written").await;
    let answer = scene.ask("DELETE").send().await;
    assert_eq!(answer.expect(200), &json!({"likes": 0, "liked": false}));
    scene.expect(0, &["post.liked", "post.unliked"]).await;
}

#[tokio::test]
async fn an_unlike_killed_before_its_event_is_finished_without_a_retry() {
    let mut scene = Scene::set().await;
    scene.api().like(&scene.bob, &scene.post).await;
    scene.interrupted("DELETE", "unlike_post.document_written").await;
    scene.caught_up(2).await;
    scene.expect(0, &["post.liked", "post.unliked"]).await;
}

#[tokio::test]
async fn a_like_killed_before_its_event_and_then_taken_back_is_told_as_both() {
    let mut scene = Scene::set().await;
    scene.interrupted("PUT", "like_post.document_written").await;
    let answer = scene.api().unlike(&scene.bob, &scene.post).await;
    assert_eq!(answer, json!({"likes": 0, "liked": false}));
    scene.expect(0, &["post.liked", "post.unliked"]).await;
}

/// A server that was killed between a post's document and its event, the author, and where a subscriber stood.
async fn interrupted_post(body: &Value) -> (Server, Person, Position) {
    let failpoint = "publish_post.document_written";
    let mut server = Start::default().settings("content.sweep_interval = \"500ms\"").run().await;
    let ada = server.api().person("ada").await;
    let since = server.socket(&ada.token).await.subscribe("feed:all").await;
    server.environment(FAILPOINT, Some(failpoint));
    server.restart().await;
    let api = server.api();
    let ask = api.post("/v1/posts").token(&ada.token).key("k1").json(body);
    let request = tokio::spawn(ask.attempt());
    server.logged(&format!("halted at {failpoint}")).await;
    server.kill();
    assert!(request.await.expect("no panic").is_err(), "nothing was acknowledged");
    server.environment(FAILPOINT, None);
    server.restart().await;
    (server, ada, since)
}

/// What a subscriber of the feed that was away is told, up to the post `Marker`.
async fn feed_since(server: &Server, ada: &Person, since: &Position) -> Vec<Value> {
    let mut socket = server.socket(&ada.token).await;
    let mut told = socket.recover("feed:all", since).await.publications;
    server.api().publish(ada, "Marker").await;
    while told.last().is_none_or(|last| last["data"]["post"]["title"] != "Marker") {
        told.push(socket.publication("feed:all").await);
    }
    told.iter().map(|p| p["data"]["post"]["title"].clone()).collect()
}

#[tokio::test]
async fn a_post_killed_before_its_event_is_finished_by_the_retry() {
    let body = json!({"title": "Interrupted", "content": "Once."});
    let (server, ada, since) = interrupted_post(&body).await;
    let api = server.api();
    let ask = || api.post("/v1/posts").token(&ada.token).key("k1").json(&body).send();
    let (first, again) = (ask().await, ask().await);
    assert_eq!(again.expect(201), first.expect(201));
    assert_eq!(feed_since(&server, &ada, &since).await, ["Interrupted", "Marker"]);
    let feed = api.get("/v1/feed").send().await;
    assert_eq!(feed.expect(200)["items"].as_array().map(Vec::len), Some(2), "{feed}");
}

#[tokio::test]
async fn a_post_killed_before_its_event_is_finished_without_a_retry() {
    let body = json!({"title": "Interrupted", "content": "Once."});
    let (server, ada, since) = interrupted_post(&body).await;
    until(PATIENCE * 2, "the post in the feed's history", || async {
        let mut socket = server.socket(&ada.token).await;
        let back = socket.recover("feed:all", &since).await;
        (!back.publications.is_empty()).then_some(())
    })
    .await;
    assert_eq!(feed_since(&server, &ada, &since).await, ["Interrupted", "Marker"]);
}
