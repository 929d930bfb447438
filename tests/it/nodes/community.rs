//! What people do to each other from different nodes: one trending list, follows and inboxes that are live everywhere.

use serde_json::{Value, json};

use super::Nodes;
use crate::support::{PATIENCE, Person, Server, Socket, id, until};

/// A trending list of one hour on a node, with its explanations.
async fn trending(node: &Server) -> Vec<Value> {
    let answer = node.api().get("/v1/trending?window=1h&explain=true").send().await;
    answer.expect(200)["items"].as_array().expect("a list has items").clone()
}

/// What of a list does not fade from one question to the next.
fn essence(items: &[Value]) -> Vec<Value> {
    let essence = |item: &Value| {
        let explain = item["explain"].as_object().expect("it was asked to explain");
        let counts: Value =
            explain.iter().map(|(kind, share)| (kind.clone(), share["count"].clone())).collect();
        json!([item["rank"], item["post_id"], item["title"], item["author"], counts])
    };
    items.iter().map(essence).collect()
}

#[tokio::test]
async fn trending_is_one_list() {
    let name = "trending_is_one_list";
    let Some(nodes) = Nodes::start(name, 3).await else { return };
    let api = nodes[0].api();
    let (ada, bob, eve) =
        (api.person("ada").await, api.person("bob").await, api.person("eve").await);
    let mut sockets = nodes.sockets(&ada, &["trending:1h"]).await;
    let first = nodes[0].api().publish(&ada, "First").await;
    let second = nodes[1].api().publish(&ada, "Second").await;
    nodes[2].api().like(&bob, id(&first)).await;
    nodes[0].api().like(&bob, id(&second)).await;
    nodes[1].api().like(&eve, id(&second)).await;
    nodes[2].api().comment(&eve, id(&second), "Well said.").await;

    let wanted = [
        json!([1, second["id"], "Second", second["author"], {"comments": 1, "likes": 2}]),
        json!([2, first["id"], "First", first["author"], {"likes": 1}]),
    ];
    for node in nodes.iter() {
        until(PATIENCE, "the list on every node", async || {
            let items = trending(node).await;
            let shown = essence(&items);
            let shown = shown.iter().map(without_nothing).collect::<Vec<_>>();
            (shown == wanted).then_some(())
        })
        .await;
    }
    // The list is told to the subscribers of all nodes, once in a publication with the same id and offset.
    let mut told = Vec::new();
    for socket in &mut sockets {
        let mut here = Vec::new();
        loop {
            let publication = socket.told("trending:1h", "trending.changed").await;
            let items = publication["data"]["items"].as_array().expect("a list has items");
            let ranks: Vec<_> = items.iter().map(|item| &item["post_id"]).collect();
            let scores = items.iter().map(|item| item["score"].as_f64().expect("a score"));
            let whole = ranks == [&second["id"], &first["id"]] && scores.sum::<f64>() > 13.5;
            here.push(publication);
            if whole {
                break;
            }
        }
        told.push(here);
    }
    for here in &told {
        assert_eq!(here, &told[0], "every node told the same lists");
    }

    // One who unlikes on one node and one who asks on another.
    nodes[1].api().unlike(&bob, id(&first)).await;
    for node in nodes.iter() {
        until(PATIENCE, "the shorter list on every node", async || {
            (trending(node).await.len() == 1).then_some(())
        })
        .await;
    }
}

/// An essence without the kinds that nobody did.
fn without_nothing(essence: &Value) -> Value {
    let mut essence = essence.clone();
    let counts = essence[4].as_object_mut().expect("counts");
    counts.retain(|_, count| *count != json!(0));
    essence
}

fn inbox_of(person: &Person) -> String {
    format!("notifications:#{}", person.id)
}

/// How many are unread and the version of that count, of whatever carries them.
fn state(of: &Value) -> (u64, u64) {
    let state = of["unread_count"].as_u64().zip(of["version"].as_u64());
    state.unwrap_or_else(|| panic!("unread_count and version: {of}"))
}

async fn created(socket: &mut Socket, of: &Person) -> Value {
    socket.told(&inbox_of(of), "notification.created").await["data"].clone()
}

#[tokio::test]
async fn a_follow_on_one_node_is_heeded_on_the_others_at_once() {
    let name = "a_follow_on_one_node_is_heeded_on_the_others_at_once";
    let Some(nodes) = Nodes::start(name, 3).await else { return };
    let [a, b, c] = [0, 1, 2].map(|number| nodes[number].api());
    let (ada, bob) = (a.person("ada").await, a.person("bob").await);
    let mut sockets = nodes.sockets(&bob, &[]).await;
    for round in 0..5 {
        a.follow(&bob, &ada).await;
        // On the node of the follow, and on one that has to hear of the follow from it.
        let writer = [&a, &c][round % 2];
        let post = writer.publish(&ada, &format!("For followers {round}")).await;
        for socket in &mut sockets {
            let told = created(socket, &bob).await;
            assert_eq!(told["notification"]["type"], "posted", "{told}");
            assert_eq!(told["notification"]["post_id"], post["id"], "{told}");
            assert_eq!(told["notification"]["actor"]["id"], json!(ada.id), "{told}");
        }
        let unfollow = format!("/v1/users/{}/follow", ada.id);
        b.delete(&unfollow).token(&bob.token).send().await.expect(204);
        c.publish(&ada, &format!("For nobody {round}")).await;
        // A marker: what bob hears of next.
        let marker = c.publish(&bob, "A marker").await;
        a.like(&ada, id(&marker)).await;
        for socket in &mut sockets {
            let told = created(socket, &bob).await;
            assert_eq!(told["notification"]["type"], "liked", "{told}");
        }
    }
}

#[tokio::test]
async fn an_inbox_is_live_on_every_node() {
    let name = "an_inbox_is_live_on_every_node";
    let Some(nodes) = Nodes::start(name, 2).await else { return };
    let (a, b) = (nodes[0].api(), nodes[1].api());
    let (ada, bob) = (a.person("ada").await, b.person("bob").await);
    let post = a.publish(&ada, "Noticed").await;
    let mut sockets = nodes.sockets(&ada, &[]).await;
    b.like(&bob, id(&post)).await;
    a.comment(&bob, id(&post), "Well said.").await;
    b.follow(&bob, &ada).await;
    let mut told = Vec::new();
    for socket in &mut sockets {
        let mut here = Vec::new();
        for kind in ["liked", "commented", "followed"] {
            let data = created(socket, &ada).await;
            assert_eq!(data["notification"]["type"], kind, "{data}");
            here.push(data);
        }
        told.push(here);
    }
    assert_eq!(told[0], told[1], "both nodes told the same");
    let last = state(&told[0][2]);
    assert_eq!(last.0, 3);
    for api in [&a, &b] {
        assert_eq!(state(&api.inbox_of(&ada, 3).await), last);
    }

    // Read on one node, and so on the other.
    let path = format!("/v1/notifications/{}/read", id(&told[0][0]["notification"]));
    let answer = b.post(&path).token(&ada.token).send().await;
    let read = state(answer.expect(200));
    assert_eq!(read.0, 2);
    for socket in &mut sockets {
        let told = socket.told(&inbox_of(&ada), "notification.read").await;
        assert_eq!(state(&told["data"]), read, "{told}");
    }
    for node in nodes.iter() {
        assert_eq!(state(&node.api().inbox(&ada).await), read);
        let late = node.socket(&ada.token).await;
        assert_eq!(state(&late.hello["data"]), read, "{}", late.hello);
    }
}
