//! Following, the lists of who follows whom, and the feed of whom one follows.

use serde_json::{Value, json};

use crate::support::{Api, Person, Server, id};

async fn unfollow(api: &Api, who: &Person, whom: &Person) {
    let ask = api.delete(&format!("/v1/users/{}/follow", whom.id)).token(&who.token);
    ask.send().await.expect(204);
}

/// How many follow a user, and how many the user follows.
async fn counts(api: &Api, of: &Person) -> (Value, Value) {
    let answer = api.get(&format!("/v1/users/{}", of.id)).send().await;
    let user = answer.expect(200);
    (user["followers"].clone(), user["following"].clone())
}

/// The ids in a list of users, sorted.
async fn users(api: &Api, path: &str) -> Vec<i64> {
    let answer = api.get(path).send().await;
    let items = answer.expect(200)["items"].as_array().expect("items");
    for user in items {
        assert!(user["username"].is_string() && user["display_name"].is_string(), "{answer}");
        assert!(user.get("email").is_none(), "an address is nobody else's business: {answer}");
    }
    let mut ids: Vec<_> = items.iter().map(|user| user["id"].as_i64().expect("an id")).collect();
    ids.sort_unstable();
    ids
}

async fn home(api: &Api, of: &Person) -> Vec<Value> {
    let answer = api.get("/v1/feed/home").token(&of.token).send().await;
    let items = answer.expect(200)["items"].as_array().expect("items");
    items.iter().map(|post| post["title"].clone()).collect()
}

#[tokio::test]
async fn following_is_counted_once_and_listed_on_both_sides() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob, eve) =
        (api.person("ada").await, api.person("bob").await, api.person("eve").await);
    for _ in 0..2 {
        api.follow(&bob, &ada).await;
    }
    api.follow(&eve, &ada).await;
    assert_eq!(counts(&api, &ada).await, (json!(2), json!(0)));
    assert_eq!(counts(&api, &bob).await, (json!(0), json!(1)));
    let followers = format!("/v1/users/{}/followers", ada.id);
    assert_eq!(users(&api, &followers).await, [bob.id, eve.id]);
    assert_eq!(users(&api, &format!("/v1/users/{}/following", bob.id)).await, [ada.id]);
    assert_eq!(users(&api, &format!("/v1/users/{}/following", ada.id)).await, Vec::<i64>::new());
    for _ in 0..2 {
        unfollow(&api, &bob, &ada).await;
    }
    assert_eq!(counts(&api, &ada).await, (json!(1), json!(0)));
    assert_eq!(counts(&api, &bob).await, (json!(0), json!(0)));
    assert_eq!(users(&api, &followers).await, [eve.id]);
}

#[tokio::test]
async fn lists_of_users_are_paged() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut wanted = Vec::new();
    for number in 0..5 {
        let follower = api.person(&format!("f{number}")).await;
        api.follow(&follower, &ada).await;
        wanted.push(follower.id);
    }
    let followers = format!("/v1/users/{}/followers", ada.id);
    let read = crate::support::pages(&api, &followers, 2).await;
    let mut read: Vec<_> = read.iter().map(|user| user["id"].as_i64().expect("an id")).collect();
    read.sort_unstable();
    assert_eq!(read, wanted);
}

#[tokio::test]
async fn a_user_is_shown_without_what_is_private() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let path = format!("/v1/users/{}", ada.id);
    for ask in [api.get(&path), api.get(&path).token(&bob.token)] {
        let answer = ask.send().await;
        let user = answer.expect(200);
        assert_eq!(user["id"], json!(ada.id));
        assert_eq!(user["username"], json!(ada.username));
        for field in
            ["display_name", "first_name", "last_name", "created_at", "followers", "following"]
        {
            assert!(user.get(field).is_some(), "{field}: {answer}");
        }
        for field in ["email", "email_verified", "plan", "password", "password_hash"] {
            assert!(user.get(field).is_none(), "{field}: {answer}");
        }
    }
}

#[tokio::test]
async fn oneself_and_nobody_cannot_be_followed() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let own = format!("/v1/users/{}/follow", ada.id);
    let answer = api.put(&own).token(&ada.token).send().await;
    answer.problem_coded(422, "cannot_follow_yourself");
    assert_eq!(counts(&api, &ada).await, (json!(0), json!(0)));
    let nobody = "/v1/users/999999999";
    api.get(nobody).send().await.problem(404);
    let follow = format!("{nobody}/follow");
    api.put(&follow).token(&ada.token).send().await.problem(404);
    api.delete(&follow).token(&ada.token).send().await.problem(404);
    for strange in ["abc", "-1", "0", "99999999999999999999999"] {
        let answer = api.get(&format!("/v1/users/{strange}")).send().await;
        assert!(matches!(answer.status, 400 | 404 | 422), "{strange}: {answer}");
        answer.problem(answer.status);
    }
}

#[tokio::test]
async fn the_home_feed_has_the_posts_of_whom_one_follows_and_no_others() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob, eve) =
        (api.person("ada").await, api.person("bob").await, api.person("eve").await);
    let before = api.publish(&ada, "Before").await;
    api.publish(&eve, "A stranger's").await;
    assert_eq!(home(&api, &bob).await, Vec::<Value>::new());
    api.follow(&bob, &ada).await;
    assert_eq!(home(&api, &bob).await, ["Before"], "older posts are in it too");
    api.publish(&ada, "After").await;
    let draft = json!({"title": "Draft", "content": "Unfinished.", "status": "draft"});
    api.publish_body(&ada, &draft).await;
    assert_eq!(home(&api, &bob).await, ["After", "Before"], "newest first");
    let path = format!("/v1/posts/{}", id(&before));
    api.delete(&path).token(&ada.token).send().await.expect(204);
    assert_eq!(home(&api, &bob).await, ["After"]);
    unfollow(&api, &bob, &ada).await;
    assert_eq!(home(&api, &bob).await, Vec::<Value>::new());
}
