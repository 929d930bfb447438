//! The published JavaScript SDK, unchanged, over every transport and in both encodings, in Node and in Chromium.

use std::time::Duration;

use serde_json::json;

use super::browser::chromium;
use crate::support::{API_KEY, Cut, Script, Server, installed, skipped, within};

/// What the scenario needs of a channel.
const ROOMS: &str = r#"
relay.wait_timeout = "10s"

[[channel.namespaces]]
name = "room"
presence = true
join_leave = true
allowed_delta_types = ["fossil"]
delta_publish = true
history_size = 100
history_ttl = "60s"
allow_subscribe_for_client = true
allow_publish_for_subscriber = true
allow_history_for_subscriber = true
allow_presence_for_subscriber = true
"#;

/// How long all transports together may take in a debug build on a busy machine; the scripts' own waits are shorter.
const PATIENCE: Duration = Duration::from_mins(4);

/// Starts a server with a post and runs a script against it, which is told where it is and what it may use.
async fn live_through(suite: &str, file: &str, modules: &std::path::Path, first: &[&str]) {
    let server = Server::with(ROOMS).await;
    let api = server.api();
    let ada = api.person("ada").await;
    let post = api.publish(&ada, "A post to be liked").await;
    let post = post["id"].as_str().expect("a post has an id").to_owned();
    let wire = Cut::new(server.address()).await;
    let (address, cut, user) =
        (server.address().to_string(), wire.address().to_string(), ada.id.to_string());
    let mut arguments = first.to_vec();
    arguments.extend([&*address, &*cut, API_KEY, &*user, &*ada.token, &*post]);
    let mut script = Script::start(suite, file, modules, &arguments);
    within(PATIENCE, "the scenario over every transport", async {
        loop {
            let told = script.next().await;
            match told["event"].as_str() {
                Some("done") => return,
                Some("step") => eprintln!("{}", told["name"]),
                Some("cut") => {
                    wire.cut();
                    script.say("cut");
                }
                Some("mend") => {
                    wire.mend();
                    script.say("mend");
                }
                _ => panic!("the scenario failed: {}", json!({"told": told})),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_sdk_in_node_does_everything_over_every_transport() {
    let test = "the_sdk_in_node_does_everything_over_every_transport";
    match installed("sdk").await {
        Ok(modules) => live_through("sdk", "transports.mjs", &modules, &[]).await,
        Err(reason) => skipped(test, &reason),
    }
}

#[tokio::test]
async fn the_sdk_in_chromium_does_everything_over_every_transport() {
    let test = "the_sdk_in_chromium_does_everything_over_every_transport";
    let found = async {
        let (chromium, modules) = (chromium()?, installed("browser").await?);
        Ok::<_, String>((chromium, modules, installed("sdk").await?))
    };
    let (chromium, modules, sdk) = match found.await {
        Ok(found) => found,
        Err(reason) => return skipped(test, &reason),
    };
    let sdk = sdk.to_string_lossy();
    live_through("browser", "transports.mjs", &modules, &[&chromium, &sdk]).await;
}
