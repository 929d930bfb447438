//! The trending tallies as a rebuild begins.

use async_trait::async_trait;

use crate::ports::StoreError;

/// Forgets tallies.
#[async_trait]
pub trait ClearTrending: Send + Sync {
    /// Forgets all tallies, which events were counted, and that the tallies were whole, all at once.
    async fn clear(&self) -> Result<(), StoreError>;
}
