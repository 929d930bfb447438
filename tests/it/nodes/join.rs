//! Who comes and goes on one node is told on all.

use serde_json::{Value, json};

use super::Nodes;
use crate::support::Socket;

const NAMESPACE: &str = r#"
[[channel.namespaces]]
name = "room"
allow_subscribe_for_client = true
presence = true
allow_presence_for_subscriber = true
join_leave = true
history_size = 100
history_ttl = "300s"
force_recovery = true
"#;

const CHANNEL: &str = "room:a";

fn client(socket: &Socket) -> Value {
    socket.hello["client"].clone()
}

/// Expects the next push of the channel on every socket to be of this kind and about this client.
async fn expect(sockets: &mut [Socket], kind: &str, about: &Value) {
    for (node, socket) in sockets.iter_mut().enumerate() {
        let push = socket.any_push(CHANNEL).await;
        assert_eq!(push[kind]["info"]["client"], *about, "{kind} on node {node}: {push}");
    }
}

#[tokio::test]
async fn who_comes_and_goes_on_one_node_is_told_on_all() {
    let name = "who_comes_and_goes_on_one_node_is_told_on_all";
    let Some(nodes) = Nodes::with(name, 2, |start| start.settings(NAMESPACE)).await else { return };
    let (ada, bob) = (nodes[0].api().person("ada").await, nodes[0].api().person("bob").await);
    let mut sockets = nodes.sockets(&ada, &[]).await;
    let ids: Vec<_> = sockets.iter().map(client).collect();
    let ask = json!({"channel": CHANNEL, "join_leave": true});
    for (n, id) in ids.iter().enumerate() {
        sockets[n].result("subscribe", ask.clone()).await;
        expect(&mut sockets[..=n], "join", id).await;
    }
    for n in 0..2 {
        let mut came = nodes[n].socket(&bob.token).await;
        came.subscribe(CHANNEL).await;
        let id = client(&came);
        expect(&mut sockets, "join", &id).await;
        for socket in &mut sockets {
            let result = socket.result("presence", json!({"channel": CHANNEL})).await;
            let present = result["presence"].as_object().expect("presence answers who is there");
            assert!(present.contains_key(id.as_str().expect("an id")), "{result}");
        }
        came.result("unsubscribe", json!({"channel": CHANNEL})).await;
        expect(&mut sockets, "leave", &id).await;
        came.subscribe(CHANNEL).await;
        expect(&mut sockets, "join", &id).await;
        came.cut();
        expect(&mut sockets, "leave", &id).await;
        // None of it is a publication: none is missing before this one.
        let body = json!({"channel": CHANNEL, "data": {"n": n}});
        nodes[n].api().server_result("publish", &body).await;
        for socket in &mut sockets {
            let push = socket.any_push(CHANNEL).await;
            assert_eq!(push["pub"]["offset"], json!(n + 1), "{push}");
        }
    }
}
