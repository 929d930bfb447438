//! What the client protocol says besides subscriptions and publications: `send`, refresh pushes, and the flags of a
//! subscribe command.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::{PATIENCE, Server, Socket, within};

const SETTINGS: &str = r#"
client.token.hmac_secret_key = "the secret of the back end"
client.expired_close_delay = "200ms"

[[channel.namespaces]]
name = "open"
allow_subscribe_for_client = true
allow_history_for_subscriber = true
history_size = 10
history_ttl = "60s"

[[channel.namespaces]]
name = "closed"
allow_subscribe_for_client = true
history_size = 10
history_ttl = "60s"

[[channel.namespaces]]
name = "forced"
allow_subscribe_for_client = true
force_positioning = true
history_size = 10
history_ttl = "60s"
"#;

fn seconds(offset: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(now.as_secs()).expect("it is before the end of time") + offset
}

async fn ada() -> (Server, Socket) {
    let server = Server::with(SETTINGS).await;
    let key = EncodingKey::from_secret(b"the secret of the back end");
    // A user who is a number, as the server API names it; nobody has an account of this number.
    let claims = json!({"sub": "4242"});
    let token = encode(&Header::new(Algorithm::HS256), &claims, &key).expect("claims are signed");
    let socket = server.socket(&token).await;
    (server, socket)
}

/// The next push about the connection itself.
async fn refreshed(socket: &mut Socket) -> Value {
    let push = within(PATIENCE, "a push without a channel", socket.bare_push()).await;
    assert!(push.get("channel").is_none(), "{push}");
    push["refresh"].clone()
}

#[tokio::test]
async fn what_a_client_sends_is_counted_and_not_answered() {
    let (server, mut socket) = ada().await;
    for text in [
        r#"{"send":{"data":{"any":"thing"}}}"#,
        r#"{"id":0,"send":{"data":[1]}}"#,
        r#"{"id":77,"send":{"data":null}}"#,
    ] {
        socket.send(text).await;
    }
    // Nothing but the reply to this comes.
    socket.result("ping", json!({})).await;
    assert_eq!(socket.unasked(), 0);
    let metrics = server.api().get("/metrics").send().await;
    assert!(metrics.text.contains("carillon_client_messages_total 3\n"), "{}", metrics.text);
}

#[tokio::test]
async fn a_client_hears_that_it_expires_at_another_time() {
    let (server, mut socket) = ada().await;
    let api = server.api();
    let refresh = async |more: Value| {
        let mut body = json!({"user": "4242"});
        for (name, value) in more.as_object().expect("a body") {
            body[name] = value.clone();
        }
        api.server_result("refresh", &body).await;
    };
    refresh(json!({"expire_at": seconds(60)})).await;
    let told = refreshed(&mut socket).await;
    let ttl = told["ttl"].as_u64().unwrap_or(0);
    assert!(told["expires"] == true && (50..=60).contains(&ttl), "{told}");
    refresh(json!({})).await;
    assert_eq!(refreshed(&mut socket).await, json!({}), "it does not expire any more");
    refresh(json!({"expire_at": seconds(2)})).await;
    assert_eq!(refreshed(&mut socket).await["expires"], true);
    socket.expect_closed(3005).await;

    let (server, mut socket) = ada().await;
    let body = json!({"user": "4242", "expire_at": seconds(-5)});
    server.api().server_result("refresh", &body).await;
    socket.expect_closed(3005).await;
}

#[tokio::test]
async fn a_subscription_is_positioned_and_recoverable_as_it_asks_and_may() {
    let (server, mut socket) = ada().await;
    for (channel, ask, positioned, recoverable) in [
        ("open:a", json!({}), false, false),
        ("open:b", json!({"positioned": true}), true, false),
        ("open:c", json!({"recoverable": true}), true, true),
        ("open:d", json!({"recoverable": true, "positioned": true}), true, true),
        ("closed:a", json!({"recoverable": true, "positioned": true}), false, false),
        ("forced:a", json!({}), true, false),
        ("forced:b", json!({"recoverable": true}), true, false),
    ] {
        server.api().server_result("publish", &json!({"channel": channel, "data": 1})).await;
        let mut params = ask.clone();
        params["channel"] = json!(channel);
        let result = socket.result("subscribe", params).await;
        let flag = |name: &str| result[name] == json!(true);
        assert_eq!((flag("positioned"), flag("recoverable")), (positioned, recoverable), "{ask}");
        let place = (result["epoch"].is_string(), result["offset"].as_u64());
        assert_eq!(place, (positioned, positioned.then_some(1)), "{channel} {ask}: {result}");
    }
    // Who may not read the past cannot have it by recovery either.
    let since = json!({"recover": true, "epoch": "", "offset": 0});
    for (channel, count) in [("open:x", 1), ("closed:x", 0)] {
        server.api().server_result("publish", &json!({"channel": channel, "data": 1})).await;
        let mut params = since.clone();
        params["channel"] = json!(channel);
        let result = socket.result("subscribe", params).await;
        let past = result["publications"].as_array().map_or(0, Vec::len);
        assert_eq!((past, result["recovered"] == json!(true)), (count, count > 0), "{result}");
    }
}

#[tokio::test]
async fn what_a_subscription_says_besides_is_passed_over() {
    let (_server, mut socket) = ada().await;
    let params =
        json!({"channel": "open:a", "data": {"x": 1}, "flag": 0, "delta": "", "unknown": []});
    assert_eq!(socket.result("subscribe", params).await, json!({}));
}
