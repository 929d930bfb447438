//! Paged lists.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::support::{Api, Person, Server, pages};

fn ids(items: &[Value]) -> Vec<String> {
    let ids = items.iter().map(|item| item["id"].as_str().expect("an id"));
    ids.map(str::to_owned).collect()
}

async fn page(api: &Api, path: &str) -> (Vec<String>, Option<String>) {
    let answer = api.get(path).send().await;
    let body = answer.expect(200);
    let items = body["items"].as_array().expect("items");
    (ids(items), body["next_cursor"].as_str().map(str::to_owned))
}

async fn write(api: &Api, who: &Person, count: usize) -> HashSet<String> {
    let mut written = HashSet::new();
    for number in 0..count {
        let body = json!({"title": format!("Post {number}"), "content": "C", "tags": ["all"]});
        let ask = api.post("/v1/posts").token(&who.token).json(&body);
        let made = ask.send().await;
        written.insert(made.expect(201)["id"].as_str().expect("an id").to_owned());
    }
    written
}

#[tokio::test]
async fn a_list_read_while_posts_are_added_has_no_hole_and_no_repeat() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let before = write(&api, &ada, 17).await;
    let mine = format!("/v1/posts?author={}&limit=5", ada.id);
    for path in ["/v1/feed?limit=5", "/v1/posts?tag=all&limit=5", mine.as_str()] {
        let (mut seen, mut cursor) = page(&api, path).await;
        let mut count = 1;
        while let Some(next) = cursor {
            write(&api, &ada, 2).await;
            let (more, after) = page(&api, &format!("{path}&cursor={next}")).await;
            seen.extend(more);
            cursor = after;
            count += 1;
            assert!(count < 30, "{path} comes to an end");
        }
        assert!(count > 2, "{path} has more than two pages");
        let distinct: HashSet<_> = seen.iter().cloned().collect();
        assert_eq!(distinct.len(), seen.len(), "{path} repeats nothing");
        assert!(before.is_subset(&distinct), "{path} leaves nothing out");
    }
}

#[tokio::test]
async fn a_feed_has_the_newest_first() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    for number in 0..7 {
        api.publish(&ada, &format!("Post {number}")).await;
    }
    let titles: Vec<_> = pages(&api, "/v1/feed", 3)
        .await
        .iter()
        .map(|post| post["title"].as_str().expect("a title").to_owned())
        .collect();
    let wanted: Vec<_> = (0..7).rev().map(|n| format!("Post {n}")).collect();
    assert_eq!(titles, wanted);
}

#[tokio::test]
async fn the_default_page_is_fifty_and_the_largest_two_hundred() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    write(&api, &ada, 52).await;
    let (items, cursor) = page(&api, "/v1/feed").await;
    assert_eq!(items.len(), 50);
    assert!(cursor.is_some());
    let (items, cursor) = page(&api, "/v1/feed?limit=200").await;
    assert_eq!((items.len(), cursor), (52, None));
}

#[tokio::test]
async fn a_bad_limit_or_cursor_is_refused_or_capped_never_a_failure() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    api.publish(&ada, "One").await;
    for query in [
        "limit=0",
        "limit=-1",
        "limit=ten",
        "limit=99999999999999999999",
        "cursor=%00",
        "cursor=nonsense",
    ] {
        let answer = api.get(&format!("/v1/feed?{query}")).send().await;
        match answer.status {
            200 => assert!(query.starts_with("limit=9"), "{query}: {answer}"),
            400 | 422 => drop(answer.problem(answer.status)),
            _ => panic!("{query}: {answer}"),
        }
    }
}
