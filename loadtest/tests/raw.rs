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

const CHANNELS: [&str; 7] =
    ["many_channels", "--rate", "500", "--seconds", "0.3", "--warmup-seconds", "0.05"];

#[test]
fn one_of_many_channels_is_delivered_to_everybody() {
    let raw = Raw::start(&[]);
    let scale = ["--channels", "1", "--subscribers", "20", "--connections", "20"];
    let report = raw.run(&[&CHANNELS[..], &scale].concat());
    assert!(report["deliveries"].as_u64().unwrap() > 0, "{report}");
    assert_eq!((&report["channels"], &report["subscribers"]), (&Value::from(1), &Value::from(20)));
    assert!(report["faults"].as_object().unwrap().values().all(|count| count == 0), "{report}");
}

#[test]
fn a_server_that_sends_to_subscribers_of_other_channels_is_found_out() {
    // The raw server knows no channels: everybody gets everything.
    let raw = Raw::start(&[]);
    let scale = ["--channels", "30", "--subscribers", "2", "--connections", "20"];
    let output = run(&raw.url, &[&CHANNELS[..], &scale].concat(), &[]);
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("lost: 0, repeated: 0, late: 0, unknown: "), "{text}");
    assert!(!text.contains("unknown: 0,"), "{text}");
}

/// 36 MB for each who never reads: more than the kernel keeps for it.
const SLOW: [&str; 13] = [
    "slow_readers",
    "--subscribers",
    "5",
    "--slow",
    "2",
    "--rate",
    "400",
    "--payload-bytes",
    "60000",
    "--warmup-seconds",
    "0.1",
    "--seconds",
    "1.5",
];

#[test]
fn slow_readers_are_told_from_others_and_seen_to_be_closed() {
    let raw = Raw::start(&["--queue-bytes", "1000000"]);
    let directory = tempfile::tempdir().unwrap();
    let svg = directory.path().join("plot.svg");
    let report = raw.run(&[&SLOW[..], &["--svg", svg.to_str().unwrap()]].concat());
    assert_eq!(report["slow_closed"]["no close frame"], 2, "{report}");
    assert_eq!(report["slow_left_open"], 0);
    assert!(report["with"]["deliveries"].as_u64().unwrap() > 1_000, "{report}");
    assert!(report["with"]["memory"]["peak"].as_u64().unwrap() > 0, "{report}");
    let svg = std::fs::read_to_string(svg).unwrap();
    assert_eq!(svg.matches("<polyline").count(), 2, "without and with: {svg}");
}

#[test]
fn a_server_that_keeps_everything_for_slow_readers_is_found_out() {
    let raw = Raw::start(&[]);
    let output = run(&raw.url, &SLOW, &["--server-pid", &raw.child.id().to_string()]);
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("| left open | 2 |"), "{text}");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("2 slow readers were not closed"), "{complaint}");
    assert!(!complaint.contains('\r'), "no line is rewritten where there is no terminal");
}

#[test]
fn churn_is_answered_and_a_channel_without_a_history_makes_no_storm() {
    let raw = Raw::start(&[]);
    let directory = tempfile::tempdir().unwrap();
    let svg = directory.path().join("plot.svg");
    let churn = ["churn", "--connections", "5", "--rate", "500", "--seconds", "0.5"];
    let report = raw.run(&[&churn[..], &["--svg", svg.to_str().unwrap()]].concat());
    let commands = report["commands"].as_u64().unwrap();
    assert!((240..=260).contains(&commands), "{report}");
    assert!(std::fs::read_to_string(svg).unwrap().contains("<polyline"));
    let output = run(&raw.url, &["storm", "--connections", "5"], &[]);
    assert!(!output.status.success());
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("kept:all cannot be recovered"), "{complaint}");
}

#[test]
fn a_sweep_goes_through_its_rates_and_draws_them() {
    let raw = Raw::start(&[]);
    let directory = tempfile::tempdir().unwrap();
    let svg = directory.path().join("plot.svg");
    let rates = ["sweep", "--rates", "50,200", "--svg", svg.to_str().unwrap()];
    let report = raw.run(&[&rates, &SHORT[..]].concat());
    let steps = report.as_array().unwrap();
    let rates: Vec<_> = steps.iter().map(|step| step["rate"].as_f64().unwrap()).collect();
    assert_eq!(rates, [50.0, 200.0]);
    let published = |step: &Value| step["report"]["publications"].as_u64().unwrap();
    assert!(published(&steps[1]) > 2 * published(&steps[0]), "{report}");
    let svg = std::fs::read_to_string(svg).unwrap();
    assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (1, 2), "{svg}");
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
