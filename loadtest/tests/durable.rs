//! `durable` against a canned hub: whether what it reports is what happened there, not how fast anything is.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

#[path = "durable/canned_hub.rs"]
mod canned_hub;

use canned_hub::{CannedHub, EVENTS_A_COMMIT};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_carillon-loadtest");
const SHORT: [&str; 6] = ["--seconds", "0.4", "--warmup-seconds", "0.1", "--concurrency", "8"];

/// Runs `durable` with a report; says whether it ended well.
fn durable(arguments: &[&str]) -> (bool, Value) {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let output = Command::new(PROGRAM)
        .arg("durable")
        .args(arguments)
        .args(["--json", report.to_str().unwrap()])
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    let text = std::fs::read_to_string(&report).unwrap_or_else(|_| panic!("{complaint}"));
    (output.status.success(), serde_json::from_str(&text).unwrap())
}

fn run(hub: &CannedHub, arguments: &[&str]) -> (bool, Value) {
    durable(&[arguments, &SHORT, &["--node", hub.url()]].concat())
}

#[test]
fn publications_are_counted_once_and_so_are_the_batches_of_the_hub() {
    let hub = CannedHub::start();
    let (well, report) = run(&hub, &["publish", "--api-key", "k"]);
    assert!(well, "{report}");
    let acknowledged = report["acknowledged"].as_u64().unwrap();
    assert!(acknowledged > 0 && acknowledged <= hub.counts().committed, "{report}");
    assert_eq!(report["latency"]["count"], acknowledged);
    let mean = report["mean_batch"].as_f64().unwrap();
    // The window may begin and end within a commit.
    let slack = 16.0 * EVENTS_A_COMMIT as f64 / acknowledged as f64;
    assert!((mean - EVENTS_A_COMMIT as f64).abs() < slack, "{report}");
    assert!(hub.counts().connections <= 8 + 4, "eight, and one for each look at the counts");
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let hub = CannedHub::start();
    let (well, report) = run(&hub, &["publish", "--api-key", "k", "--rate", "100"]);
    assert!(well, "{report}");
    assert_eq!(report["latency"]["count"], 40, "what was due in 0.4 s");
    assert_eq!(hub.counts().committed, 50, "and in the warm-up");
}

#[test]
fn what_is_refused_does_not_count_and_fails_the_run() {
    let hub = CannedHub::refusing_every(10);
    let (well, report) = run(&hub, &["publish", "--api-key", "k"]);
    assert!(!well, "{report}");
    let refused = report["refused"].as_u64().unwrap();
    assert_eq!(refused, hub.counts().refused);
    assert!(refused > 0 && report["refusals"]["200"] == refused, "{report}");
    assert!(report["acknowledged"].as_u64().unwrap() <= hub.counts().committed);
}

#[test]
fn every_reaction_changes_something() {
    let cast = ["--accounts", "4", "--posts", "10"];
    for what in ["likes", "comments", "mixed"] {
        let hub = CannedHub::start();
        let (well, report) = run(&hub, &[&[what], &cast[..]].concat());
        assert!(well, "{what}: {report}");
        assert!(report["acknowledged"].as_u64().unwrap() > 0, "{what}: {report}");
        let counts = hub.counts();
        assert_eq!(counts.unchanged, 0, "{what}");
        assert_eq!(counts.likes > 0, what != "comments", "{what}");
        assert_eq!(counts.comments > 0, what != "likes", "{what}");
    }
}

#[test]
fn the_lag_is_what_the_hub_is_late_with() {
    let hub = CannedHub::start();
    let arguments = ["projection", "--api-key", "k", "--events", "100", "--rate", "800"];
    let (well, report) = run(&hub, &arguments);
    assert!(well, "{report}");
    assert_eq!(report["filling"]["events"], 100);
    // The hub projects with each look what there was at the one before.
    let lag = report["lag"]["p50_ms"].as_f64().unwrap();
    assert!((40.0..1_000.0).contains(&lag), "{report}");
    let rate = report["committed_per_second"].as_f64().unwrap();
    assert!((100.0..2_000.0).contains(&rate), "{report}");
}

#[test]
fn a_rebuild_is_timed_from_outside_and_its_fixed_part_subtracted() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("carillon");
    let script = "#!/bin/sh\n[ \"$1 $2\" = 'rebuild analytics' ] || exit 1\nsleep 0.4\n\
                  echo 'analytics: 1000 events projected'\n";
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (program, data) = (text(&program), text(folder.path()));
    let rebuild = ["rebuild", "--carillon", &program, "--config", "x", "--data", &data];
    let (well, report) = durable(&[&rebuild[..], &["--fixed-seconds", "0.2"]].concat());
    assert!(well, "{report}");
    assert_eq!(report["events"], 1000);
    let seconds = report["seconds"].as_f64().unwrap();
    assert!(seconds >= 0.4, "{report}");
    let per_second = report["events_per_second"].as_f64().unwrap();
    assert!((per_second - 1000.0 / (seconds - 0.2)).abs() < 1.0, "{report}");
}
