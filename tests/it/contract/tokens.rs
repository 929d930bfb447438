//! JWTs: who connects with one, which channels it opens, and what happens when it expires.

mod keys;
mod subscriptions;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::{Server, Socket, within};

const SECRET: &str = "the secret of the back end";

const SETTINGS: &str = r#"
client.token.hmac_secret_key = "the secret of the back end"
client.expired_close_delay = "500ms"
client.expired_sub_close_delay = "500ms"

[[channel.namespaces]]
name = "chat"
presence = true
allow_subscribe_for_client = true
allow_publish_for_subscriber = true
allow_presence_for_subscriber = true
history_size = 10
history_ttl = "60s"
force_recovery = true

[[channel.namespaces]]
name = "team"
allow_user_limited_channels = true

[[channel.namespaces]]
name = "shut"
presence = true
allow_presence_for_subscriber = true
"#;

/// Seconds since the Unix epoch, `offset` seconds from now.
fn seconds(offset: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(now.as_secs()).expect("it is before the end of time") + offset
}

fn signed(secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::new(Algorithm::HS256), claims, &key).expect("claims can be signed")
}

fn jwt(claims: Value) -> String {
    signed(SECRET, &claims)
}

async fn server() -> Server {
    Server::with(SETTINGS).await
}

/// The code of the close after a connect command with this token.
async fn closed_with(server: &Server, token: &str) -> u16 {
    let mut socket = Socket::open(server.address()).await;
    let (_, connect) = socket.command("connect", json!({"token": token}));
    socket.send(&connect).await;
    socket.closed_within(crate::support::PATIENCE).await.0.expect("a close frame has a code")
}

/// The code of the error that a connect command with this token is answered with.
async fn refused_with(server: &Server, token: &str) -> u64 {
    Socket::open(server.address()).await.error("connect", json!({"token": token})).await
}

#[tokio::test]
async fn a_user_of_another_back_end_connects_and_is_known_by_name() {
    let server = server().await;
    let info = json!({"name": "Ada"});
    let mut ada = server.socket(&jwt(json!({"sub": "ada", "info": info}))).await;
    let mut bob = server.socket(&jwt(json!({"sub": "bob"}))).await;
    assert!(ada.hello.get("expires").is_none() && ada.hello.get("ttl").is_none(), "{}", ada.hello);
    ada.subscribe("chat:room").await;
    bob.subscribe("chat:room").await;
    ada.result("publish", json!({"channel": "chat:room", "data": {"text": "hi"}})).await;
    let publication = bob.publication("chat:room").await;
    assert_eq!(publication["info"]["user"], "ada", "{publication}");
    assert_eq!(publication["info"]["conn_info"], info, "{publication}");
    let presence = bob.result("presence", json!({"channel": "chat:room"})).await;
    let client = ada.hello["client"].as_str().expect("a client has an id");
    let told = &presence["presence"][client];
    assert_eq!((&told["user"], &told["conn_info"]), (&json!("ada"), &info), "{presence}");
    // Without a session, nothing of the product can be done.
    let (code, _) = ada.refusal("like_post", json!({"post_id": "000000000000000000000000"})).await;
    assert_eq!(code, 101);
}

#[tokio::test]
async fn channels_limited_to_users_are_those_of_the_text_in_sub() {
    let server = server().await;
    let mut ada = server.socket(&jwt(json!({"sub": "ada"}))).await;
    ada.subscribe("team:talk#ada,bob").await;
    assert_eq!(ada.error("subscribe", json!({"channel": "team:talk#bob"})).await, 103);
    assert_eq!(ada.error("subscribe", json!({"channel": "notifications:#1"})).await, 103);
    let mut nobody = server.socket(&jwt(json!({}))).await;
    assert_eq!(nobody.error("subscribe", json!({"channel": "team:talk#ada"})).await, 103);
    assert_eq!(nobody.error("subscribe", json!({"channel": "team:talk#"})).await, 103);
    assert_eq!(nobody.error("subscribe", json!({"channel": "chat:room"})).await, 103);
}

#[tokio::test]
async fn a_user_who_is_the_number_of_an_account_has_its_inbox() {
    let server = server().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let mut socket = server.socket(&jwt(json!({"sub": ada.id.to_string()}))).await;
    let inbox = format!("notifications:#{}", ada.id);
    assert!(socket.hello["subs"][&inbox].is_object(), "{}", socket.hello);
    assert_eq!(socket.error("subscribe", json!({"channel": inbox})).await, 105);
    api.follow(&bob, &ada).await;
    socket.told(&inbox, "notification.created").await;
    // Others who are numbers are let in, but have none.
    let stranger = server.socket(&jwt(json!({"sub": "987654321"}))).await;
    assert!(stranger.hello.get("subs").is_none(), "{}", stranger.hello);
}

#[tokio::test]
async fn where_accounts_are_checked_a_number_must_be_one_of_an_active_account() {
    let server = Server::with(&format!("client.token.check_account = true\n{SETTINGS}")).await;
    let ada = server.api().person("ada").await;
    let token = jwt(json!({"sub": ada.id.to_string()}));
    assert_eq!(closed_with(&server, &jwt(json!({"sub": "987654321"}))).await, 3500);
    server.socket(&jwt(json!({"sub": "somebody else's"}))).await;
    let mut socket = server.socket(&token).await;
    let banned = server.beside(&["admin", "ban", &ada.username]).await;
    assert_eq!(banned.code, Some(0), "{}", banned.stderr);
    socket.expect_closed(3500).await;
    assert_eq!(closed_with(&server, &token).await, 3500);
}

#[tokio::test]
async fn a_token_that_is_not_good_is_3500_and_one_that_has_expired_109() {
    let server = server().await;
    for token in [
        signed("another secret", &json!({"sub": "ada"})),
        signed("", &json!({"sub": "ada"})),
        jwt(json!({"sub": 42})),
        jwt(json!({"sub": "ada", "channel": "chat:room"})),
        format!("{}x", jwt(json!({"sub": "ada"}))),
    ] {
        assert_eq!(closed_with(&server, &token).await, 3500, "{token}");
    }
    assert_eq!(refused_with(&server, &jwt(json!({"sub": "ada", "exp": seconds(-1)}))).await, 109);
    let over = json!({"sub": "ada", "exp": seconds(60), "expire_at": seconds(-1)});
    assert_eq!(refused_with(&server, &jwt(over)).await, 110);
    // Where no key is set, nobody is trusted.
    let server = Server::start().await;
    assert_eq!(closed_with(&server, &jwt(json!({"sub": "ada"}))).await, 3500);
}

#[tokio::test]
async fn the_server_subscribes_a_client_to_what_its_token_names() {
    let server = server().await;
    let claims = json!({
        "sub": "ada",
        "subs": {
            "shut:a": {"data": {"welcome": 1}, "info": {"role": "guest"}},
            "shut:b": {"override": {"presence": {"value": false}}},
        },
    });
    let mut ada = server.socket(&jwt(claims)).await;
    assert_eq!(ada.hello["subs"]["shut:a"]["data"], json!({"welcome": 1}), "{}", ada.hello);
    let presence = ada.result("presence", json!({"channel": "shut:a"})).await;
    let client = ada.hello["client"].as_str().expect("a client has an id").to_owned();
    assert_eq!(presence["presence"][&client]["chan_info"], json!({"role": "guest"}), "{presence}");
    let stats = ada.result("presence_stats", json!({"channel": "shut:b"})).await;
    assert_eq!(stats["num_clients"], 0, "{stats}");
    for channel in ["shut:a", "shut:b"] {
        assert_eq!(ada.error("subscribe", json!({"channel": channel})).await, 105);
        let body = json!({"channel": channel, "data": {"to": channel}});
        server.api().server_result("publish", &body).await;
        assert_eq!(ada.publication(channel).await["data"], json!({"to": channel}));
    }
    // The client may leave it, but not come back, where the namespace lets nobody join.
    ada.result("unsubscribe", json!({"channel": "shut:a"})).await;
    for channel in ["shut:a", "shut:b"] {
        let body = json!({"channel": channel, "data": {"again": channel}});
        server.api().server_result("publish", &body).await;
    }
    assert_eq!(ada.publication("shut:b").await["data"], json!({"again": "shut:b"}));
    assert_eq!(ada.left("shut:a").await, Vec::<Value>::new());
    assert_eq!(ada.error("subscribe", json!({"channel": "shut:a"})).await, 103);
    let listed = server.socket(&jwt(json!({"sub": "ada", "channels": ["chat:x"]}))).await;
    assert!(listed.hello["subs"]["chat:x"]["epoch"].is_string(), "{}", listed.hello);
    let unknown = jwt(json!({"sub": "ada", "channels": ["chat:x", "nowhere:x"]}));
    assert_eq!(refused_with(&server, &unknown).await, 102);
}

#[tokio::test]
async fn a_server_side_subscription_recovers() {
    let server = server().await;
    let token = jwt(json!({"sub": "ada", "channels": ["chat:x"]}));
    let ada = server.socket(&token).await;
    let epoch = ada.hello["subs"]["chat:x"]["epoch"].clone();
    ada.cut();
    let body = json!({"channel": "chat:x", "data": {"n": 1}});
    server.api().server_result("publish", &body).await;
    let mut again = Socket::open(server.address()).await;
    let subs = json!({"chat:x": {"recover": true, "epoch": epoch, "offset": 0}});
    let hello = again.result("connect", json!({"token": token, "subs": subs})).await;
    let sub = &hello["subs"]["chat:x"];
    assert_eq!(sub["recovered"], true, "{hello}");
    assert_eq!(sub["publications"][0]["data"], json!({"n": 1}), "{hello}");
}

#[tokio::test]
async fn a_connection_expires_unless_it_is_refreshed() {
    let server = server().await;
    let soon = |name: &str| jwt(json!({"sub": name, "exp": seconds(3)}));
    let mut left = server.socket(&soon("ada")).await;
    let mut kept = server.socket(&soon("ada")).await;
    assert_eq!(left.hello["expires"], true, "{}", left.hello);
    let ttl = left.hello["ttl"].as_u64().expect("it says when");
    assert!((1..=3).contains(&ttl), "{ttl}");
    let token = jwt(json!({"sub": "ada", "exp": seconds(60), "info": {"new": true}}));
    let refreshed = kept.result("refresh", json!({"token": token})).await;
    assert_eq!(
        (&refreshed["client"], &refreshed["expires"]),
        (&kept.hello["client"], &json!(true))
    );
    let ttl = refreshed["ttl"].as_u64().expect("it says when");
    assert!((50..=60).contains(&ttl), "{refreshed}");
    assert!(refreshed["version"].is_string(), "{refreshed}");
    left.expect_closed(3005).await;
    kept.subscribe("chat:room").await;
    let presence = kept.result("presence", json!({"channel": "chat:room"})).await;
    let client = kept.hello["client"].as_str().expect("a client has an id");
    assert_eq!(presence["presence"][client]["conn_info"], json!({"new": true}), "{presence}");
    // For ever, then for a moment.
    let forever = kept.result("refresh", json!({"token": jwt(json!({"sub": "ada"}))})).await;
    assert!(forever.get("expires").is_none() && forever.get("ttl").is_none(), "{forever}");
    kept.result("refresh", json!({"token": jwt(json!({"sub": "ada", "exp": seconds(2)}))})).await;
    kept.expect_closed(3005).await;
}

#[tokio::test]
async fn an_expired_connection_has_a_while_to_be_refreshed() {
    let server = Server::with(&SETTINGS.replace("500ms", "8s")).await;
    let mut ada = server.socket(&jwt(json!({"sub": "ada", "exp": seconds(1)}))).await;
    let expired = async {
        let wait = tokio::time::interval(Duration::from_millis(20));
        tokio::pin!(wait);
        let until = seconds(2);
        while seconds(0) < until {
            wait.tick().await;
        }
    };
    within(crate::support::PATIENCE, "the token to expire", expired).await;
    let token = jwt(json!({"sub": "ada", "exp": seconds(60)}));
    ada.result("refresh", json!({"token": token})).await;
}

#[tokio::test]
async fn a_refresh_takes_a_good_token_of_the_same_user_alone() {
    let server = server().await;
    let token = jwt(json!({"sub": "ada", "exp": seconds(60)}));
    for (refresh, code) in [
        (jwt(json!({"sub": "bob", "exp": seconds(60)})), 3500),
        (jwt(json!({"exp": seconds(60)})), 3500),
        (signed("another secret", &json!({"sub": "ada"})), 3500),
        (jwt(json!({"sub": "ada", "channel": "chat:room"})), 3500),
        (jwt(json!({"sub": "ada", "exp": seconds(-1)})), 3005),
        (String::new(), 3501),
    ] {
        let mut ada = server.socket(&token).await;
        let (_, command) = ada.command("refresh", json!({"token": refresh}));
        ada.send(&command).await;
        ada.expect_closed(code).await;
    }
    // A session is prolonged by no token.
    let bob = server.api().person("bob").await;
    let mut socket = server.socket(&bob.token).await;
    let own = jwt(json!({"sub": bob.id.to_string()}));
    assert_eq!(socket.error("refresh", json!({"token": own})).await, 108);
}

#[tokio::test]
async fn the_command_line_makes_tokens() {
    let server = server().await;
    let made = server.beside(&["token", "--user", "ada", "--info", "{\"name\": \"Ada\"}"]).await;
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let mut ada = server.socket(made.stdout.trim()).await;
    let ttl = ada.hello["ttl"].as_u64().expect("it expires");
    assert!((3_500..=3_600).contains(&ttl), "{ttl}");
    let arguments = ["token", "--user", "ada", "--ttl", "90s", "--channel", "$shut:room"];
    let made = server.beside(&arguments).await;
    let params = json!({"channel": "$shut:room", "token": made.stdout.trim()});
    let subscribed = ada.result("subscribe", params).await;
    let ttl = subscribed["ttl"].as_u64().expect("it expires");
    assert!((60..=90).contains(&ttl), "{subscribed}");
    let without = Server::start().await;
    let made = without.beside(&["token", "--user", "ada"]).await;
    assert_eq!(made.code, Some(1));
    assert!(made.stderr.contains("client.token.hmac_secret_key"), "{}", made.stderr);
}
