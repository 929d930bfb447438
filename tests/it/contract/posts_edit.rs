//! `/v1/posts/{id}` after it was written: edits, versions, what an edit changes besides, and the end of a post.

use serde_json::{Value, json};

use crate::support::{Answer, Api, Person, Server, id};

async fn edit(api: &Api, who: &Person, post: &str, body: &Value) -> Answer {
    let ask = api.patch(&format!("/v1/posts/{post}")).token(&who.token);
    ask.json(body).send().await
}

/// Whether a list shows a post.
async fn lists(api: &Api, path: &str, reader: Option<&Person>, post: &str) -> bool {
    let mut ask = api.get(path);
    if let Some(reader) = reader {
        ask = ask.token(&reader.token);
    }
    let answer = ask.send().await;
    let items = answer.expect(200)["items"].as_array().expect("items");
    items.iter().any(|item| item["id"] == post)
}

#[tokio::test]
async fn an_edit_changes_what_it_names_and_nothing_else() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let body = json!({"title": "First title", "content": "First content.", "tags": ["rust", "io"],
        "categories": ["systems"], "difficulty": "beginner", "metadata": {"seo": {"metaTitle": "First"}}});
    let before = api.publish_body(&ada, &body).await;
    let answer = edit(&api, &ada, id(&before), &json!({"title": "Second title"})).await;
    let after = answer.expect(200);
    assert_eq!(after["title"], "Second title");
    assert_eq!(after["version"].as_u64(), before["version"].as_u64().map(|v| v + 1), "{answer}");
    for field in [
        "id",
        "slug",
        "content",
        "excerpt",
        "tags",
        "categories",
        "difficulty",
        "status",
        "author",
        "counts",
        "reading_minutes",
        "metadata",
        "created_at",
        "published_at",
    ] {
        assert_eq!(after[field], before[field], "{field} stays: {answer}");
    }
    assert_ne!(after["updated_at"], before["updated_at"], "{answer}");
    assert_eq!(&api.read_post(&ada, id(&before)).await, after, "it is read as it was answered");
}

#[tokio::test]
async fn every_field_of_a_post_can_be_edited_at_once() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let post = api.publish(&ada, "Before").await;
    let body = json!({"title": "After", "content": "Other words.", "tags": ["new"], "categories": ["other"],
        "difficulty": "advanced", "status": "archived", "metadata": {"seo": {"keywords": ["k"]}}, "version": post["version"]});
    let answer = edit(&api, &ada, id(&post), &body).await;
    let after = answer.expect(200);
    for field in ["title", "content", "tags", "categories", "difficulty", "status", "metadata"] {
        assert_eq!(after[field], body[field], "{field}: {answer}");
    }
}

#[tokio::test]
async fn an_edit_of_a_stale_version_is_409_and_changes_nothing() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let post = api.publish(&ada, "Contended").await;
    let version = post["version"].as_u64().expect("a post has a version");
    let first = json!({"content": "The first editor's.", "version": version});
    let answer = edit(&api, &ada, id(&post), &first).await;
    assert_eq!(answer.expect(200)["version"], json!(version + 1));
    let second = json!({"content": "The second editor's.", "version": version});
    edit(&api, &ada, id(&post), &second).await.problem_coded(409, "stale_version");
    let ahead = json!({"content": "From the future.", "version": version + 5});
    edit(&api, &ada, id(&post), &ahead).await.problem_coded(409, "stale_version");
    let read = api.read_post(&ada, id(&post)).await;
    assert_eq!(read["content"], "The first editor's.");
    assert_eq!(read["version"], json!(version + 1));
    // Who names no version edits whatever is there.
    let answer = edit(&api, &ada, id(&post), &json!({"content": "The last."})).await;
    assert_eq!(answer.expect(200)["version"], json!(version + 2));
}

#[tokio::test]
async fn of_concurrent_edits_of_one_version_one_succeeds() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let post = api.publish(&ada, "Contended").await;
    let mut editors = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (api, ada, post) = (api.clone(), ada.clone(), post.clone());
        editors.spawn(async move {
            let body = json!({"content": format!("By {number}."), "version": post["version"]});
            edit(&api, &ada, id(&post), &body).await
        });
    }
    let answers = editors.join_all().await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 200);
    assert_eq!(made.len(), 1, "{answers:?}");
    for answer in refused {
        answer.problem_coded(409, "stale_version");
    }
    assert_eq!(api.read_post(&ada, id(&post)).await["content"], made[0].body["content"]);
}

#[tokio::test]
async fn excerpt_and_reading_time_follow_the_content_and_the_slug_stays() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let post = api.publish_body(&ada, &json!({"title": "Short", "content": "A few words."})).await;
    assert_eq!(post["reading_minutes"], 1, "{post}");
    assert!(post["excerpt"].as_str().is_some_and(|e| e.contains("A few words")), "{post}");
    let long = "Another beginning. ".to_owned() + &"word ".repeat(2_000);
    let answer =
        edit(&api, &ada, id(&post), &json!({"title": "Quite another title", "content": long}))
            .await;
    let after = answer.expect(200);
    let minutes = after["reading_minutes"].as_u64().expect("a number of minutes");
    assert!((6..=15).contains(&minutes), "2,000 words take {minutes} minutes");
    let excerpt = after["excerpt"].as_str().expect("an excerpt");
    assert!(excerpt.starts_with("Another beginning") && excerpt.len() < 1_000, "{excerpt}");
    assert_eq!(after["slug"], post["slug"], "links keep working");
}

#[tokio::test]
async fn a_post_is_read_by_its_slug_as_well() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let post = api.publish(&ada, "A title to be linked").await;
    let slug = post["slug"].as_str().expect("a slug");
    assert_eq!(api.read_post(&bob, slug).await, api.read_post(&bob, id(&post)).await);
    api.get("/v1/posts/no-such-slug-at-all").send().await.problem(404);
}

#[tokio::test]
async fn a_draft_is_its_authors_alone_until_it_is_published() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let body = json!({"title": "Draft", "content": "Unfinished.", "status": "draft"});
    let draft = api.publish_body(&ada, &body).await;
    assert!(draft["published_at"].is_null(), "{draft}");
    let (post, slug) = (id(&draft), draft["slug"].as_str().expect("a slug"));
    let path = format!("/v1/posts/{post}");
    api.get(&path).send().await.problem(404);
    api.get(&path).token(&bob.token).send().await.problem(404);
    api.get(&format!("/v1/posts/{slug}")).token(&bob.token).send().await.problem(404);
    assert_eq!(api.read_post(&ada, post).await["status"], "draft");
    let list = format!("/v1/posts?author={}&status=draft", ada.id);
    assert!(lists(&api, &list, Some(&ada), post).await, "its author finds it");
    let others = api.get(&list).token(&bob.token).send().await;
    if others.status == 200 {
        assert_eq!(others.body["items"], json!([]), "nobody else finds it: {others}");
    } else {
        others.problem(403);
    }

    let answer = edit(&api, &ada, post, &json!({"status": "published"})).await;
    let published = answer.expect(200);
    assert_eq!(published["status"], "published");
    assert!(published["published_at"].is_string(), "{answer}");
    assert_eq!(api.read_post(&bob, post).await["title"], "Draft");
    assert!(lists(&api, "/v1/feed", None, post).await);
}

#[tokio::test]
async fn a_post_goes_into_the_archive_and_back_but_never_to_a_draft() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let made = api.publish(&ada, "Comes and goes").await;
    let post = id(&made);
    let archive = json!({"status": "archived"});
    let answer = edit(&api, &ada, post, &archive).await;
    assert_eq!(answer.expect(200)["status"], "archived");
    assert!(!lists(&api, "/v1/feed", None, post).await, "the feed has no archived posts");
    let archived = format!("/v1/posts?author={}&status=archived", ada.id);
    assert!(lists(&api, &archived, Some(&ada), post).await);

    let back = json!({"status": "published"});
    let answer = edit(&api, &ada, post, &back).await;
    assert_eq!(answer.expect(200)["status"], "published");
    assert!(lists(&api, "/v1/feed", None, post).await);
    let draft = json!({"status": "draft"});
    assert_eq!(edit(&api, &ada, post, &draft).await.bad_fields(), ["status"]);
    assert_eq!(api.read_post(&ada, post).await["status"], "published");
}

#[tokio::test]
async fn a_bad_edit_names_its_fields_and_changes_nothing() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let post = api.publish(&ada, "Stays as it is").await;
    for (body, fields) in [
        (json!({"title": ""}), vec!["title"]),
        (json!({"title": "t".repeat(201)}), vec!["title"]),
        (json!({"title": "", "content": ""}), vec!["content", "title"]),
        (json!({"status": "frozen"}), vec!["status"]),
    ] {
        assert_eq!(edit(&api, &ada, id(&post), &body).await.bad_fields(), fields, "{body}");
    }
    for body in [
        json!({"title": 5}),
        json!({"tags": "rust"}),
        json!({"metadata": []}),
        json!({"version": "1"}),
        json!({"content": "c\u{0}"}),
        json!([]),
    ] {
        let answer = edit(&api, &ada, id(&post), &body).await;
        assert!(matches!(answer.status, 400 | 422), "{body}: {answer}");
        answer.problem(answer.status);
    }
    let read = api.read_post(&ada, id(&post)).await;
    assert_eq!(read["title"], post["title"]);
    assert_eq!(read["version"], post["version"]);
}

#[tokio::test]
async fn anothers_post_is_403_and_stays() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let post = api.publish(&ada, "Mine").await;
    let path = format!("/v1/posts/{}", id(&post));
    edit(&api, &bob, id(&post), &json!({"title": "His"})).await.problem(403);
    api.delete(&path).token(&bob.token).send().await.problem(403);
    assert_eq!(api.read_post(&bob, id(&post)).await["title"], "Mine");
}

#[tokio::test]
async fn a_removed_post_is_404_everywhere() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let made = api.publish(&ada, "Short-lived").await;
    let post = id(&made);
    let comment = api.comment(&bob, post, "While it lasts.").await;
    api.like(&bob, post).await;
    let path = format!("/v1/posts/{post}");
    let removed = api.delete(&path).token(&ada.token).send().await;
    removed.expect(204);
    assert_eq!(removed.text, "", "204 has no body");

    api.get(&path).send().await.problem(404);
    api.get(&path).token(&ada.token).send().await.problem(404);
    let slug = made["slug"].as_str().expect("a slug");
    api.get(&format!("/v1/posts/{slug}")).send().await.problem(404);
    api.delete(&path).token(&ada.token).send().await.problem(404);
    edit(&api, &ada, post, &json!({"title": "Back"})).await.problem(404);
    assert!(!lists(&api, "/v1/feed", None, post).await);
    for (method, end) in [("PUT", "like"), ("DELETE", "like"), ("PUT", "bookmark")] {
        let path = format!("{path}/{end}");
        let ask = if method == "PUT" { api.put(&path) } else { api.delete(&path) };
        ask.token(&bob.token).send().await.problem(404);
    }
    for end in ["share", "view"] {
        let ask = api.post(&format!("{path}/{end}")).token(&bob.token);
        ask.send().await.problem(404);
    }
    let ask = api.post(&format!("{path}/comments")).token(&bob.token);
    ask.json(&json!({"content": "Too late."})).send().await.problem(404);
    api.get(&format!("{path}/comments")).send().await.problem(404);
    let ask = api.patch(&format!("/v1/comments/{}", id(&comment))).token(&bob.token);
    ask.json(&json!({"content": "Too late."})).send().await.problem(404);
}

#[tokio::test]
async fn edits_and_the_end_of_a_post_are_told_on_its_channels() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let body = json!({"title": "Told", "content": "Once.", "tags": ["told"]});
    let post = api.publish_body(&ada, &body).await;
    let own = format!("post:{}", id(&post));
    let lists = ["feed:all".to_owned(), "tag:told".to_owned(), format!("author:{}", ada.id)];
    let mut socket = server.socket(&bob.token).await;
    for channel in lists.iter().chain([&own]) {
        socket.subscribe(channel).await;
    }
    let long = "Twice. ".repeat(2_000);
    let answer = edit(&api, &ada, id(&post), &json!({"title": "Retold", "content": long})).await;
    let after = answer.expect(200);
    for channel in &lists {
        let told = socket.told(channel, "post.updated").await["data"]["post"].clone();
        for field in ["id", "slug", "title", "excerpt", "tags", "version", "author", "counts"] {
            assert_eq!(told[field], after[field], "{field} in {channel}: {told}");
        }
        let content = told["content"].as_str().expect("the content, cut");
        assert!(content.len() < 2_000, "{} bytes of content in {channel}", content.len());
    }
    let told = socket.told(&own, "post.updated").await;
    assert_eq!(told["data"]["post_id"], post["id"], "{told}");
    assert_eq!(told["data"]["actor"]["id"], json!(ada.id), "{told}");

    let path = format!("/v1/posts/{}", id(&post));
    api.delete(&path).token(&ada.token).send().await.expect(204);
    for channel in &lists {
        let told = socket.told(channel, "post.removed").await;
        assert_eq!(told["data"]["post"]["id"], post["id"], "{told}");
    }
    let told = socket.told(&own, "post.removed").await;
    assert_eq!(told["data"]["post_id"], post["id"], "{told}");
}

#[tokio::test]
async fn publishing_a_draft_is_told_as_published_and_editing_it_before_to_nobody() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let mut socket = server.socket(&bob.token).await;
    socket.subscribe("feed:all").await;
    let body = json!({"title": "Draft", "content": "Unfinished.", "status": "draft"});
    let draft = api.publish_body(&ada, &body).await;
    edit(&api, &ada, id(&draft), &json!({"content": "Finished."})).await.expect(200);
    edit(&api, &ada, id(&draft), &json!({"status": "published"})).await.expect(200);
    let told = socket.told("feed:all", "post.published").await;
    assert_eq!(told["data"]["post"]["id"], draft["id"], "{told}");
    assert_eq!(told["offset"], 1, "the first thing of all: {told}");
    assert_eq!(socket.left("feed:all").await, Vec::<Value>::new());
}
