//! What must not be told: of drafts, of what is gone, and of who took something back.

use serde_json::json;

use crate::support::{Server, Socket, id, on_servers, skipped};

#[tokio::test]
async fn nothing_is_done_with_a_draft_that_would_tell_of_it() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let body = json!({"title": "Not yet", "content": "Soon.", "status": "draft"});
    let draft = api.publish_body(&ada, &body).await;
    let path = |end: &str| format!("/v1/posts/{}/{end}", id(&draft));
    let mention = json!({"content": format!("@{} look at this", bob.username)});
    for (who, status) in [(&ada, 409), (&bob, 404)] {
        let code = if status == 409 { "not_published" } else { "not_found" };
        let answer = api.post(&path("comments")).token(&who.token).json(&mention).send().await;
        answer.problem_coded(status, code);
        let answer = api.put(&path("like")).token(&who.token).send().await;
        answer.problem_coded(status, code);
    }
    assert_eq!(api.inbox(&bob).await["items"], json!([]));
}

#[tokio::test]
async fn that_a_post_is_gone_is_the_same_for_everyone() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let post = api.publish(&ada, "Gone soon").await;
    let path = format!("/v1/posts/{}", id(&post));
    api.delete(&path).token(&bob.token).send().await.problem_coded(403, "not_the_author");
    api.delete(&path).token(&ada.token).send().await.expect(204);
    for who in [&ada, &bob] {
        api.delete(&path).token(&who.token).send().await.problem_coded(404, "not_found");
    }
}

#[tokio::test]
async fn a_removed_post_is_announced_without_what_stood_in_it() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    let post = api.publish(&ada, "Regretted").await;
    socket.subscribe("feed:all").await;
    api.delete(&format!("/v1/posts/{}", id(&post))).token(&ada.token).send().await.expect(204);
    let told = socket.told("feed:all", "post.removed").await;
    let removed = &told["data"]["post"];
    assert_eq!((&removed["id"], &removed["content"]), (&post["id"], &json!("")), "{told}");
    assert_eq!(removed["excerpt"], json!(""), "{told}");
}

#[tokio::test]
async fn who_keeps_a_post_no_longer_is_not_told() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let post = api.publish(&ada, "Kept for a while").await;
    let channel = format!("post:{}", id(&post));
    let mut socket = server.socket(&ada.token).await;
    socket.subscribe(&channel).await;
    let path = format!("/v1/posts/{}/bookmark", id(&post));
    api.put(&path).token(&bob.token).send().await.expect(200);
    api.delete(&path).token(&bob.token).send().await.expect(200);
    socket.told(&channel, "post.bookmarked").await;
    let told = socket.told(&channel, "counters.corrected").await;
    assert_eq!(told["data"]["counts"]["bookmarks"], json!(0), "{told}");
    assert!(told["data"]["actor"].is_null(), "{told}");
}

#[tokio::test]
async fn what_is_muted_later_is_no_notification_when_it_is_recovered() {
    if on_servers() {
        let name = "what_is_muted_later_is_no_notification_when_it_is_recovered";
        return skipped(name, "on servers a history outlives the node, as it was told");
    }
    let mut server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let post = api.publish(&ada, "Liked").await;
    api.like(&bob, id(&post)).await;
    api.inbox_of(&ada, 1).await;
    let muted = json!({"notifications": {"types": {"liked": false}}});
    let answer = api.put("/v1/me/preferences").token(&ada.token).json(&muted).send().await;
    answer.expect(200);
    // In peace, so that it is recorded where the like was told.
    server.terminate().await;
    server.restart().await;
    let channel = format!("notifications:#{}", ada.id);
    let mut socket = Socket::open(server.address()).await;
    let subs = json!({&channel: {"recover": true, "epoch": "", "offset": 0}});
    // The inbox is recovered as it is now, in the places that its publications had.
    let reply = socket.result("connect", json!({"token": ada.token, "subs": subs})).await;
    let recovered = &reply["subs"][&channel]["publications"][0]["data"];
    assert_eq!(recovered["type"], json!("counters.corrected"), "{reply}");
    assert_eq!(recovered["unread_count"], json!(0), "{reply}");
}
