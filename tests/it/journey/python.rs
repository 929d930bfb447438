//! The published Python clients, unchanged, against this server. What they hear is judged in their scripts, which tell of
//! each case that passed; a failure stands on the script's stderr.

use serde_json::{Value, json};

use crate::support::{API_KEY, PATIENCE, Script, Server, python, skipped, within};

const SETTINGS: &str = r#"
relay.wait_timeout = "10s"
client.token.hmac_secret_key = "secret of a back end"

[[channel.namespaces]]
name = "chat"
presence = true
allow_subscribe_for_client = true
allow_publish_for_subscriber = true
allow_presence_for_subscriber = true
allow_history_for_subscriber = true
history_size = 20
history_ttl = "60s"
force_recovery = true

[[channel.namespaces]]
name = "bare"
"#;

/// Waits for the next thing that a script tells, which may have waited for several things itself.
async fn next(script: &mut Script) -> Value {
    within(PATIENCE * 4, "the script to tell something", script.next()).await
}

/// Follows a script to its end: the cases that passed.
async fn passed(script: &mut Script) -> Vec<String> {
    let mut cases = Vec::new();
    loop {
        let told = next(script).await;
        match told["event"].as_str() {
            Some("passed") => cases.push(told["case"].as_str().unwrap_or_default().to_owned()),
            Some("done") => return cases,
            _ => panic!("the script tells {told}"),
        }
    }
}

#[tokio::test]
async fn the_python_client_of_the_server_api_has_every_method_answered() {
    let test = "the_python_client_of_the_server_api_has_every_method_answered";
    let interpreter = match python("sdk").await {
        Ok(interpreter) => interpreter,
        Err(reason) => return skipped(test, &reason),
    };
    let server = Server::with(SETTINGS).await;
    let ada = server.api().person("ada").await;
    let settings = json!({
        "url": format!("http://{}", server.address()),
        "socket": format!("ws://{}/connection/websocket", server.address()),
        "key": API_KEY, "user": ada.id.to_string(), "token": ada.token,
    });
    let mut script = Script::python("sdk", "cent_calls.py", &interpreter, &settings);
    assert_eq!(passed(&mut script).await, ["synchronous", "asynchronous", "wrong keys"]);
}
