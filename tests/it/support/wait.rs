//! The only place where a test waits: every wait has a deadline and says what it waited for.

use std::future::Future;
use std::time::{Duration, Instant};

/// How long a test waits for something that should come at once. It is generous, because the machine that runs the
/// tests may be busy; it bounds a failure, not a success.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How often a condition is looked at that nothing announces.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Awaits `future` for at most `patience`, else fails naming `what`.
pub(crate) async fn within<T>(
    patience: Duration,
    what: &str,
    future: impl Future<Output = T>,
) -> T {
    match tokio::time::timeout(patience, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {patience:?} in vain for {what}"),
    }
}

/// Looks again and again until `look` answers something, for at most `patience`, else fails naming `what`.
pub(crate) async fn until<T>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    until_ok(patience, what, async || look().await.ok_or("")).await
}

/// The same where `look` says how things are as long as they are not as they should be.
pub(crate) async fn until_ok<T, E: std::fmt::Display>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let started = Instant::now();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        match look().await {
            Ok(value) => return value,
            Err(how) => {
                let waited = started.elapsed();
                assert!(waited < patience, "waited {patience:?} in vain for {what} {how}");
            }
        }
    }
}
