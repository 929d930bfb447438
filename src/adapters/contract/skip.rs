//! Contract tests of adapters whose server may not be there: they say so by name and reason, and never pass in silence.

use std::future::Future;
use std::io::Write;
use std::panic::{AssertUnwindSafe, resume_unwind};

use futures_util::FutureExt;

/// Where the test command collects what was skipped, one `name: reason` a line.
const SKIPS_FILE: &str = "CARILLON_TEST_SKIPS";

/// Why a test does not go on.
struct Skipped(String);

/// Ends a test whose factory cannot make what it tests. It unwinds without the message of a panic up to [`unless_skipped`].
pub(crate) fn skip(reason: &str) -> ! {
    resume_unwind(Box::new(Skipped(reason.to_owned())))
}

/// Runs the test `name` to its end, or until it is skipped.
pub(crate) async fn unless_skipped(name: &str, test: impl Future<Output = ()>) {
    let Err(panic) = AssertUnwindSafe(test).catch_unwind().await else { return };
    match panic.downcast::<Skipped>() {
        Ok(skipped) => note(name, &skipped.0),
        Err(panic) => resume_unwind(panic),
    }
}

fn note(name: &str, reason: &str) {
    eprintln!("SKIPPED {name}: {reason}");
    let Ok(path) = std::env::var(SKIPS_FILE) else { return };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
    let noted = file.and_then(|mut file| writeln!(file, "{name}: {reason}"));
    noted.unwrap_or_else(|e| panic!("cannot note a skipped test in {path}: {e}"));
}
