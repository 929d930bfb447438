//! The published Python clients, unchanged, against this server. What they hear is judged in their scripts, which tell of
//! each case that passed; a failure stands on the script's stderr.

use serde_json::{Value, json};

use crate::support::{API_KEY, Cut, PATIENCE, Script, Server, python, skipped, within};

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

/// What the script of the journeys is told, apart from whether the wire carries JSON or protobuf.
async fn journey(protobuf: bool, test: &str) {
    let interpreter = match python("sdk").await {
        Ok(interpreter) => interpreter,
        Err(reason) => return skipped(test, &reason),
    };
    let mut server = Server::with(SETTINGS).await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    // It keeps its address while the server, killed and started again, gets another.
    let wire = Cut::new(server.address()).await;
    let settings = json!({
        "url": format!("http://{}", wire.address()),
        "socket": format!("ws://{}/connection/websocket", wire.address()),
        "key": API_KEY, "secret": "secret of a back end", "protobuf": protobuf,
        "ada": {"id": ada.id, "token": ada.token}, "bob": {"id": bob.id, "token": bob.token},
    });
    let mut script = Script::python("sdk", "centrifuge_journey.py", &interpreter, &settings);
    for case in ["commands", "unsubscriptions", "refreshes"] {
        assert_eq!(next(&mut script).await, json!({"event": "passed", "case": case}));
    }
    assert_eq!(next(&mut script).await, json!({"event": "kill"}));
    wire.cut();
    let missed = ["Missed 1", "Missed 2", "Missed 3", "After the kill"];
    for title in &missed[..3] {
        api.publish(&ada, title).await;
    }
    server.restart().await;
    server.api().publish(&ada, missed[3]).await;
    wire.lead_to(server.address());
    wire.mend();
    script.say(&json!(missed).to_string());
    assert_eq!(passed(&mut script).await, ["a killed hub", "closes"]);
}

#[tokio::test]
async fn the_python_client_lives_through_expiry_a_kill_and_the_end_of_its_session() {
    let test = "the_python_client_lives_through_expiry_a_kill_and_the_end_of_its_session";
    journey(false, test).await;
}

#[tokio::test]
async fn the_python_client_does_so_in_protobuf() {
    let test = "the_python_client_does_so_in_protobuf";
    journey(true, test).await;
}
