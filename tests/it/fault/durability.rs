//! Acknowledged means durable: seen from the system calls, because a kill alone does not empty the kernel's caches.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::trace::{Call, calls};
use crate::support::{Server, Start, has_program, skipped};

/// Whether strace is there and may trace; else the test is skipped by name.
fn can_trace(test: &str) -> bool {
    if !has_program("strace") {
        skipped(test, "strace is not installed");
        return false;
    }
    let tried = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    match tried {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            skipped(test, String::from_utf8_lossy(&output.stderr).trim());
            false
        }
        Err(e) => {
            skipped(test, &format!("strace cannot be started: {e}"));
            false
        }
    }
}

/// A server under strace that writes its trace into `file`.
async fn traced(file: &Path, more: &[&str]) -> Server {
    let file = file.to_str().expect("a temporary path is text");
    let mut wrapper = vec!["strace", "-f", "-y", "-o", file];
    wrapper.extend_from_slice(more);
    Start::default()
        .settings(
            "[[channel.namespaces]]\nname = \"chat\"\nallow_subscribe_for_client = true\n\
             history_size = 10\nhistory_ttl = \"60s\"\n",
        )
        .wrapper(&wrapper)
        .run()
        .await
}

/// The name that the event log's write-ahead file has in the data directory.
fn log_file(server: &Server) -> String {
    let names: Vec<_> = std::fs::read_dir(server.data())
        .expect("the data directory can be read")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    let log = names.iter().find(|name| name.starts_with("log.") && name.ends_with("-wal"));
    log.unwrap_or_else(|| panic!("no write-ahead file of the event log among {names:?}")).clone()
}

fn first_after(calls: &[Call], at: usize, wanted: impl Fn(&Call) -> bool) -> Option<&Call> {
    let later = calls.iter().filter(|call| call.began > at);
    later.filter(|call| wanted(call)).min_by_key(|call| call.began)
}

#[tokio::test]
async fn a_post_is_answered_only_after_the_log_was_synced_for_it() {
    let test = "a_post_is_answered_only_after_the_log_was_synced_for_it";
    if !can_trace(test) {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let file = dir.path().join("trace");
    let calls_traced =
        "trace=fsync,fdatasync,pwrite64,sendto,sendmsg,write,writev,recvfrom,recvmsg,read,readv";
    // Whole pages, so that what is written can be told by its title.
    let mut server = traced(&file, &["-s", "16384", "-e", calls_traced]).await;
    let api = server.api();
    let ada = api.person("ada").await;
    for number in 0..POSTS {
        api.publish(&ada, &marker(number)).await;
    }
    let log = log_file(&server);
    assert!(server.terminate().await.success());
    let trace = std::fs::read_to_string(&file).expect("strace wrote its trace");
    let calls = calls(&trace);
    for number in 0..POSTS {
        let title = marker(number);
        let request = first_after(&calls, 0, |call| reads(call) && call.rest.contains(&title))
            .unwrap_or_else(|| panic!("no request for {title} in the trace"));
        let answer = first_after(&calls, request.ended, |call| {
            sends(call) && call.rest.contains("HTTP/1.1 201")
        })
        .unwrap_or_else(|| panic!("no answer to {title} in the trace"));
        let written = first_after(&calls, request.ended, |call| {
            call.name == "pwrite64" && call.file().contains(&log) && call.rest.contains(&title)
        })
        .unwrap_or_else(|| panic!("{title} was never written to {log}"));
        let sync = first_after(&calls, written.ended, |call| call.syncs(&log))
            .unwrap_or_else(|| panic!("no sync of {log} after {title} was written"));
        assert!(sync.rest.contains("= 0"), "the sync succeeded: {sync:?}");
        assert!(
            sync.ended < answer.began,
            "{title}: written to {log} at line {}, synced from {} to {}, but answered at {}",
            written.began,
            sync.began,
            sync.ended,
            answer.began
        );
    }
}

/// How many posts the durability test writes, one after the other.
const POSTS: usize = 20;

/// A title that is found again in what was received and in what was written.
fn marker(number: usize) -> String {
    format!("durable-post-{number:04}-marked")
}

fn reads(call: &Call) -> bool {
    matches!(call.name.as_str(), "recvfrom" | "read" | "readv" | "recvmsg")
        && call.file().starts_with("socket")
}

fn sends(call: &Call) -> bool {
    matches!(call.name.as_str(), "sendto" | "sendmsg" | "write" | "writev")
        && call.file().starts_with("socket")
}

#[tokio::test]
async fn concurrent_writers_share_the_syncs_of_the_log() {
    let test = "concurrent_writers_share_the_syncs_of_the_log";
    if !can_trace(test) {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let file = dir.path().join("trace");
    // Each sync is made to take 20 ms more, as on a slow disk, so that it does not depend on this one how many queue.
    let slow = ["-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_exit=20000"];
    let mut server = traced(&file, &slow).await;
    let log = log_file(&server);
    let before = syncs(&file, &log);
    const WRITERS: usize = 256;
    const EACH: usize = 4;
    let mut writers = tokio::task::JoinSet::new();
    let api = server.api();
    for writer in 0..WRITERS {
        let api = api.clone();
        writers.spawn(async move {
            for number in 0..EACH {
                let data = json!({"writer": writer, "number": number});
                let body = json!({"channel": format!("chat:{writer}"), "data": data});
                api.server_result("publish", &body).await;
            }
        });
    }
    writers.join_all().await;
    assert!(server.terminate().await.success());
    let used = syncs(&file, &log) - before;
    let events = WRITERS * EACH;
    assert!(used > 0, "{events} events without a sync are not durable");
    assert!(used * 8 < events, "{used} syncs for {events} events");
}

/// How many syncs of `log` a trace has so far.
fn syncs(trace: &Path, log: &str) -> usize {
    let trace = std::fs::read_to_string(trace).expect("strace wrote its trace");
    calls(&trace).iter().filter(|call| call.syncs(log)).count()
}
