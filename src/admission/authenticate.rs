//! Tells who holds a token.

use std::sync::Arc;

use crate::domain::account::{SESSION_PREFIX, SignedIn, TICKET_PREFIX, TokenHash};
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::account_control::AccountControl;
use crate::ports::accounts::Accounts;
use crate::ports::clock::Clock;

/// What a connection token turned out to be.
#[derive(Debug)]
pub enum Verdict {
    /// It is good.
    SignedIn(Box<SignedIn>),
    /// It was good, and has run out.
    Expired,
    /// It is unknown, malformed or revoked.
    Invalid,
}

/// Asks `Accounts` about tokens.
pub struct Authenticator {
    /// The truth about sessions.
    pub accounts: Arc<dyn Accounts>,
    /// The truth about keys of the server API.
    pub control: Arc<dyn AccountControl>,
    /// Tells what has run out.
    pub clock: Arc<dyn Clock>,
}

impl Authenticator {
    /// The session behind a session token, if it is good.
    pub async fn session(&self, token: &str) -> Result<Option<SignedIn>, StoreError> {
        if !token.starts_with(SESSION_PREFIX) {
            return Ok(None);
        }
        self.accounts.session(&TokenHash::of(token), self.clock.now()).await
    }

    /// Judges the token of a connect command. A ticket is used up by it.
    pub async fn connection(&self, token: &str) -> Result<Verdict, StoreError> {
        let now = self.clock.now();
        if token.starts_with(TICKET_PREFIX) {
            let Some(signed_in) = self.accounts.redeem_ticket(&TokenHash::of(token), now).await?
            else {
                return Ok(Verdict::Invalid);
            };
            return Ok(Verdict::SignedIn(Box::new(signed_in)));
        }
        if !token.starts_with(SESSION_PREFIX) {
            return Ok(Verdict::Invalid);
        }
        // Asked for the beginning of time, so that an expired session is told from an unknown one.
        let found = self.accounts.session(&TokenHash::of(token), Timestamp::from_millis(0)).await?;
        Ok(match found {
            Some(signed_in) if signed_in.session.expires_at > now => {
                Verdict::SignedIn(Box::new(signed_in))
            }
            Some(_) => Verdict::Expired,
            None => Verdict::Invalid,
        })
    }

    /// The session with this hash, if it is good now.
    pub async fn signed_in(&self, token: &TokenHash) -> Result<Option<SignedIn>, StoreError> {
        self.accounts.session(token, self.clock.now()).await
    }

    /// Whether this is the hash of a key that an operator created for the server API.
    pub async fn is_api_key(&self, key: &TokenHash) -> Result<bool, StoreError> {
        self.control.is_api_key(key).await
    }

    /// Whether a session is good now.
    pub async fn is_good(&self, token: &TokenHash) -> Result<bool, StoreError> {
        Ok(self.signed_in(token).await?.is_some())
    }
}
