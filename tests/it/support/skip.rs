//! A test that cannot run here says so by name and reason; it never passes in silence.

use std::io::Write;
use std::process::{Command, Stdio};

/// Where the test command collects what was skipped, one `name: reason` a line.
const SKIPS_FILE: &str = "CARILLON_TEST_SKIPS";

/// Records that the test `name` could not run here because of `reason`.
pub(crate) fn skipped(name: &str, reason: &str) {
    eprintln!("SKIPPED {name}: {reason}");
    let Ok(path) = std::env::var(SKIPS_FILE) else {
        return;
    };
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .unwrap_or_else(|e| panic!("cannot note a skipped test in {path}: {e}"));
    writeln!(file, "{name}: {}", reason.replace('\n', " "))
        .unwrap_or_else(|e| panic!("cannot note a skipped test in {path}: {e}"));
}

/// Whether `program` can be started at all.
pub(crate) fn has_program(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
