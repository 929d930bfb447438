//! Likes, bookmarks, shares and views: what is answered, what is counted, and what `post:<id>` tells of it.

use serde_json::{Value, json};

use crate::support::{Answer, Api, Person, Server, id};

async fn act(api: &Api, who: &Person, method: &str, post: &str, end: &str) -> Answer {
    let path = format!("/v1/posts/{post}/{end}");
    let ask = match method {
        "PUT" => api.put(&path),
        "POST" => api.post(&path),
        _ => api.delete(&path),
    };
    ask.token(&who.token).send().await
}

/// A post of Ada's, and Bob's socket subscribed to it.
async fn watched(server: &Server) -> (Person, Person, Value, String, crate::support::Socket) {
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let post = api.publish(&ada, "Watched").await;
    let channel = format!("post:{}", id(&post));
    let mut socket = server.socket(&bob.token).await;
    socket.subscribe(&channel).await;
    (ada, bob, post, channel, socket)
}

fn expect_told(publication: &Value, actor: &Person, post: &Value, counts: &Value) {
    let data = &publication["data"];
    assert_eq!(data["post_id"], post["id"], "{publication}");
    assert_eq!(data["actor"]["id"], json!(actor.id), "{publication}");
    assert_eq!(data["actor"]["username"], json!(actor.username), "{publication}");
    for count in ["likes", "comments", "views", "shares", "bookmarks"] {
        assert!(data["counts"][count].is_u64(), "{count}: {publication}");
    }
    for (count, value) in counts.as_object().expect("the counts to look at") {
        assert_eq!(&data["counts"][count], value, "{count}: {publication}");
    }
}

#[tokio::test]
async fn a_like_is_one_however_often_it_is_put() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob, post, channel, mut socket) = watched(&server).await;
    for _ in 0..3 {
        let answer = act(&api, &bob, "PUT", id(&post), "like").await;
        assert_eq!(answer.expect(200), &json!({"likes": 1, "liked": true}));
    }
    let answer = act(&api, &ada, "PUT", id(&post), "like").await;
    assert_eq!(answer.expect(200), &json!({"likes": 2, "liked": true}));
    for _ in 0..2 {
        let answer = act(&api, &bob, "DELETE", id(&post), "like").await;
        assert_eq!(answer.expect(200), &json!({"likes": 1, "liked": false}));
    }
    let told = socket.told(&channel, "post.liked").await;
    expect_told(&told, &bob, &post, &json!({"likes": 1}));
    let told = socket.told(&channel, "post.liked").await;
    expect_told(&told, &ada, &post, &json!({"likes": 2}));
    let told = socket.told(&channel, "post.unliked").await;
    expect_told(&told, &bob, &post, &json!({"likes": 1}));
    api.comment(&ada, id(&post), "A marker.").await;
    socket.told(&channel, "post.commented").await;
    assert_eq!(socket.left(&channel).await, Vec::<Value>::new(), "a repeat is not told");
}

#[tokio::test]
async fn what_was_never_done_can_be_taken_back_without_a_word() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob, post, channel, mut socket) = watched(&server).await;
    let answer = act(&api, &bob, "DELETE", id(&post), "like").await;
    assert_eq!(answer.expect(200), &json!({"likes": 0, "liked": false}));
    let answer = act(&api, &bob, "DELETE", id(&post), "bookmark").await;
    assert_eq!(answer.expect(200), &json!({"bookmarks": 0, "bookmarked": false}));
    api.like(&ada, id(&post)).await;
    let told = socket.told(&channel, "post.liked").await;
    assert_eq!(told["offset"], 1, "nothing was told before: {told}");
}

#[tokio::test]
async fn a_bookmark_counts_and_is_told() {
    let server = Server::start().await;
    let api = server.api();
    let (_ada, bob, post, channel, mut socket) = watched(&server).await;
    for _ in 0..2 {
        let answer = act(&api, &bob, "PUT", id(&post), "bookmark").await;
        assert_eq!(answer.expect(200), &json!({"bookmarks": 1, "bookmarked": true}));
    }
    assert_eq!(api.read_post(&bob, id(&post)).await["bookmarked"], true);
    let answer = act(&api, &bob, "DELETE", id(&post), "bookmark").await;
    assert_eq!(answer.expect(200), &json!({"bookmarks": 0, "bookmarked": false}));
    let told = socket.told(&channel, "post.bookmarked").await;
    expect_told(&told, &bob, &post, &json!({"bookmarks": 1}));
    let told = socket.told(&channel, "counters.corrected").await;
    assert_eq!(told["data"]["post_id"], post["id"], "{told}");
    assert_eq!(told["data"]["counts"]["bookmarks"], 0, "{told}");
}

#[tokio::test]
async fn a_share_counts_and_is_told() {
    let server = Server::start().await;
    let api = server.api();
    let (_ada, bob, post, channel, mut socket) = watched(&server).await;
    let answer = act(&api, &bob, "POST", id(&post), "share").await;
    assert_eq!(answer.expect(200), &json!({"shares": 1}));
    let told = socket.told(&channel, "post.shared").await;
    expect_told(&told, &bob, &post, &json!({"shares": 1}));
    assert_eq!(api.read_post(&bob, id(&post)).await["counts"]["shares"], 1);
}

#[tokio::test]
async fn a_user_views_once_an_hour_and_views_are_not_told_by_themselves() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob, post, channel, mut socket) = watched(&server).await;
    let eve = api.person("eve").await;
    for _ in 0..3 {
        let answer = act(&api, &bob, "POST", id(&post), "view").await;
        assert_eq!(answer.expect(200), &json!({"views": 1}));
    }
    let answer = act(&api, &eve, "POST", id(&post), "view").await;
    assert_eq!(answer.expect(200), &json!({"views": 2}));
    api.like(&ada, id(&post)).await;
    let told = socket.told(&channel, "post.liked").await;
    assert_eq!(told["offset"], 1, "no view was told: {told}");
    expect_told(&told, &ada, &post, &json!({"views": 2, "likes": 1}));
}

#[tokio::test]
async fn a_post_says_what_its_reader_did_and_to_strangers_nothing() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let post = api.publish(&ada, "Seen by many").await;
    api.like(&bob, id(&post)).await;
    act(&api, &ada, "PUT", id(&post), "bookmark").await.expect(200);
    let (hers, his) = (api.read_post(&ada, id(&post)).await, api.read_post(&bob, id(&post)).await);
    assert_eq!((&hers["liked"], &hers["bookmarked"]), (&json!(false), &json!(true)), "{hers}");
    assert_eq!((&his["liked"], &his["bookmarked"]), (&json!(true), &json!(false)), "{his}");
    let counts = json!({"likes": 1, "comments": 0, "views": 0, "shares": 0, "bookmarks": 1});
    assert_eq!(his["counts"], counts);
    let path = format!("/v1/posts/{}", id(&post));
    let stranger = api.get(&path).send().await;
    assert_eq!(stranger.expect(200)["counts"], counts);
    for field in ["liked", "bookmarked"] {
        assert!(stranger.body.get(field).is_none_or(Value::is_null), "{field}: {stranger}");
    }
    let feed = api.get("/v1/feed").token(&bob.token).send().await;
    let first = &feed.expect(200)["items"][0];
    assert_eq!((&first["liked"], &first["bookmarked"]), (&json!(true), &json!(false)), "{feed}");
    assert_eq!(first["counts"], counts);
}

#[tokio::test]
async fn likes_of_many_at_once_are_all_counted() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob, post, channel, mut socket) = watched(&server).await;
    let mut people = vec![ada, bob];
    for number in 0..6 {
        people.push(api.person(&format!("p{number}")).await);
    }
    let mut likes = tokio::task::JoinSet::new();
    for person in &people {
        // Each of them twice at once, which is still one like.
        for _ in 0..2 {
            let (api, person, post) = (api.clone(), person.clone(), post.clone());
            likes.spawn(async move { api.like(&person, id(&post)).await });
        }
    }
    likes.join_all().await;
    let read = api.read_post(&people[0], id(&post)).await;
    assert_eq!(read["counts"]["likes"], 8, "{read}");
    let mut actors = Vec::new();
    let mut last = Value::Null;
    for _ in 0..8 {
        last = socket.told(&channel, "post.liked").await["data"].clone();
        actors.push(last["actor"]["id"].as_i64().expect("an actor"));
    }
    actors.sort_unstable();
    actors.dedup();
    assert_eq!(actors.len(), 8, "each is told once");
    assert_eq!(last["counts"]["likes"], 8, "the last one has the last count: {last}");
}

#[tokio::test]
async fn a_post_that_is_not_there_for_somebody_is_404() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let body = json!({"title": "Draft", "content": "Unfinished.", "status": "draft"});
    let draft = api.publish_body(&ada, &body).await;
    for post in ["0123456789abcdef01234567", id(&draft)] {
        for (method, end) in [
            ("PUT", "like"),
            ("DELETE", "like"),
            ("PUT", "bookmark"),
            ("DELETE", "bookmark"),
            ("POST", "share"),
            ("POST", "view"),
        ] {
            let answer = act(&api, &bob, method, post, end).await;
            assert_eq!(answer.status, 404, "{answer}");
            answer.problem(404);
        }
    }
    let read = api.read_post(&ada, id(&draft)).await;
    assert_eq!(read["counts"]["likes"], 0, "{read}");
}
