//! Carries a request with an idempotency key out once, however often it is sent.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::domain::ids::Incarnation;
use crate::domain::problem::{Problem, ProblemKind};
use crate::ports::clock::Clock;
use crate::ports::idempotency::{Claim, IdempotencyKeys, KeyScope, Lease, Minted, StoredAnswer};

/// The longest key that is taken, in bytes.
const KEY_MAX_BYTES: usize = 255;
/// Between looks at a request that another is carrying out.
const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// Guards requests by their keys.
pub struct Once {
    /// Where keys are kept.
    pub keys: Arc<dyn IdempotencyKeys>,
    /// Dates the claims.
    pub clock: Arc<dyn Clock>,
    /// The run of this node, which holds the leases.
    pub incarnation: Incarnation,
    /// How long nobody else may carry the request out.
    pub lease: Duration,
    /// How long a repeat waits for the first to finish.
    pub wait_timeout: Duration,
}

impl Once {
    /// Runs `work` with the identities that belong to the request, unless it was
    /// carried out before; then the first answer is given again. Without a key,
    /// runs it with `minted`.
    ///
    /// `body` is what a repeat must have in common with the first request.
    pub async fn run<F>(
        &self,
        scope: Option<KeyScope>,
        body: &[u8],
        minted: Minted,
        work: impl FnOnce(Minted) -> F,
    ) -> Result<StoredAnswer, Problem>
    where
        F: Future<Output = Result<StoredAnswer, Problem>>,
    {
        let Some(scope) = scope else {
            return work(minted).await;
        };
        if scope.key.is_empty() || scope.key.len() > KEY_MAX_BYTES {
            let detail = format!("An idempotency key has 1 to {KEY_MAX_BYTES} bytes.");
            return Err(Problem::new(ProblemKind::BadRequest, "invalid_idempotency_key", detail));
        }
        let granted = match self.claim(&scope, body, &minted).await? {
            Claim::Granted(granted) => granted,
            Claim::Answered(answer) => return Ok(answer),
            Claim::Mismatch => return Err(reused()),
            Claim::InProgress => return Err(in_progress()),
        };
        // An earlier attempt that was given other identities may have written with them.
        let is_first = granted == minted;
        let outcome = work(granted).await;
        match &outcome {
            Ok(answer) => self.keys.answer(&scope, answer).await?,
            Err(problem) if problem.wrote_nothing() && is_first => self.keys.forget(&scope).await?,
            Err(_) => self.keys.release(&scope).await?,
        }
        outcome
    }

    async fn claim(
        &self,
        scope: &KeyScope,
        body: &[u8],
        minted: &Minted,
    ) -> Result<Claim, Problem> {
        let fingerprint: [u8; 32] = Sha256::digest(body).into();
        let deadline = tokio::time::Instant::now() + self.wait_timeout;
        loop {
            let now = self.clock.now();
            let lease = Lease { holder: self.incarnation, until: now.plus(self.lease) };
            let claim = self.keys.claim(scope, fingerprint, minted, lease, now).await?;
            if claim != Claim::InProgress || tokio::time::Instant::now() >= deadline {
                return Ok(claim);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

fn reused() -> Problem {
    let detail = "This idempotency key was used for a request with another body.";
    Problem::new(ProblemKind::Invalid, "idempotency_key_reused", detail)
}

fn in_progress() -> Problem {
    let detail = "The first request with this idempotency key is still being carried out.";
    let problem = Problem::new(ProblemKind::Conflict, "request_in_progress", detail);
    Problem { retry_after: Some(Duration::from_secs(1)), ..problem }
}

#[cfg(test)]
mod tests;
