//! Idempotency keys: a repeated request is answered, not carried out again.

use async_trait::async_trait;

use crate::domain::ids::{EventId, Incarnation};
use crate::domain::time::Timestamp;

use super::StoreError;

/// What a key is unique within.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyScope {
    /// Whose request: `user:42`, or `api` for the server API.
    pub principal: String,
    /// Method and path template: `POST /v1/posts`.
    pub route: String,
    /// What the caller sent.
    pub key: String,
}

/// The identities that a request uses, whoever carries it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minted {
    /// The id of its event.
    pub event: EventId,
    /// The id of what it creates, as text; empty if it creates nothing.
    pub resource: String,
}

/// Who carries a request out, and until when nobody else may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The run of the node.
    pub holder: Incarnation,
    /// When another may take over.
    pub until: Timestamp,
}

/// The answer that is given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// What became of a request's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The caller carries the request out, with these identities: its own, or
    /// those of an earlier attempt whose lease ran out.
    Granted(Minted),
    /// It was carried out; this was the answer.
    Answered(StoredAnswer),
    /// Another is carrying it out.
    InProgress,
    /// The key was used for a request with another body.
    Mismatch,
}

/// Remembers keys for as long as the settings say (24 h by default).
#[async_trait]
pub trait IdempotencyKeys: Send + Sync {
    /// Claims a key. Of callers that race, exactly one is granted it. A lease
    /// runs out at its `until`, or once the incarnation of its holder was closed. A
    /// claim is durable no later than an append to the event log that begins
    /// after it returns.
    async fn claim(
        &self,
        scope: &KeyScope,
        fingerprint: [u8; 32],
        minted: &Minted,
        lease: Lease,
        now: Timestamp,
    ) -> Result<Claim, StoreError>;

    /// Stores the answer of a request that was carried out.
    async fn answer(&self, scope: &KeyScope, answer: &StoredAnswer) -> Result<(), StoreError>;

    /// Forgets a key whose request was refused before anything was written.
    async fn forget(&self, scope: &KeyScope) -> Result<(), StoreError>;

    /// Ends the lease but keeps the identities: the outcome is unknown, and
    /// whoever repeats the request takes it over at once.
    async fn release(&self, scope: &KeyScope) -> Result<(), StoreError>;

    /// Deletes keys that were claimed before `before`; returns how many.
    async fn purge(&self, before: Timestamp) -> Result<u64, StoreError>;
}
