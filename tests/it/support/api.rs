//! The HTTP side: a thin client, and the checks that every answer of the contract must stand.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::server::API_KEY;
use super::wait::{PATIENCE, until, within};

/// A number no other call in this process gets, to name users, tags and keys apart.
pub(crate) fn unique() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// The password of everybody whom the tests register.
const PASSWORD: &str = "correct horse battery staple";

/// Somebody registered and logged in.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: i64,
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) token: String,
}

/// A client of one server.
#[derive(Clone)]
pub(crate) struct Api {
    base: String,
    http: reqwest::Client,
}

/// A client that trusts no authority, for nothing here is asked over TLS; without saying so it would look for a
/// provider of cryptography that the whole process shares.
pub(crate) fn plain_http() -> reqwest::Client {
    let tls = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let client = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls);
    client.build().expect("a plain HTTP client can be built")
}

impl Api {
    /// A client of the server at `address`.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { base: format!("http://{address}"), http: plain_http() }
    }

    fn ask(&self, method: Method, path: &str) -> Ask {
        Ask {
            what: format!("{method} {path}"),
            request: self.http.request(method, format!("{}{path}", self.base)),
        }
    }

    /// A GET still to be sent.
    pub(crate) fn get(&self, path: &str) -> Ask {
        self.ask(Method::GET, path)
    }

    /// A POST still to be sent.
    pub(crate) fn post(&self, path: &str) -> Ask {
        self.ask(Method::POST, path)
    }

    /// A PUT still to be sent.
    pub(crate) fn put(&self, path: &str) -> Ask {
        self.ask(Method::PUT, path)
    }

    /// A PATCH still to be sent.
    pub(crate) fn patch(&self, path: &str) -> Ask {
        self.ask(Method::PATCH, path)
    }

    /// An OPTIONS still to be sent.
    pub(crate) fn options(&self, path: &str) -> Ask {
        self.ask(Method::OPTIONS, path)
    }

    /// A DELETE still to be sent.
    pub(crate) fn delete(&self, path: &str) -> Ask {
        self.ask(Method::DELETE, path)
    }

    /// A call of the server API with the right key: the whole body of its answer.
    pub(crate) async fn server_call(&self, method: &str, body: &Value) -> Value {
        let path = format!("/api/{method}");
        let answer = self.post(&path).api_key(API_KEY).json(body).send().await;
        answer.expect(200).clone()
    }

    /// A call of the server API that must succeed: its `result`.
    pub(crate) async fn server_result(&self, method: &str, body: &Value) -> Value {
        let answer = self.server_call(method, body).await;
        assert!(
            answer["result"].is_object() && answer.get("error").is_none(),
            "/api/{method} answers a result: {answer}"
        );
        answer["result"].clone()
    }

    /// Registers somebody new and logs in.
    pub(crate) async fn person(&self, name: &str) -> Person {
        let username = format!("{name}{}", unique());
        let email = format!("{username}@example.test");
        let body = json!({"email": email, "username": username, "password": PASSWORD});
        let made = self.post("/v1/users").json(&body).send().await;
        let id = made.expect(201)["id"]
            .as_i64()
            .unwrap_or_else(|| panic!("a user's id is an integer: {made}"));
        let token = self.login(&username).await;
        Person { id, username, email, token }
    }

    /// Logs somebody in who was registered with the tests' password: a new session's token.
    pub(crate) async fn login(&self, login: &str) -> String {
        let body = json!({"login": login, "password": PASSWORD});
        let answer = self.post("/v1/sessions").json(&body).send().await;
        let token = answer.expect(201)["token"].as_str();
        let token = token.unwrap_or_else(|| panic!("a session has a token: {answer}"));
        token.to_owned()
    }

    /// Publishes a post and answers it.
    pub(crate) async fn publish(&self, author: &Person, title: &str) -> Value {
        let body = json!({"title": title, "content": format!("Content of {title}.")});
        let ask = self.post("/v1/posts").token(&author.token).json(&body);
        ask.send().await.expect(201).clone()
    }
}

/// The id of a resource whose ids are texts.
pub(crate) fn id(resource: &Value) -> &str {
    let id = resource["id"].as_str();
    id.unwrap_or_else(|| panic!("a resource has an id: {resource}"))
}

/// What people do to each other, where it must succeed.
impl Api {
    /// Publishes a post with these fields and answers it.
    pub(crate) async fn publish_body(&self, author: &Person, body: &Value) -> Value {
        let ask = self.post("/v1/posts").token(&author.token).json(body);
        ask.send().await.expect(201).clone()
    }

    /// Reads a post, as `reader` sees it.
    pub(crate) async fn read_post(&self, reader: &Person, post: &str) -> Value {
        let ask = self.get(&format!("/v1/posts/{post}")).token(&reader.token);
        ask.send().await.expect(200).clone()
    }

    /// Likes a post: the answer's body.
    pub(crate) async fn like(&self, who: &Person, post: &str) -> Value {
        let ask = self.put(&format!("/v1/posts/{post}/like")).token(&who.token);
        ask.send().await.expect(200).clone()
    }

    /// Takes a like back: the answer's body.
    pub(crate) async fn unlike(&self, who: &Person, post: &str) -> Value {
        let ask = self.delete(&format!("/v1/posts/{post}/like")).token(&who.token);
        ask.send().await.expect(200).clone()
    }

    /// Comments on a post and answers the comment.
    pub(crate) async fn comment(&self, who: &Person, post: &str, content: &str) -> Value {
        let ask = self.post(&format!("/v1/posts/{post}/comments")).token(&who.token);
        ask.json(&json!({"content": content})).send().await.expect(201).clone()
    }

    /// Follows somebody.
    pub(crate) async fn follow(&self, who: &Person, whom: &Person) {
        let ask = self.put(&format!("/v1/users/{}/follow", whom.id)).token(&who.token);
        ask.send().await.expect(204);
    }

    /// Somebody's inbox as it is listed now, newest first.
    pub(crate) async fn inbox(&self, of: &Person) -> Value {
        let answer = self.get("/v1/notifications").token(&of.token).send().await;
        let inbox = answer.expect(200);
        assert!(
            inbox["items"].is_array()
                && inbox.get("next_cursor").is_some()
                && inbox["unread_count"].is_u64()
                && inbox["version"].is_u64(),
            "an inbox has items, next_cursor, unread_count and version: {answer}"
        );
        inbox.clone()
    }

    /// Somebody's inbox once it lists this many items: an entry may come a moment after the answer to what caused it.
    pub(crate) async fn inbox_of(&self, of: &Person, count: usize) -> Value {
        until(PATIENCE, &format!("{count} items in the inbox of {}", of.username), || async {
            let inbox = self.inbox(of).await;
            let items = inbox["items"].as_array().map_or(0, Vec::len);
            assert!(items <= count, "more than {count} items: {inbox}");
            (items == count).then_some(inbox)
        })
        .await
    }
}

/// A request being put together.
pub(crate) struct Ask {
    what: String,
    request: reqwest::RequestBuilder,
}

impl Ask {
    /// Authenticates with a session token.
    pub(crate) fn token(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// Authenticates with a server API key.
    pub(crate) fn api_key(self, key: &str) -> Self {
        self.header("X-API-Key", key)
    }

    /// Adds an idempotency key.
    pub(crate) fn key(self, key: &str) -> Self {
        self.header("Idempotency-Key", key)
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Sends `body` as JSON.
    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.request = self.request.json(body);
        self
    }

    /// Sends `text` and calls it JSON, whatever it is.
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.request = self.request.body(text.to_owned());
        self.header("Content-Type", "application/json")
    }

    /// Sends it; a connection that breaks is an error of the caller's to judge.
    pub(crate) async fn attempt(self) -> Result<Answer, reqwest::Error> {
        let response = self.request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        Ok(Answer {
            what: self.what,
            status,
            headers,
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        })
    }

    /// Sends it and answers what came back.
    pub(crate) async fn send(self) -> Answer {
        let what = self.what.clone();
        within(PATIENCE * 2, &format!("the answer to {what}"), self.attempt())
            .await
            .unwrap_or_else(|e| panic!("{what} got no answer: {e}"))
    }
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    what: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The body as JSON; null when it is none.
    pub(crate) body: Value,
    /// The body as it came.
    pub(crate) text: String,
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown: String = self.text.chars().take(2_000).collect();
        write!(f, "{} answered {}: {shown}", self.what, self.status)
    }
}

impl Answer {
    /// The body, after checking the status.
    pub(crate) fn expect(&self, status: u16) -> &Value {
        assert_eq!(self.status, status, "{self}");
        &self.body
    }

    /// A header's value, empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap_or("(not text)"))
    }

    /// The body, after checking that it is a problem document of the contract with this status.
    pub(crate) fn problem(&self, status: u16) -> &Value {
        self.expect(status);
        let kind = self.header("content-type");
        assert!(
            kind.starts_with("application/problem+json"),
            "a failure is a problem document, not {kind:?}: {self}"
        );
        assert_eq!(self.body["status"], json!(status), "{self}");
        for field in ["type", "title", "code", "detail", "request_id"] {
            assert!(
                self.body[field].as_str().is_some_and(|text| !text.is_empty()),
                "a problem has the text {field}: {self}"
            );
        }
        if let Some(errors) = self.body.get("errors") {
            for error in errors.as_array().expect("errors is a list") {
                for field in ["field", "code", "detail"] {
                    assert!(error[field].is_string(), "an error has {field}: {self}");
                }
            }
        }
        &self.body
    }

    /// The same, after checking the code too.
    pub(crate) fn problem_coded(&self, status: u16, code: &str) -> &Value {
        let problem = self.problem(status);
        assert_eq!(problem["code"], json!(code), "{self}");
        problem
    }

    /// The fields that a 422 complains about, sorted.
    pub(crate) fn bad_fields(&self) -> Vec<String> {
        let problem = self.problem(422);
        let errors = problem["errors"].as_array();
        let errors = errors.unwrap_or_else(|| panic!("a 422 lists its errors: {self}"));
        let mut fields: Vec<_> =
            errors.iter().map(|e| e["field"].as_str().unwrap_or_default().to_owned()).collect();
        fields.sort();
        fields
    }
}
