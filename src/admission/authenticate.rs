//! Tells who holds a token.

use std::sync::Arc;
use std::time::Duration;

use super::cached_sessions::CachedSessions;
use super::good_keys::GoodKeys;
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

/// Asks the cache about tokens, if there is one, and then `Accounts`.
pub struct Authenticator {
    accounts: Arc<dyn Accounts>,
    control: Arc<dyn AccountControl>,
    clock: Arc<dyn Clock>,
    sessions: Option<Arc<CachedSessions>>,
    keys: GoodKeys,
}

impl Authenticator {
    /// Asks `accounts` about each session, and `control` about each key of the server API; `clock` tells
    /// what has run out.
    pub fn new(
        accounts: Arc<dyn Accounts>,
        control: Arc<dyn AccountControl>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { accounts, control, clock, sessions: None, keys: GoodKeys::new(Duration::ZERO) }
    }

    /// The same, but asks only about what neither `sessions` nor `keys` knows.
    pub fn remembering(self, sessions: Arc<CachedSessions>, keys: GoodKeys) -> Self {
        Self { sessions: Some(sessions), keys, ..self }
    }

    /// The session behind a session token, if it is good.
    pub async fn session(&self, token: &str) -> Result<Option<SignedIn>, StoreError> {
        if !token.starts_with(SESSION_PREFIX) {
            return Ok(None);
        }
        self.signed_in(&TokenHash::of(token)).await
    }

    /// Judges the token of a connect command. A ticket is used up by it.
    pub async fn connection(&self, token: &str) -> Result<Verdict, StoreError> {
        if token.starts_with(TICKET_PREFIX) {
            let (ticket, now) = (TokenHash::of(token), self.clock.now());
            let redeemed = self.accounts.redeem_ticket(&ticket, now).await?;
            return Ok(redeemed.map_or(Verdict::Invalid, |it| Verdict::SignedIn(Box::new(it))));
        }
        if !token.starts_with(SESSION_PREFIX) {
            return Ok(Verdict::Invalid);
        }
        Ok(match self.find(&TokenHash::of(token)).await? {
            Some(signed_in) if signed_in.session.expires_at > self.clock.now() => {
                Verdict::SignedIn(Box::new(signed_in))
            }
            Some(_) => Verdict::Expired,
            None => Verdict::Invalid,
        })
    }

    /// The session with this hash, if it is good now.
    pub async fn signed_in(&self, token: &TokenHash) -> Result<Option<SignedIn>, StoreError> {
        let found = self.find(token).await?;
        Ok(found.filter(|signed_in| signed_in.session.expires_at > self.clock.now()))
    }

    /// Whether this is the hash of a key that an operator created for the server API.
    pub async fn is_api_key(&self, key: &TokenHash) -> Result<bool, StoreError> {
        if self.keys.holds(key) {
            return Ok(true);
        }
        let is_good = self.control.is_api_key(key).await?;
        if is_good {
            self.keys.add(*key);
        }
        Ok(is_good)
    }

    /// Whether a session is good now.
    pub async fn is_good(&self, token: &TokenHash) -> Result<bool, StoreError> {
        Ok(self.signed_in(token).await?.is_some())
    }

    /// A session that was not revoked, whether or not it has expired.
    async fn find(&self, token: &TokenHash) -> Result<Option<SignedIn>, StoreError> {
        let Some(sessions) = &self.sessions else {
            return self.read(token).await;
        };
        if let Some(signed_in) = sessions.get(token).await {
            return Ok(Some(signed_in));
        }
        // Before the question: what changes after it may be missing in the answer.
        let mark = sessions.mark();
        match self.read(token).await? {
            Some(signed_in) => Ok(Some(sessions.put(signed_in, mark, self.clock.now()).await)),
            None => Ok(None),
        }
    }

    /// Asks for the beginning of time, so that an expired session is told from an unknown one.
    async fn read(&self, token: &TokenHash) -> Result<Option<SignedIn>, StoreError> {
        self.accounts.session(token, Timestamp::from_millis(0)).await
    }
}

#[cfg(test)]
mod tests;
