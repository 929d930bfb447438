//! The runs of nodes: which of them live, and what those that ended without finishing left.

use async_trait::async_trait;

use crate::domain::ids::Incarnation;
use crate::domain::time::Timestamp;

use super::StoreError;
use super::event_log::LogCursor;

/// A run that is not wholly finished: its node lives, or is gone and somebody has to finish it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenRun {
    /// How far the run has been relayed.
    pub cursor: LogCursor,
    /// Changes whenever the run shows that it goes on, or somebody takes it over. Whoever sees the
    /// same beat for longer than a node may be silent, by a clock of its own, knows that the node is gone:
    /// no two clocks are compared.
    pub beat: u64,
    /// Documents whose event was minted before this had it in the log, when the run last looked.
    pub swept_until: Timestamp,
}

/// Keeps the runs.
#[async_trait]
pub trait Runs: Send + Sync {
    /// Opens a run with its relay cursor before its first event. Opening it again changes nothing.
    async fn open(&self, run: Incarnation, swept_until: Timestamp) -> Result<(), StoreError>;

    /// All runs but those that were closed, by their ids.
    async fn all_open(&self) -> Result<Vec<OpenRun>, StoreError>;

    /// Shows that a run goes on, and returns its new beat. A run that somebody closed meanwhile is open
    /// again: what it appends from now on has to be finished, too. `swept_until` never moves back.
    async fn renew(&self, run: Incarnation, swept_until: Timestamp) -> Result<u64, StoreError>;

    /// Takes over a run that is open and whose beat is still `beat`; returns the new one. Of all who
    /// try, one succeeds.
    async fn take(&self, run: Incarnation, beat: u64) -> Result<Option<u64>, StoreError>;

    /// Closes a run as wholly finished, if its beat is still `beat`; says whether it is closed now. One that is
    /// closed is not listed again.
    async fn close(&self, run: Incarnation, beat: u64) -> Result<bool, StoreError>;
}
