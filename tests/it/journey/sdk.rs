//! The published JavaScript SDK, unchanged, against this server.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::{Cut, PATIENCE, Server, has_program, skipped, within};

/// Where the script and its lock file are.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk")
}

/// The directory that keeps downloads between runs, outside of the clone.
fn cache() -> PathBuf {
    if let Some(cache) = std::env::var_os("CARILLON_CACHE") {
        return cache.into();
    }
    let home = std::env::var_os("HOME").expect("a user has a home");
    Path::new(&home).join(".cache/carillon")
}

/// A number for the content of the lock file: another content, another installation.
fn fingerprint(bytes: &[u8]) -> u64 {
    // FNV-1a; nothing here needs it to be more than that.
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Installs the SDK as the lock file pins it, once a lock file; or says why it cannot.
fn installed() -> Result<PathBuf, String> {
    let lock = std::fs::read(sources().join("package-lock.json")).map_err(|e| e.to_string())?;
    let sdk = cache().join("sdk");
    let home = sdk.join(format!("{:016x}", fingerprint(&lock)));
    if home.join("node_modules/centrifuge").is_dir() {
        return Ok(home);
    }
    std::fs::create_dir_all(&sdk).map_err(|e| e.to_string())?;
    let fresh = tempfile::tempdir_in(&sdk).map_err(|e| e.to_string())?;
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(sources().join(file), fresh.path().join(file)).map_err(|e| e.to_string())?;
    }
    let output = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(fresh.path())
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("npm cannot be started: {e}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("npm ci failed: {said:.500}"));
    }
    match std::fs::rename(fresh.path(), &home) {
        Ok(()) => {}
        // Another run may have put the same there meanwhile; then this copy goes away again.
        Err(_) if home.join("node_modules/centrifuge").is_dir() => {}
        Err(e) => return Err(e.to_string()),
    }
    Ok(home)
}

/// The script as a running process, and what it tells.
struct Script {
    child: Child,
    told: mpsc::UnboundedReceiver<String>,
}

impl Script {
    fn start(modules: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new("node")
            .arg(sources().join("recover.mjs"))
            .arg(modules)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let (teller, told) = mpsc::unbounded_channel();
        let output = child.stdout.take().expect("stdout is piped");
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Once the test is over nobody listens.
                let _ = teller.send(line);
            }
        });
        Self { child, told }
    }

    /// Waits for the next thing it tells of this kind.
    async fn next(&mut self, kind: &str) -> Value {
        within(PATIENCE * 2, &format!("{kind} from the SDK"), async {
            loop {
                let line = self.told.recv().await;
                let line = line.unwrap_or_else(|| panic!("the script ended before {kind}"));
                let event: Value = serde_json::from_str(&line)
                    .unwrap_or_else(|e| panic!("the script told no JSON: {e} in {line}"));
                if event["event"] == kind {
                    return event;
                }
                assert_ne!(event["event"], "error", "the SDK reports {event}");
            }
        })
        .await
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_javascript_sdk_recovers_what_it_missed_exactly_once_and_in_order() {
    let test = "the_javascript_sdk_recovers_what_it_missed_exactly_once_and_in_order";
    if !has_program("node") || !has_program("npm") {
        return skipped(test, "node or npm is not installed");
    }
    let modules = match tokio::task::spawn_blocking(installed).await {
        Ok(Ok(modules)) => modules,
        Ok(Err(reason)) => return skipped(test, &reason),
        Err(e) => panic!("the installation panicked: {e}"),
    };
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let wire = Cut::new(server.address()).await;
    let url = format!("ws://{}/connection/websocket", wire.address());
    let mut script = Script::start(&modules, &[&url, &ada.token, "feed:all"]);
    script.next("subscribed").await;

    let mut wanted = Vec::new();
    let mut told = Vec::new();
    for round in 1..=3 {
        wanted.push(format!("Live {round}"));
        api.publish(&ada, &format!("Live {round}")).await;
        told.push(script.next("publication").await);
        wire.cut();
        script.next("connecting").await;
        for number in 1..=3 {
            let title = format!("Missed {round}.{number}");
            api.publish(&ada, &title).await;
            wanted.push(title);
        }
        wire.mend();
        let back = script.next("subscribed").await;
        assert_eq!(back["wasRecovering"], true, "{back}");
        assert_eq!(back["recovered"], true, "{back}");
        for _ in 1..=3 {
            told.push(script.next("publication").await);
        }
    }
    api.publish(&ada, "Last").await;
    wanted.push("Last".to_owned());
    told.push(script.next("publication").await);
    let titles: Vec<_> = told.iter().map(|event| event["title"].as_str().unwrap_or("")).collect();
    assert_eq!(titles, wanted);
    let offsets: Vec<_> = told.iter().map(|event| event["offset"].clone()).collect();
    assert_eq!(offsets, (1..=wanted.len()).map(|n| json!(n)).collect::<Vec<_>>());
}
