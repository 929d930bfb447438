//! The published JavaScript SDK, unchanged, against this server.

use serde_json::{Value, json};

use crate::support::{Cut, PATIENCE, Script, Server, installed, skipped, within};

/// Waits for the next thing of this kind that the SDK's script tells.
async fn next(script: &mut Script, kind: &str) -> Value {
    within(PATIENCE * 2, &format!("{kind} from the SDK"), async {
        loop {
            let event = script.next().await;
            if event["event"] == kind {
                return event;
            }
            assert_ne!(event["event"], "error", "the SDK reports {event}");
        }
    })
    .await
}

#[tokio::test]
async fn the_javascript_sdk_recovers_what_it_missed_exactly_once_and_in_order() {
    let test = "the_javascript_sdk_recovers_what_it_missed_exactly_once_and_in_order";
    let modules = match installed("sdk").await {
        Ok(modules) => modules,
        Err(reason) => return skipped(test, &reason),
    };
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let wire = Cut::new(server.address()).await;
    let url = format!("ws://{}/connection/websocket", wire.address());
    let mut script = Script::start("sdk", "recover.mjs", &modules, &[&url, &ada.token, "feed:all"]);
    next(&mut script, "subscribed").await;

    let mut wanted = Vec::new();
    let mut told = Vec::new();
    for round in 1..=3 {
        wanted.push(format!("Live {round}"));
        api.publish(&ada, &format!("Live {round}")).await;
        told.push(next(&mut script, "publication").await);
        wire.cut();
        next(&mut script, "connecting").await;
        for number in 1..=3 {
            let title = format!("Missed {round}.{number}");
            api.publish(&ada, &title).await;
            wanted.push(title);
        }
        wire.mend();
        let back = next(&mut script, "subscribed").await;
        assert_eq!(back["wasRecovering"], true, "{back}");
        assert_eq!(back["recovered"], true, "{back}");
        for _ in 1..=3 {
            told.push(next(&mut script, "publication").await);
        }
    }
    api.publish(&ada, "Last").await;
    wanted.push("Last".to_owned());
    told.push(next(&mut script, "publication").await);
    let titles: Vec<_> = told.iter().map(|event| event["title"].as_str().unwrap_or("")).collect();
    assert_eq!(titles, wanted);
    let offsets: Vec<_> = told.iter().map(|event| event["offset"].clone()).collect();
    assert_eq!(offsets, (1..=wanted.len()).map(|n| json!(n)).collect::<Vec<_>>());
}
