//! A lively community on one node, embedded or on real servers, and ways into its databases past the program.

use std::collections::BTreeMap;
use std::time::Duration;

use mongodb::bson::{Document, doc, oid::ObjectId};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};

use crate::support::{Api, Databases, Person, Server, Start, id, until};

/// What an audit leaves out as too young depends on these.
const BRIEF: &str = "
content.sweep_age = \"300ms\"
content.sweep_interval = \"300ms\"
events.lease_term = \"1s\"
events.lease_interval = \"300ms\"
";

/// A node with embedded stores, even where the tests are run on servers.
pub(super) fn alone() -> Start {
    Start::default().environment("CARILLON_REALTIME__URL", "memory:")
}

/// How long everything may take to be old enough for an audit. One takes some seconds itself.
const SETTLING: Duration = Duration::from_secs(60);

/// A node, and people who did something there.
pub(super) struct Site {
    pub(super) server: Server,
    pub(super) ada: Person,
    pub(super) bob: Person,
    /// Ada's post, which Bob likes, keeps, shared and viewed.
    pub(super) post: String,
    /// Bob's comment on it.
    pub(super) comment: String,
    databases: Option<Databases>,
}

/// What an audit told.
pub(super) struct Told {
    pub(super) code: Option<i32>,
    pub(super) report: Value,
}

impl Told {
    /// How many differences each check found, where it found any.
    pub(super) fn found(&self) -> BTreeMap<&str, u64> {
        numbers(&self.report, "found")
    }

    /// How many of them were repaired.
    pub(super) fn repaired(&self) -> BTreeMap<&str, u64> {
        numbers(&self.report["repair"], "repaired")
    }

    /// How many things a check looked at.
    pub(super) fn examined(&self, check: &str) -> u64 {
        let examined = checks(&self.report).find(|one| one["check"] == check);
        examined.and_then(|one| one["examined"].as_u64()).unwrap_or_default()
    }

    /// All that is told in words.
    pub(super) fn examples(&self) -> String {
        let examples = checks(&self.report).flat_map(|one| one["examples"].as_array());
        let texts = examples.flatten().map(|text| text.as_str().unwrap_or_default());
        texts.collect::<Vec<_>>().join("\n")
    }
}

fn checks(report: &Value) -> impl Iterator<Item = &Value> {
    report["checks"].as_array().into_iter().flatten()
}

fn numbers<'a>(report: &'a Value, field: &str) -> BTreeMap<&'a str, u64> {
    let all = checks(report).map(|one| (one["check"].as_str().unwrap_or(""), one[field].as_u64()));
    all.filter_map(|(check, count)| Some((check, count?))).filter(|(_, n)| *n > 0).collect()
}

impl Site {
    /// Embedded stores.
    pub(super) async fn embedded() -> Self {
        Self::of(alone(), None).await
    }

    /// Real servers; none where the test `name` has to be skipped.
    pub(super) async fn on_servers(name: &str) -> Option<Self> {
        let databases = Databases::fresh(name).await?;
        Some(Self::of(Start::on(&databases), Some(databases)).await)
    }

    async fn of(start: Start, databases: Option<Databases>) -> Self {
        let server = start.settings(BRIEF).run().await;
        let api = server.api();
        let (ada, bob) = (api.person("ada").await, api.person("bob").await);
        let post = id(&api.publish(&ada, "Audited").await).to_owned();
        let comment = live(&api, &ada, &bob, &post).await;
        Self { server, ada, bob, post, comment, databases }
    }

    /// Whether its stores are files.
    pub(super) fn is_embedded(&self) -> bool {
        self.databases.is_none()
    }

    /// Runs an audit beside the node, or without it.
    pub(super) async fn audit(&self, arguments: &[&str]) -> Told {
        let mut words = vec!["audit", "--json"];
        words.extend(arguments);
        let ran = self.server.beside(&words).await;
        let report = serde_json::from_str(&ran.stdout);
        let report = report.unwrap_or_else(|e| panic!("{e}: {} {}", ran.stdout, ran.stderr));
        Told { code: ran.code, report }
    }

    /// Audits until all that happened is old enough to be looked at. Whatever is too young raises no alarm.
    pub(super) async fn settled(&self, events: u64) {
        until(SETTLING, &format!("{events} events that are old enough"), async || {
            let told = self.audit(&[]).await;
            assert_eq!((told.code, told.examples().as_str()), (Some(0), ""), "{}", told.report);
            assert_eq!(told.report["verdict"], json!("clean"));
            (told.examined("unprojected_events") >= events).then_some(())
        })
        .await;
    }

    /// Stops the node in order.
    pub(super) async fn stop(&mut self) {
        let status = self.server.terminate().await;
        assert!(status.success(), "{status}");
    }

    /// Carries out a statement that both SQL databases understand.
    pub(super) async fn in_analytics(&self, statement: &str) {
        let done = match &self.databases {
            Some(databases) => {
                let mut connection =
                    PgConnection::connect(databases.analytics_url()).await.expect("it answers");
                connection.execute(AssertSqlSafe(statement)).await.map(|done| done.rows_affected())
            }
            None => self.in_file("analytics.db", statement).await,
        };
        assert!(done.expect("it is carried out") > 0, "{statement} changed nothing");
    }

    async fn in_file(&self, file: &str, statement: &str) -> Result<u64, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(self.server.data().join(file))
            .busy_timeout(Duration::from_secs(20));
        let mut connection = options.connect().await?;
        connection.execute(AssertSqlSafe(statement)).await.map(|done| done.rows_affected())
    }

    /// Does some damage to the log or the content: by a statement, or by a change of one document.
    pub(super) async fn in_content(&self, statement: &str, (name, found, change): Change) {
        let Some(databases) = &self.databases else {
            let done = self.in_file("log.db", statement).await.expect("it is carried out");
            assert!(done > 0, "{statement} changed nothing");
            return;
        };
        let client = mongodb::Client::with_uri_str(databases.content_url()).await;
        let client = client.expect("it answers");
        let database = client.default_database().expect("the URL names one");
        let collection = database.collection::<Document>(name);
        let done = match change {
            Some(change) => {
                collection.update_one(found, change).await.map(|done| done.matched_count)
            }
            None => collection.delete_one(found).await.map(|done| done.deleted_count),
        };
        assert_eq!(done.expect("it is carried out"), 1, "one document of {name}");
    }

    /// The id of Ada's post as MongoDB has it.
    pub(super) fn post_id(&self) -> ObjectId {
        ObjectId::parse_str(&self.post).expect("ids of posts are of that kind")
    }

    /// The id of Bob's mark on Ada's post.
    pub(super) fn mark_id(&self) -> Document {
        doc! { "_id": format!("{}:{}", self.post, self.bob.id) }
    }
}

/// A collection, which of its documents, and the change; `None` removes it.
pub(super) type Change = (&'static str, Document, Option<Document>);

/// What people do to each other; returns Bob's comment.
async fn live(api: &Api, ada: &Person, bob: &Person, post: &str) -> String {
    let path = |rest: &str| format!("/v1/posts/{post}/{rest}");
    let by = |who: &Person, ask: crate::support::Ask| ask.token(&who.token).send();
    api.like(bob, post).await;
    api.like(ada, post).await;
    api.unlike(ada, post).await;
    by(bob, api.put(&path("bookmark"))).await.expect(200);
    by(bob, api.post(&path("share"))).await.expect(200);
    by(bob, api.post(&path("view"))).await.expect(200);
    by(ada, api.post(&path("view"))).await.expect(200);
    let comment = api.comment(bob, post, "A comment, and @nobody is named.").await;
    let own = api.comment(ada, post, "A comment that goes.").await;
    by(ada, api.delete(&format!("/v1/comments/{}", id(&own)))).await.expect(204);
    api.follow(bob, ada).await;
    api.follow(ada, bob).await;
    by(ada, api.delete(&format!("/v1/users/{}/follow", bob.id))).await.expect(204);
    let title = json!({"title": "Audited, and edited"});
    by(ada, api.patch(&format!("/v1/posts/{post}")).json(&title)).await.expect(200);
    let gone = api.publish(bob, "It goes").await;
    by(bob, api.delete(&format!("/v1/posts/{}", id(&gone)))).await.expect(204);
    let draft = json!({"title": "A draft", "content": "Not yet.", "status": "draft"});
    api.publish_body(bob, &draft).await;
    api.inbox_of(ada, 3).await;
    let read = by(ada, api.post("/v1/notifications/read-all")).await;
    assert!([200, 204].contains(&read.status), "{read}");
    let bare = json!({"channel": "feed:all", "data": {"n": 1}});
    api.server_result("publish", &bare).await;
    id(&comment).to_owned()
}

/// How many events [`live`] and the post before it leave.
pub(super) const EVENTS: u64 = 20;
