//! Comments: threads of one level, edits, removals, and who may do them.

use serde_json::{Value, json};

use crate::support::{Answer, Api, PATIENCE, Person, Server, id, until};

async fn reply(api: &Api, who: &Person, post: &str, body: &Value) -> Answer {
    let ask = api.post(&format!("/v1/posts/{post}/comments")).token(&who.token);
    ask.json(body).send().await
}

async fn edit(api: &Api, who: &Person, comment: &str, body: &Value) -> Answer {
    let ask = api.patch(&format!("/v1/comments/{comment}")).token(&who.token);
    ask.json(body).send().await
}

async fn remove(api: &Api, who: &Person, comment: &str) -> Answer {
    let ask = api.delete(&format!("/v1/comments/{comment}")).token(&who.token);
    ask.send().await
}

/// The contents of a post's comments as listed to anybody.
async fn contents(api: &Api, post: &str) -> Vec<Value> {
    let answer = api.get(&format!("/v1/posts/{post}/comments")).send().await;
    let items = answer.expect(200)["items"].as_array().expect("items");
    items.iter().map(|comment| comment["content"].clone()).collect()
}

#[tokio::test]
async fn a_comment_has_its_shape_and_is_listed_oldest_first() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let made = api.publish(&ada, "Discussed").await;
    let post = id(&made);
    let first = api.comment(&bob, post, "First.").await;
    assert!(first["id"].is_string() && first["created_at"].is_string(), "{first}");
    assert_eq!(first["post_id"], made["id"]);
    assert!(first["parent_id"].is_null(), "{first}");
    assert_eq!(first["author"]["id"], json!(bob.id));
    assert_eq!(first["author"]["username"], json!(bob.username));
    assert!(first["author"]["display_name"].is_string(), "{first}");
    assert_eq!((&first["content"], &first["edited"]), (&json!("First."), &json!(false)));
    let answer =
        reply(&api, &ada, post, &json!({"content": "A reply.", "parent_id": first["id"]})).await;
    assert_eq!(answer.expect(201)["parent_id"], first["id"]);
    api.comment(&bob, post, "Last.").await;
    assert_eq!(contents(&api, post).await, ["First.", "A reply.", "Last."]);
    assert_eq!(api.read_post(&bob, post).await["counts"]["comments"], 3);
}

#[tokio::test]
async fn comments_are_read_page_by_page() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let made = api.publish(&ada, "Discussed at length").await;
    for number in 0..7 {
        api.comment(&ada, id(&made), &format!("Comment {number}.")).await;
    }
    let path = format!("/v1/posts/{}/comments", id(&made));
    let read = crate::support::pages(&api, &path, 3).await;
    let read: Vec<_> = read.iter().map(|comment| comment["content"].clone()).collect();
    let wanted: Vec<_> = (0..7).map(|number| json!(format!("Comment {number}."))).collect();
    assert_eq!(read, wanted);
}

#[tokio::test]
async fn a_reply_to_a_reply_is_refused_by_field() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let (made, other) = (api.publish(&ada, "One").await, api.publish(&ada, "Two").await);
    let post = id(&made);
    let top = api.comment(&ada, post, "Top.").await;
    let answer =
        reply(&api, &ada, post, &json!({"content": "Below.", "parent_id": top["id"]})).await;
    let below = answer.expect(201).clone();
    let deeper = json!({"content": "Deeper.", "parent_id": below["id"]});
    assert_eq!(reply(&api, &ada, post, &deeper).await.bad_fields(), ["parent_id"]);
    // A parent that is not there, or under another post, is none either.
    let strange = json!({"content": "C", "parent_id": "0123456789abcdef01234567"});
    let elsewhere = json!({"content": "C", "parent_id": top["id"]});
    for (post, body) in [(post, strange), (id(&other), elsewhere)] {
        let answer = reply(&api, &ada, post, &body).await;
        assert!(matches!(answer.status, 404 | 422), "{body}: {answer}");
        answer.problem(answer.status);
    }
    assert_eq!(contents(&api, post).await, ["Top.", "Below."]);
    assert_eq!(contents(&api, id(&other)).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_bad_comment_names_its_field() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let made = api.publish(&ada, "Discussed").await;
    let post = id(&made);
    assert_eq!(reply(&api, &ada, post, &json!({})).await.bad_fields(), ["content"]);
    assert_eq!(reply(&api, &ada, post, &json!({"content": ""})).await.bad_fields(), ["content"]);
    for body in [
        json!({"content": 5}),
        json!({"content": {"$gt": ""}}),
        json!({"content": "a\u{0}b"}),
        json!({"content": "C", "parent_id": 7}),
        json!([]),
    ] {
        let answer = reply(&api, &ada, post, &body).await;
        assert!(matches!(answer.status, 400 | 422), "{body}: {answer}");
        answer.problem(answer.status);
    }
    let comment = api.comment(&ada, post, "Good.").await;
    let empty = json!({"content": ""});
    assert_eq!(edit(&api, &ada, id(&comment), &empty).await.bad_fields(), ["content"]);
    assert_eq!(contents(&api, post).await, ["Good."]);
}

#[tokio::test]
async fn only_its_author_edits_or_removes_a_comment() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let made = api.publish(&ada, "Discussed").await;
    let comment = api.comment(&bob, id(&made), "Mine.").await;
    // Not even the author of the post.
    edit(&api, &ada, id(&comment), &json!({"content": "Hers."})).await.problem(403);
    remove(&api, &ada, id(&comment)).await.problem(403);
    assert_eq!(contents(&api, id(&made)).await, ["Mine."]);

    let answer = edit(&api, &bob, id(&comment), &json!({"content": "Still mine."})).await;
    let edited = answer.expect(200);
    assert_eq!((&edited["content"], &edited["edited"]), (&json!("Still mine."), &json!(true)));
    for field in ["id", "post_id", "parent_id", "author", "created_at"] {
        assert_eq!(edited[field], comment[field], "{field}: {answer}");
    }
    let removed = remove(&api, &bob, id(&comment)).await;
    removed.expect(204);
    assert_eq!(removed.text, "", "204 has no body");
    assert_eq!(contents(&api, id(&made)).await, Vec::<Value>::new());
    assert_eq!(api.read_post(&ada, id(&made)).await["counts"]["comments"], 0);
    remove(&api, &bob, id(&comment)).await.problem(404);
    edit(&api, &bob, id(&comment), &json!({"content": "Back."})).await.problem(404);
}

#[tokio::test]
async fn a_moderator_removes_a_comment_but_does_not_put_words_into_a_mouth() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob, eve) =
        (api.person("ada").await, api.person("bob").await, api.person("eve").await);
    let made = api.publish(&ada, "Discussed").await;
    let comment = api.comment(&bob, id(&made), "Rude words.").await;
    remove(&api, &eve, id(&comment)).await.problem(403);
    let set = server.beside(&["admin", "set-role", &eve.username, "moderator"]).await;
    assert_eq!(set.code, Some(0), "{}", set.stderr);
    // Account changes act within a second on every node.
    let removed = until(PATIENCE, "the role to act", || async {
        let edited = edit(&api, &eve, id(&comment), &json!({"content": "Kind words."})).await;
        edited.problem(403);
        let answer = remove(&api, &eve, id(&comment)).await;
        (answer.status != 403).then_some(answer)
    })
    .await;
    removed.expect(204);
    assert_eq!(contents(&api, id(&made)).await, Vec::<Value>::new());
}

#[tokio::test]
async fn comments_on_what_is_not_there_are_404() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let body = json!({"title": "Draft", "content": "Unfinished.", "status": "draft"});
    let draft = api.publish_body(&ada, &body).await;
    let comment = json!({"content": "Hello?"});
    for post in ["0123456789abcdef01234567", id(&draft)] {
        reply(&api, &bob, post, &comment).await.problem(404);
        let ask = api.get(&format!("/v1/posts/{post}/comments")).token(&bob.token);
        ask.send().await.problem(404);
    }
    let nowhere = "0123456789abcdef01234567";
    edit(&api, &bob, nowhere, &comment).await.problem(404);
    remove(&api, &bob, nowhere).await.problem(404);
}

#[tokio::test]
async fn a_comment_its_edit_and_its_end_are_told_on_the_posts_channel() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let made = api.publish(&ada, "Discussed").await;
    let channel = format!("post:{}", id(&made));
    let mut socket = server.socket(&ada.token).await;
    socket.subscribe(&channel).await;
    let comment = api.comment(&bob, id(&made), "First thoughts.").await;
    edit(&api, &bob, id(&comment), &json!({"content": "Second thoughts."})).await.expect(200);
    remove(&api, &bob, id(&comment)).await.expect(204);

    let told = socket.told(&channel, "post.commented").await;
    assert_eq!(told["data"]["comment"], comment, "{told}");
    assert_eq!(told["data"]["counts"]["comments"], 1, "{told}");
    let told = socket.told(&channel, "comment.edited").await;
    assert_eq!(told["data"]["comment"]["content"], "Second thoughts.", "{told}");
    assert_eq!(told["data"]["comment"]["edited"], true, "{told}");
    assert_eq!(told["data"]["counts"]["comments"], 1, "{told}");
    let told = socket.told(&channel, "comment.removed").await;
    assert_eq!(told["data"]["post_id"], made["id"], "{told}");
    assert_eq!(told["data"]["actor"]["id"], json!(bob.id), "{told}");
    assert_eq!(told["data"]["counts"]["comments"], 0, "{told}");
}
