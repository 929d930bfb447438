//! `/v1/posts`: what is refused, and how it is said.

use serde_json::json;

use crate::support::{Raw, Server};

#[tokio::test]
async fn a_body_that_is_not_json_is_400() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    for text in ["{\"title\": ", "not json", "", "{\"title\": \"T\", \"content\": \"C\"} more"] {
        let ask = api.post("/v1/posts").token(&ada.token).text(text);
        ask.send().await.problem(400);
    }
    api.post("/v1/users").text("{").send().await.problem(400);
    api.post("/v1/sessions").text("]").send().await.problem(400);
}

#[tokio::test]
async fn a_wrong_json_type_is_400_or_422_and_never_a_query() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    for body in [
        json!({"title": 5, "content": "C"}),
        json!({"title": {"$gt": ""}, "content": "C"}),
        json!({"title": "T", "content": ["C"]}),
        json!({"title": "T", "content": "C", "tags": "rust"}),
        json!({"title": "T", "content": "C", "tags": [{"$ne": null}]}),
        json!({"title": "T", "content": "C", "status": 1}),
        json!({"title": "T", "content": "C", "status": "frozen"}),
        json!([]),
        json!("text"),
        json!(null),
    ] {
        let ask = api.post("/v1/posts").token(&ada.token).json(&body);
        let answer = ask.send().await;
        assert!(matches!(answer.status, 400 | 422), "{body}: {answer}");
        answer.problem(answer.status);
    }
    for body in [
        json!({"login": {"$gt": ""}, "password": "x"}),
        json!({"login": ["ada"], "password": {"$ne": 1}}),
    ] {
        let answer = api.post("/v1/sessions").json(&body).send().await;
        assert!(matches!(answer.status, 400 | 422), "{body}: {answer}");
        answer.problem(answer.status);
    }
}

#[tokio::test]
async fn every_missing_or_overlong_field_of_a_post_is_named() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    for (body, fields) in [
        (json!({}), vec!["content", "title"]),
        (json!({"title": "T"}), vec!["content"]),
        (json!({"title": "", "content": "C"}), vec!["title"]),
        (json!({"title": "t".repeat(201), "content": "C"}), vec!["title"]),
    ] {
        let ask = api.post("/v1/posts").token(&ada.token).json(&body);
        assert_eq!(ask.send().await.bad_fields(), fields, "{body}");
    }
    let longest = json!({"title": "ä".repeat(200), "content": "C"});
    let ask = api.post("/v1/posts").token(&ada.token).json(&longest);
    ask.send().await.expect(201);
}

#[tokio::test]
async fn nul_characters_are_refused() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    for body in [
        json!({"title": "T\u{0}", "content": "C"}),
        json!({"title": "T", "content": "C\u{0}"}),
        json!({"title": "T", "content": "C", "tags": ["a\u{0}b"]}),
        json!({"title": "T", "content": "C", "metadata": {"k": "v\u{0}"}}),
    ] {
        let ask = api.post("/v1/posts").token(&ada.token).json(&body);
        let answer = ask.send().await;
        assert!(matches!(answer.status, 400 | 422), "{body}: {answer}");
        answer.problem(answer.status);
    }
    let body = json!({"email": "a@example.test", "username": "a\u{0}", "password": "a long enough password"});
    let answer = api.post("/v1/users").json(&body).send().await;
    assert!(matches!(answer.status, 400 | 422), "{answer}");
}

#[tokio::test]
async fn an_unknown_post_is_404_and_a_strange_id_no_failure() {
    let server = Server::start().await;
    let api = server.api();
    for id in ["0123456789abcdef01234567", "zzz", "%00", "%7B%22$gt%22:%22%22%7D"] {
        let answer = api.get(&format!("/v1/posts/{id}")).send().await;
        assert!(matches!(answer.status, 400 | 404 | 422), "{id}: {answer}");
        answer.problem(answer.status);
    }
    let known = "/v1/posts/0123456789abcdef01234567";
    api.get(known).send().await.problem(404);
}

#[tokio::test]
async fn an_unknown_path_is_404_and_a_wrong_method_405_as_problems() {
    let server = Server::start().await;
    let api = server.api();
    api.get("/v1/nothing-here").send().await.problem(404);
    api.delete("/v1/users").send().await.problem(405);
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_413_declared_or_not() {
    let server = Server::start().await;
    let ada = server.api().person("ada").await;
    let head = format!(
        "POST /v1/posts HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\n",
        server.address(),
        ada.token
    );
    let size = 10 * 1024 * 1024;
    let filler = "a".repeat(size);
    let declared = format!("{head}Content-Length: {size}\r\n\r\n{filler}");
    let chunked =
        format!("{head}Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n{filler}\r\n0\r\n\r\n");
    for request in [declared, chunked] {
        let raw = Raw::connect(server.address()).await;
        let answer = raw.exchange(request.into_bytes()).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer:.300}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
    let body = json!({"title": "T", "content": "c".repeat(200_000)});
    let ask = server.api().post("/v1/posts").token(&ada.token).json(&body);
    ask.send().await.expect(201);
}

#[tokio::test]
async fn two_posts_of_one_title_have_two_slugs() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let first = api.publish(&ada, "Same title").await;
    let second = api.publish(&ada, "Same title").await;
    assert!(first["slug"].as_str().is_some_and(|slug| !slug.is_empty()), "{first}");
    assert_ne!(first["slug"], second["slug"]);
}

#[tokio::test]
async fn text_of_every_script_comes_back_as_it_went() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let content = "Grüße, 世界, שלום, 👩‍👩‍👧‍👦, \u{2028}, \"quoted\", \\, </script>";
    let body = json!({"title": "🦀 ß", "content": content});
    let ask = api.post("/v1/posts").token(&ada.token).json(&body);
    let made = ask.send().await;
    let id = made.expect(201)["id"].as_str().expect("an id");
    let read = api.get(&format!("/v1/posts/{id}")).send().await;
    assert_eq!(read.expect(200)["content"], json!(content));
    assert_eq!(read.body["title"], "🦀 ß");
}
