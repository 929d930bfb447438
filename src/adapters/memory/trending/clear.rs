//! Forgets the tallies.

use std::sync::PoisonError;

use async_trait::async_trait;

use crate::ports::StoreError;
use crate::ports::audit::trending::ClearTrending;

use super::MemoryTrending;

#[async_trait]
impl ClearTrending for MemoryTrending {
    async fn clear(&self) -> Result<(), StoreError> {
        let fresh = Self::new(self.weights).state.into_inner();
        *self.state() = fresh.unwrap_or_else(PoisonError::into_inner);
        Ok(())
    }
}
