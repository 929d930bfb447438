//! Servers that this node left, in case an address leads back to one.
//!
//! A failover ends epochs because the promoted replica has another history of its data (`master_replid`). But an
//! address may lead back to the server that was there before, with all that it had when it was left: its
//! epochs would go on, below those that were begun elsewhere meanwhile, and whoever recovers from one of those would
//! not get what they carry. So for each history that was left a number is drawn, and epochs on it that
//! are lower are over; the scripts see to that. On a cluster, a server comes back as a replica or with
//! its slots taken over, so nothing is kept.

use std::fmt::Write;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::domain::publication::Epoch;
use crate::ports::StoreError;

use super::epochs::Epochs;

/// How many histories that were left are kept in mind.
const LEFT_MAX: usize = 16;

/// The history of the server that was heard of last, and of those before it.
pub(super) struct Lineages {
    is_cluster: bool,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    current: Option<String>,
    left: Vec<(String, Epoch)>,
    /// The same, as the scripts take it.
    text: Arc<str>,
}

impl Lineages {
    /// None heard of yet.
    pub(super) fn new(is_cluster: bool) -> Self {
        Self { is_cluster, known: Mutex::default() }
    }

    /// Those that were left, as the scripts take them: `<history>=<epoch>`, each followed by a space.
    pub(super) async fn left(&self) -> Arc<str> {
        Arc::clone(&self.known.lock().await.text)
    }

    /// Takes note of the history that a server answered from. If it is not the one of before, that was left.
    pub(super) async fn hear(&self, history: &str, epochs: &Epochs) -> Result<(), StoreError> {
        let mut known = self.known.lock().await;
        if self.is_cluster || known.current.as_deref() == Some(history) {
            return Ok(());
        }
        if let Some(before) = known.current.clone() {
            let floor = epochs.next().await?;
            tracing::info!(before, now = history, "another Redis, or another history of it");
            known.left.retain(|(left, _)| *left != before);
            known.left.push((before, floor));
            let excess = known.left.len().saturating_sub(LEFT_MAX);
            known.left.drain(..excess);
            let mut text = String::new();
            for (history, floor) in &known.left {
                // Writing to a text cannot fail.
                let _ = write!(text, "{history}={} ", floor.as_str());
            }
            known.text = text.into();
        }
        known.current = Some(history.to_owned());
        Ok(())
    }
}
