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
    let started = Instant::now();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        if let Some(value) = look().await {
            return value;
        }
        assert!(started.elapsed() < patience, "waited {patience:?} in vain for {what}");
    }
}
