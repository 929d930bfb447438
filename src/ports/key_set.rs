//! The public keys of whoever signs tokens.

use async_trait::async_trait;

use super::StoreError;

/// A JSON Web Key Set (RFC 7517, section 5) that somebody else publishes.
#[async_trait]
pub trait KeySet: Send + Sync {
    /// The set as it is now, in JSON of bounded size. Ends in bounded time. Nothing says that what
    /// is answered is a key set, or JSON at all.
    async fn fetch(&self) -> Result<Vec<u8>, StoreError>;
}
