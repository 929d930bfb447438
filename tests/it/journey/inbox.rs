//! The inbox as its owner lives with it: live on every socket, counted the same everywhere, made good after an absence.

use serde_json::{Value, json};

use crate::support::{Api, Person, Server, Socket, id};

fn channel(of: &Person) -> String {
    format!("notifications:#{}", of.id)
}

/// The state of an inbox that goes with everything said about it: how many are unread, and the version of that count.
fn state(of: &Value) -> (u64, u64) {
    let state = of["unread_count"].as_u64().zip(of["version"].as_u64());
    state.unwrap_or_else(|| panic!("unread_count and version: {of}"))
}

async fn created(socket: &mut Socket, of: &Person) -> Value {
    socket.told(&channel(of), "notification.created").await
}

/// Sends what makes the server say nothing to `who`, waits for the like that follows it, and expects that to be next.
async fn expect_next_is_liked(api: &Api, socket: &mut Socket, who: &Person, by: &Person) {
    let made = api.publish(who, "A marker").await;
    api.like(by, id(&made)).await;
    let told = created(socket, who).await;
    assert_eq!(told["data"]["notification"]["type"], "liked", "{told}");
    assert_eq!(told["data"]["notification"]["post_id"], made["id"], "{told}");
}

#[tokio::test]
async fn every_kind_of_notification_reaches_the_right_sockets_live_with_its_state() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let made = api.publish(&ada, "Noticed").await;
    let post = id(&made);
    let mut hers = server.socket(&ada.token).await;
    let mut his = server.socket(&bob.token).await;
    assert_eq!(state(&hers.hello["data"]).0, 0, "{}", hers.hello);
    let mut last = state(&hers.hello["data"]).1;

    api.follow(&bob, &ada).await;
    api.like(&bob, post).await;
    let comment = api.comment(&bob, post, "Well said.").await;
    let text = format!("And @{}, what next?", ada.username);
    let others = api.publish(&bob, "His own").await;
    let mention = api.comment(&bob, id(&others), &text).await;
    let mut offset = hers.hello["subs"][channel(&ada)]["offset"].as_u64().unwrap_or(0);
    for (number, (kind, post, comment)) in [
        ("followed", Value::Null, Value::Null),
        ("liked", made["id"].clone(), Value::Null),
        ("commented", made["id"].clone(), comment["id"].clone()),
        ("mentioned", others["id"].clone(), mention["id"].clone()),
    ]
    .into_iter()
    .enumerate()
    {
        let told = created(&mut hers, &ada).await;
        let notification = &told["data"]["notification"];
        assert_eq!(notification["type"], kind, "{told}");
        assert_eq!(notification["actor"]["id"], json!(bob.id), "{told}");
        assert_eq!(notification["post_id"], post, "{told}");
        assert_eq!(notification["comment_id"], comment, "{told}");
        assert_eq!(notification["read"], false, "{told}");
        let (unread, version) = state(&told["data"]);
        assert_eq!(unread, number as u64 + 1, "{told}");
        assert!(version > last, "versions grow: {told}");
        last = version;
        offset += 1;
        assert_eq!(told["offset"], json!(offset), "consecutive offsets: {told}");
    }
    let inbox = api.inbox(&ada).await;
    assert_eq!(state(&inbox), (4, last), "the list agrees with what was told: {inbox}");
    expect_next_is_liked(&api, &mut his, &bob, &ada).await;
    assert_eq!(his.left(&channel(&bob)).await, Vec::<Value>::new(), "his own acts are not news");
}

#[tokio::test]
async fn a_notification_told_live_is_the_one_that_is_listed() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let made = api.publish(&ada, "Noticed").await;
    let mut socket = server.socket(&ada.token).await;
    api.like(&bob, id(&made)).await;
    let told = created(&mut socket, &ada).await;
    let inbox = api.inbox_of(&ada, 1).await;
    for field in ["id", "type", "actor", "post_id", "created_at", "read"] {
        assert_eq!(
            told["data"]["notification"][field], inbox["items"][0][field],
            "{field}: {told}"
        );
    }
}

#[tokio::test]
async fn a_post_by_somebody_followed_is_told_without_an_offset_and_listed() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob, eve) =
        (api.person("ada").await, api.person("bob").await, api.person("eve").await);
    api.follow(&bob, &ada).await;
    let mut his = server.socket(&bob.token).await;
    let mut hers = server.socket(&eve.token).await;
    let first = api.publish(&ada, "For followers").await;
    let told = created(&mut his, &bob).await;
    let notification = &told["data"]["notification"];
    assert_eq!(notification["type"], "posted", "{told}");
    assert_eq!(notification["post_id"], first["id"], "{told}");
    assert_eq!(notification["actor"]["id"], json!(ada.id), "{told}");
    assert!(told.get("offset").is_none_or(|o| o == 0), "no place in the history: {told}");
    assert_eq!(state(&told["data"]).0, 1, "{told}");
    let inbox = api.inbox_of(&bob, 1).await;
    assert_eq!(inbox["items"][0]["id"], notification["id"], "{inbox}");
    assert_eq!(state(&inbox).0, 1);

    // Whoever begins to follow on an open socket hears of the next post on that socket.
    api.follow(&eve, &ada).await;
    let second = api.publish(&ada, "For more followers").await;
    let told = created(&mut hers, &eve).await;
    assert_eq!(told["data"]["notification"]["post_id"], second["id"], "{told}");
    // And whoever ceases to follow hears of no other.
    let unfollow = format!("/v1/users/{}/follow", ada.id);
    api.delete(&unfollow).token(&eve.token).send().await.expect(204);
    api.publish(&ada, "For fewer").await;
    expect_next_is_liked(&api, &mut hers, &eve, &bob).await;
}

#[tokio::test]
async fn drafts_are_news_to_followers_only_when_they_are_published() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    api.follow(&bob, &ada).await;
    let mut socket = server.socket(&bob.token).await;
    let body = json!({"title": "Draft", "content": "Unfinished.", "status": "draft"});
    let draft = api.publish_body(&ada, &body).await;
    let marker = api.publish(&ada, "A marker").await;
    let told = created(&mut socket, &bob).await;
    assert_eq!(told["data"]["notification"]["post_id"], marker["id"], "{told}");
    let path = format!("/v1/posts/{}", id(&draft));
    let publish = json!({"status": "published"});
    api.patch(&path).token(&ada.token).json(&publish).send().await.expect(200);
    let told = created(&mut socket, &bob).await;
    assert_eq!(told["data"]["notification"]["post_id"], draft["id"], "{told}");
    assert_eq!(told["data"]["notification"]["type"], "posted", "{told}");
}

#[tokio::test]
async fn every_socket_of_a_user_and_the_list_agree_after_every_step() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let made = api.publish(&ada, "Noticed").await;
    let second = api.login(&ada.username).await;
    let mut sockets = vec![server.socket(&ada.token).await, server.socket(&second).await];
    api.like(&bob, id(&made)).await;
    api.comment(&bob, id(&made), "Well said.").await;
    let mut seen = Vec::new();
    for socket in &mut sockets {
        let both = [created(socket, &ada).await, created(socket, &ada).await];
        seen.push(both);
    }
    assert_eq!(seen[0], seen[1], "both sockets heard the same");
    let liked = id(&seen[0][0]["data"]["notification"]).to_owned();

    // One who connects now is told the state at once.
    sockets.push(server.socket(&second).await);
    let now = state(&api.inbox(&ada).await);
    assert_eq!(now.0, 2);
    assert_eq!(state(&sockets[2].hello["data"]), now, "{}", sockets[2].hello);

    let path = format!("/v1/notifications/{liked}/read");
    let answer = api.post(&path).token(&ada.token).send().await;
    let read = state(answer.expect(200));
    assert_eq!(read.0, 1);
    for socket in &mut sockets {
        let told = socket.told(&channel(&ada), "notification.read").await;
        assert_eq!(state(&told["data"]), read, "{told}");
    }
    // Read on one of the sockets, this time, and heard on all.
    let all = sockets[1].call("mark_read", json!({"all": true})).await;
    assert_eq!(state(&all).0, 0);
    for socket in &mut sockets {
        let told = socket.told(&channel(&ada), "notification.read").await;
        assert_eq!(state(&told["data"]), state(&all), "{told}");
    }
    assert_eq!(state(&api.inbox(&ada).await), state(&all));
    let late = server.socket(&ada.token).await;
    assert_eq!(state(&late.hello["data"]), state(&all), "{}", late.hello);
}

#[tokio::test]
async fn reading_what_is_read_already_says_nothing_new() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let made = api.publish(&ada, "Noticed").await;
    let mut socket = server.socket(&ada.token).await;
    api.like(&bob, id(&made)).await;
    let told = created(&mut socket, &ada).await;
    let path = format!("/v1/notifications/{}/read", id(&told["data"]["notification"]));
    for _ in 0..2 {
        let answer = api.post(&path).token(&ada.token).send().await;
        assert_eq!(answer.expect(200)["unread_count"], 0);
    }
    socket.told(&channel(&ada), "notification.read").await;
    api.comment(&bob, id(&made), "A marker.").await;
    let told = created(&mut socket, &ada).await;
    assert_eq!(told["data"]["notification"]["type"], "commented", "{told}");
    assert_eq!(state(&told["data"]).0, 1, "{told}");
}

#[tokio::test]
async fn who_was_away_gets_what_was_missed_of_the_inbox() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let made = api.publish(&ada, "Noticed").await;
    let socket = server.socket(&ada.token).await;
    let since = socket.hello["subs"][channel(&ada)].clone();
    socket.cut();
    api.like(&bob, id(&made)).await;
    api.comment(&bob, id(&made), "Well said.").await;
    api.inbox_of(&ada, 2).await;

    let mut socket = Socket::open(server.address()).await;
    let sub = json!({"recover": true, "epoch": since["epoch"], "offset": since["offset"].as_u64().unwrap_or(0)});
    let params = json!({"token": ada.token, "subs": {channel(&ada): sub}});
    let hello = socket.result("connect", params).await;
    let back = &hello["subs"][channel(&ada)];
    assert_eq!(back["recovered"], true, "{hello}");
    let mut missed = back["publications"].as_array().cloned().unwrap_or_default();
    while missed.len() < 2 {
        // The second may have been on its way still.
        missed.push(socket.publication(&channel(&ada)).await);
    }
    let kinds: Vec<_> = missed.iter().map(|p| p["data"]["notification"]["type"].clone()).collect();
    assert_eq!(kinds, ["liked", "commented"], "{hello}");
    assert_eq!(state(&hello["data"]).0, 2, "{hello}");
}
