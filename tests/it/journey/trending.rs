//! Posts that people like climb a list, which says why, tells of itself and outlives a kill.

use serde_json::{Value, json};

use crate::support::{Api, PATIENCE, Person, Server, id, until};

/// The items of a list, once they satisfy `wanted`: an answer to a write does not wait for the list.
async fn listed(api: &Api, query: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let path = format!("/v1/trending{query}");
    until(PATIENCE, &format!("the list of {path}"), async || {
        let answer = api.get(&path).send().await;
        assert!(answer.expect(200)["next_cursor"].is_null(), "it has no further parts: {answer}");
        let items = answer.body["items"].as_array().expect("a list has items").clone();
        wanted(&items).then_some(items)
    })
    .await
}

/// What of an item does not fade: who stands where, and what was counted.
fn essence(item: &Value) -> Value {
    let explain = item["explain"].as_object().expect("it was asked to explain");
    let counts: Value =
        explain.iter().map(|(kind, share)| (kind.clone(), share["count"].clone())).collect();
    json!([item["rank"], item["post_id"], item["title"], item["author"], counts])
}

async fn three(api: &Api) -> (Person, Person, Person) {
    (api.person("ada").await, api.person("bob").await, api.person("eve").await)
}

#[tokio::test]
async fn posts_stand_in_the_order_of_what_happened_to_them_and_the_list_says_why() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob, eve) = three(&api).await;
    assert_eq!(listed(&api, "", |_| true).await, Vec::<Value>::new());
    let first = api.publish(&ada, "First").await;
    let second = api.publish(&bob, "Second").await;
    api.like(&eve, id(&first)).await;
    api.like(&eve, id(&second)).await;
    api.like(&ada, id(&second)).await;
    api.comment(&ada, id(&second), "Well said.").await;

    for window in ["1h", "24h", "7d"] {
        let query = format!("?window={window}&explain=true");
        let complete =
            |items: &[Value]| items.len() == 2 && items[0]["explain"]["comments"] != Value::Null;
        let items = listed(&api, &query, complete).await;
        assert_eq!(items[0]["post_id"], second["id"]);
        assert_eq!(items[0]["author"], second["author"]);
        assert_eq!((&items[1]["title"], &items[1]["rank"]), (&json!("First"), &json!(2)));
        assert_eq!(items[0]["explain"]["likes"]["count"], 2);
        assert_eq!(items[0]["explain"]["comments"]["weight"].as_f64(), Some(5.0));
        for item in &items {
            let shares = item["explain"].as_object().expect("an explanation").values();
            let sum: f64 = shares.map(|share| share["score"].as_f64().expect("a score")).sum();
            let score = item["score"].as_f64().expect("a score");
            assert!((sum - score).abs() < 0.001, "shares sum to the score: {item}");
        }
    }
    let bare = listed(&api, "?limit=1", |items| items.len() == 1).await;
    assert!(bare[0].get("explain").is_none(), "only who asks is told: {}", bare[0]);

    api.unlike(&eve, id(&first)).await;
    let left = listed(&api, "", |items| items.len() == 1).await;
    assert_eq!(left[0]["post_id"], second["id"]);
    let path = format!("/v1/posts/{}", id(&second));
    api.delete(&path).token(&bob.token).send().await.expect(204);
    listed(&api, "", |items| items.is_empty()).await;
}

#[tokio::test]
async fn a_question_that_cannot_be_understood_names_the_field() {
    let server = Server::start().await;
    for (query, field) in
        [("window=2h", "window"), ("explain=maybe", "explain"), ("limit=0", "limit")]
    {
        let answer = server.api().get(&format!("/v1/trending?{query}")).send().await;
        assert_eq!(answer.bad_fields(), [field], "{answer}");
    }
}

#[tokio::test]
async fn a_list_that_changes_is_told_at_most_once_a_second_and_whoever_comes_later_has_the_last() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob, eve) = three(&api).await;
    let mut socket = server.socket(&ada.token).await;
    socket.subscribe("trending:24h").await;
    let mut posts = Vec::new();
    for number in 1..=25 {
        posts.push(api.publish(&ada, &format!("Post {number}")).await);
    }
    for who in [&bob, &eve] {
        for post in &posts {
            api.like(who, id(post)).await;
        }
    }
    // 20 of the 25 are shown, and all of them have two likes in the end.
    let is_last = |data: &Value| {
        let scores = data["items"].as_array().expect("a list has items").iter();
        let scores: Vec<_> = scores.map(|item| item["score"].as_f64().expect("a score")).collect();
        scores.len() == 20 && scores.iter().all(|score| *score > 4.0)
    };
    let mut told = Vec::new();
    while !told.last().is_some_and(&is_last) {
        told.push(socket.told("trending:24h", "trending.changed").await["data"].clone());
    }
    let times: Vec<_> = told.iter().map(|data| millis(&data["time"])).collect();
    for pair in times.windows(2) {
        let apart = (pair[1] - pair[0]).rem_euclid(24 * 3_600_000);
        assert!(apart >= 990, "not more often than once a second: {times:?}");
    }

    let mut late = server.socket(&bob.token).await;
    let reply = late.result("subscribe", json!({"channel": "trending:24h"})).await;
    assert_eq!(reply["recovered"], json!(true), "{reply}");
    let publications = reply["publications"].as_array().expect("the last list");
    assert_eq!(publications.len(), 1, "{reply}");
    assert!(is_last(&publications[0]["data"]), "{reply}");
    assert_eq!(publications[0]["offset"], reply["offset"]);
}

/// The milliseconds within its day of an RFC 3339 time in UTC.
fn millis(time: &Value) -> i64 {
    let text = time.as_str().expect("a time is a text");
    let (_, clock) = text.split_once('T').expect("a time has a clock");
    let clock = clock.trim_end_matches('Z');
    let seconds = clock.split(':').fold(0.0, |sum, part| {
        sum * 60.0 + part.parse::<f64>().expect("a part of a clock is a number")
    });
    (seconds * 1_000.0).round() as i64
}

#[tokio::test]
async fn a_list_is_what_it_was_after_a_kill() {
    let mut server = Server::start().await;
    let api = server.api();
    let (ada, bob, eve) = three(&api).await;
    let first = api.publish(&ada, "First").await;
    let second = api.publish(&ada, "Second").await;
    for (who, post) in [(&bob, &second), (&eve, &second), (&bob, &first), (&ada, &first)] {
        api.like(who, id(post)).await;
    }
    api.unlike(&ada, id(&first)).await;
    api.comment(&eve, id(&second), "Indeed.").await;
    let query = "?window=7d&explain=true";
    let complete = |items: &[Value]| {
        items.len() == 2
            && items[0]["explain"]["comments"]["count"] == json!(1)
            && items[1]["explain"]["likes"]["count"] == json!(1)
    };
    let before = listed(&api, query, complete).await;
    let essences = |items: &[Value]| items.iter().map(essence).collect::<Vec<_>>();
    assert_eq!(before[0]["post_id"], second["id"]);
    for _ in 0..2 {
        server.kill();
        server.restart().await;
        // It is there before the first question is answered.
        let answer = server.api().get(&format!("/v1/trending{query}")).send().await;
        let after = answer.expect(200)["items"].as_array().expect("a list has items");
        assert_eq!(essences(after), essences(&before));
    }
}
