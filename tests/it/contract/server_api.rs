//! `/api/…`: Centrifugo's server API.

use serde_json::{Value, json};

use crate::support::{API_KEY, Server};

/// The answer waits for the relay as long as it takes, so that offsets are in it on a busy machine too.
const NAMESPACES: &str = r#"
relay.wait_timeout = "10s"

[[channel.namespaces]]
name = "kept"
allow_subscribe_for_client = true
history_size = 10
history_ttl = "60s"

[[channel.namespaces]]
name = "bare"
allow_subscribe_for_client = true
"#;

#[tokio::test]
async fn publish_answers_offset_and_epoch_where_history_is_kept() {
    let server = Server::with(NAMESPACES).await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    let position = socket.subscribe("kept:a").await;
    for number in 1..=2 {
        let body = json!({"channel": "kept:a", "data": {"n": number}, "tags": {"k": "v"}});
        let result = api.server_result("publish", &body).await;
        assert_eq!(result["offset"], json!(number), "{result}");
        if !position.epoch.is_empty() {
            assert_eq!(result["epoch"], json!(position.epoch), "{result}");
        }
        let publication = socket.publication("kept:a").await;
        assert_eq!(publication["data"], json!({"n": number}));
        assert_eq!(publication["tags"]["k"], "v", "{publication}");
    }
    socket.subscribe("bare:a").await;
    let body = json!({"channel": "bare:a", "data": "text"});
    let result = api.server_result("publish", &body).await;
    assert!(result["offset"].as_u64().unwrap_or(0) == 0, "{result}");
    assert_eq!(socket.publication("bare:a").await["data"], "text");
}

#[tokio::test]
async fn broadcast_answers_each_channel_for_itself() {
    let server = Server::with(NAMESPACES).await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    for channel in ["kept:a", "kept:b"] {
        socket.subscribe(channel).await;
    }
    let body = json!({"channels": ["kept:a", "nothing:here", "kept:b"], "data": {"n": 1}});
    let result = api.server_result("broadcast", &body).await;
    let responses = result["responses"].as_array().expect("one response a channel");
    assert_eq!(responses.len(), 3, "{result}");
    for at in [0, 2] {
        assert_eq!(responses[at]["result"]["offset"], 1, "{result}");
        assert!(responses[at]["result"]["epoch"].is_string(), "{result}");
    }
    assert_eq!(responses[1]["error"]["code"], 102, "{result}");
    for channel in ["kept:a", "kept:b"] {
        assert_eq!(socket.publication(channel).await["data"], json!({"n": 1}));
    }
}

#[tokio::test]
async fn a_refused_call_answers_error_with_code_and_message() {
    let server = Server::with(NAMESPACES).await;
    let api = server.api();
    for (body, code) in [
        (json!({"channel": "nothing:here", "data": {}}), 102),
        (json!({"channel": "", "data": {}}), 107),
        (json!({"data": {}}), 107),
        (json!({"channel": "kept:a"}), 107),
    ] {
        let answer = api.server_call("publish", &body).await;
        assert_eq!(answer["error"]["code"], code, "{body}: {answer}");
        assert!(answer["error"]["message"].is_string(), "{answer}");
        assert!(answer.get("result").is_none_or(Value::is_null), "{answer}");
    }
    let answer = api.server_call("broadcast", &json!({"channels": [], "data": {}})).await;
    assert_eq!(answer["error"]["code"], 107, "{answer}");
}

#[tokio::test]
async fn a_wrong_or_missing_key_is_401() {
    let server = Server::with(NAMESPACES).await;
    let api = server.api();
    let body = json!({"channel": "kept:a", "data": {}});
    for method in ["publish", "broadcast"] {
        let path = format!("/api/{method}");
        for key in ["", "wrong", &API_KEY[1..], &format!("{API_KEY}x")] {
            let answer = api.post(&path).api_key(key).json(&body).send().await;
            answer.expect(401);
        }
        api.post(&path).json(&body).send().await.expect(401);
        let person = api.person("ada").await;
        let answer = api.post(&path).token(&person.token).json(&body).send().await;
        answer.expect(401);
    }
}

#[tokio::test]
async fn what_is_not_json_is_400_or_error_107() {
    let server = Server::with(NAMESPACES).await;
    let ask = server.api().post("/api/publish").api_key(API_KEY).text("{\"channel\"");
    let answer = ask.send().await;
    assert!(answer.status == 400 || answer.body["error"]["code"] == 107, "{answer}");
}

#[tokio::test]
async fn data_reach_the_subscriber_byte_for_byte_whatever_json_they_are() {
    let server = Server::with(NAMESPACES).await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    socket.subscribe("kept:a").await;
    for data in [
        json!({"type": "mine", "deep": {"list": [1, 2.5, -3, null, true]}}),
        json!("line\nbreak, \u{2028}, 🦀, \"quotes\""),
        json!(12_345_678_901_234_567_u64),
        json!([]),
    ] {
        let body = json!({"channel": "kept:a", "data": data});
        api.server_result("publish", &body).await;
        assert_eq!(socket.publication("kept:a").await["data"], data);
    }
}

#[tokio::test]
async fn what_a_back_end_says_of_a_subscription_holds_for_it() {
    let server = Server::with(
        "relay.wait_timeout = \"10s\"\n[[channel.namespaces]]\nname = \"chat\"\npresence = true\n\
         allow_presence_for_subscriber = true",
    )
    .await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    let user = ada.id.to_string();
    // {"from": "base 64"}
    let body = json!({
        "user": user, "channel": "chat:seen", "info": {"seat": 1}, "b64data": "eyJmcm9tIjogImJhc2UgNjQifQ==",
    });
    api.server_result("subscribe", &body).await;
    let push = socket.push("chat:seen", "subscribe").await;
    assert_eq!(push["data"], json!({"from": "base 64"}), "{push}");
    let present = socket.result("presence", json!({"channel": "chat:seen"})).await;
    let client = socket.hello["client"].as_str().expect("a client has an id").to_owned();
    assert_eq!(present["presence"][&client]["chan_info"], json!({"seat": 1}), "{present}");

    let body = json!({
        "user": user, "channel": "chat:unseen", "override": {"presence": {"value": false}},
        "expire_at": 1,
    });
    api.server_result("subscribe", &body).await;
    socket.push("chat:unseen", "subscribe").await;
    let present = socket.result("presence", json!({"channel": "chat:unseen"})).await;
    assert_eq!(present["presence"], json!({}), "{present}");

    for body in [
        json!({"user": user, "channel": "chat:a", "b64data": "!"}),
        json!({"user": user, "channel": "chat:a", "b64info": "bm8ganNvbg=="}),
    ] {
        assert_eq!(api.server_call("subscribe", &body).await["error"]["code"], 107, "{body}");
    }
    let body = json!({"user": user, "session": "another", "disconnect": {"code": 4500}});
    api.server_result("disconnect", &body).await;
    api.server_result("publish", &json!({"channel": "chat:seen", "b64data": "MQ=="})).await;
    assert_eq!(socket.publication("chat:seen").await["data"], json!(1), "it was not meant");
}
