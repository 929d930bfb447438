//! What the client of a stream says may reach another node than the stream.

use serde_json::{Value, json};

use super::Nodes;
use crate::support::{PATIENCE, Server, plain_http, within};

fn url(node: &Server, path: &str) -> String {
    format!("http://{}{path}", node.address())
}

#[tokio::test]
async fn emulation_reaches_the_stream_whichever_node_is_asked() {
    let name = "emulation_reaches_the_stream_whichever_node_is_asked";
    let Some(nodes) = Nodes::start(name, 2).await else { return };
    let ada = nodes[0].api().person("ada").await;
    let http = plain_http();
    let connect = json!({"id": 1, "connect": {"token": ada.token}}).to_string();
    let ask = http.post(url(&nodes[0], "/connection/http_stream")).body(connect);
    let mut stream = ask.send().await.expect("the node answers");
    let mut buffer = Vec::new();
    let mut next = async || {
        within(PATIENCE, "a message of the stream", async {
            loop {
                if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = buffer.drain(..=end).collect();
                    let message: Value = serde_json::from_slice(&line).expect("a line is JSON");
                    if message != json!({}) {
                        return message;
                    }
                    continue;
                }
                let chunk = stream.chunk().await.expect("the stream goes on");
                buffer.extend_from_slice(&chunk.expect("the stream goes on"));
            }
        })
        .await
    };
    let hello = next().await["connect"].clone();
    // Commands one after the other: which of two requests arrives first, nobody promises.
    for (id, node) in [(2, 1), (3, 0), (4, 1)] {
        let command = json!({"id": id, "subscribe": {"channel": format!("tag:t{id}")}});
        let body = json!({
            "session": hello["session"], "node": hello["node"], "data": command.to_string(),
        });
        let answer = http.post(url(&nodes[node], "/emulation")).json(&body).send().await;
        assert_eq!(answer.expect("the node answers").status(), 204);
        let reply = next().await;
        assert_eq!(reply["id"], json!(id), "{reply}");
        assert!(reply["subscribe"].is_object(), "{reply}");
    }
}
