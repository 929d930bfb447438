//! Passwords: hashed with argon2id (RFC 9106), beside the runtime and in bounded number.

use std::sync::Arc;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use crate::domain::problem::{Problem, ProblemKind};
use crate::ports::entropy::Entropy;

/// Hashes and checks passwords. Each takes tens of milliseconds of a core, so
/// only a few run at once and the rest waits for a bounded time.
pub struct Passwords {
    places: Arc<Semaphore>,
    wait_timeout: Duration,
    /// Checked against where there is no account, so that the answer takes as long.
    decoy: String,
    entropy: Arc<dyn Entropy>,
}

fn hash_with_salt(
    password: &[u8],
    salt: &[u8; 16],
) -> Result<String, argon2::password_hash::Error> {
    Argon2::default().hash_password_with_salt(password, salt).map(|hash| hash.to_string())
}

impl Passwords {
    /// Lets `concurrency` run at once; whoever waits longer than `wait_timeout` gets 429.
    pub fn new(
        concurrency: usize,
        wait_timeout: Duration,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, argon2::password_hash::Error> {
        let decoy = hash_with_salt(b"no account has this password", &entropy.bytes::<16>())?;
        Ok(Self {
            places: Arc::new(Semaphore::new(concurrency.max(1))),
            wait_timeout,
            decoy,
            entropy,
        })
    }

    /// The hash of a password in the PHC string format.
    pub async fn hash(&self, password: String) -> Result<String, Problem> {
        let salt = self.entropy.bytes::<16>();
        let hash = self.run(move || hash_with_salt(password.as_bytes(), &salt)).await?;
        hash.map_err(|error| {
            tracing::error!(%error, "could not hash a password");
            Problem::new(
                ProblemKind::Internal,
                "internal_error",
                "The password could not be hashed.",
            )
        })
    }

    /// Whether `password` is the one behind `hash`; false, after as long, where there is none.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Problem> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.clone());
        let check = move || {
            let parsed = PasswordHash::new(&hash);
            parsed.is_ok_and(|hash| {
                Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
            })
        };
        Ok(self.run(check).await? && known)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let place = Arc::clone(&self.places).acquire_owned();
        let Ok(Ok(place)) = tokio::time::timeout(self.wait_timeout, place).await else {
            let detail = "Too many passwords are being checked. Try again later.";
            let problem = Problem::new(ProblemKind::TooMany, "too_many_logins", detail);
            return Err(Problem { retry_after: Some(Duration::from_secs(1)), ..problem });
        };
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(place);
            result
        });
        done.await.map_err(|error| {
            tracing::error!(%error, "a password task failed");
            Problem::new(
                ProblemKind::Internal,
                "internal_error",
                "The password could not be checked.",
            )
        })
    }
}
