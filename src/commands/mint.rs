//! Mints the identities of what a request creates.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::domain::ids::{CommentId, EventId, PostId};
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::ports::idempotency::Minted;

/// Mints ids from the injected time and randomness.
pub struct Mint {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Keeps the posts and the comments of this node in order within a millisecond.
    count: AtomicU32,
}

impl Mint {
    /// A mint.
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { clock, entropy, count: AtomicU32::new(0) }
    }

    /// For a request that creates a post.
    pub fn post(&self) -> Minted {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let id = PostId::from_parts(self.clock.now(), count, self.entropy.bytes::<3>());
        Minted { event: self.event(), resource: id.to_string() }
    }

    /// For a request that creates a comment.
    pub fn comment(&self) -> Minted {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let id = CommentId::from_parts(self.clock.now(), count, self.entropy.bytes::<3>());
        Minted { event: self.event(), resource: id.to_string() }
    }

    /// For a request that creates nothing but an event.
    pub fn bare(&self) -> Minted {
        Minted { event: self.event(), resource: String::new() }
    }

    /// The id of an event.
    pub fn event(&self) -> EventId {
        EventId::from_parts(self.clock.now(), self.entropy.bytes::<10>())
    }
}
