//! The time of day.

use crate::domain::time::Timestamp;

/// Tells the time. Everything that stores or compares a time of day asks this,
/// so that a test decides what time it is.
pub trait Clock: Send + Sync {
    /// Now, never earlier than an answer given before by more than the system
    /// clock itself was set back.
    fn now(&self) -> Timestamp;
}
