//! `/v1/notifications`: what is listed, what is counted as unread, and what reading changes.

use serde_json::{Value, json};

use crate::support::{Api, PATIENCE, Person, Server, id, until};

fn items(inbox: &Value) -> &[Value] {
    inbox["items"].as_array().expect("items")
}

fn types(inbox: &Value) -> Vec<&str> {
    items(inbox).iter().map(|item| item["type"].as_str().expect("a type")).collect()
}

async fn read(api: &Api, who: &Person, notification: &str) -> Value {
    let ask = api.post(&format!("/v1/notifications/{notification}/read")).token(&who.token);
    let answer = ask.send().await;
    let state = answer.expect(200);
    assert!(state["unread_count"].is_u64() && state["version"].is_u64(), "{answer}");
    state.clone()
}

async fn unread(api: &Api, who: &Person) -> Value {
    let answer = api.get("/v1/notifications?unread=true").token(&who.token).send().await;
    answer.expect(200).clone()
}

#[tokio::test]
async fn an_inbox_begins_empty() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let inbox = api.inbox(&ada).await;
    assert_eq!(inbox["items"], json!([]));
    assert_eq!(inbox["unread_count"], 0);
    assert!(inbox["next_cursor"].is_null(), "{inbox}");
}

#[tokio::test]
async fn every_kind_of_notification_names_its_actor_and_what_it_is_about() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let made = api.publish(&ada, "Noticed").await;
    let post = id(&made);
    api.follow(&ada, &bob).await;
    api.inbox_of(&bob, 1).await;
    api.follow(&bob, &ada).await;
    api.inbox_of(&ada, 1).await;
    api.like(&bob, post).await;
    api.inbox_of(&ada, 2).await;
    let comment = api.comment(&bob, post, "Well said.").await;
    api.inbox_of(&ada, 3).await;
    let his = api.publish(&bob, "His own").await;
    api.inbox_of(&ada, 4).await;
    let mention = api.comment(&bob, id(&his), &format!("What does @{} think?", ada.username)).await;
    let inbox = api.inbox_of(&ada, 5).await;

    assert_eq!(types(&inbox), ["mentioned", "posted", "commented", "liked", "followed"]);
    assert_eq!(inbox["unread_count"], 5);
    for item in items(&inbox) {
        assert!(!id(item).is_empty() && item["created_at"].is_string(), "{item}");
        assert_eq!(item["actor"]["id"], json!(bob.id), "{item}");
        assert_eq!(item["actor"]["username"], json!(bob.username), "{item}");
        assert_eq!(item["read"], false, "{item}");
        assert!(item["seen"].is_boolean(), "{item}");
    }
    let [mentioned, posted, commented, liked, followed] = items(&inbox) else {
        panic!("five items: {inbox}");
    };
    assert_eq!(mentioned["post_id"], his["id"]);
    assert_eq!(mentioned["comment_id"], mention["id"]);
    assert_eq!(posted["post_id"], his["id"]);
    assert_eq!(commented["post_id"], made["id"]);
    assert_eq!(commented["comment_id"], comment["id"]);
    assert_eq!(liked["post_id"], made["id"]);
    for field in ["post_id", "comment_id"] {
        assert!(followed.get(field).is_none_or(Value::is_null), "{field}: {followed}");
    }
    // Bob was followed, and did all the rest himself.
    assert_eq!(types(&api.inbox(&bob).await), ["followed"]);
}

#[tokio::test]
async fn nobody_is_notified_of_their_own_act() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let made = api.publish(&ada, "My own").await;
    api.like(&ada, id(&made)).await;
    api.comment(&ada, id(&made), &format!("@{} talks to herself.", ada.username)).await;
    // What comes after all that is the first thing in the inbox.
    api.like(&bob, id(&made)).await;
    let inbox = api.inbox_of(&ada, 1).await;
    assert_eq!(types(&inbox), ["liked"]);
    assert_eq!(items(&inbox)[0]["actor"]["id"], json!(bob.id));
}

#[tokio::test]
async fn a_like_notifies_once_however_often_it_is_taken_back() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let made = api.publish(&ada, "Undecided").await;
    for _ in 0..3 {
        api.like(&bob, id(&made)).await;
        api.unlike(&bob, id(&made)).await;
    }
    api.comment(&bob, id(&made), "Decided.").await;
    let inbox = api.inbox_of(&ada, 2).await;
    assert_eq!(types(&inbox), ["commented", "liked"], "the unlike leaves what was there");
    assert_eq!(inbox["unread_count"], 2);
}

#[tokio::test]
async fn reading_one_lowers_the_count_once_and_raises_the_version() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let made = api.publish(&ada, "Noticed").await;
    api.like(&bob, id(&made)).await;
    api.comment(&bob, id(&made), "Well said.").await;
    let inbox = api.inbox_of(&ada, 2).await;
    let version = inbox["version"].as_u64().expect("a version");
    let liked = id(&items(&inbox)[1]);

    let state = read(&api, &ada, liked).await;
    assert_eq!(state["unread_count"], 1);
    assert!(state["version"].as_u64() > Some(version), "{state}");
    let again = read(&api, &ada, liked).await;
    assert_eq!(again["unread_count"], 1, "it is read already");

    let inbox = api.inbox(&ada).await;
    assert_eq!(
        (&items(&inbox)[0]["read"], &items(&inbox)[1]["read"]),
        (&json!(false), &json!(true))
    );
    assert_eq!((&inbox["unread_count"], &inbox["version"]), (&json!(1), &again["version"]));
    let left = unread(&api, &ada).await;
    assert_eq!(types(&left), ["commented"], "only what is unread");
    assert_eq!(left["unread_count"], 1);
}

#[tokio::test]
async fn reading_all_reads_the_posts_of_whom_one_follows_as_well() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    api.follow(&bob, &ada).await;
    let made = api.publish(&ada, "For followers").await;
    api.comment(&ada, id(&made), &format!("Look, @{}.", bob.username)).await;
    let inbox = api.inbox_of(&bob, 2).await;
    assert_eq!(inbox["unread_count"], 2, "{inbox}");
    let answer = api.post("/v1/notifications/read-all").token(&bob.token).send().await;
    let state = answer.expect(200);
    assert_eq!(state["unread_count"], 0, "{answer}");
    assert!(state["version"].as_u64() > inbox["version"].as_u64(), "{answer}");
    let inbox = api.inbox(&bob).await;
    assert!(items(&inbox).iter().all(|item| item["read"] == true), "{inbox}");
    assert_eq!(inbox["unread_count"], 0);
    assert_eq!(unread(&api, &bob).await["items"], json!([]));

    api.publish(&ada, "Another").await;
    let inbox = api.inbox_of(&bob, 3).await;
    assert_eq!(inbox["unread_count"], 1, "what comes later is unread: {inbox}");
    let posted = id(&items(&inbox)[0]);
    assert_eq!(read(&api, &bob, posted).await["unread_count"], 0, "one of them can be read too");
}

#[tokio::test]
async fn an_inbox_is_paged_newest_first() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let mut posts = Vec::new();
    for number in 0..5 {
        let made = api.publish(&ada, &format!("Post {number}")).await;
        api.like(&bob, id(&made)).await;
        api.inbox_of(&ada, number + 1).await;
        posts.insert(0, made["id"].clone());
    }
    let (mut found, mut path) = (Vec::new(), "/v1/notifications?limit=2".to_owned());
    for left in [3, 1, 0] {
        let answer = api.get(&path).token(&ada.token).send().await;
        let page = answer.expect(200);
        assert_eq!(page["unread_count"], 5, "the count is of the whole inbox: {answer}");
        found.extend(items(page).iter().map(|item| item["post_id"].clone()));
        assert_eq!(found.len(), 5 - left, "{answer}");
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/notifications?limit=2&cursor={cursor}"),
            None => assert_eq!(left, 0, "{answer}"),
        }
    }
    assert_eq!(found, posts);
}

#[tokio::test]
async fn an_inbox_is_its_owners_alone() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let made = api.publish(&ada, "Noticed").await;
    api.like(&bob, id(&made)).await;
    let inbox = api.inbox_of(&ada, 1).await;
    let hers = format!("/v1/notifications/{}/read", id(&items(&inbox)[0]));
    api.post(&hers).token(&bob.token).send().await.problem(404);
    for unknown in ["0123456789abcdef01234567", "zzz"] {
        let path = format!("/v1/notifications/{unknown}/read");
        api.post(&path).token(&ada.token).send().await.problem(404);
    }
    assert_eq!(api.inbox(&ada).await["unread_count"], 1);
    assert_eq!(api.inbox(&bob).await["items"], json!([]));
}

#[tokio::test]
async fn an_inbox_is_the_same_after_a_kill() {
    let mut server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    api.follow(&ada, &bob).await;
    let made = api.publish(&ada, "Noticed").await;
    api.like(&bob, id(&made)).await;
    api.publish(&bob, "His own").await;
    api.comment(&bob, id(&made), "Well said.").await;
    let inbox = api.inbox_of(&ada, 3).await;
    read(&api, &ada, id(&items(&inbox)[2])).await;
    let before = api.inbox(&ada).await;
    server.restart().await;
    let api = server.api();
    until(PATIENCE, "the inbox as it was", || async {
        let after = api.inbox(&ada).await;
        let same = ["items", "unread_count"].iter().all(|field| after[field] == before[field]);
        assert!(after["version"].as_u64() >= before["version"].as_u64(), "{after}");
        same.then_some(())
    })
    .await;
}
