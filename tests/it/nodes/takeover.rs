//! A node is killed with a write on its way: another one finishes it, once, within ten seconds.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::support::{Databases, Person, Server, Socket, Start, event_id, id};

const FAILPOINT: &str = "CARILLON_TEST_FAILPOINT";

/// By when another node has finished what a dead one left.
const FINISHED_WITHIN: Duration = Duration::from_secs(10);

/// Two nodes, of which the first stops on the way of the first event that it takes.
struct Scene {
    doomed: Server,
    other: Server,
    databases: Databases,
    ada: Person,
    bob: Person,
    post: String,
    /// Events of the post that the other node took.
    before: Vec<Value>,
    socket: Socket,
}

impl Scene {
    async fn set(name: &str, failpoint: &str) -> Option<Self> {
        let databases = Databases::fresh(name).await?;
        let other = Start::on(&databases).run().await;
        let api = other.api();
        let (ada, bob) = (api.person("ada").await, api.person("bob").await);
        let post = id(&api.publish(&ada, "Left behind").await).to_owned();
        let mut socket = other.socket(&ada.token).await;
        let channel = format!("post:{post}");
        socket.subscribe(&channel).await;
        api.comment(&ada, &post, "Before.").await;
        let before = vec![socket.publication(&channel).await];
        let doomed = Start::on(&databases).environment(FAILPOINT, failpoint).run().await;
        Some(Self { doomed, other, databases, ada, bob, post, before, socket })
    }

    fn channel(&self) -> String {
        format!("post:{}", self.post)
    }

    /// Likes the post on the first node, and kills that once it halted at `failpoint`.
    async fn like_and_kill(&mut self, failpoint: &str) {
        let ask = self.doomed.api().put(&format!("/v1/posts/{}/like", self.post));
        let request = tokio::spawn(ask.token(&self.bob.token).key("the one like").attempt());
        self.doomed.logged(&format!("halted at {failpoint}")).await;
        self.doomed.kill();
        // Whether it was acknowledged depends on the place; nothing else does.
        let _ = request.await.expect("the request does not panic");
    }

    /// The subscriber on the other node is told of the like, once, with the right count, in time; so is the author.
    async fn expect_told(&mut self) {
        let (channel, began) = (self.channel(), Instant::now());
        let told = loop {
            let told = self.socket.publication(&channel).await;
            if told["data"]["type"] == "post.liked" {
                break told;
            }
        };
        assert!(began.elapsed() < FINISHED_WITHIN, "only after {:?}", began.elapsed());
        assert_eq!(told["data"]["counts"]["likes"], 1, "{told}");
        let last = self.before.last().expect("a comment")["offset"].as_u64().expect("an offset");
        assert_eq!(told["offset"], json!(last + 1), "{told}");
        let post = self.other.api().read_post(&self.bob, &self.post).await;
        assert_eq!((&post["counts"]["likes"], &post["liked"]), (&json!(1), &json!(true)), "{post}");
        // Whoever holds the key holds it until its run is closed.
        self.expect_finished().await;
        let again = self.other.api().put(&format!("/v1/posts/{}/like", self.post));
        let again = again.token(&self.bob.token).key("the one like").send().await;
        assert_eq!(again.expect(200), &json!({"likes": 1, "liked": true}));
        // What is published next follows at once: the like was not told twice.
        self.other.api().comment(&self.ada, &self.post, "After.").await;
        let next = self.socket.publication(&channel).await;
        assert_eq!(next["offset"], json!(last + 2), "{next}");
        assert_ne!(event_id(&next), event_id(&told));
        let inbox = self.other.api().inbox_of(&self.ada, 1).await;
        assert_eq!(inbox["items"][0]["type"], "liked", "{inbox}");
    }

    /// The analytics have each of the four events once: a post, two comments and the like.
    async fn expect_projected_once(&self) {
        let mut analytics = PgConnection::connect(self.databases.analytics_url())
            .await
            .expect("the database is there");
        let mut count = async |sql: &'static str| -> i64 {
            sqlx::query_scalar(sql).fetch_one(&mut analytics).await.expect("a count")
        };
        let began = Instant::now();
        loop {
            let projected = count("SELECT count(*) FROM interactions").await;
            assert!(projected <= 4, "{projected} interactions");
            if projected == 4 {
                break;
            }
            assert!(began.elapsed() < FINISHED_WITHIN, "{projected} of 4 events were projected");
            tokio::task::yield_now().await;
        }
        assert_eq!(count("SELECT count(DISTINCT event_id) FROM interactions").await, 4);
        let likes = count("SELECT sum(count)::bigint FROM post_daily WHERE kind = 'post.liked'");
        assert_eq!(likes.await, 1);
    }

    /// The run of the killed node is closed.
    async fn expect_finished(&self) {
        self.other.logged("finished the run of a node that is gone").await;
    }
}

/// Kills the node at the place and checks everything.
async fn is_finished_by_the_other(name: &str, failpoint: &str) {
    let Some(mut scene) = Scene::set(name, failpoint).await else { return };
    scene.like_and_kill(failpoint).await;
    scene.expect_told().await;
    scene.expect_projected_once().await;
    let audit = scene.other.beside(&["audit"]).await;
    assert_eq!(audit.code, Some(0), "{}{}", audit.stdout, audit.stderr);
}

#[tokio::test]
async fn a_node_killed_after_the_document_is_finished_by_another() {
    let name = "a_node_killed_after_the_document_is_finished_by_another";
    is_finished_by_the_other(name, "like_post.document_written").await;
}

#[tokio::test]
async fn a_node_killed_after_the_append_is_finished_by_another() {
    let name = "a_node_killed_after_the_append_is_finished_by_another";
    is_finished_by_the_other(name, "committer.appended").await;
}

#[tokio::test]
async fn a_node_killed_after_the_relay_is_finished_by_another() {
    let name = "a_node_killed_after_the_relay_is_finished_by_another";
    is_finished_by_the_other(name, "relay.published").await;
}

#[tokio::test]
async fn a_node_killed_before_the_commit_of_its_projection_is_finished_by_another() {
    let name = "a_node_killed_before_the_commit_of_its_projection_is_finished_by_another";
    is_finished_by_the_other(name, "projection.uncommitted").await;
}

#[tokio::test]
async fn a_node_killed_after_the_commit_of_its_projection_is_finished_by_another() {
    let name = "a_node_killed_after_the_commit_of_its_projection_is_finished_by_another";
    is_finished_by_the_other(name, "projection.committed").await;
}
