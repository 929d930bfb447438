//! Subscription tokens.

use super::*;

fn for_channel(channel: &str, more: Value) -> String {
    let mut claims = json!({"sub": "ada", "channel": channel});
    for (name, value) in more.as_object().expect("claims are an object") {
        claims[name] = value.clone();
    }
    jwt(claims)
}

async fn ada() -> (Server, Socket) {
    let server = server().await;
    let socket = server.socket(&jwt(json!({"sub": "ada"}))).await;
    (server, socket)
}

fn with(channel: &str, token: &str) -> Value {
    json!({"channel": channel, "token": token})
}

#[tokio::test]
async fn a_token_opens_a_private_channel_and_one_that_nobody_may_join() {
    let (server, mut ada) = ada().await;
    for channel in ["$chat:secret", "shut:room", "$shut:room"] {
        assert_eq!(ada.error("subscribe", json!({"channel": channel})).await, 103, "{channel}");
        let token = for_channel(channel, json!({"info": {"role": "guest"}, "data": {"n": 1}}));
        let subscribed = ada.result("subscribe", with(channel, &token)).await;
        assert_eq!(subscribed["data"], json!({"n": 1}), "{subscribed}");
        assert!(subscribed.get("expires").is_none(), "{subscribed}");
        let body = json!({"channel": channel, "data": {"to": channel}});
        server.api().server_result("publish", &body).await;
        assert_eq!(ada.publication(channel).await["data"], json!({"to": channel}));
    }
    let presence = ada.result("presence", json!({"channel": "shut:room"})).await;
    let client = ada.hello["client"].as_str().expect("a client has an id");
    assert_eq!(presence["presence"][client]["chan_info"], json!({"role": "guest"}), "{presence}");
}

#[tokio::test]
async fn a_session_joins_with_a_token_of_its_account() {
    let server = server().await;
    let bob = server.api().person("bob").await;
    let mut socket = server.socket(&bob.token).await;
    let token = jwt(json!({"sub": bob.id.to_string(), "channel": "$chat:x"}));
    socket.result("subscribe", with("$chat:x", &token)).await;
    let token = jwt(json!({"sub": "bob", "channel": "$chat:y"}));
    assert_eq!(socket.error("subscribe", with("$chat:y", &token)).await, 103);
}

#[tokio::test]
async fn a_token_counts_for_its_user_its_channel_and_its_connection_alone() {
    let (_server, mut ada) = ada().await;
    let channel = "$chat:secret";
    let client = ada.hello["client"].clone();
    for token in [
        for_channel("$chat:other", json!({})),
        for_channel(channel, json!({"sub": "bob"})),
        for_channel(channel, json!({"sub": ""})),
        for_channel(channel, json!({"client": "another"})),
        signed("another secret", &json!({"sub": "ada", "channel": channel})),
        jwt(json!({"sub": "ada"})),
        "nonsense".to_owned(),
    ] {
        assert_eq!(ada.error("subscribe", with(channel, &token)).await, 103, "{token}");
    }
    let expired = for_channel(channel, json!({"exp": seconds(-1)}));
    assert_eq!(ada.error("subscribe", with(channel, &expired)).await, 109);
    let over = for_channel(channel, json!({"exp": seconds(60), "expire_at": seconds(-1)}));
    assert_eq!(ada.error("subscribe", with(channel, &over)).await, 110);
    let unknown = for_channel("$nowhere:x", json!({}));
    assert_eq!(ada.error("subscribe", with("$nowhere:x", &unknown)).await, 102);
    let own = for_channel(channel, json!({"client": client}));
    ada.result("subscribe", with(channel, &own)).await;
}

#[tokio::test]
async fn a_subscription_expires_unless_it_is_refreshed() {
    let (server, mut ada) = ada().await;
    let mut bob = server.socket(&jwt(json!({"sub": "bob"}))).await;
    bob.subscribe("chat:left").await;
    for channel in ["chat:left", "chat:kept"] {
        let token = for_channel(channel, json!({"exp": seconds(3)}));
        let subscribed = ada.result("subscribe", with(channel, &token)).await;
        assert_eq!(subscribed["expires"], true, "{subscribed}");
        let ttl = subscribed["ttl"].as_u64().expect("it says when");
        assert!((1..=3).contains(&ttl), "{subscribed}");
    }
    let token = for_channel("chat:kept", json!({"exp": seconds(60)}));
    let refreshed = ada.result("sub_refresh", with("chat:kept", &token)).await;
    let ttl = refreshed["ttl"].as_u64().expect("it says when");
    assert!(refreshed["expires"] == true && (50..=60).contains(&ttl), "{refreshed}");
    let ended = ada.push("chat:left", "unsubscribe").await;
    assert_eq!(ended["code"], 2501, "{ended}");
    // Who was unsubscribed hears nothing, and is seen by nobody.
    let stats = async {
        loop {
            let params = json!({"channel": "chat:left"});
            let stats = bob.result("presence_stats", params).await;
            if stats["num_clients"] == 1 {
                return;
            }
        }
    };
    within(crate::support::PATIENCE, "one present client", stats).await;
    for channel in ["chat:left", "chat:kept"] {
        let body = json!({"channel": channel, "data": {}});
        server.api().server_result("publish", &body).await;
    }
    ada.publication("chat:kept").await;
    assert!(ada.left("chat:left").await.is_empty());
    // It can be joined again, and is seen again.
    let token = for_channel("chat:left", json!({"exp": seconds(60)}));
    ada.result("subscribe", with("chat:left", &token)).await;
    let stats = ada.result("presence_stats", json!({"channel": "chat:left"})).await;
    assert_eq!(stats["num_clients"], 2, "{stats}");
}

#[tokio::test]
async fn sub_refresh_takes_a_good_token_of_a_subscription_that_there_is() {
    let (_server, mut ada) = ada().await;
    let channel = "$chat:secret";
    let good = for_channel(channel, json!({"exp": seconds(60)}));
    assert_eq!(ada.error("sub_refresh", with(channel, &good)).await, 103);
    ada.result("subscribe", with(channel, &good)).await;
    assert_eq!(ada.error("sub_refresh", with(channel, "")).await, 107);
    let expired = for_channel(channel, json!({"exp": seconds(-1)}));
    assert_eq!(ada.error("sub_refresh", with(channel, &expired)).await, 109);
    let forever = for_channel(channel, json!({}));
    let refreshed = ada.result("sub_refresh", with(channel, &forever)).await;
    assert_eq!(refreshed, json!({}));
    let other = for_channel("$chat:other", json!({"exp": seconds(60)}));
    let (_, command) = ada.command("sub_refresh", with(channel, &other));
    ada.send(&command).await;
    ada.expect_closed(3500).await;
}

#[tokio::test]
async fn what_the_server_subscribed_to_is_the_clients_own_once_that_has_ended() {
    let (server, mut ada) = ada().await;
    let channel = "chat:lent";
    let body = json!({"user": "ada", "channel": channel, "expire_at": seconds(2), "info": {"by": "server"}});
    server.api().server_result("subscribe", &body).await;
    assert!(ada.push(channel, "subscribe").await.is_object());
    let good = for_channel(channel, json!({"exp": seconds(60)}));
    assert_eq!(ada.error("sub_refresh", with(channel, &good)).await, 103);
    assert_eq!(ada.push(channel, "unsubscribe").await["code"], 2501);
    ada.result("subscribe", with(channel, &good)).await;
    let refreshed = ada.result("sub_refresh", with(channel, &good)).await;
    assert_eq!(refreshed["expires"], true, "{refreshed}");
    let presence = ada.result("presence", json!({"channel": channel})).await;
    let client = ada.hello["client"].as_str().expect("a client has an id");
    assert!(presence["presence"][client].get("chan_info").is_none(), "{presence}");
}

#[tokio::test]
async fn subscription_tokens_may_have_a_secret_of_their_own() {
    let settings = format!(
        "client.subscription_token.enabled = true\n\
         client.subscription_token.hmac_secret_key = \"for channels\"\n{SETTINGS}"
    );
    let server = Server::with(&settings).await;
    let mut ada = server.socket(&jwt(json!({"sub": "ada"}))).await;
    let channel = "$chat:secret";
    let claims = json!({"sub": "ada", "channel": channel});
    assert_eq!(ada.error("subscribe", with(channel, &jwt(claims.clone()))).await, 103);
    ada.result("subscribe", with(channel, &signed("for channels", &claims))).await;
    let connect = signed("for channels", &json!({"sub": "ada"}));
    assert_eq!(closed_with(&server, &connect).await, 3500);
}
