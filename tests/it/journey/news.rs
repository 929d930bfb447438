//! One writes, another hears of it.

use serde_json::{Value, json};

use crate::support::{Person, Server, title, unique};

fn expect_post_published(publication: &Value, author: &Person, post: &Value) {
    let data = &publication["data"];
    assert_eq!(data["type"], "post.published", "{publication}");
    assert_eq!(publication["tags"]["type"], "post.published", "tags repeat the type");
    let id = data["id"].as_str().unwrap_or_default();
    assert_eq!(id.len(), 36, "the event id is a UUID: {publication}");
    assert_eq!(&id[14..15], "7", "of version 7: {publication}");
    let time = data["time"].as_str().unwrap_or_default();
    assert!(time.contains('T') && time.ends_with('Z'), "RFC 3339, UTC: {publication}");
    assert_eq!(data["actor"]["id"], json!(author.id), "{publication}");
    assert_eq!(data["actor"]["username"], json!(author.username), "{publication}");
    let told = &data["post"];
    for field in ["id", "slug", "title", "excerpt", "tags", "status", "author", "counts"] {
        assert_eq!(told[field], post[field], "{field} of the post: {publication}");
    }
}

#[tokio::test]
async fn a_post_reaches_the_feed_its_tag_and_its_author_channel() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let tag = format!("rust{}", unique());
    let channels = ["feed:all".to_owned(), format!("tag:{tag}"), format!("author:{}", ada.id)];
    let mut socket = server.socket(&bob.token).await;
    for channel in &channels {
        let position = socket.subscribe(channel).await;
        assert!(!position.epoch.is_empty(), "{channel} can be recovered");
    }
    let body = json!({"title": "On queues", "content": "Every queue is bounded.", "tags": [tag]});
    let made = api.post("/v1/posts").token(&ada.token).json(&body).send().await;
    let post = made.expect(201);

    let mut ids = Vec::new();
    for channel in &channels {
        let publication = socket.publication(channel).await;
        expect_post_published(&publication, &ada, post);
        assert_eq!(publication["offset"], 1, "the first of {channel}");
        ids.push(publication["data"]["id"].clone());
    }
    assert_eq!(ids[0], ids[1], "one event, whatever the channel");
    assert_eq!(ids[0], ids[2], "one event, whatever the channel");
}

#[tokio::test]
async fn a_publication_carries_the_excerpt_and_not_the_whole_content() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    socket.subscribe("feed:all").await;
    let content = "A long article says this sentence very often. ".repeat(400);
    let body = json!({"title": "Long", "content": content});
    let made = api.post("/v1/posts").token(&ada.token).json(&body).send().await;
    let post = made.expect(201);
    assert_eq!(post["content"], json!(content), "its author gets it whole");

    let publication = socket.publication("feed:all").await;
    let told = &publication["data"]["post"];
    assert_eq!(told["excerpt"], post["excerpt"]);
    let cut = told["content"].as_str().expect("the field is there, cut");
    assert!(cut.len() < 2_000, "{} bytes of content in a publication", cut.len());
}

#[tokio::test]
async fn a_draft_is_told_to_nobody() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    socket.subscribe("feed:all").await;
    let body = json!({"title": "Not yet", "content": "Still thinking.", "status": "draft"});
    let made = api.post("/v1/posts").token(&ada.token).json(&body).send().await;
    assert_eq!(made.expect(201)["status"], "draft");
    api.publish(&ada, "Now").await;

    assert_eq!(title(&socket.publication("feed:all").await), "Now");
    assert_eq!(socket.left("feed:all").await, Vec::<Value>::new());
    let feed = api.get("/v1/feed").send().await;
    let items = feed.expect(200)["items"].as_array().expect("items");
    assert_eq!(items.len(), 1, "a draft is in no feed: {feed}");
}

#[tokio::test]
async fn offsets_of_a_channel_are_consecutive_and_in_the_order_of_the_writes() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    let start = socket.subscribe("feed:all").await;
    for number in 1..=20 {
        api.publish(&ada, &format!("Post {number}")).await;
    }
    for number in 1..=20 {
        let publication = socket.publication("feed:all").await;
        assert_eq!(title(&publication), format!("Post {number}"));
        assert_eq!(publication["offset"], json!(start.offset + number));
    }
}

#[tokio::test]
async fn every_subscriber_of_a_channel_hears_every_post_of_concurrent_writers_in_one_order() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut first = server.socket(&ada.token).await;
    let mut second = server.socket(&ada.token).await;
    first.subscribe("feed:all").await;
    second.subscribe("feed:all").await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let (api, ada) = (api.clone(), ada.clone());
        writers.spawn(async move {
            for number in 0..5 {
                api.publish(&ada, &format!("Post {writer}.{number}")).await;
            }
        });
    }
    writers.join_all().await;
    let mut seen = Vec::new();
    for offset in 1..=40 {
        let publication = first.publication("feed:all").await;
        assert_eq!(publication["offset"], json!(offset));
        assert_eq!(second.publication("feed:all").await, publication);
        seen.push(title(&publication));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 40, "every post once");
}

#[tokio::test]
async fn a_post_is_read_back_as_it_was_answered() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let post = api.publish(&ada, "Read me back").await;
    let id = post["id"].as_str().expect("a post has an id");
    assert!(id.len() == 24 && id.chars().all(|c| c.is_ascii_hexdigit()), "ObjectId hex: {id}");
    let read = api.get(&format!("/v1/posts/{id}")).send().await;
    let read = read.expect(200);
    for field in ["id", "slug", "title", "content", "excerpt", "tags", "status", "version"] {
        assert_eq!(read[field], post[field], "{field}");
    }
    assert_eq!(read["author"]["id"], json!(ada.id));
    assert_eq!(read["author"]["username"], json!(ada.username));
    for count in ["likes", "comments", "views", "shares", "bookmarks"] {
        assert_eq!(read["counts"][count], 0, "{count}: {read}");
    }
}

#[tokio::test]
async fn posts_are_listed_by_tag_by_author_and_in_the_feed() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    for (author, title, tag) in
        [(&ada, "One", "red"), (&bob, "Two", "red"), (&ada, "Three", "blue")]
    {
        let body = json!({"title": title, "content": "Text.", "tags": [tag]});
        let ask = api.post("/v1/posts").token(&author.token).json(&body);
        ask.send().await.expect(201);
    }
    let by_author = format!("/v1/posts?author={}", ada.id);
    for (path, wanted) in [
        ("/v1/posts?tag=red", vec!["One", "Two"]),
        (by_author.as_str(), vec!["One", "Three"]),
        ("/v1/feed", vec!["One", "Three", "Two"]),
        ("/v1/posts?tag=green", vec![]),
    ] {
        let list = api.get(path).send().await;
        let items = list.expect(200)["items"].as_array().expect("items");
        let mut found: Vec<_> = items.iter().filter_map(|p| p["title"].as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, wanted, "{path}");
    }
}
