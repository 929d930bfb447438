//! The k6 scripts of the load tests, for a few seconds of very little: that they run, not how fast.

use std::path::PathBuf;
use std::time::Duration;

use tokio::process::Command;

use crate::support::{API_KEY, Server, has_program, skipped, within};

/// Which k6 to start, by path, instead of the one on the PATH.
const K6: &str = "CARILLON_TEST_K6";

/// How long one script may take; the smoke variant writes for five seconds.
const PATIENCE: Duration = Duration::from_mins(2);

fn k6() -> Option<PathBuf> {
    let named = std::env::var_os(K6).map(PathBuf::from);
    named.or_else(|| has_program("k6").then(|| PathBuf::from("k6")))
}

async fn smoke(test: &str, script: &str) {
    let Some(k6) = k6() else {
        let reason = format!(
            "k6 is not installed ({K6} may name one; loadtest/README.md says how to get it)"
        );
        return skipped(test, &reason);
    };
    let server = Server::with(
        "[[channel.namespaces]]\nname = \"bench\"\nallow_subscribe_for_client = true\ndurable = false",
    )
    .await;
    let script = format!("{}/loadtest/k6/{script}", env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(k6);
    command.args(["run", "--quiet", "--no-usage-report", "--no-color", "--address", "127.0.0.1:0"]);
    command.args(["-e", "SMOKE=1", "-e", &format!("API_KEY={API_KEY}")]);
    command.args(["-e", &format!("HUB=http://{}", server.address()), &script]).kill_on_drop(true);
    let output = within(PATIENCE, "the script's end", command.output()).await;
    let output = output.expect("k6 starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    // 99: a threshold was crossed, which a debug build on a busy machine may do; whatever else failed is no matter of time.
    assert!(matches!(output.status.code(), Some(0 | 99)), "{}\n{said}\n{errors}", output.status);
    let all_checked =
        said.lines().any(|line| line.contains("checks_succeeded") && line.contains(" 100.00% "));
    assert!(all_checked, "{said}\n{errors}");
    assert!(!said.contains("✗ 'count") && !said.contains("✗ 'rate"), "{said}\n{errors}");
}

#[tokio::test]
async fn k6_hears_of_everything_that_is_published() {
    smoke("k6_hears_of_everything_that_is_published", "fanout.js").await;
}

#[tokio::test]
async fn k6_writes() {
    smoke("k6_writes", "writes.js").await;
}

#[tokio::test]
async fn k6_reads_and_writes_as_users_do() {
    smoke("k6_reads_and_writes_as_users_do", "mixed.js").await;
}
