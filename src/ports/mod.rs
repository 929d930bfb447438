//! What Carillon needs from the world, one trait a file. The documentation of a
//! port states guarantees; the contract tests hold every adapter to them.

pub mod account_control;
pub mod accounts;
pub mod analytics;
pub mod audit;
pub mod broker;
pub mod clock;
pub mod comments;
pub mod content;
pub mod entropy;
pub mod event_log;
pub mod failpoint;
pub mod idempotency;
pub mod inbox;
pub mod inspection;
pub mod key_set;
pub mod marks;
pub mod presence;
pub mod present;
pub mod rate_limits;
pub mod runs;
pub mod session_cache;
pub mod trending;

use crate::domain::problem::{Problem, ProblemKind};

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached or did not answer in time. Whether a write
    /// took place is unknown; asking again is safe where the port says so.
    #[error("{store} is unavailable: {cause}")]
    Unavailable {
        /// The store, as operators know it (`accounts`, `events`, …).
        store: &'static str,
        /// What the driver said.
        cause: String,
    },
    /// The store answered with something that this version cannot read.
    #[error("{store} holds something unreadable: {cause}")]
    Corrupt {
        /// The store, as operators know it.
        store: &'static str,
        /// What could not be read.
        cause: String,
    },
}

impl From<StoreError> for Problem {
    /// Names the store to the caller; what the driver said goes to the log, once.
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable { store, .. } => {
                tracing::warn!(%error, "a store is unavailable");
                Self::unavailable(store)
            }
            StoreError::Corrupt { .. } => {
                tracing::error!(%error, "a store holds something unreadable");
                let detail =
                    "Something that is stored cannot be read. The operators' log says more.";
                Self::new(ProblemKind::Internal, "internal_error", detail)
            }
        }
    }
}
