//! The document at `/openapi.json` and the server say the same: which paths there are, what they answer, and in which
//! shape.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Answer, Api, Ask, Person, Server, Start, id};

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

/// The document of a server.
struct Document(Value);

impl Document {
    async fn of(api: &Api) -> Self {
        let answer = api.get("/openapi.json").send().await;
        Self(answer.expect(200).clone())
    }

    /// Each operation: path, method, and what stands there.
    fn operations(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        let paths = self.0["paths"].as_object().expect("paths is an object");
        paths.iter().flat_map(|(path, item)| {
            let operations = item.as_object().expect("a path has operations");
            operations.iter().map(move |(method, it)| (path.as_str(), method.as_str(), it))
        })
    }

    fn resolve<'a>(&'a self, node: &'a Value) -> &'a Value {
        match node["$ref"].as_str() {
            None => node,
            Some(reference) => {
                let found = self.0.pointer(reference.trim_start_matches('#'));
                found.unwrap_or_else(|| panic!("{reference} leads nowhere"))
            }
        }
    }

    /// Checks an answer against what is documented for it: its status, type, headers and shape.
    fn check(&self, method: &str, path: &str, answer: &Answer) {
        let responses = &self.0["paths"][path][method]["responses"];
        let status = answer.status.to_string();
        let response = &responses[&status];
        assert!(response.is_object(), "{method} {path}: {status} is not documented: {answer}");
        let response = self.resolve(response);
        for name in response["headers"].as_object().into_iter().flat_map(|headers| headers.keys()) {
            // Only who may usefully wait is told how long, and most tests run without limits.
            let may_lack = name == "Retry-After" || name.starts_with("RateLimit");
            let has = !answer.header(name).is_empty();
            assert!(has || may_lack, "{method} {path}: no {name}: {answer}");
        }
        let Some((kind, content)) = response["content"].as_object().and_then(|c| c.iter().next())
        else {
            assert_eq!(answer.text, "", "{method} {path}: {status} has no body");
            return;
        };
        let sent = answer.header("content-type").split(';').next().unwrap_or_default();
        assert_eq!(sent, kind, "{answer}");
        if sent.ends_with("json") {
            self.fits(&content["schema"], &answer.body, &format!("{method} {path}: {answer}"));
        }
    }

    /// Fails unless a value is as a schema says.
    fn fits(&self, schema: &Value, value: &Value, what: &str) {
        let faults = self.faults(schema, value);
        assert!(faults.is_empty(), "{faults:#?}\n{what}");
    }

    /// Where a value is not as a schema says, as JSON Schema 2020-12 has it.
    fn faults(&self, schema: &Value, value: &Value) -> Vec<String> {
        let whole = json!({"allOf": [schema], "components": self.0["components"]});
        let options = jsonschema::options().should_validate_formats(true);
        let validator = options.build(&whole).expect("a schema can be built");
        let faults = validator.iter_errors(value);
        faults.map(|fault| format!("{}: {fault}", fault.instance_path())).collect()
    }
}

fn ask(api: &Api, method: &str, path: &str) -> Ask {
    match method {
        "get" => api.get(path),
        "put" => api.put(path),
        "post" => api.post(path),
        "patch" => api.patch(path),
        "delete" => api.delete(path),
        "options" => api.options(path),
        _ => panic!("no documented operation is a {method}"),
    }
}

/// A path with an id that nothing has.
fn nowhere(path: &str) -> String {
    path.replace("{id}", "000000000000000000000000")
}

#[tokio::test]
async fn the_document_is_sent_once_as_long_as_it_stays_the_same() {
    let server = Server::start().await;
    let answer = server.api().get("/openapi.json").send().await;
    let document = answer.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["title"], "Carillon");
    let tag = answer.header("etag");
    assert!(tag.starts_with('"'), "{tag:?}");
    let again = server.api().get("/openapi.json").header("If-None-Match", tag).send().await;
    again.expect(304);
    assert_eq!(again.text, "");
}

#[tokio::test]
async fn the_check_of_shapes_can_complain() {
    let server = Server::start().await;
    let api = server.api();
    let document = Document::of(&api).await;
    let ada = api.person("ada").await;
    let good = api.publish(&ada, "A").await;
    let schema = json!({"$ref": "#/components/schemas/List_PostView"});
    let list = |post: Value| json!({"items": [post], "next_cursor": null});
    assert_eq!(document.faults(&schema, &list(good.clone())), Vec::<String>::new());
    for (field, wrong) in [
        ("title", json!(1)),
        ("id", json!("no id")),
        ("status", json!("lost")),
        ("created_at", json!("yesterday")),
        ("author", json!({"id": "1"})),
        ("liked", json!(null)),
    ] {
        let mut bad = good.clone();
        bad[field] = wrong;
        assert!(!document.faults(&schema, &list(bad)).is_empty(), "{field} may be anything");
    }
}

#[tokio::test]
async fn what_is_documented_is_there_and_what_is_not_is_refused() {
    let server = Server::start().await;
    let api = server.api();
    let document = Document::of(&api).await;
    let mut methods = BTreeMap::<&str, Vec<&str>>::new();
    for (path, method, operation) in document.operations() {
        methods.entry(path).or_default().push(method);
        let mut ask = ask(&api, method, &nowhere(path));
        if operation["tags"][0] == "connections" {
            // What would go on for ever is refused as a page of another site.
            ask = ask.header("Origin", "https://elsewhere.example");
        }
        if operation["requestBody"].is_object() {
            ask = ask.json(&json!({}));
        }
        let answer = ask.send().await;
        assert_ne!(answer.body["code"], "unknown_path", "{answer}");
        assert_ne!(answer.status, 405, "{answer}");
        document.check(method, path, &answer);
    }
    for (path, documented) in methods {
        for method in METHODS.into_iter().filter(|method| !documented.contains(method)) {
            let answer = ask(&api, method, &nowhere(path)).send().await;
            answer.problem_coded(405, "method_not_allowed");
        }
    }
}

#[tokio::test]
async fn who_is_logged_in_gets_documented_answers_for_what_is_not_there() {
    let server = Server::start().await;
    let api = server.api();
    let document = Document::of(&api).await;
    let mut ada = api.person("ada").await;
    for (path, method, operation) in document.operations() {
        let security = operation["security"].to_string();
        if !security.contains("session") || operation["tags"][0] == "connections" {
            continue;
        }
        let mut ask = ask(&api, method, &nowhere(path)).token(&ada.token);
        if operation["requestBody"].is_object() {
            ask = ask.json(&json!({}));
        }
        document.check(method, path, &ask.send().await);
        if method == "delete" && (path.starts_with("/v1/sessions") || path == "/v1/me") {
            ada = api.person("ada").await;
        }
    }
}

/// Asks with a token, and checks the answer's status and shape.
async fn checked(
    (api, document): (&Api, &Document),
    (method, path): (&str, &str),
    resource: &str,
    (who, body): (&Person, Option<Value>),
    status: u16,
) -> Value {
    let mut ask = ask(api, method, &path.replace("{id}", resource)).token(&who.token);
    if let Some(body) = body {
        ask = ask.json(&body);
    }
    let answer = ask.send().await;
    answer.expect(status);
    document.check(method, path, &answer);
    answer.body
}

#[tokio::test]
async fn accounts_have_the_documented_shapes() {
    let server = Server::start().await;
    let api = server.api();
    let document = Document::of(&api).await;
    let body = json!({"email": "ada@example.org", "username": "ada", "password": "correct horse"});
    for status in [201, 409] {
        let answer = api.post("/v1/users").json(&body).send().await;
        answer.expect(status);
        document.check("post", "/v1/users", &answer);
    }
    for (password, status) in [("correct horse", 201), ("wrong", 401)] {
        let body = json!({"login": "ada", "password": password});
        let answer = api.post("/v1/sessions").json(&body).send().await;
        answer.expect(status);
        document.check("post", "/v1/sessions", &answer);
    }
    let bob = api.person("bob").await;
    let of = (&api, &document);
    let shown = checked(of, ("get", "/v1/me"), "", (&bob, None), 200).await;
    checked(of, ("get", "/v1/users/{id}"), &shown["id"].to_string(), (&bob, None), 200).await;
    let names = json!({"first_name": "Bob", "last_name": null});
    checked(of, ("patch", "/v1/me"), "", (&bob, Some(names)), 200).await;
    let wanted = json!({"theme": "light", "notifications": {"types": {"liked": false}}});
    checked(of, ("put", "/v1/me/preferences"), "", (&bob, Some(wanted)), 200).await;
    checked(of, ("get", "/v1/me/preferences"), "", (&bob, None), 200).await;
    let passwords = json!({"current_password": "wrong one", "new_password": "another one"});
    checked(of, ("put", "/v1/me/password"), "", (&bob, Some(passwords)), 403).await;
    checked(of, ("post", "/v1/connection-tickets"), "", (&bob, None), 201).await;
    checked(of, ("delete", "/v1/sessions/current"), "", (&bob, None), 204).await;
}

#[tokio::test]
async fn posts_and_what_users_do_with_them_have_the_documented_shapes() {
    let server = Server::start().await;
    let api = server.api();
    let document = Document::of(&api).await;
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let of = (&api, &document);
    let body = json!({"title": "A", "content": "B", "tags": ["rust"], "metadata": {"a": [1]}});
    let made = checked(of, ("post", "/v1/posts"), "", (&ada, Some(body)), 201).await;
    let post = id(&made);
    let edit = json!({"difficulty": "expert", "version": 1});
    let one = "/v1/posts/{id}";
    checked(of, ("patch", one), post, (&ada, Some(edit.clone())), 200).await;
    checked(of, ("patch", one), post, (&ada, Some(edit.clone())), 409).await;
    checked(of, ("patch", one), post, (&bob, Some(edit)), 403).await;
    checked(of, ("get", one), post, (&bob, None), 200).await;
    for (method, mark) in [
        ("put", "like"),
        ("delete", "like"),
        ("put", "like"),
        ("put", "bookmark"),
        ("delete", "bookmark"),
        ("post", "share"),
        ("post", "view"),
    ] {
        let path = format!("/v1/posts/{{id}}/{mark}");
        checked(of, (method, &path), post, (&bob, None), 200).await;
    }
    let comments = "/v1/posts/{id}/comments";
    let said =
        checked(of, ("post", comments), post, (&bob, Some(json!({"content": "C"}))), 201).await;
    let reply = json!({"content": "D", "parent_id": said["id"]});
    checked(of, ("post", comments), post, (&bob, Some(reply)), 201).await;
    checked(of, ("get", comments), post, (&bob, None), 200).await;
    let edit = json!({"content": "E"});
    checked(of, ("patch", "/v1/comments/{id}"), id(&said), (&bob, Some(edit)), 200).await;
    let author = ada.id.to_string();
    checked(of, ("put", "/v1/users/{id}/follow"), &author, (&bob, None), 204).await;
    checked(of, ("get", "/v1/users/{id}/followers"), &author, (&bob, None), 200).await;
    checked(of, ("get", "/v1/users/{id}/following"), &bob.id.to_string(), (&bob, None), 200).await;
    for path in ["/v1/posts", "/v1/feed", "/v1/feed/home", "/v1/trending"] {
        let list = checked(of, ("get", path), "", (&bob, None), 200).await;
        assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{path}: {list}");
    }
    let answer = api.get("/v1/trending?window=1h&explain=true").send().await;
    assert!(answer.expect(200)["items"][0]["explain"].is_object(), "{answer}");
    document.check("get", "/v1/trending", &answer);
    let inbox = api.inbox_of(&ada, 4).await;
    checked(of, ("get", "/v1/notifications"), "", (&ada, None), 200).await;
    let first = id(&inbox["items"][0]).to_owned();
    checked(of, ("post", "/v1/notifications/{id}/read"), &first, (&ada, None), 200).await;
    checked(of, ("post", "/v1/notifications/read-all"), "", (&ada, None), 200).await;
    checked(of, ("delete", "/v1/comments/{id}"), id(&said), (&bob, None), 204).await;
    checked(of, ("delete", one), post, (&ada, None), 204).await;
}

#[tokio::test]
async fn the_server_api_and_the_operations_have_the_documented_shapes() {
    let space = "[[channel.namespaces]]\nname = \"chat\"\nhistory_size = 9\nhistory_ttl = \"60s\"";
    let server = Server::with(space).await;
    let api = server.api();
    let document = Document::of(&api).await;
    for (method, body) in [
        ("publish", json!({"channel": "chat:a", "data": 1, "tags": {"k": "v"}})),
        ("publish", json!({"channel": "unknown:a", "data": 1})),
        ("broadcast", json!({"channels": ["chat:a", "unknown:a"], "data": null})),
        ("broadcast", json!({"channels": [], "data": 1})),
    ] {
        let path = format!("/api/{method}");
        let answer = api.post(&path).api_key(crate::support::API_KEY).json(&body).send().await;
        answer.expect(200);
        document.check("post", &path, &answer);
    }
    for path in
        ["/health", "/health/live", "/health/ready", "/metrics", "/openapi.json", "/asyncapi.json"]
    {
        let answer = api.get(path).send().await;
        answer.expect(200);
        document.check("get", path, &answer);
    }
}

#[tokio::test]
async fn limited_answers_have_the_documented_headers() {
    let limited = Start::default().environment("CARILLON_LIMITS__ENABLED", "true");
    let server = limited.run().await;
    let api = server.api();
    let document = Document::of(&api).await;
    let ada = api.person("ada").await;
    let body = json!({"title": "A", "content": "B"});
    let answer = api.post("/v1/posts").token(&ada.token).json(&body).send().await;
    answer.expect(201);
    let response = &document.0["paths"]["/v1/posts"]["post"]["responses"]["201"];
    let headers = response["headers"].as_object().expect("it has headers");
    assert_eq!(headers.len(), 3, "{headers:?}");
    for name in headers.keys() {
        assert!(!answer.header(name).is_empty(), "no {name}: {:?}", answer.headers);
    }
}

/// Sends one field alone with a text of `length`; whether it is complained about. What else is wrong does not matter.
async fn is_refused(ask: Ask, field: &str, length: u64) -> bool {
    let text = "x".repeat(usize::try_from(length).expect("it is a small number"));
    let answer = ask.json(&json!({ field: text })).send().await;
    answer.status == 422 && answer.bad_fields().iter().any(|bad| bad == field)
}

#[tokio::test]
async fn documented_lengths_are_the_real_ones() {
    let server = Server::start().await;
    let api = server.api();
    let document = Document::of(&api).await;
    let ada = api.person("ada").await;
    let post = api.publish(&ada, "A").await;
    let comment = api.comment(&ada, id(&post), "B").await;
    let mut seen = 0;
    for (path, method, operation) in
        document.operations().filter(|(path, ..)| path.starts_with("/v1/"))
    {
        let about = if path.starts_with("/v1/comments") { &comment } else { &post };
        let path = path.replace("{id}", id(about));
        let body =
            document.resolve(&operation["requestBody"]["content"]["application/json"]["schema"]);
        for (field, schema) in body["properties"].as_object().into_iter().flatten() {
            let ask = || ask(&api, method, &path).token(&ada.token);
            if let Some(max) = schema["maxLength"].as_u64() {
                assert!(
                    is_refused(ask(), field, max + 1).await,
                    "{path} {field}: longer than {max}"
                );
                let is_text = schema["format"].as_str().is_none_or(|format| format == "password");
                if is_text {
                    assert!(!is_refused(ask(), field, max).await, "{path} {field}: {max}");
                }
                seen += 1;
            }
            if let Some(min) = schema["minLength"].as_u64() {
                assert!(
                    is_refused(ask(), field, min - 1).await,
                    "{path} {field}: shorter than {min}"
                );
            }
        }
    }
    assert!(seen > 12, "{seen} lengths");
}
