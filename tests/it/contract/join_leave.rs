//! Join and leave pushes: who is told, of whom, and when.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::{Server, Socket};

const SETTINGS: &str = r#"
client.token.hmac_secret_key = "the secret of the back end"
client.expired_sub_close_delay = "100ms"

[[channel.namespaces]]
name = "room"
allow_subscribe_for_client = true
presence = true
allow_presence_for_subscriber = true
join_leave = true
history_size = 10
history_ttl = "60s"
force_recovery = true

[[channel.namespaces]]
name = "loud"
allow_subscribe_for_client = true
join_leave = true
force_push_join_leave = true

[[channel.namespaces]]
name = "shy"
allow_subscribe_for_client = true
join_leave = true

[[channel.namespaces]]
name = "mute"
allow_subscribe_for_client = true
presence = true
allow_presence_for_subscriber = true
force_push_join_leave = true
"#;

fn jwt(claims: &Value) -> String {
    let key = EncodingKey::from_secret(b"the secret of the back end");
    encode(&Header::new(Algorithm::HS256), claims, &key).expect("claims can be signed")
}

async fn with_token(server: &Server, user: &str) -> Socket {
    server.socket(&jwt(&json!({"sub": user}))).await
}

fn client(socket: &Socket) -> Value {
    socket.hello["client"].clone()
}

async fn watch(socket: &mut Socket, channel: &str) {
    socket.result("subscribe", json!({"channel": channel, "join_leave": true})).await;
}

/// Expects the next push of a channel to be of this kind and about this client.
async fn expect(socket: &mut Socket, channel: &str, kind: &str, about: &Value) -> Value {
    let push = socket.any_push(channel).await;
    assert_eq!(push[kind]["info"]["client"], *about, "{kind}: {push}");
    push[kind]["info"].clone()
}

async fn expect_own_join(socket: &mut Socket, channel: &str) {
    let own = client(socket);
    expect(socket, channel, "join", &own).await;
}

/// Publishes something, before which these sockets must have been told nothing.
async fn expect_silence<const N: usize>(server: &Server, channel: &str, sockets: [&mut Socket; N]) {
    server.api().server_result("publish", &json!({"channel": channel, "data": {}})).await;
    for socket in sockets {
        let push = socket.any_push(channel).await;
        assert!(push["pub"].is_object(), "{push}");
    }
}

async fn present(socket: &mut Socket, channel: &str, who: &Value) -> bool {
    let result = socket.result("presence", json!({"channel": channel})).await;
    result["presence"].get(who.as_str().expect("a client has an id")).is_some()
}

#[tokio::test]
async fn who_asks_is_told_who_comes_and_goes_and_nobody_else_is() {
    let server = Server::with(SETTINGS).await;
    let channel = "room:a";
    let (mut ada, mut bob) = (with_token(&server, "ada").await, with_token(&server, "bob").await);
    let (ada_id, bob_id) = (client(&ada), client(&bob));
    watch(&mut ada, channel).await;
    let own = expect(&mut ada, channel, "join", &ada_id).await;
    assert_eq!(own, json!({"user": "ada", "client": ada_id}), "nothing else is told");
    bob.subscribe(channel).await;
    expect(&mut ada, channel, "join", &bob_id).await;
    assert!(present(&mut ada, channel, &bob_id).await, "who came is there");
    expect_silence(&server, channel, [&mut ada, &mut bob]).await;

    bob.result("unsubscribe", json!({"channel": channel})).await;
    expect(&mut ada, channel, "leave", &bob_id).await;
    assert!(!present(&mut ada, channel, &bob_id).await, "who went is not there");
    expect_silence(&server, channel, [&mut ada]).await;

    // Neither of them counts as a publication: nothing is missing, nothing is kept.
    let start = bob.subscribe(channel).await;
    assert_eq!(start.offset, 2);
    expect(&mut ada, channel, "join", &bob_id).await;
    bob.cut();
    expect(&mut ada, channel, "leave", &bob_id).await;
    expect_silence(&server, channel, [&mut ada]).await;
    let carol = &mut with_token(&server, "carol").await;
    assert_eq!(carol.recover(channel, &start).await.publications.len(), 1);
    expect(&mut ada, channel, "join", &client(carol)).await;
}

#[tokio::test]
async fn where_it_is_forced_all_are_told_without_asking() {
    let server = Server::with(SETTINGS).await;
    let (mut ada, mut bob) = (with_token(&server, "ada").await, with_token(&server, "bob").await);
    ada.subscribe("loud:a").await;
    expect_own_join(&mut ada, "loud:a").await;
    bob.subscribe("loud:a").await;
    for socket in [&mut ada, &mut bob] {
        let push = socket.push("loud:a", "join").await;
        assert_eq!(push["info"]["user"], "bob", "{push}");
    }
    expect_silence(&server, "loud:a", [&mut ada, &mut bob]).await;
    let bob_id = client(&bob);
    bob.result("unsubscribe", json!({"channel": "loud:a"})).await;
    expect(&mut ada, "loud:a", "leave", &bob_id).await;
    bob.subscribe("loud:a").await;
    expect(&mut ada, "loud:a", "join", &bob_id).await;
    expect(&mut bob, "loud:a", "join", &bob_id).await;
}

#[tokio::test]
async fn asking_is_in_vain_without_the_presence_permission_and_where_nothing_is_told() {
    let server = Server::with(SETTINGS).await;
    let (mut ada, mut bob) = (with_token(&server, "ada").await, with_token(&server, "bob").await);
    for channel in ["shy:a", "mute:a"] {
        watch(&mut ada, channel).await;
        watch(&mut bob, channel).await;
        expect_silence(&server, channel, [&mut ada, &mut bob]).await;
    }
}

#[tokio::test]
async fn an_expired_subscription_is_told_as_one_leave() {
    let server = Server::with(SETTINGS).await;
    let channel = "room:a";
    let (mut ada, mut bob) = (with_token(&server, "ada").await, with_token(&server, "bob").await);
    watch(&mut ada, channel).await;
    expect_own_join(&mut ada, channel).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let token = jwt(&json!({
        "sub": "bob", "channel": channel, "exp": now + 2, "info": {"seat": 4},
    }));
    bob.result("subscribe", json!({"channel": channel, "token": token})).await;
    let bob_id = client(&bob);
    for kind in ["join", "leave"] {
        let info = expect(&mut ada, channel, kind, &bob_id).await;
        assert_eq!(info["chan_info"], json!({"seat": 4}), "{kind}: {info}");
    }
    assert!(!present(&mut ada, channel, &bob_id).await);
    bob.cut();
    let mut carol = with_token(&server, "carol").await;
    carol.subscribe(channel).await;
    expect(&mut ada, channel, "join", &client(&carol)).await;
}

#[tokio::test]
async fn server_side_subscriptions_are_told_as_well() {
    let server = Server::with(SETTINGS).await;
    let api = server.api();
    let person = api.person("bob").await;
    let mut ada = with_token(&server, "ada").await;
    ada.subscribe("loud:a").await;
    expect_own_join(&mut ada, "loud:a").await;

    // By a token, at once with the connection, and until its end.
    let claims = json!({
        "sub": "carol", "info": {"name": "Carol"}, "subs": {"loud:a": {"info": {"seat": 1}}},
    });
    let mut carol = server.socket(&jwt(&claims)).await;
    let told = expect(&mut ada, "loud:a", "join", &client(&carol)).await;
    let infos = (&told["conn_info"], &told["chan_info"]);
    assert_eq!(infos, (&json!({"name": "Carol"}), &json!({"seat": 1})), "{told}");
    expect_own_join(&mut carol, "loud:a").await;
    let carol_id = client(&carol);
    carol.cut();
    expect(&mut ada, "loud:a", "leave", &carol_id).await;

    // By a back end.
    let mut bob = server.socket(&person.token).await;
    let body = json!({"user": person.id.to_string(), "channel": "loud:a"});
    api.server_result("subscribe", &body).await;
    assert!(bob.push("loud:a", "subscribe").await.is_object());
    expect_own_join(&mut bob, "loud:a").await;
    expect(&mut ada, "loud:a", "join", &client(&bob)).await;
    api.server_result("unsubscribe", &body).await;
    expect(&mut ada, "loud:a", "leave", &client(&bob)).await;
    assert_eq!(bob.any_push("loud:a").await["unsubscribe"]["code"], 2000);
    api.server_result("subscribe", &body).await;
    expect(&mut ada, "loud:a", "join", &client(&bob)).await;
    api.server_result("disconnect", &json!({"user": person.id.to_string()})).await;
    expect(&mut ada, "loud:a", "leave", &client(&bob)).await;
    expect_silence(&server, "loud:a", [&mut ada]).await;
}

#[tokio::test]
async fn a_token_says_otherwise_for_its_subscription() {
    let server = Server::with(SETTINGS).await;
    let token = |user: &str, channel: &str, set: Value| {
        let token = jwt(&json!({"sub": user, "channel": channel, "override": set}));
        json!({"channel": channel, "token": token})
    };
    let (mut ada, mut bob) = (with_token(&server, "ada").await, with_token(&server, "bob").await);
    // One who is told although nobody else is, and does not tell of itself.
    let set = json!({"join_leave": {"value": false}, "force_push_join_leave": {"value": true}});
    ada.result("subscribe", token("ada", "shy:a", set)).await;
    expect_silence(&server, "shy:a", [&mut ada]).await;
    bob.subscribe("shy:a").await;
    expect(&mut ada, "shy:a", "join", &client(&bob)).await;
    // One who is not told although all others are. It tells nothing of itself either: its own join,
    // on its way through the servers, could otherwise reach the one who comes after it.
    let set = json!({"join_leave": {"value": false}, "force_push_join_leave": {"value": false}});
    ada.result("subscribe", token("ada", "loud:a", set)).await;
    bob.subscribe("loud:a").await;
    expect_own_join(&mut bob, "loud:a").await;
    expect_silence(&server, "loud:a", [&mut ada, &mut bob]).await;
}
