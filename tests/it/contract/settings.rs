//! What the program refuses to start with, and how it says so.

use crate::support::{Server, Start};

#[tokio::test]
async fn every_unknown_key_of_file_and_environment_is_listed() {
    let (status, stderr) = Start::default()
        .settings("client.frobnicate = 1\nhttp_api.keyy = \"x\"\n[nonsense]\ndeep = true")
        .environment("CARILLON_CLIENT__WIBBLE", "1")
        .environment("CARILLON_WHATEVER", "1")
        .refused()
        .await;
    assert!(!status.success());
    for key in ["client.frobnicate", "http_api.keyy", "nonsense", "client.wibble", "whatever"] {
        let listed = stderr.to_lowercase().contains(key);
        assert!(listed, "{key} is listed:\n{stderr}");
    }
}

#[tokio::test]
async fn bad_values_and_unknown_schemes_are_listed_with_their_keys() {
    let (status, stderr) = Start::default()
        .settings("accounts.url = \"oracle://somewhere\"\nclient.ping_interval = \"soon\"")
        .environment("CARILLON_CLIENT__INSECURE", "perhaps")
        .refused()
        .await;
    assert!(!status.success());
    for key in ["accounts.url", "client.ping_interval", "client.insecure"] {
        assert!(stderr.contains(key), "{key} is listed:\n{stderr}");
    }
}

#[tokio::test]
async fn variables_of_the_tests_are_no_settings() {
    let server = Start::default().environment("CARILLON_TEST_SOMETHING", "1").run().await;
    server.api().get("/health/live").send().await.expect(200);
}

#[tokio::test]
async fn the_environment_wins_over_the_file() {
    let server = Start::default()
        .settings("client.channel_limit = 7")
        .environment("CARILLON_CLIENT__CHANNEL_LIMIT", "1")
        .run()
        .await;
    let ada = server.api().person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    let mut refused = None;
    for channel in ["feed:all", "tag:a", "tag:b"] {
        let params = serde_json::json!({"channel": channel});
        let reply = socket.reply("subscribe", params).await;
        refused = refused.or(reply["error"]["code"].as_u64());
    }
    assert_eq!(refused, Some(106), "with a limit of seven nothing is refused");
}

#[tokio::test]
async fn without_settings_it_runs_embedded() {
    let server = Server::start().await;
    assert!(server.data().is_dir(), "the data are where --data says");
}
