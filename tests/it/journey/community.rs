//! Two people live through the whole product: everything that one does, the other sees at once.

use serde_json::{Value, json};

use crate::support::{Api, PATIENCE, Person, Server, Socket, id, until};

/// One of the two, with a socket that is open all the time.
struct Member {
    person: Person,
    socket: Socket,
    inbox: String,
}

impl Member {
    async fn join(server: &Server, name: &str) -> Self {
        let person = server.api().person(name).await;
        let socket = server.socket(&person.token).await;
        let inbox = format!("notifications:#{}", person.id);
        Self { person, socket, inbox }
    }

    /// The next thing in the inbox, which must be a new notification of this type by `by`.
    async fn notified(&mut self, kind: &str, by: &Person) -> Value {
        let told = self.socket.told(&self.inbox, "notification.created").await;
        let notification = &told["data"]["notification"];
        assert_eq!(notification["type"], kind, "{told}");
        assert_eq!(notification["actor"]["id"], json!(by.id), "{told}");
        told["data"].clone()
    }
}

async fn patch(api: &Api, who: &Person, path: &str, body: &Value) -> Value {
    api.patch(path).token(&who.token).json(body).send().await.expect(200).clone()
}

#[tokio::test]
async fn two_people_meet_write_talk_and_part() {
    let server = Server::start().await;
    let api = server.api();
    let mut ada = Member::join(&server, "ada").await;
    let mut bob = Member::join(&server, "bob").await;

    let name = json!({"first_name": "Ada", "last_name": "Lovelace"});
    let me = patch(&api, &ada.person, "/v1/me", &name).await;
    assert_eq!(me["display_name"], "Ada Lovelace");
    let path = format!("/v1/users/{}", ada.person.id);
    let seen = api.get(&path).token(&bob.person.token).send().await;
    assert_eq!(seen.expect(200)["display_name"], "Ada Lovelace");

    let post = meet(&api, &mut ada, &mut bob).await;
    let likes = react(&api, &mut ada, &mut bob, &post).await;
    let comment = talk(&api, &mut ada, &mut bob, &post, likes).await;
    read_up(&api, &mut ada, &post).await;
    part(&api, &mut ada, &mut bob, &post, &comment).await;

    // A marker each: nothing else had come that nobody asked for.
    api.follow(&bob.person, &ada.person).await;
    let last = api.publish(&bob.person, "Last").await;
    api.like(&ada.person, id(&last)).await;
    bob.notified("liked", &ada.person).await;
    assert_eq!(bob.socket.left(&bob.inbox).await, Vec::<Value>::new());
    api.delete("/v1/sessions/current").token(&bob.person.token).send().await.expect(204);
    bob.socket.expect_closed(3500).await;
    ada.socket.result("ping", json!({})).await;
}

/// Bob follows Ada, who publishes: a draft first, which is nobody's business, then the post.
async fn meet(api: &Api, ada: &mut Member, bob: &mut Member) -> Value {
    api.follow(&bob.person, &ada.person).await;
    let told = ada.notified("followed", &bob.person).await;
    assert_eq!(told["unread_count"], 1, "{told}");
    for channel in ["feed:all", "tag:engines"] {
        bob.socket.subscribe(channel).await;
    }
    let body =
        json!({"title": "On engines", "content": "Notes.", "tags": ["engines"], "status": "draft"});
    let draft = api.publish_body(&ada.person, &body).await;
    let path = format!("/v1/posts/{}", id(&draft));
    api.get(&path).token(&bob.person.token).send().await.problem(404);
    let publish = json!({"status": "published", "version": draft["version"]});
    let post = patch(api, &ada.person, &path, &publish).await;
    for channel in ["feed:all", "tag:engines"] {
        let told = bob.socket.told(channel, "post.published").await;
        assert_eq!(told["data"]["post"]["id"], post["id"], "{told}");
    }
    let told = bob.notified("posted", &ada.person).await;
    assert_eq!(told["notification"]["post_id"], post["id"], "{told}");
    let home = api.get("/v1/feed/home").token(&bob.person.token).send().await;
    assert_eq!(home.expect(200)["items"][0]["id"], post["id"], "{home}");
    post
}

/// Bob views, likes, bookmarks and shares; Ada hears of it on the post's channel, and of the like in her inbox.
async fn react(api: &Api, ada: &mut Member, bob: &mut Member, post: &Value) -> u64 {
    let channel = format!("post:{}", id(post));
    ada.socket.subscribe(&channel).await;
    let path = format!("/v1/posts/{}", id(post));
    let token = &bob.person.token;
    let view = api.post(&format!("{path}/view")).token(token).send().await;
    assert_eq!(view.expect(200)["views"], 1);
    assert_eq!(api.like(&bob.person, id(post)).await["likes"], 1);
    api.put(&format!("{path}/bookmark")).token(token).send().await.expect(200);
    api.post(&format!("{path}/share")).token(token).send().await.expect(200);
    for kind in ["post.liked", "post.bookmarked", "post.shared"] {
        let told = ada.socket.told(&channel, kind).await;
        assert_eq!(told["data"]["actor"]["username"], json!(bob.person.username), "{told}");
    }
    let told = ada.notified("liked", &bob.person).await;
    assert_eq!(told["unread_count"], 2, "{told}");
    let wanted = json!({"likes": 1, "comments": 0, "views": 1, "shares": 1, "bookmarks": 1});
    let read = api.read_post(&bob.person, id(post)).await;
    assert_eq!(read["counts"], wanted);
    assert_eq!((&read["liked"], &read["bookmarked"]), (&json!(true), &json!(true)));
    let trending = "/v1/trending?window=1h&explain=true";
    until(PATIENCE, "the post in the trending list", || async {
        let answer = api.get(trending).send().await;
        let items = answer.expect(200)["items"].as_array().cloned().unwrap_or_default();
        let item = items.iter().find(|item| item["post_id"] == post["id"])?;
        assert!(item["rank"] == 1 && item["score"].is_number(), "{answer}");
        item["explain"].as_object().filter(|explain| !explain.is_empty()).map(|_| ())
    })
    .await;
    1
}

/// They talk below the post, Bob over his socket; a slip is mended.
async fn talk(api: &Api, ada: &mut Member, bob: &mut Member, post: &Value, likes: u64) -> Value {
    let channel = format!("post:{}", id(post));
    let said = json!({"post_id": post["id"], "content": "Splendit!"});
    let comment = bob.socket.call("comment", said).await;
    let told = ada.socket.told(&channel, "post.commented").await;
    assert_eq!(told["data"]["comment"]["id"], comment["id"], "{told}");
    assert_eq!(told["data"]["counts"]["likes"], json!(likes), "{told}");
    ada.notified("commented", &bob.person).await;
    let path = format!("/v1/comments/{}", id(&comment));
    let mended = patch(api, &bob.person, &path, &json!({"content": "Splendid!"})).await;
    assert_eq!(mended["edited"], true);
    let told = ada.socket.told(&channel, "comment.edited").await;
    assert_eq!(told["data"]["comment"]["content"], "Splendid!", "{told}");

    // A mention, on her own post, so that it can be nothing else.
    let text = format!("Thank you, @{}.", bob.person.username);
    let thanks = api.comment(&ada.person, id(post), &text).await;
    let told = ada.socket.told(&channel, "post.commented").await;
    assert_eq!(told["data"]["counts"]["comments"], 2, "{told}");
    let told = bob.notified("mentioned", &ada.person).await;
    assert_eq!(told["notification"]["comment_id"], thanks["id"], "{told}");
    comment
}

/// Ada reads her inbox: one item, then all of it.
async fn read_up(api: &Api, ada: &mut Member, post: &Value) {
    let inbox = api.inbox_of(&ada.person, 3).await;
    assert_eq!(inbox["unread_count"], 3, "{inbox}");
    assert_eq!(inbox["items"][0]["post_id"], post["id"]);
    let first = format!("/v1/notifications/{}/read", id(&inbox["items"][0]));
    for (path, left) in [(first.as_str(), 2), ("/v1/notifications/read-all", 0)] {
        let answer = api.post(path).token(&ada.person.token).send().await;
        assert_eq!(answer.expect(200)["unread_count"], json!(left));
        let told = ada.socket.told(&ada.inbox, "notification.read").await;
        assert_eq!(told["data"]["unread_count"], json!(left), "{told}");
        assert_eq!(told["data"]["version"], answer.body["version"], "{told}");
    }
}

/// Bob takes everything back, Ada rewrites the post and removes it.
async fn part(api: &Api, ada: &mut Member, bob: &mut Member, post: &Value, comment: &Value) {
    let channel = format!("post:{}", id(post));
    let path = format!("/v1/posts/{}", id(post));
    let token = &bob.person.token;
    assert_eq!(api.unlike(&bob.person, id(post)).await["likes"], 0);
    api.delete(&format!("{path}/bookmark")).token(token).send().await.expect(200);
    let gone = format!("/v1/comments/{}", id(comment));
    api.delete(&gone).token(token).send().await.expect(204);
    let unfollow = format!("/v1/users/{}/follow", ada.person.id);
    api.delete(&unfollow).token(token).send().await.expect(204);
    for kind in ["post.unliked", "counters.corrected", "comment.removed"] {
        ada.socket.told(&channel, kind).await;
    }
    let body = json!({"title": "On engines, again", "version": post["version"]});
    patch(api, &ada.person, &path, &body).await;
    let stale = api.patch(&path).token(&ada.person.token).json(&body).send().await;
    stale.problem_coded(409, "stale_version");
    api.delete(&path).token(&ada.person.token).send().await.expect(204);
    for kind in ["post.updated", "post.removed"] {
        ada.socket.told(&channel, kind).await;
        for list in ["feed:all", "tag:engines"] {
            let told = bob.socket.told(list, kind).await;
            assert_eq!(told["data"]["post"]["id"], post["id"], "{told}");
        }
    }
    api.get(&path).send().await.problem(404);
    let home = api.get("/v1/feed/home").token(token).send().await;
    assert_eq!(home.expect(200)["items"], json!([]), "{home}");
}
