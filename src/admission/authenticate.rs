//! Tells who holds a token.

use std::sync::Arc;
use std::time::Duration;

use super::cached_sessions::CachedSessions;
use super::good_keys::GoodKeys;
use super::tokens::{ConnectionToken, Refusal, SubscriptionToken, TokenVerifier};
use crate::domain::account::{SESSION_PREFIX, SignedIn, TICKET_PREFIX, TokenHash, User};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::account_control::AccountControl;
use crate::ports::accounts::Accounts;
use crate::ports::clock::Clock;

/// What a connection token turned out to be.
#[derive(Debug)]
pub enum Verdict {
    /// It is a session's.
    SignedIn(Box<SignedIn>),
    /// It is a JWT, and good.
    Bearer(Box<ConnectionToken>),
    /// It was good, and has run out.
    Expired,
    /// It is unknown, malformed or revoked.
    Invalid,
}

/// Whom the user of a JWT is.
#[derive(Debug)]
pub enum Holder {
    /// The user has this account.
    Account(Box<User>),
    /// The user has none here.
    Stranger,
    /// The user must have an active account, and has not.
    Refused,
}

/// What JWTs are checked with.
pub struct Bearers {
    /// Those that connect.
    pub connections: Arc<TokenVerifier>,
    /// Those that join channels.
    pub subscriptions: Arc<TokenVerifier>,
    /// Whether a user who is a number must have an active account.
    pub check_account: bool,
}

/// Asks the cache about tokens, if there is one, and then `Accounts`.
pub struct Authenticator {
    accounts: Arc<dyn Accounts>,
    control: Arc<dyn AccountControl>,
    clock: Arc<dyn Clock>,
    sessions: Option<Arc<CachedSessions>>,
    keys: GoodKeys,
    bearers: Option<Bearers>,
}

impl Authenticator {
    /// Asks `accounts` about each session, and `control` about each key of the server API; `clock` tells
    /// what has run out.
    pub fn new(
        accounts: Arc<dyn Accounts>,
        control: Arc<dyn AccountControl>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let keys = GoodKeys::new(Duration::ZERO);
        Self { accounts, control, clock, sessions: None, keys, bearers: None }
    }

    /// The same, but asks only about what neither `sessions` nor `keys` knows.
    pub fn remembering(self, sessions: Arc<CachedSessions>, keys: GoodKeys) -> Self {
        Self { sessions: Some(sessions), keys, ..self }
    }

    /// The same, but lets in who shows a JWT as well.
    pub fn trusting(self, bearers: Bearers) -> Self {
        Self { bearers: Some(bearers), ..self }
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
            return match self.bearer(token).await {
                Ok(bearer) => Ok(Verdict::Bearer(Box::new(bearer))),
                Err(Refusal::Expired) => Ok(Verdict::Expired),
                Err(Refusal::Invalid) => Ok(Verdict::Invalid),
                Err(Refusal::Keys(error)) => Err(error),
            };
        }
        Ok(match self.find(&TokenHash::of(token)).await? {
            Some(signed_in) if signed_in.session.expires_at > self.clock.now() => {
                Verdict::SignedIn(Box::new(signed_in))
            }
            Some(_) => Verdict::Expired,
            None => Verdict::Invalid,
        })
    }

    /// What a JWT says of a connection.
    ///
    /// # Errors
    /// [`Refusal`], which it always is where no JWT is trusted.
    pub async fn bearer(&self, token: &str) -> Result<ConnectionToken, Refusal> {
        let bearers = self.bearers.as_ref().ok_or(Refusal::Invalid)?;
        bearers.connections.connection(token).await
    }

    /// What a JWT says of a subscription.
    ///
    /// # Errors
    /// [`Refusal`], which it always is where no JWT is trusted.
    pub async fn subscription(&self, token: &str) -> Result<SubscriptionToken, Refusal> {
        let bearers = self.bearers.as_ref().ok_or(Refusal::Invalid)?;
        bearers.subscriptions.subscription(token).await
    }

    /// Whom the user that a JWT names is: one who is the number of an active account has that account.
    pub async fn holder(&self, user: &str) -> Result<Holder, StoreError> {
        let Some(id) = account_number(user) else {
            return Ok(Holder::Stranger);
        };
        let account = self.accounts.user(id).await?.filter(|account| account.is_active);
        Ok(match account {
            Some(account) => Holder::Account(Box::new(account)),
            None if self.bearers.as_ref().is_some_and(|it| it.check_account) => Holder::Refused,
            None => Holder::Stranger,
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

/// The number of the account that a user would have: only as this hub writes it, for `+1` and `01` are others.
pub fn account_number(user: &str) -> Option<UserId> {
    let number: i64 = user.parse().ok()?;
    (number > 0 && number.to_string() == user).then_some(UserId(number))
}

#[cfg(test)]
mod tests;
