//! The program against its own raw server: whether what it reports can be believed, not how fast anything is.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

const PROGRAM: &str = env!("CARGO_BIN_EXE_carillon-loadtest");

struct Raw {
    child: Child,
    url: String,
}

impl Raw {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.arg("raw").args(arguments).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
        Self { child, url: format!("ws://{address}/connection/websocket") }
    }

    fn run(&self, arguments: &[&str]) -> Value {
        let directory = tempfile::tempdir().unwrap();
        let report = directory.path().join("report.json");
        let output = run(
            &self.url,
            arguments,
            &["--server-pid", &self.child.id().to_string(), "--json", report.to_str().unwrap()],
        );
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn run(url: &str, arguments: &[&str], more: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).args(["--url", url]).args(more).output().unwrap()
}

const SHORT: [&str; 6] = ["--subscribers", "20", "--seconds", "0.2", "--warmup-seconds", "0.05"];

#[test]
fn every_delivery_arrives_in_every_mode() {
    for mode in [&[][..], &["--coalesce"], &["--push-bytes", "300"]] {
        let raw = Raw::start(mode);
        for pace in [["--in-flight", "1"], ["--in-flight", "16"], ["--rate", "500"]] {
            let report = raw.run(&[&["fan_out"], &SHORT[..], &pace].concat());
            assert!(report["deliveries"].as_u64().unwrap() > 0, "{report}");
            let faults = report["faults"].as_object().unwrap();
            assert!(faults.values().all(|count| count == 0), "{report}");
            let wanted = if mode.len() == 2 { 300 } else { 176 };
            assert_eq!(report["push_bytes"], wanted, "{mode:?}");
        }
    }
}

#[test]
fn large_messages_arrive_in_pieces_and_are_put_together() {
    let raw = Raw::start(&[]);
    let arguments = ["fan_out", "--payload-bytes", "30000", "--in-flight", "16"];
    let report = raw.run(&[&arguments, &SHORT[..]].concat());
    assert!(report["deliveries"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn idle_connections_are_all_made() {
    let raw = Raw::start(&[]);
    let report = raw.run(&["idle", "--connections", "100"]);
    assert_eq!(
        (&report["connections"], &report["subscriptions"]),
        (&Value::from(100), &Value::from(3))
    );
}

#[test]
fn a_server_that_skips_and_repeats_is_found_out() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    thread::spawn(move || serve_badly(&listener));
    let arguments = [&["fan_out", "--rate", "200", "--subscribers", "1"], &SHORT[2..]].concat();
    let output = run(&url, &arguments, &[]);
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("repeated: 1,"), "{text}");
    assert!(text.contains("lost: ") && !text.contains("lost: 0,"), "{text}");
}

/// Answers what setup needs, then sends the first publication twice and no other.
fn serve_badly(listener: &TcpListener) {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let frame = |line: &str| [&[0x81, u8::try_from(line.len()).unwrap()], line.as_bytes()].concat();
    let data = format!("{{\"bench\":\"{:032}\"}}", 0);
    let mut peers = Vec::new();
    for _ in 0..2 {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        for reply in ["{\"id\":1,\"connect\":{}}", "{\"id\":2,\"subscribe\":{}}"] {
            stream.write_all(&frame(reply)).unwrap();
        }
        peers.push(stream);
    }
    let mut publisher = BufReader::new(&peers[1]);
    // The publisher's handshake ends with an empty line; the frames after it are not read as lines.
    let mut line = String::new();
    while publisher.read_line(&mut line).unwrap() > 2 {
        line.clear();
    }
    // The connect command has fewer bytes than this, so once they are here something has been published.
    publisher.read_exact(&mut [0; 100]).unwrap();
    let mut subscriber = &peers[0];
    subscriber.write_all(&frame(&data)).unwrap();
    subscriber.write_all(&frame(&data)).unwrap();
    // Stays connected until the test ends, so that what is missing is not a disconnect.
    let _ = std::io::copy(&mut publisher, &mut std::io::sink());
}
