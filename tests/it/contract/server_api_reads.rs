//! What a back end reads through the server API, removes, and asks for in one request.

use serde_json::{Value, json};

use crate::support::{API_KEY, Server};

const NAMESPACES: &str = r#"
relay.wait_timeout = "10s"

[[channel.namespaces]]
name = "kept"
allow_subscribe_for_client = true
presence = true
history_size = 10
history_ttl = "60s"

[[channel.namespaces]]
name = "bare"
allow_subscribe_for_client = true
"#;

async fn code(server: &Server, method: &str, body: Value) -> u64 {
    let answer = server.api().server_call(method, &body).await;
    answer["error"]["code"].as_u64().unwrap_or_else(|| panic!("{method} {body}: {answer}"))
}

#[tokio::test]
async fn presence_and_history_are_read_and_history_is_removed() {
    let server = Server::with(NAMESPACES).await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    socket.subscribe("kept:a").await;
    let client = socket.hello["client"].as_str().expect("a client has an id").to_owned();
    let channel = json!({"channel": "kept:a"});
    let present = api.server_result("presence", &channel).await;
    assert_eq!(present["presence"][&client]["user"], json!(ada.id.to_string()), "{present}");
    let stats = api.server_result("presence_stats", &channel).await;
    assert_eq!(stats, json!({"num_clients": 1, "num_users": 1}));

    for number in 1..=3 {
        let body = json!({"channel": "kept:a", "data": {"n": number}, "tags": {"t": "x"}});
        api.server_result("publish", &body).await;
    }
    let offsets = |page: &Value| {
        let publications = page["publications"].as_array().expect("a page has publications");
        publications.iter().map(|one| one["offset"].as_u64().unwrap_or(0)).collect::<Vec<_>>()
    };
    let none = api.server_result("history", &channel).await;
    assert_eq!((offsets(&none), &none["offset"]), (vec![], &json!(3)), "{none}");
    let all = api.server_result("history", &json!({"channel": "kept:a", "limit": -1})).await;
    assert_eq!(offsets(&all), [1, 2, 3], "{all}");
    assert_eq!(all["publications"][0]["tags"], json!({"t": "x"}));
    let since = json!({"offset": 3, "epoch": all["epoch"]});
    let body = json!({"channel": "kept:a", "limit": 1, "reverse": true, "since": since});
    assert_eq!(offsets(&api.server_result("history", &body).await), [2]);
    let since = json!({"offset": 3, "epoch": "other"});
    assert_eq!(code(&server, "history", json!({"channel": "kept:a", "since": since})).await, 112);

    api.server_result("history_remove", &channel).await;
    let left = api.server_result("history", &json!({"channel": "kept:a", "limit": -1})).await;
    assert_eq!((offsets(&left), &left["offset"]), (vec![], &json!(3)), "{left}");
}

#[tokio::test]
async fn what_cannot_be_answered_has_the_code_of_the_protocol() {
    let server = Server::with(NAMESPACES).await;
    for method in ["presence", "presence_stats", "history", "history_remove"] {
        assert_eq!(code(&server, method, json!({"channel": "bare:a"})).await, 108, "{method}");
        assert_eq!(code(&server, method, json!({"channel": "nope:a"})).await, 102, "{method}");
        assert_eq!(code(&server, method, json!({})).await, 107, "{method}");
    }
    for method in ["subscribe", "unsubscribe"] {
        assert_eq!(code(&server, method, json!({"user": "1", "channel": "nope:a"})).await, 102);
    }
    let ending = json!({"user": "1", "disconnect": {"code": 1000, "reason": ""}});
    assert_eq!(code(&server, "disconnect", ending).await, 107);
    let methods = ["subscribe", "disconnect", "presence", "history", "channels", "info", "batch"];
    for method in methods {
        let ask = server.api().post(&format!("/api/{method}")).json(&json!({}));
        ask.send().await.problem_coded(401, "invalid_api_key");
    }
}

#[tokio::test]
async fn a_batch_answers_each_call_in_its_place() {
    let server = Server::with(NAMESPACES).await;
    for parallel in [false, true] {
        let commands = json!([
            {"publish": {"channel": "kept:b", "data": {"n": 1}}},
            {"dance": {}},
            {"history": {"channel": "nope:b"}},
            {"broadcast": {"channels": ["kept:b", "nope:b"], "data": {}}},
            {"presence_stats": {"channel": "kept:b"}},
            {"info": {}, "channels": {}},
        ]);
        let body = json!({"commands": commands, "parallel": parallel});
        let answer = server.api().post("/api/batch").api_key(API_KEY).json(&body).send().await;
        let replies = answer.expect(200)["replies"].as_array().expect("replies").clone();
        assert_eq!(replies.len(), 6, "{replies:?}");
        assert!(replies[0]["publish"]["offset"].is_u64(), "{}", replies[0]);
        assert_eq!(replies[1]["error"]["code"], json!(108));
        assert_eq!(replies[2]["error"]["code"], json!(102));
        assert_eq!(replies[3]["broadcast"]["responses"][1]["error"]["code"], json!(102));
        assert_eq!(replies[4]["presence_stats"], json!({"num_clients": 0, "num_users": 0}));
        assert_eq!(replies[5]["error"]["code"], json!(107));
    }
}
