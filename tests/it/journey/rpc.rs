//! The product's commands over the socket: the same rules, the same effects, the same answers as over HTTP.

use serde_json::{Value, json};

use crate::support::{Api, Person, Server, Socket, Start, id};

const NOWHERE: &str = "0123456789abcdef01234567";

async fn two(server: &Server) -> (Api, Person, Person, Value, Socket) {
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let post = api.publish(&ada, "Reached by socket").await;
    let socket = server.socket(&bob.token).await;
    (api, ada, bob, post, socket)
}

#[tokio::test]
async fn a_like_over_the_socket_is_a_like() {
    let server = Server::start().await;
    let (api, ada, bob, post, mut socket) = two(&server).await;
    let channel = format!("post:{}", id(&post));
    socket.subscribe(&channel).await;
    let like = json!({"post_id": post["id"]});
    for _ in 0..2 {
        let answer = socket.call("like_post", like.clone()).await;
        assert_eq!(answer, json!({"likes": 1, "liked": true}));
    }
    assert_eq!(socket.told(&channel, "post.liked").await["data"]["counts"]["likes"], 1);
    assert_eq!(api.like(&bob, id(&post)).await, json!({"likes": 1, "liked": true}), "the same");
    let inbox = api.inbox_of(&ada, 1).await;
    assert_eq!(inbox["items"][0]["type"], "liked", "{inbox}");

    let answer = socket.call("unlike_post", like).await;
    assert_eq!(answer, json!({"likes": 0, "liked": false}));
    assert_eq!(socket.told(&channel, "post.unliked").await["data"]["counts"]["likes"], 0);
    assert_eq!(api.read_post(&bob, id(&post)).await["liked"], false);
}

#[tokio::test]
async fn a_comment_over_the_socket_is_a_comment() {
    let server = Server::start().await;
    let (api, ada, bob, post, mut socket) = two(&server).await;
    let said = json!({"post_id": post["id"], "content": "By socket."});
    let comment = socket.call("comment", said).await;
    assert_eq!(comment["content"], "By socket.");
    assert_eq!(comment["author"]["id"], json!(bob.id));
    assert_eq!(comment["post_id"], post["id"]);
    let below = json!({"post_id": post["id"], "content": "And on.", "parent_id": comment["id"]});
    let reply = socket.call("comment", below).await;
    assert_eq!(reply["parent_id"], comment["id"]);
    let path = format!("/v1/posts/{}/comments", id(&post));
    let listed = api.get(&path).send().await;
    assert_eq!(listed.expect(200)["items"], json!([comment, reply]));
    api.inbox_of(&ada, 2).await;
    let deeper = json!({"post_id": post["id"], "content": "Deeper.", "parent_id": reply["id"]});
    assert_eq!(socket.refusal("comment", deeper).await.0, 422);
}

#[tokio::test]
async fn following_viewing_and_reading_over_the_socket_do_what_they_do() {
    let server = Server::start().await;
    let (api, ada, bob, post, mut socket) = two(&server).await;
    let whom = json!({"user_id": ada.id});
    assert_eq!(socket.call("follow", whom.clone()).await, json!({}));
    let followed = api.inbox_of(&ada, 1).await;
    assert_eq!(followed["items"][0]["actor"]["id"], json!(bob.id));
    let view = json!({"post_id": post["id"]});
    for _ in 0..2 {
        assert_eq!(socket.call("view_post", view.clone()).await, json!({"views": 1}));
    }
    let user = format!("/v1/users/{}", ada.id);
    assert_eq!(api.get(&user).send().await.expect(200)["followers"], 1);
    assert_eq!(socket.call("unfollow", whom).await, json!({}));
    assert_eq!(api.get(&user).send().await.expect(200)["followers"], 0);

    api.like(&bob, id(&post)).await;
    let inbox = api.inbox_of(&ada, 2).await;
    let mut hers = server.socket(&ada.token).await;
    let one = hers.call("mark_read", json!({"id": inbox["items"][0]["id"]})).await;
    assert_eq!(one["unread_count"], 1, "{one}");
    let all = hers.call("mark_read", json!({"all": true})).await;
    assert_eq!(all["unread_count"], 0, "{all}");
    assert!(all["version"].as_u64() > one["version"].as_u64(), "{one} {all}");
    assert_eq!(api.inbox(&ada).await["version"], all["version"]);
}

#[tokio::test]
async fn a_refusal_over_the_socket_is_the_one_of_http_by_status_and_code() {
    let server = Server::start().await;
    let (api, ada, bob, post, mut socket) = two(&server).await;
    let body = json!({"title": "Draft", "content": "Unfinished.", "status": "draft"});
    let draft = api.publish_body(&ada, &body).await;
    for post in [json!(NOWHERE), draft["id"].clone()] {
        for method in ["like_post", "unlike_post", "view_post"] {
            let refusal = socket.refusal(method, json!({"post_id": post})).await;
            assert_eq!(refusal, (404, "not_found".to_owned()), "{method} {post}");
        }
        let said = json!({"post_id": post, "content": "Hello?"});
        assert_eq!(socket.refusal("comment", said).await, (404, "not_found".to_owned()));
    }
    let oneself = json!({"user_id": bob.id});
    let refusal = socket.refusal("follow", oneself).await;
    assert_eq!(refusal, (422, "cannot_follow_yourself".to_owned()));
    let nobody = json!({"user_id": 999_999_999});
    assert_eq!(socket.refusal("follow", nobody.clone()).await.0, 404);
    assert_eq!(socket.refusal("unfollow", nobody).await.0, 404);
    assert_eq!(socket.refusal("mark_read", json!({"id": NOWHERE})).await.0, 404);
    let empty = json!({"post_id": post["id"], "content": ""});
    let (code, message) = socket.refusal("comment", empty.clone()).await;
    let path = format!("/v1/posts/{}/comments", id(&post));
    let by_http = api.post(&path).token(&bob.token).json(&empty).send().await;
    assert_eq!((code, json!(message)), (422, by_http.problem(422)["code"].clone()));
}

#[tokio::test]
async fn malformed_data_is_error_107_and_an_unknown_method_108() {
    let server = Server::start().await;
    let (_api, _ada, _bob, post, mut socket) = two(&server).await;
    for (method, data) in [
        ("like_post", json!({})),
        ("like_post", json!([])),
        ("like_post", json!("text")),
        ("like_post", json!({"post_id": 5})),
        ("unlike_post", json!({"post_id": {"$gt": ""}})),
        ("view_post", json!({"post_id": null})),
        ("comment", json!({"post_id": post["id"], "content": 5})),
        ("comment", json!({"content": "C"})),
        ("follow", json!({"user_id": "ada"})),
        ("unfollow", json!({})),
        ("mark_read", json!({})),
        ("mark_read", json!({"all": "yes"})),
    ] {
        assert_eq!(socket.refusal(method, data.clone()).await.0, 107, "{method} {data}");
    }
    for method in ["make_coffee", "", "LIKE_POST", "delete_post"] {
        let (code, _) = socket.refusal(method, json!({"post_id": post["id"]})).await;
        assert!(code == 108 || (method.is_empty() && code == 107), "{method:?}: {code}");
    }
    // None of it did anything, and the connection still serves.
    let like = json!({"post_id": post["id"]});
    assert_eq!(socket.call("like_post", like).await["likes"], 1);
}

#[tokio::test]
async fn a_connection_without_a_user_may_do_nothing() {
    let server = Server::with("client.allow_anonymous_connect_without_token = true").await;
    let api = server.api();
    let ada = api.person("ada").await;
    let post = api.publish(&ada, "Untouched").await;
    let mut socket = Socket::anonymous(server.address()).await;
    for (method, data) in [
        ("like_post", json!({"post_id": post["id"]})),
        ("comment", json!({"post_id": post["id"], "content": "C"})),
        ("follow", json!({"user_id": ada.id})),
        ("mark_read", json!({"all": true})),
        ("view_post", json!({"post_id": post["id"]})),
    ] {
        assert_eq!(socket.refusal(method, data).await.0, 101, "{method}");
    }
    assert_eq!(api.read_post(&ada, id(&post)).await["counts"], post["counts"]);
}

#[tokio::test]
async fn both_ways_share_one_limit() {
    let server = Start::default()
        .environment("CARILLON_LIMITS__ENABLED", "true")
        .environment("CARILLON_LIMITS__WRITES_PER_MINUTE__FREE", "3")
        .run()
        .await;
    let (api, _ada, bob, post, mut socket) = two(&server).await;
    api.like(&bob, id(&post)).await;
    api.like(&bob, id(&post)).await;
    // One comes back every twenty seconds, so that on a slow machine a few more pass.
    let like = json!({"method": "like_post", "data": {"post_id": post["id"]}});
    let mut codes = Vec::new();
    for _ in 0..8 {
        codes.push(socket.reply("rpc", like.clone()).await["error"]["code"].as_u64());
    }
    assert_eq!(codes[0], None, "the third of three: {codes:?}");
    assert!(codes.iter().flatten().all(|code| *code == 111), "{codes:?}");
    assert!(codes.iter().flatten().count() >= 4, "{codes:?}");
    let path = format!("/v1/posts/{}/like", id(&post));
    api.put(&path).token(&bob.token).send().await.problem(429);
    socket.result("ping", json!({})).await;
}
