//! Who is there is one list on all nodes, and nobody stays on it longer than the node that he was connected to.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Nodes;
use crate::support::{PATIENCE, Socket, id, until};

/// How long a client is taken to be there after its node last said so.
const EXPIRY: Duration = Duration::from_secs(60);

/// The clients who are there, as one of them is told.
async fn present(socket: &mut Socket, channel: &str) -> BTreeSet<String> {
    let result = socket.result("presence", json!({"channel": channel})).await;
    let present = result["presence"].as_object().expect("presence answers who is there");
    present.keys().cloned().collect()
}

/// How many clients and how many users are there, as one of them is told.
async fn counted(socket: &mut Socket, channel: &str) -> (u64, u64) {
    let stats = socket.result("presence_stats", json!({"channel": channel})).await;
    let count = |field: &str| stats[field].as_u64().unwrap_or_else(|| panic!("{field}: {stats}"));
    (count("num_clients"), count("num_users"))
}

fn client(socket: &Socket) -> String {
    socket.hello["client"].as_str().expect("a client has an id").to_owned()
}

#[tokio::test]
async fn presence_is_one_list_and_forgets_a_node_that_was_killed() {
    let name = "presence_is_one_list_and_forgets_a_node_that_was_killed";
    let Some(mut nodes) = Nodes::start(name, 3).await else { return };
    let (ada, bob) = (nodes[0].api().person("ada").await, nodes[0].api().person("bob").await);
    let post = nodes[0].api().publish(&ada, "Attended").await;
    let channel = format!("post:{}", id(&post));
    let mut sockets = nodes.sockets(&ada, &[&channel]).await;
    sockets.extend(nodes.sockets(&bob, &[&channel]).await);
    let all: BTreeSet<_> = sockets.iter().map(client).collect();
    for socket in &mut sockets {
        assert_eq!(present(socket, &channel).await, all);
        assert_eq!(counted(socket, &channel).await, (6, 2));
    }

    // One leaves, and the other nodes see it.
    let left = client(&sockets[5]);
    sockets[5].result("unsubscribe", json!({"channel": channel})).await;
    let mut stay: BTreeSet<_> = all.iter().filter(|client| **client != left).cloned().collect();
    for socket in sockets.iter_mut().take(5) {
        assert_eq!(present(socket, &channel).await, stay);
    }
    // Another is cut off; its node notices.
    let cut = sockets.remove(4);
    stay.remove(&client(&cut));
    cut.cut();
    until(PATIENCE, "the one who was cut off to be gone", async || {
        (present(&mut sockets[0], &channel).await == stay).then_some(())
    })
    .await;

    // A node dies: its clients go within the expiry, those of the others stay for longer than that.
    let dead = [client(&sockets[0]), client(&sockets[3])];
    let since = Instant::now();
    nodes[0].kill();
    stay.retain(|client| !dead.contains(client));
    assert_eq!(stay, BTreeSet::from([client(&sockets[1]), client(&sockets[2])]));
    // Both are asked again and again, which answers the pings of their nodes as well.
    until(EXPIRY + PATIENCE, "the clients of the dead node to be gone", async || {
        let mut gone = true;
        for socket in &mut sockets[1..3] {
            let here = present(socket, &channel).await;
            assert!(here.is_superset(&stay), "those who are there are renewed: {here:?}");
            gone &= here == stay;
        }
        // They stay for longer than they would unless they were renewed.
        (gone && since.elapsed() > EXPIRY).then_some(())
    })
    .await;
    assert_eq!(counted(&mut sockets[2], &channel).await, (2, 1));
}
