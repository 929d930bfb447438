//! The server is killed or restarted, on the same data.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use crate::support::{
    Api, PATIENCE, Person, Position, Server, Socket, event_id, pages, title, titles, unique, until,
};

/// Subscribes, hears `count` posts and goes: the position and the event ids heard.
async fn hear(server: &Server, who: &Person, count: usize) -> (Position, HashSet<String>) {
    let api = server.api();
    let mut socket = server.socket(&who.token).await;
    let mut position = socket.subscribe("feed:all").await;
    let mut heard = HashSet::new();
    for number in 1..=count {
        api.publish(who, &format!("Heard {number}")).await;
        let publication = socket.publication("feed:all").await;
        position.offset = publication["offset"].as_u64().expect("an offset");
        heard.insert(event_id(&publication));
    }
    (position, heard)
}

/// The titles not heard before, each at its first occurrence: after a kill an event may be repeated, never lost.
fn unheard(publications: &[Value], heard: &mut HashSet<String>) -> Vec<String> {
    let fresh = publications.iter().filter(|p| heard.insert(event_id(p)));
    fresh.map(title).collect()
}

/// Recovers and reads on until `count` publications that were not heard before have come.
async fn recovered(
    socket: &mut Socket,
    since: &Position,
    heard: &mut HashSet<String>,
    count: usize,
) -> (Position, Vec<String>) {
    let back = socket.recover("feed:all", since).await;
    assert!(back.recovered, "an old position recovers across a restart");
    if back.position.epoch != since.epoch {
        let older = back.publications.iter().take_while(|p| p.get("offset").is_none());
        let rest = back.publications.iter().skip(older.count());
        for publication in rest {
            assert!(publication["offset"].is_u64(), "older epochs come first: {publication}");
        }
    }
    let mut got = unheard(&back.publications, heard);
    while got.len() < count {
        got.extend(unheard(&[socket.publication("feed:all").await], heard));
    }
    (back.position, got)
}

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_listed_and_recovered_after_it() {
    let mut server = Server::start().await;
    let ada = server.api().person("ada").await;
    let (since, mut heard) = hear(&server, &ada, 3).await;
    for number in 1..=4 {
        server.api().publish(&ada, &format!("Missed {number}")).await;
    }
    server.kill();
    server.restart().await;
    server.api().publish(&ada, "After the kill").await;

    let listed = pages(&server.api(), "/v1/feed", 50).await;
    assert_eq!(listed.len(), 8, "every acknowledged post is listed");
    let mut socket = server.socket(&ada.token).await;
    let (position, got) = recovered(&mut socket, &since, &mut heard, 5).await;
    let wanted = ["Missed 1", "Missed 2", "Missed 3", "Missed 4", "After the kill"];
    assert_eq!(got, wanted);

    server.api().publish(&ada, "Live").await;
    let live = socket.publication("feed:all").await;
    assert_eq!(title(&live), "Live");
    assert_eq!(live["offset"], json!(position.offset + 1), "offsets go on");
    assert_eq!(socket.left("feed:all").await, Vec::<Value>::new());
}

#[tokio::test]
async fn after_an_orderly_restart_exactly_what_was_missed_is_recovered() {
    let mut server = Server::start().await;
    let ada = server.api().person("ada").await;
    let (since, _) = hear(&server, &ada, 2).await;
    for number in 1..=3 {
        server.api().publish(&ada, &format!("Missed {number}")).await;
    }
    let ended = server.terminate().await;
    assert!(ended.success(), "TERM ends with status 0: {ended}");
    server.restart().await;
    server.api().publish(&ada, "After").await;

    let mut socket = server.socket(&ada.token).await;
    let back = socket.recover("feed:all", &since).await;
    assert!(back.recovered);
    let got = titles(&back.publications);
    assert_eq!(got, ["Missed 1", "Missed 2", "Missed 3", "After"]);
    if back.position.epoch != since.epoch {
        for publication in &back.publications[..3] {
            assert!(publication.get("offset").is_none(), "of an older epoch: {publication}");
        }
        assert_eq!(back.publications[3]["offset"], json!(back.position.offset));
    }
}

#[tokio::test]
async fn a_position_recovers_across_several_kills() {
    let mut server = Server::start().await;
    let ada = server.api().person("ada").await;
    let (since, mut heard) = hear(&server, &ada, 1).await;
    let mut wanted = Vec::new();
    for round in 1..=3 {
        for number in 1..=2 {
            let title = format!("Missed {round}.{number}");
            server.api().publish(&ada, &title).await;
            wanted.push(title);
        }
        server.kill();
        server.restart().await;
    }
    let mut socket = server.socket(&ada.token).await;
    let (_, got) = recovered(&mut socket, &since, &mut heard, wanted.len()).await;
    assert_eq!(got, wanted);
}

#[tokio::test]
async fn a_kill_ends_every_socket_and_a_session_outlives_it() {
    let mut server = Server::start().await;
    let ada = server.api().person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    server.kill();
    socket.closed_within(PATIENCE).await;
    server.restart().await;
    server.socket(&ada.token).await.subscribe("feed:all").await;
    let me = server.api().get("/v1/me").token(&ada.token).send().await;
    assert_eq!(me.expect(200)["id"], json!(ada.id));
}

/// What one writer did in a round: titles that were acknowledged with their post's id, and the one that was not.
struct Written {
    acknowledged: Vec<(String, String)>,
    unanswered: Option<(String, String)>,
}

fn post_body(title: &str) -> Value {
    json!({"title": title, "content": "Written while the server was being killed."})
}

/// Writes until the server is gone.
async fn write_until_killed(api: Api, who: Person) -> Written {
    let mut acknowledged = Vec::new();
    loop {
        let (title, key) = (format!("Post {}", unique()), format!("key-{}", unique()));
        let ask = api.post("/v1/posts").token(&who.token).key(&key);
        match ask.json(&post_body(&title)).attempt().await {
            Ok(answer) => {
                let id = answer.expect(201)["id"].as_str().expect("an id").to_owned();
                acknowledged.push((title, id));
            }
            Err(_) => {
                return Written { acknowledged, unanswered: Some((title, key)) };
            }
        }
    }
}

/// Kills the server under four writers, once each has had `writes` answers on average, and starts it again.
async fn kill_under_writers(server: &mut Server, who: &Person, writes: usize) -> Vec<Written> {
    let mut watcher = server.socket(&who.token).await;
    watcher.subscribe("feed:all").await;
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        writers.spawn(write_until_killed(server.api(), who.clone()));
    }
    for _ in 0..4 * writes {
        watcher.publication("feed:all").await;
    }
    server.kill();
    let written = writers.join_all().await;
    server.restart().await;
    written
}

#[tokio::test]
async fn every_write_acknowledged_under_repeated_kills_is_there_once() {
    let mut server = Server::start().await;
    let ada = server.api().person("ada").await;
    let (since, mut heard) = hear(&server, &ada, 1).await;
    let mut acknowledged = HashMap::new();
    let mut unanswered = HashSet::new();
    for round in 0..3 {
        for written in kill_under_writers(&mut server, &ada, 3 + 2 * round).await {
            acknowledged.extend(written.acknowledged);
            unanswered.extend(written.unanswered.map(|(title, _)| title));
        }
    }
    let listed = pages(&server.api(), "/v1/feed", 20).await;
    let mut found = HashMap::new();
    for post in &listed {
        let title = post["title"].as_str().expect("a title").to_owned();
        let id = post["id"].as_str().expect("an id").to_owned();
        assert_eq!(found.insert(title, id), None, "no post is listed twice: {post}");
    }
    for (title, id) in &acknowledged {
        assert_eq!(found.get(title), Some(id), "acknowledged, so listed: {title}");
    }
    for title in found.keys() {
        let known = acknowledged.contains_key(title) || unanswered.contains(title);
        assert!(known || title == "Heard 1", "nobody wrote {title}");
    }
    let mut socket = server.socket(&ada.token).await;
    let (_, got) = recovered(&mut socket, &since, &mut heard, found.len() - 1).await;
    let told: HashSet<_> = got.iter().collect();
    assert_eq!(told.len(), got.len(), "no event has two ids");
    for title in acknowledged.keys() {
        assert!(told.contains(title), "acknowledged, so delivered: {title}");
    }
}

#[tokio::test]
async fn a_write_without_an_answer_can_be_repeated_with_its_key_after_a_kill() {
    let mut server = Server::with("idempotency.lease = \"2s\"").await;
    let ada = server.api().person("ada").await;
    let rounds = kill_under_writers(&mut server, &ada, 3).await;
    let api = server.api();
    let mut wanted = HashMap::new();
    for written in rounds {
        wanted.extend(written.acknowledged);
        let Some((title, key)) = written.unanswered else {
            continue;
        };
        // While the lease of a command that died still runs, the contract's answer is 409 with Retry-After.
        let id = until(PATIENCE, "the dead command's lease to end", || async {
            let ask = api.post("/v1/posts").token(&ada.token).key(&key);
            let answer = ask.json(&post_body(&title)).send().await;
            if answer.status == 409 {
                assert!(!answer.header("retry-after").is_empty(), "{answer}");
                return None;
            }
            Some(answer.expect(201)["id"].as_str().expect("an id").to_owned())
        })
        .await;
        wanted.insert(title, id);
    }
    let listed = pages(&api, "/v1/feed", 50).await;
    assert_eq!(listed.len(), wanted.len(), "every write once, none twice");
    for post in listed {
        let title = post["title"].as_str().expect("a title");
        assert_eq!(
            Some(post["id"].as_str().expect("an id")),
            wanted.get(title).map(String::as_str)
        );
    }
}
