//! Every refusal of the contract, at every endpoint that can make it.

use serde_json::{Value, json};

use crate::support::{Answer, Api, Person, Server, Start, id};

const NOWHERE: &str = "0123456789abcdef01234567";

/// Every method and path that needs a login, with a body that is right.
fn writes_and_reads_of_ones_own(post: &str) -> Vec<(&'static str, String, Value)> {
    let comment = json!({"content": "C"});
    let at = |end: &str| format!("/v1/posts/{post}{end}");
    vec![
        ("POST", "/v1/posts".to_owned(), json!({"title": "T", "content": "C"})),
        ("PATCH", at(""), json!({"title": "T"})),
        ("DELETE", at(""), Value::Null),
        ("PUT", at("/like"), Value::Null),
        ("DELETE", at("/like"), Value::Null),
        ("PUT", at("/bookmark"), Value::Null),
        ("DELETE", at("/bookmark"), Value::Null),
        ("POST", at("/share"), Value::Null),
        ("POST", at("/view"), Value::Null),
        ("POST", at("/comments"), comment.clone()),
        ("PATCH", format!("/v1/comments/{NOWHERE}"), comment),
        ("DELETE", format!("/v1/comments/{NOWHERE}"), Value::Null),
        ("PUT", "/v1/users/1/follow".to_owned(), Value::Null),
        ("DELETE", "/v1/users/1/follow".to_owned(), Value::Null),
        ("GET", "/v1/feed/home".to_owned(), Value::Null),
        ("GET", "/v1/notifications".to_owned(), Value::Null),
        ("POST", format!("/v1/notifications/{NOWHERE}/read"), Value::Null),
        ("POST", "/v1/notifications/read-all".to_owned(), Value::Null),
        ("GET", "/v1/me".to_owned(), Value::Null),
        ("PATCH", "/v1/me".to_owned(), json!({"first_name": "A"})),
        ("DELETE", "/v1/me".to_owned(), Value::Null),
        ("GET", "/v1/me/preferences".to_owned(), Value::Null),
        ("PUT", "/v1/me/preferences".to_owned(), json!({"theme": "light"})),
        ("POST", "/v1/connection-tickets".to_owned(), Value::Null),
        ("DELETE", "/v1/sessions/current".to_owned(), Value::Null),
        ("DELETE", "/v1/sessions".to_owned(), Value::Null),
    ]
}

async fn ask(
    api: &Api,
    who: Option<&Person>,
    (method, path, body): (&str, &str, &Value),
) -> Answer {
    let mut ask = match method {
        "GET" => api.get(path),
        "POST" => api.post(path),
        "PUT" => api.put(path),
        "PATCH" => api.patch(path),
        _ => api.delete(path),
    };
    if let Some(who) = who {
        ask = ask.token(&who.token);
    }
    if !body.is_null() {
        ask = ask.json(body);
    }
    ask.send().await
}

#[tokio::test]
async fn without_a_login_whatever_needs_one_is_401_and_does_nothing() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let post = api.publish(&ada, "Untouched").await;
    let stranger = Person { token: "cst_unknown".to_owned(), ..ada.clone() };
    for (method, path, body) in writes_and_reads_of_ones_own(id(&post)) {
        for who in [None, Some(&stranger)] {
            let answer = ask(&api, who, (method, &path, &body)).await;
            assert_eq!(answer.problem(401)["code"], "unauthorized", "{answer}");
        }
    }
    let read = api.read_post(&ada, id(&post)).await;
    for field in ["title", "version", "counts"] {
        assert_eq!(read[field], post[field], "{field}");
    }
}

#[tokio::test]
async fn what_needs_no_login_answers_anybody() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let made = api.publish(&ada, "Open to all").await;
    for path in [
        "/v1/posts".to_owned(),
        format!("/v1/posts/{}", id(&made)),
        format!("/v1/posts/{}/comments", id(&made)),
        format!("/v1/users/{}", ada.id),
        format!("/v1/users/{}/followers", ada.id),
        format!("/v1/users/{}/following", ada.id),
        "/v1/feed".to_owned(),
        "/v1/trending?window=24h".to_owned(),
    ] {
        api.get(&path).send().await.expect(200);
    }
}

#[tokio::test]
async fn anothers_things_are_403() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let made = api.publish(&ada, "Hers").await;
    let comment = api.comment(&ada, id(&made), "Hers too.").await;
    let (post, comment) =
        (format!("/v1/posts/{}", id(&made)), format!("/v1/comments/{}", id(&comment)));
    for refused in [
        ("PATCH", post.as_str(), &json!({"title": "His"})),
        ("DELETE", post.as_str(), &Value::Null),
        ("PATCH", comment.as_str(), &json!({"content": "His."})),
        ("DELETE", comment.as_str(), &Value::Null),
    ] {
        ask(&api, Some(&bob), refused).await.problem(403);
    }
}

#[tokio::test]
async fn what_is_not_there_is_404() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    for (method, path, body) in writes_and_reads_of_ones_own(NOWHERE) {
        if path.contains(NOWHERE) {
            ask(&api, Some(&ada), (method, &path, &body)).await.problem(404);
        }
    }
    for path in
        ["/v1/users/999999999", "/v1/users/999999999/followers", "/v1/users/999999999/following"]
    {
        api.get(path).send().await.problem(404);
    }
    for path in [format!("/v1/posts/{NOWHERE}"), format!("/v1/posts/{NOWHERE}/comments")] {
        api.get(&path).send().await.problem(404);
    }
}

#[tokio::test]
async fn a_conflict_is_409_and_says_which() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let body =
        json!({"email": ada.email, "username": "another", "password": "a long enough password"});
    let answer = api.post("/v1/users").json(&body).send().await;
    answer.problem_coded(409, "email_taken");
    let body = json!({"email": "another@example.test", "username": ada.username, "password": "a long enough password"});
    let answer = api.post("/v1/users").json(&body).send().await;
    answer.problem_coded(409, "username_taken");
    let made = api.publish(&ada, "Contended").await;
    let path = format!("/v1/posts/{}", id(&made));
    let stale = json!({"title": "Late", "version": 999});
    let answer = ask(&api, Some(&ada), ("PATCH", &path, &stale)).await;
    answer.problem_coded(409, "stale_version");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413_wherever_there_is_one() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let made = api.publish(&ada, "Short").await;
    let post = format!("/v1/posts/{}", id(&made));
    let comment = api.comment(&ada, id(&made), "Short.").await;
    let comment = format!("/v1/comments/{}", id(&comment));
    let comments = format!("{post}/comments");
    let large = "c".repeat(256 * 1024);
    for (method, path) in [
        ("POST", "/v1/posts"),
        ("PATCH", post.as_str()),
        ("POST", comments.as_str()),
        ("PATCH", comment.as_str()),
        ("POST", "/v1/users"),
        ("POST", "/v1/sessions"),
        ("PATCH", "/v1/me"),
        ("PUT", "/v1/me/preferences"),
    ] {
        let body = json!({"title": "T", "content": large});
        let answer = ask(&api, Some(&ada), (method, path, &body)).await;
        assert_eq!(answer.status, 413, "{method} {path}: {answer}");
        answer.problem(413);
    }
}

#[tokio::test]
async fn a_list_asked_for_in_a_strange_way_is_422_or_400_and_never_a_failure() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let made = api.publish(&ada, "Listed").await;
    let comments = format!("/v1/posts/{}/comments", id(&made));
    let followers = format!("/v1/users/{}/followers", ada.id);
    for path in [
        "/v1/posts",
        "/v1/feed",
        "/v1/feed/home",
        "/v1/notifications",
        comments.as_str(),
        followers.as_str(),
    ] {
        for query in
            ["limit=abc", "limit=0", "limit=-1", "limit=201", "cursor=nonsense", "cursor=%00"]
        {
            let answer = api.get(&format!("{path}?{query}")).token(&ada.token).send().await;
            assert!(matches!(answer.status, 400 | 422), "{path}?{query}: {answer}");
            answer.problem(answer.status);
        }
    }
    for path in ["/v1/trending?window=3h", "/v1/posts?status=frozen", "/v1/posts?author=ada"] {
        let answer = api.get(path).token(&ada.token).send().await;
        assert!(matches!(answer.status, 400 | 422), "{path}: {answer}");
        answer.problem(answer.status);
    }
}

#[tokio::test]
async fn a_key_of_another_request_is_422_on_the_new_endpoints_as_well() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let made = api.publish(&ada, "Discussed").await;
    let path = format!("/v1/posts/{}/comments", id(&made));
    let comment = |content: &str| {
        let body = json!({"content": content});
        api.post(&path).token(&ada.token).key("k1").json(&body).send()
    };
    let first = comment("Once.").await;
    let again = comment("Once.").await;
    assert_eq!(again.expect(201), first.expect(201));
    comment("Twice.").await.problem(422);
    let comments = api.get(&path).send().await;
    assert_eq!(comments.expect(200)["items"].as_array().map(Vec::len), Some(1), "{comments}");
}

#[tokio::test]
async fn a_write_too_many_is_429_on_every_new_endpoint_and_reading_goes_on() {
    let server = Start::default()
        .environment("CARILLON_LIMITS__ENABLED", "true")
        .environment("CARILLON_LIMITS__WRITES_PER_MINUTE__FREE", "2")
        .run()
        .await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let made = api.publish(&ada, "Busy").await;
    let writes = || {
        let all = writes_and_reads_of_ones_own(id(&made)).into_iter();
        all.filter(|(method, path, _)| *method != "GET" && !path.starts_with("/v1/sessions"))
    };
    // One comes back every thirty seconds, so of so many some must be refused, and every refusal is whole.
    let mut refused = 0;
    for (method, path, body) in writes() {
        if path == "/v1/me" && method == "DELETE" {
            continue;
        }
        let answer = ask(&api, Some(&bob), (method, &path, &body)).await;
        assert!(!answer.header("ratelimit").is_empty(), "{answer}: {:?}", answer.headers);
        assert!(!answer.header("ratelimit-policy").is_empty(), "{answer}: {:?}", answer.headers);
        if answer.status == 429 {
            answer.problem(429);
            let after: u64 = answer.header("retry-after").parse().expect("a number of seconds");
            assert!((1..=60).contains(&after), "{after}");
            refused += 1;
        }
    }
    assert!(refused > 10, "{refused} refusals");
    assert_eq!(api.read_post(&bob, id(&made)).await["title"], "Busy");
    api.inbox(&bob).await;
}
