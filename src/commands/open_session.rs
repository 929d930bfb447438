//! Logs a user in.

use std::sync::Arc;
use std::time::Duration;

use super::passwords::Passwords;
use super::tokens;
use crate::domain::account::{SESSION_PREFIX, Session, TokenHash, User};
use crate::domain::problem::{Problem, ProblemKind};
use crate::domain::time::Timestamp;
use crate::ports::accounts::Accounts;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;

/// A login that succeeded. The token is told once and kept nowhere.
pub struct OpenedSession {
    /// The secret.
    pub token: String,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// Whose it is.
    pub user: User,
}

/// The command.
pub struct OpenSession {
    /// Where accounts are kept.
    pub accounts: Arc<dyn Accounts>,
    /// Checks the password.
    pub passwords: Arc<Passwords>,
    /// Dates the session.
    pub clock: Arc<dyn Clock>,
    /// Makes the token.
    pub entropy: Arc<dyn Entropy>,
    /// How long a session lasts.
    pub ttl: Duration,
}

impl OpenSession {
    /// Checks the password of the account whose address or name is `login`. An
    /// unknown login, a wrong password and a closed account get the same answer
    /// after the same time.
    pub async fn run(
        &self,
        login: &str,
        password: String,
        user_agent: &str,
        ip: String,
    ) -> Result<OpenedSession, Problem> {
        let (user, hash) = self.accounts.credentials(login.trim()).await?.unzip();
        let verified = self.passwords.verify(password, hash.clone()).await?;
        let user = user.filter(|user| verified && user.is_active).zip(hash);
        let Some((user, hash)) = user else {
            return Err(invalid_credentials());
        };
        let token = tokens::mint(SESSION_PREFIX, &*self.entropy);
        let now = self.clock.now();
        let session = Session {
            token: TokenHash::of(&token),
            user: user.id,
            created_at: now,
            expires_at: now.plus(self.ttl),
            user_agent: user_agent.chars().take(255).collect(),
            ip,
        };
        if !self.accounts.open_session(&session, &hash).await? {
            return Err(invalid_credentials());
        }
        Ok(OpenedSession { token, expires_at: session.expires_at, user })
    }
}

fn invalid_credentials() -> Problem {
    let detail = "The login or the password is wrong.";
    Problem::new(ProblemKind::Unauthorized, "invalid_credentials", detail)
}
