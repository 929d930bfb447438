//! A subscriber loses its connection, misses something, and comes back.

use serde_json::{Value, json};

use crate::support::{Cut, Position, Server, Socket, title, titles};

#[tokio::test]
async fn who_comes_back_gets_exactly_what_was_missed_in_order_and_once() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let wire = Cut::new(server.address()).await;
    let mut socket = Socket::connected(wire.address(), &bob.token).await;
    let start = socket.subscribe("feed:all").await;
    api.publish(&ada, "Seen").await;
    let seen = socket.publication("feed:all").await;
    let since =
        Position { epoch: start.epoch, offset: seen["offset"].as_u64().expect("an offset") };
    wire.cut();
    drop(socket);
    for number in 1..=3 {
        api.publish(&ada, &format!("Missed {number}")).await;
    }
    wire.mend();

    let mut socket = Socket::connected(wire.address(), &bob.token).await;
    let back = socket.recover("feed:all", &since).await;
    assert!(back.recovered);
    assert_eq!(titles(&back.publications), ["Missed 1", "Missed 2", "Missed 3"]);
    let offsets: Vec<_> = back.publications.iter().map(|p| p["offset"].clone()).collect();
    let wanted: Vec<_> = (1..=3).map(|n| json!(since.offset + n)).collect();
    assert_eq!(offsets, wanted);
    assert_eq!(back.position.epoch, since.epoch);
    assert_eq!(back.position.offset, since.offset + 3);

    api.publish(&ada, "Live again").await;
    let live = socket.publication("feed:all").await;
    assert_eq!(title(&live), "Live again");
    assert_eq!(live["offset"], json!(since.offset + 4));
    assert_eq!(socket.left("feed:all").await, Vec::<Value>::new(), "nothing twice");
}

#[tokio::test]
async fn who_missed_nothing_recovers_nothing() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    api.publish(&ada, "Before").await;
    let mut socket = server.socket(&ada.token).await;
    let position = socket.subscribe("feed:all").await;
    assert_eq!(position.offset, 1);
    socket.cut();
    let mut socket = server.socket(&ada.token).await;
    let back = socket.recover("feed:all", &position).await;
    assert!(back.recovered);
    assert_eq!(back.publications, Vec::<Value>::new());
    assert_eq!(back.position, position);
}

#[tokio::test]
async fn an_empty_epoch_matches_any() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    for number in 1..=3 {
        api.publish(&ada, &format!("Post {number}")).await;
    }
    let mut socket = server.socket(&ada.token).await;
    let since = Position { epoch: String::new(), offset: 1 };
    let back = socket.recover("feed:all", &since).await;
    assert!(back.recovered);
    assert_eq!(titles(&back.publications), ["Post 2", "Post 3"]);
}

#[tokio::test]
async fn a_long_absence_is_made_good_page_by_page_before_anything_live() {
    let server = Server::with("client.recovery_max_publication_limit = 5").await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    let since = socket.subscribe("feed:all").await;
    socket.cut();
    for number in 1..=23 {
        api.publish(&ada, &format!("Missed {number}")).await;
    }
    let mut socket = server.socket(&ada.token).await;
    let back = socket.recover("feed:all", &since).await;
    assert!(back.recovered);
    assert!(back.publications.len() <= 5, "the reply holds the first page");
    api.publish(&ada, "Live").await;
    let mut got = titles(&back.publications);
    while got.len() < 24 {
        got.push(title(&socket.publication("feed:all").await));
    }
    let mut wanted: Vec<_> = (1..=23).map(|n| format!("Missed {n}")).collect();
    wanted.push("Live".to_owned());
    assert_eq!(got, wanted);
    assert_eq!(socket.left("feed:all").await, Vec::<Value>::new(), "nothing twice");
}

#[tokio::test]
async fn recovery_while_others_write_leaves_no_hole_and_repeats_nothing() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    let mut since = socket.subscribe("feed:all").await;
    let writer = {
        let (api, ada) = (api.clone(), ada.clone());
        tokio::spawn(async move {
            for number in 1..=60 {
                api.publish(&ada, &format!("Post {number}")).await;
            }
        })
    };
    let mut got = Vec::new();
    while got.len() < 60 {
        socket.cut();
        socket = server.socket(&ada.token).await;
        let back = socket.recover("feed:all", &since).await;
        assert!(back.recovered);
        let mut fresh = back.publications;
        if since.offset + (fresh.len() as u64) < 60 {
            fresh.push(socket.publication("feed:all").await);
        }
        for publication in &fresh {
            since.offset += 1;
            assert_eq!(publication["offset"], json!(since.offset), "no hole, no repeat");
        }
        got.extend(titles(&fresh));
    }
    writer.await.expect("the writer wrote everything");
    let wanted: Vec<_> = (1..=60).map(|n| format!("Post {n}")).collect();
    assert_eq!(got, wanted);
}

#[tokio::test]
async fn a_window_namespace_says_so_when_the_window_is_too_short() {
    let server = Server::with(
        "[[channel.namespaces]]\nname = \"chat\"\nallow_subscribe_for_client = true\n\
         history_size = 3\nhistory_ttl = \"300s\"\nforce_recovery = true\n",
    )
    .await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    let since = socket.subscribe("chat:room").await;
    socket.cut();
    for number in 1..=2 {
        let body = json!({"channel": "chat:room", "data": {"number": number}});
        api.server_result("publish", &body).await;
    }
    let mut socket = server.socket(&ada.token).await;
    let back = socket.recover("chat:room", &since).await;
    assert!(back.recovered, "two of three still fit");
    assert_eq!(back.publications.len(), 2);
    socket.cut();
    for number in 3..=6 {
        let body = json!({"channel": "chat:room", "data": {"number": number}});
        api.server_result("publish", &body).await;
    }
    let mut socket = server.socket(&ada.token).await;
    let back = socket.recover("chat:room", &since).await;
    assert!(!back.recovered, "six do not fit, and it says so");
    assert_eq!(back.position.offset, 6);
}
