//! `/connection/sse`, `/connection/http_stream`, `/emulation` and `/connection/uni_websocket`, by hand.

use reqwest::header::{CONTENT_TYPE, ORIGIN};
use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::support::{PATIENCE, Server, plain_http, until, within};

/// Pages of this origin may connect.
const ELSEWHERE: &str = "https://app.example.org";

/// A stream of JSON lines or of server-sent events, and how to speak to it.
struct Stream {
    answer: Response,
    buffer: Vec<u8>,
    events: bool,
}

impl Stream {
    fn of(answer: Response, events: bool) -> Self {
        assert_eq!(answer.status(), 200);
        Self { answer, buffer: Vec::new(), events }
    }

    /// The next message but pings; `None` once the stream has ended.
    async fn next(&mut self) -> Option<Value> {
        within(PATIENCE, "a message of the stream", async {
            loop {
                let end: &[u8] = if self.events { b"\n\n" } else { b"\n" };
                if let Some(place) = self.buffer.windows(end.len()).position(|it| it == end) {
                    let line: Vec<u8> = self.buffer.drain(..place + end.len()).collect();
                    let line = &line[..place];
                    let line = if self.events { &line[b"data: ".len()..] } else { line };
                    match serde_json::from_slice(line).expect("a message is JSON") {
                        ping if ping == json!({}) => continue,
                        message => return Some(message),
                    }
                }
                let chunk = self.answer.chunk().await.expect("the body ends with its last chunk");
                self.buffer.extend_from_slice(&chunk?);
            }
        })
        .await
    }

    /// The next message, which must have `field`.
    async fn expect(&mut self, field: &str) -> Value {
        let message = self.next().await.unwrap_or_else(|| panic!("{field} comes"));
        assert!(!message[field].is_null(), "{field}: {message}");
        message[field].clone()
    }
}

fn url(server: &Server, path: &str) -> String {
    format!("http://{}{path}", server.address())
}

fn connect(token: &str) -> Value {
    json!({"id": 1, "connect": {"token": token}})
}

async fn say(http: &Client, server: &Server, hello: &Value, data: &Value) -> u16 {
    let body =
        json!({"session": hello["session"], "node": hello["node"], "data": data.to_string()});
    let ask = http.post(url(server, "/emulation")).json(&body);
    ask.send().await.expect("the server answers").status().as_u16()
}

#[tokio::test]
async fn a_stream_is_spoken_to_through_emulation() {
    let server = Server::start().await;
    let (api, http) = (server.api(), plain_http());
    let ada = api.person("ada").await;
    for events in [false, true] {
        let answer = match events {
            false => {
                let ask = http.post(url(&server, "/connection/http_stream"));
                ask.header(CONTENT_TYPE, "application/json").body(connect(&ada.token).to_string())
            }
            true => {
                let first = connect(&ada.token).to_string();
                let first: String = first.bytes().map(|byte| format!("%{byte:02X}")).collect();
                http.get(url(&server, &format!("/connection/sse?cf_connect={first}")))
            }
        };
        let answer = answer.send().await.expect("the server answers");
        assert!(answer.headers().contains_key("x-accel-buffering"));
        let kind = if events { "text/event-stream" } else { "application/x-ndjson" };
        assert_eq!(answer.headers()[CONTENT_TYPE], kind);
        let mut stream = Stream::of(answer, events);
        let hello = stream.expect("connect").await;
        assert_eq!(hello["pong"], true, "{hello}");
        let commands = json!({"id": 2, "subscribe": {"channel": "feed:all"}});
        assert_eq!(say(&http, &server, &hello, &commands).await, 204);
        stream.expect("subscribe").await;
        let post = api.publish(&ada, "Heard through a stream").await;
        let push = stream.expect("push").await;
        assert_eq!(push["pub"]["data"]["post"]["id"], post["id"], "{push}");

        // What is no command ends the connection, and the stream says why before it ends.
        assert_eq!(say(&http, &server, &hello, &json!("nonsense")).await, 204);
        let push = stream.expect("push").await;
        assert_eq!(push["disconnect"]["code"], 3501, "{push}");
        assert_eq!(stream.next().await, None);
        until(PATIENCE, "its session to be forgotten", async || {
            (say(&http, &server, &hello, &json!({})).await == 404).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_cannot_begin_or_go_on_is_refused() {
    let server = Server::start().await;
    let http = plain_http();
    let code = async |ask: reqwest::RequestBuilder| {
        let answer = ask.send().await.expect("the server answers");
        let status = answer.status().as_u16();
        let problem: Value = answer.json().await.expect("a problem is JSON");
        (status, problem["code"].as_str().unwrap_or_default().to_owned())
    };
    let (stream, emulation) = (url(&server, "/connection/http_stream"), url(&server, "/emulation"));
    let refused = [
        (http.get(url(&server, "/connection/sse")), (400, "invalid_connect")),
        (http.post(&stream), (400, "invalid_connect")),
        (http.post(&stream).body(vec![b' '; 70_000]), (413, "body_too_large")),
        (http.post(&stream).header(ORIGIN, ELSEWHERE), (403, "origin_not_allowed")),
        (http.post(&emulation).body("{"), (400, "malformed_json")),
        (http.post(&emulation).json(&json!({"data": "{}"})), (422, "invalid_type")),
        (http.post(&emulation).json(&json!({"session": "x", "data": "{}"})), (404, "not_found")),
        (
            http.post(&emulation).header(CONTENT_TYPE, "application/octet-stream").body("{}"),
            (400, "malformed_protobuf"),
        ),
    ];
    for (ask, (status, expected)) in refused {
        assert_eq!(code(ask).await, (status, expected.to_owned()));
    }
}

#[tokio::test]
async fn pages_of_listed_origins_may_ask_and_read() {
    let settings = format!("client.allowed_origins = [\"{ELSEWHERE}\"]\nsse.enabled = false");
    let server = Server::with(&settings).await;
    let http = plain_http();
    for path in ["/connection/http_stream", "/emulation"] {
        let ask = |origin| {
            let ask = http.request(reqwest::Method::OPTIONS, url(&server, path));
            ask.header(ORIGIN, origin).header("access-control-request-method", "POST").send()
        };
        let answer = ask(ELSEWHERE).await.expect("the server answers");
        assert_eq!(answer.status(), 204);
        assert_eq!(answer.headers()["access-control-allow-origin"], ELSEWHERE);
        assert_eq!(ask("https://evil.example").await.expect("it answers").status(), 403);
    }
    let ask = http.post(url(&server, "/connection/http_stream")).header(ORIGIN, ELSEWHERE);
    let answer = ask.body(connect("").to_string()).send().await.expect("the server answers");
    assert_eq!(answer.headers()["access-control-allow-origin"], ELSEWHERE);
    let mut stream = Stream::of(answer, false);
    assert_eq!(stream.expect("push").await["disconnect"]["code"], 3501);
    let answer = http.get(url(&server, "/connection/sse?cf_connect=%7B%7D")).send().await;
    assert_eq!(answer.expect("the server answers").status(), 404, "it is switched off");
}
