//! Publish commands that a client says together: each has its answer, in their order, and what they publish is in order.

use serde_json::{Value, json};

use crate::support::{Server, Socket};

const NAMESPACES: &str = r#"
[client]
insecure = true

[[channel.namespaces]]
name = "passing"
durable = false

[[channel.namespaces]]
name = "kept"
durable = false
history_size = 1000
history_ttl = "60s"

[[channel.namespaces]]
name = "durable"
history_size = 1000
history_ttl = "60s"
"#;

fn publish(socket: &mut Socket, channel: &str, n: u64) -> (u64, String) {
    socket.command("publish", json!({"channel": channel, "data": {"n": n}}))
}

/// The codes of the errors in the replies to commands, in the order in which the replies come; `None` for one that succeeded.
async fn answers(socket: &mut Socket, commands: &[(u64, String)]) -> Vec<(u64, Option<u64>)> {
    let mut answers = Vec::new();
    for _ in commands {
        let reply = socket.next_reply().await;
        let id = reply["id"].as_u64().expect("a reply has the id of its command");
        answers.push((id, reply["error"]["code"].as_u64()));
    }
    answers
}

async fn numbers(socket: &mut Socket, channel: &str, count: usize) -> Vec<Value> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(socket.publication(channel).await["data"]["n"].clone());
    }
    numbers
}

#[tokio::test]
async fn publications_of_one_frame_and_of_many_are_answered_and_told_in_order() {
    let server = Server::with(NAMESPACES).await;
    for channel in ["passing:a", "kept:a", "durable:a"] {
        let mut reader = Socket::anonymous(server.address()).await;
        reader.subscribe(channel).await;
        let mut writer = Socket::anonymous(server.address()).await;
        writer.subscribe(channel).await;
        let commands: Vec<_> = (0..200).map(|n| publish(&mut writer, channel, n)).collect();
        let lines: Vec<_> = commands.iter().map(|(_, line)| line.as_str()).collect();
        let (one_frame, frames) = lines.split_at(100);
        writer.send(&one_frame.join("\n")).await;
        for line in frames {
            writer.send(line).await;
        }
        let expected: Vec<_> = commands.iter().map(|(id, _)| (*id, None)).collect();
        assert_eq!(answers(&mut writer, &commands).await, expected, "{channel}");
        let expected: Vec<_> = (0..200).map(|n| json!(n)).collect();
        assert_eq!(numbers(&mut reader, channel, 200).await, expected, "{channel}");
        assert_eq!(numbers(&mut writer, channel, 200).await, expected, "{channel}");
    }
}

#[tokio::test]
async fn a_bad_command_among_good_ones_is_refused_at_its_place_and_holds_up_no_other() {
    let server = Server::with(NAMESPACES).await;
    let mut socket = Socket::anonymous(server.address()).await;
    for channel in ["passing:a", "kept:a", "durable:a"] {
        socket.subscribe(channel).await;
    }
    let with_nul = json!({"channel": "durable:a", "data": "a\u{0}b"});
    let no_data = json!({"channel": "durable:a"});
    let commands = vec![
        publish(&mut socket, "durable:a", 1),
        publish(&mut socket, "feed:all", 0),
        publish(&mut socket, "durable:a", 2),
        publish(&mut socket, "nothing:a", 0),
        publish(&mut socket, "passing:a", 3),
        socket.command("publish", with_nul),
        publish(&mut socket, "kept:a", 4),
        socket.command("publish", no_data),
        publish(&mut socket, "a{b}", 0),
        publish(&mut socket, "durable:a", 5),
        socket.command("ping", json!({})),
        publish(&mut socket, "passing:a", 6),
    ];
    let lines: Vec<_> = commands.iter().map(|(_, line)| line.as_str()).collect();
    socket.send(&lines.join("\n")).await;
    let codes = answers(&mut socket, &commands).await;
    let expected = [
        None,
        Some(103),
        None,
        Some(102),
        None,
        Some(107),
        None,
        Some(107),
        Some(107),
        None,
        None,
        None,
    ];
    let expected: Vec<_> = commands.iter().map(|(id, _)| *id).zip(expected).collect();
    assert_eq!(codes, expected);
    assert_eq!(numbers(&mut socket, "durable:a", 3).await, [json!(1), json!(2), json!(5)]);
    assert_eq!(numbers(&mut socket, "passing:a", 2).await, [json!(3), json!(6)]);
    assert_eq!(numbers(&mut socket, "kept:a", 1).await, [json!(4)]);
}

#[tokio::test]
async fn what_a_client_says_together_does_not_crowd_itself_out_of_the_log() {
    // Room for two events of this size.
    let server = Server::with(&format!("{NAMESPACES}\n[events]\nqueue_max_bytes = 4096\n")).await;
    let mut socket = Socket::anonymous(server.address()).await;
    socket.subscribe("durable:a").await;
    let large = |n: u64| json!({"channel": "durable:a", "data": {"n": n, "x": "x".repeat(1_500)}});
    let commands: Vec<_> = (0..20).map(|n| socket.command("publish", large(n))).collect();
    let lines: Vec<_> = commands.iter().map(|(_, line)| line.as_str()).collect();
    socket.send(&lines.join("\n")).await;
    let expected: Vec<_> = commands.iter().map(|(id, _)| (*id, None)).collect();
    assert_eq!(answers(&mut socket, &commands).await, expected);
    let expected: Vec<_> = (0..20).map(|n| json!(n)).collect();
    assert_eq!(numbers(&mut socket, "durable:a", 20).await, expected);
}
