//! Publications reach the subscribers of every node: the same ones, in the same order, under the same offsets.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::Nodes;
use crate::support::{Person, Position, Server, Socket, event_id, id, titles};

/// The next so many publications of a channel, which have consecutive offsets.
async fn next(socket: &mut Socket, channel: &str, count: usize) -> Vec<Value> {
    let mut told: Vec<Value> = Vec::new();
    for _ in 0..count {
        let publication = socket.publication(channel).await;
        if let Some(last) = told.last() {
            let last = last["offset"].as_u64().expect("an offset");
            assert_eq!(publication["offset"], json!(last + 1), "in {channel}: {publication}");
        }
        told.push(publication);
    }
    told
}

/// The next so many publications of a channel, which are the same on every socket.
async fn same(sockets: &mut [Socket], channel: &str, count: usize) -> Vec<Value> {
    let mut told = Vec::new();
    for socket in sockets.iter_mut() {
        told.push(next(socket, channel, count).await);
    }
    for (number, here) in told.iter().enumerate() {
        assert_eq!(here, &told[0], "node {number} told the same in {channel} as the first");
    }
    told.swap_remove(0)
}

/// Nothing has come in these channels that was not asked for.
async fn nothing_more(sockets: &mut [Socket], channels: &[&str]) {
    for socket in sockets {
        for channel in channels {
            assert_eq!(socket.left(channel).await, Vec::<Value>::new(), "in {channel}");
        }
    }
}

#[tokio::test]
async fn what_one_node_writes_reaches_the_subscribers_of_all() {
    let name = "what_one_node_writes_reaches_the_subscribers_of_all";
    let Some(nodes) = Nodes::start(name, 3).await else { return };
    let (ada, bob) = (nodes[0].api().person("ada").await, nodes[1].api().person("bob").await);
    let lists = ["feed:all", "tag:nodes", "kept:room"];
    let mut sockets = nodes.sockets(&bob, &lists).await;
    let mut ids = Vec::new();
    for (number, node) in nodes.iter().enumerate() {
        let api = node.api();
        let title = format!("From node {number}");
        let body = json!({"title": title, "content": "Content.", "tags": ["nodes"]});
        let post = api.publish_body(&ada, &body).await;
        for list in ["feed:all", "tag:nodes"] {
            let told = same(&mut sockets, list, 1).await;
            assert_eq!((&told[0]["data"]["post"]["id"]), &post["id"], "{told:?}");
            assert_eq!(told[0]["offset"], json!(number + 1), "{told:?}");
        }
        let channel = format!("post:{}", id(&post));
        for socket in &mut sockets {
            socket.subscribe(&channel).await;
        }
        assert_eq!(api.like(&bob, id(&post)).await["likes"], 1);
        let comment = api.comment(&bob, id(&post), "Seen everywhere.").await;
        let told = same(&mut sockets, &channel, 2).await;
        assert_eq!(told[0]["data"]["type"], "post.liked", "{told:?}");
        assert_eq!(told[1]["data"]["comment"]["id"], comment["id"], "{told:?}");
        assert_eq!(told[1]["data"]["counts"]["likes"], 1, "{told:?}");
        ids.extend(told.iter().map(event_id));

        let bare = json!({"channel": "kept:room", "data": {"node": number}});
        let result = api.server_result("publish", &bare).await;
        let told = same(&mut sockets, "kept:room", 1).await;
        assert_eq!(told[0]["data"], json!({"node": number}));
        assert_eq!(told[0]["offset"], result["offset"], "{result}");
        nothing_more(&mut sockets, &[channel.as_str()]).await;
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6, "every event has an id of its own");
    nothing_more(&mut sockets, &lists).await;
}

#[tokio::test]
async fn what_all_nodes_write_at_once_has_one_order_on_all() {
    const EACH: usize = 40;
    let name = "what_all_nodes_write_at_once_has_one_order_on_all";
    let Some(nodes) = Nodes::start(name, 3).await else { return };
    let ada = nodes[0].api().person("ada").await;
    let mut sockets = nodes.sockets(&ada, &["kept:room", "feed:all"]).await;
    let write = async |number: usize, node: &Server| {
        let api = node.api();
        for count in 0..EACH {
            let bare = json!({"channel": "kept:room", "data": {"node": number, "count": count}});
            api.server_result("publish", &bare).await;
            if count % 4 == 0 {
                api.publish(&ada, &format!("{count} of node {number}")).await;
            }
        }
    };
    join_all(nodes.iter().enumerate().map(|(number, node)| write(number, node))).await;
    let told = same(&mut sockets, "kept:room", 3 * EACH).await;
    assert_eq!(told[0]["offset"], json!(1));
    for number in 0..3 {
        let of_node = told.iter().filter(|told| told["data"]["node"] == json!(number));
        let counts: Vec<_> = of_node.map(|told| told["data"]["count"].clone()).collect();
        let wanted: Vec<_> = (0..EACH).map(|count| json!(count)).collect();
        assert_eq!(counts, wanted, "what one wrote after the other comes after the other");
    }
    let mut posts = titles(&same(&mut sockets, "feed:all", 3 * EACH / 4).await);
    posts.sort();
    posts.dedup();
    assert_eq!(posts.len(), 3 * EACH / 4, "every post once");
    nothing_more(&mut sockets, &["kept:room", "feed:all"]).await;
}

/// What the reply to subscribe says was before is not told again, and what comes after it is not left out, however the
/// two ways on which a node hears of one publication overtake each other.
#[tokio::test]
async fn who_subscribes_while_others_write_misses_nothing_and_hears_nothing_twice() {
    let name = "who_subscribes_while_others_write_misses_nothing_and_hears_nothing_twice";
    let Some(nodes) = Nodes::start(name, 2).await else { return };
    let ada = nodes[0].api().person("ada").await;
    let writers = [0, 0, 1].map(|number| {
        let api = nodes[number].api();
        tokio::spawn(async move {
            loop {
                let bare = json!({"channel": "kept:room", "data": {}});
                api.server_result("publish", &bare).await;
            }
        })
    });
    let mut since: Option<Position> = None;
    for round in 0..60 {
        let mut socket = nodes[round % 2].socket(&ada.token).await;
        let mut last = match &since {
            // Every other time it recovers what it missed, if that is little enough to be kept.
            Some(since) if round % 4 > 1 => {
                let back = socket.recover("kept:room", since).await;
                let offsets = back.publications.iter().map(|told| told["offset"].as_u64());
                let wanted = since.offset + 1..=back.position.offset;
                assert!(!back.recovered || offsets.eq(wanted.map(Some)), "round {round}");
                back.position.offset
            }
            _ => socket.subscribe("kept:room").await.offset,
        };
        for _ in 0..4 {
            let told = socket.publication("kept:room").await;
            assert_eq!(told["offset"], json!(last + 1), "round {round}: neither hole nor repeat");
            last += 1;
        }
        // An empty epoch is any.
        since = Some(Position { epoch: String::new(), offset: last });
    }
    writers.iter().for_each(tokio::task::JoinHandle::abort);
}

/// The counts of a post as every node answers them.
async fn counts(nodes: &Nodes, reader: &Person, post: &str) -> Value {
    let mut counts = Vec::new();
    for node in nodes.iter() {
        counts.push(node.api().read_post(reader, post).await["counts"].clone());
    }
    assert!(counts.iter().all(|here| *here == counts[0]), "{counts:?}");
    counts.swap_remove(0)
}

#[tokio::test]
async fn likes_from_all_nodes_add_up() {
    const PEOPLE: usize = 9;
    let name = "likes_from_all_nodes_add_up";
    let Some(nodes) = Nodes::start(name, 3).await else { return };
    let api = nodes[0].api();
    let mut people = Vec::new();
    for _ in 0..PEOPLE {
        people.push(api.person("fan").await);
    }
    for round in 0..4 {
        let post = api.publish(&people[0], &format!("Round {round}")).await;
        let channel = format!("post:{}", id(&post));
        let mut sockets = nodes.sockets(&people[0], &[&channel]).await;
        let at = |number: usize| nodes[(number + round) % 3].api();
        let likes = people.iter().enumerate().map(|(number, person)| {
            let (api, post) = (at(number), id(&post));
            async move { api.like(person, post).await }
        });
        join_all(likes).await;
        let told = same(&mut sockets, &channel, PEOPLE).await;
        let last = &told[PEOPLE - 1]["data"]["counts"];
        assert_eq!(last["likes"], json!(PEOPLE), "the last one is true: {told:?}");
        assert_eq!(counts(&nodes, &people[0], id(&post)).await["likes"], json!(PEOPLE));

        // Some take theirs back while others comment, each on another node than before.
        let rest = people.iter().enumerate().map(|(number, person)| {
            let (api, post) = (at(number + 1), id(&post));
            async move {
                if number % 3 == 0 {
                    api.unlike(person, post).await;
                } else {
                    api.comment(person, post, "Said at once.").await;
                }
            }
        });
        join_all(rest).await;
        let told = same(&mut sockets, &channel, PEOPLE).await;
        let last = &told[PEOPLE - 1]["data"]["counts"];
        let wanted = (json!(PEOPLE - PEOPLE / 3), json!(PEOPLE - PEOPLE / 3));
        assert_eq!((&last["likes"], &last["comments"]), (&wanted.0, &wanted.1), "{told:?}");
        let read = counts(&nodes, &people[0], id(&post)).await;
        assert_eq!((&read["likes"], &read["comments"]), (&wanted.0, &wanted.1), "{read}");
        nothing_more(&mut sockets, &[channel.as_str()]).await;
    }
}

#[tokio::test]
async fn who_loses_a_node_recovers_on_another() {
    let name = "who_loses_a_node_recovers_on_another";
    let Some(mut nodes) = Nodes::start(name, 2).await else { return };
    let api = nodes[1].api();
    let ada = nodes[0].api().person("ada").await;
    let mut socket = nodes[0].socket(&ada.token).await;
    let start = socket.subscribe("feed:all").await;
    api.publish(&ada, "Seen").await;
    let seen = next(&mut socket, "feed:all", 1).await;
    let since = Position {
        epoch: start.epoch.clone(),
        offset: seen[0]["offset"].as_u64().expect("an offset"),
    };
    nodes[0].kill();
    for number in 1..=5 {
        api.publish(&ada, &format!("Missed {number}")).await;
    }

    // The session that began on one node is good on the other, and so is the position.
    let mut socket = nodes[1].socket(&ada.token).await;
    let back = socket.recover("feed:all", &since).await;
    assert!(back.recovered);
    assert_eq!(back.position.epoch, start.epoch);
    assert_eq!(back.position.offset, since.offset + 5);
    let missed: Vec<_> = (1..=5).map(|number| format!("Missed {number}")).collect();
    assert_eq!(titles(&back.publications), missed);
    let offsets: Vec<_> = back.publications.iter().map(|p| p["offset"].clone()).collect();
    assert_eq!(offsets, (1..=5).map(|n| json!(since.offset + n)).collect::<Vec<_>>());

    // And back again, once the first one has returned.
    nodes[0].restart().await;
    api.publish(&ada, "Live").await;
    assert_eq!(titles(&next(&mut socket, "feed:all", 1).await), ["Live"]);
    let mut socket = nodes[0].socket(&ada.token).await;
    let back = socket.recover("feed:all", &back.position).await;
    assert!(back.recovered);
    assert_eq!(titles(&back.publications), ["Live"]);
    assert_eq!(back.position, Position { epoch: start.epoch, offset: since.offset + 6 });
}

#[tokio::test]
async fn what_comes_late_by_its_version_is_not_published_on_any_node() {
    let name = "what_comes_late_by_its_version_is_not_published_on_any_node";
    let Some(nodes) = Nodes::start(name, 2).await else { return };
    let ada = nodes[0].api().person("ada").await;
    let mut sockets = nodes.sockets(&ada, &["kept:room"]).await;
    let publish = async |node: usize, version: u64| {
        let body = json!({"channel": "kept:room", "data": version, "version": version});
        nodes[node].api().server_result("publish", &body).await
    };
    assert_eq!(publish(0, 9).await["offset"], 1);
    assert_eq!(publish(1, 9).await, json!({}));
    assert_eq!(publish(1, 8).await, json!({}));
    assert_eq!(publish(1, 10).await["offset"], 2);
    assert_eq!(publish(0, u64::MAX).await["offset"], 3);
    assert_eq!(publish(1, u64::MAX - 1).await, json!({}));
    let body = json!({"channel": "kept:room", "data": "passing", "skip_history": true});
    assert_eq!(nodes[1].api().server_result("publish", &body).await, json!({}));
    for socket in &mut sockets {
        for version in [9, 10, u64::MAX] {
            assert_eq!(socket.publication("kept:room").await["data"], json!(version));
        }
        let publication = socket.publication("kept:room").await;
        assert_eq!((&publication["data"], publication.get("offset")), (&json!("passing"), None));
    }
    nothing_more(&mut sockets, &["kept:room"]).await;
}
