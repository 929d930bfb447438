//! The end of a node: a signal, then an orderly stop within a bounded time.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Turns true once the process was asked to end (TERM, or INT from a terminal).
/// A second signal ends the process at once.
pub fn stop_requested() -> std::io::Result<watch::Receiver<bool>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        for asked_before in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if asked_before {
                tracing::warn!("asked to end twice: ending at once");
                std::process::exit(1);
            }
            tracing::info!("asked to end");
            // Whoever watches may be gone already.
            let _ = sender.send(true);
        }
    });
    Ok(receiver)
}

/// Waits until `stop` turns true.
pub async fn requested(mut stop: watch::Receiver<bool>) {
    // An error means that the signal task is gone, which only happens at the end.
    let _ = stop.wait_for(|stop| *stop).await;
}
