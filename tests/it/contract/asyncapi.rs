//! The document at `/asyncapi.json` against publications as sockets get them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Api, Server, Socket, id};

/// The document of a server, and which of its messages were seen.
struct Document {
    document: Value,
    seen: BTreeSet<String>,
}

impl Document {
    async fn of(api: &Api) -> Self {
        let document = api.get("/asyncapi.json").send().await.expect(200).clone();
        Self { document, seen: BTreeSet::new() }
    }

    /// The name that the document has for a channel: its namespace.
    fn message(&self, channel: &str, kind: &str) -> &Value {
        let key = channel.split(':').next().expect("a split has a first part");
        let reference = &self.document["channels"][key]["messages"][kind]["$ref"];
        let reference = reference.as_str().unwrap_or_else(|| panic!("{channel} has no {kind}"));
        self.document.pointer(reference.trim_start_matches('#')).expect("it leads somewhere")
    }

    fn faults(&self, channel: &str, data: &Value) -> Vec<String> {
        let kind = data["type"].as_str().expect("data have a type");
        // Receivers ignore what they do not know; here nothing may be unknown.
        let schema = json!({
            "allOf": [self.message(channel, kind)["payload"]],
            "unevaluatedProperties": false,
            "components": self.document["components"],
        });
        let options = jsonschema::options().should_validate_formats(true);
        let validator = options.build(&schema).expect("a schema can be built");
        validator.iter_errors(data).map(|fault| fault.to_string()).collect()
    }

    /// Waits for the next publication, which must be of this type and as documented.
    async fn told(&mut self, socket: &mut Socket, channel: &str, kind: &str) -> Value {
        let publication = socket.told(channel, kind).await;
        let faults = self.faults(channel, &publication["data"]);
        assert!(faults.is_empty(), "{channel} {kind}: {faults:#?} in {publication:#}");
        let key = channel.split(':').next().expect("a split has a first part");
        self.seen.insert(format!("{key} {kind}"));
        publication["data"].clone()
    }

    /// What is documented, by channel and type.
    fn all(&self) -> BTreeSet<String> {
        let channels = self.document["channels"].as_object().expect("channels is an object");
        let messages = channels.iter().flat_map(|(key, channel)| {
            let kinds = channel["messages"].as_object().expect("messages is an object").keys();
            kinds.map(move |kind| format!("{key} {kind}"))
        });
        messages.collect()
    }
}

#[tokio::test]
async fn the_document_of_channels_is_sent_once_as_long_as_it_stays_the_same() {
    let server = Server::start().await;
    let answer = server.api().get("/asyncapi.json").send().await;
    assert_eq!(answer.expect(200)["asyncapi"], "3.0.0");
    assert_eq!(answer.header("content-type"), "application/json");
    let tag = answer.header("etag");
    let again = server.api().get("/asyncapi.json").header("If-None-Match", tag).send().await;
    again.expect(304);
}

#[tokio::test]
async fn publications_are_as_documented() {
    let server = Server::start().await;
    let api = server.api();
    let mut document = Document::of(&api).await;
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let (author, inbox) = (format!("author:{}", ada.id), format!("notifications:#{}", ada.id));
    let mut reader = server.socket(&bob.token).await;
    let mut writer = server.socket(&ada.token).await;
    for channel in ["feed:all", "tag:rust", &author, "trending:1h"] {
        reader.subscribe(channel).await;
    }
    let body = json!({"title": "A", "content": "B", "tags": ["rust"], "metadata": {"a": [1]}});
    let post = api.publish_body(&ada, &body).await;
    let channel = format!("post:{}", id(&post));
    for feed in ["feed:all", "tag:rust", &author] {
        let data = document.told(&mut reader, feed, "post.published").await;
        let mut bad = data.clone();
        bad["post"]["title"] = json!(1);
        bad["more"] = json!(1);
        assert!(document.faults(feed, &bad).len() >= 2, "the check can complain");
    }
    reader.subscribe(&channel).await;
    let path = format!("/v1/posts/{}", id(&post));
    api.patch(&path).token(&ada.token).json(&json!({"title": "C"})).send().await.expect(200);
    for feed in ["feed:all", "tag:rust", &author, &channel] {
        document.told(&mut reader, feed, "post.updated").await;
    }
    api.like(&bob, id(&post)).await;
    document.told(&mut reader, &channel, "post.liked").await;
    document.told(&mut writer, &inbox, "notification.created").await;
    document.told(&mut reader, "trending:1h", "trending.changed").await;
    api.unlike(&bob, id(&post)).await;
    document.told(&mut reader, &channel, "post.unliked").await;
    let mark = |mark: &str| format!("{path}/{mark}");
    api.put(&mark("bookmark")).token(&bob.token).send().await.expect(200);
    document.told(&mut reader, &channel, "post.bookmarked").await;
    api.delete(&mark("bookmark")).token(&bob.token).send().await.expect(200);
    document.told(&mut reader, &channel, "counters.corrected").await;
    api.post(&mark("share")).token(&bob.token).send().await.expect(200);
    document.told(&mut reader, &channel, "post.shared").await;
    let comment = api.comment(&bob, id(&post), "@ada: D").await;
    document.told(&mut reader, &channel, "post.commented").await;
    document.told(&mut writer, &inbox, "notification.created").await;
    let comment = format!("/v1/comments/{}", id(&comment));
    api.patch(&comment).token(&bob.token).json(&json!({"content": "E"})).send().await.expect(200);
    document.told(&mut reader, &channel, "comment.edited").await;
    api.delete(&comment).token(&bob.token).send().await.expect(204);
    document.told(&mut reader, &channel, "comment.removed").await;
    let first = api.inbox(&ada).await["items"][0]["id"].as_str().expect("an id").to_owned();
    for read in [format!("/v1/notifications/{first}/read"), "/v1/notifications/read-all".to_owned()]
    {
        api.post(&read).token(&ada.token).send().await.expect(200);
        document.told(&mut writer, &inbox, "notification.read").await;
    }
    // Followers find the post in their inbox; archived, it is there no more.
    api.follow(&ada, &bob).await;
    let other = api.publish(&bob, "F").await;
    document.told(&mut writer, &inbox, "notification.created").await;
    api.delete(&format!("/v1/posts/{}", id(&other))).token(&bob.token).send().await.expect(204);
    document.told(&mut writer, &inbox, "counters.corrected").await;
    api.delete(&path).token(&ada.token).send().await.expect(204);
    // The other author's posts are in the feed as well.
    for (kind, of) in [("post.published", "feed:all"), ("post.removed", "feed:all")] {
        document.told(&mut reader, of, kind).await;
    }
    for feed in ["feed:all", "tag:rust", &author, &channel] {
        document.told(&mut reader, feed, "post.removed").await;
    }
    assert_eq!(document.seen, document.all());
}
