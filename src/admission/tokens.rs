//! Tokens that others sign: JWTs (RFC 7519) with the claims of Centrifugo 6.

mod claims;
mod keys;
mod published;

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::value::RawValue;

use crate::ports::StoreError;
use crate::ports::clock::Clock;

pub use claims::{ConnectionToken, Demands, Grant, SubscriptionToken};
pub use keys::{FixedKeys, InvalidKey};
pub use published::PublishedKeys;

/// Why a token does not do what it was shown for.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is not valid any more, or not yet.
    #[error("the token has expired")]
    Expired,
    /// It is malformed, its signature is not good, or a claim is not what it must be.
    #[error("the token is invalid")]
    Invalid,
    /// The key that it names could not be fetched.
    #[error(transparent)]
    Keys(#[from] StoreError),
}

/// What signatures are checked with.
pub enum Keys {
    /// The keys of the settings.
    Fixed(FixedKeys),
    /// The keys that somebody publishes.
    Published(PublishedKeys),
}

/// Checks tokens: first the signature, then the claims.
pub struct TokenVerifier {
    keys: Keys,
    demands: Demands,
    clock: Arc<dyn Clock>,
}

impl TokenVerifier {
    /// Trusts what `keys` signed and `demands` are met by; `clock` tells what has expired, without any leeway.
    pub fn new(keys: Keys, demands: Demands, clock: Arc<dyn Clock>) -> Self {
        Self { keys, demands, clock }
    }

    /// What a connection token says.
    ///
    /// # Errors
    /// [`Refusal`]; a subscription token is no connection token.
    pub async fn connection(&self, token: &str) -> Result<ConnectionToken, Refusal> {
        let claims = self.signed(token).await?;
        ConnectionToken::read(claims.get(), &self.demands, self.clock.now())
    }

    /// What a subscription token says. Whether it is about this user and this channel is for the caller to see.
    ///
    /// # Errors
    /// [`Refusal`]; a connection token is no subscription token.
    pub async fn subscription(&self, token: &str) -> Result<SubscriptionToken, Refusal> {
        let claims = self.signed(token).await?;
        SubscriptionToken::read(claims.get(), &self.demands, self.clock.now())
    }

    /// The claims of a token whose signature is good.
    async fn signed(&self, token: &str) -> Result<Box<RawValue>, Refusal> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refusal::Invalid)?;
        // RFC 7515, section 4.1.11: an extension that is not understood must not be passed over.
        if header.crit.is_some() {
            return Err(Refusal::Invalid);
        }
        match &self.keys {
            Keys::Fixed(keys) => {
                let previous = keys.previous(header.alg, self.clock.now());
                let candidates = keys.of(header.alg).into_iter().chain(previous);
                let mut verified = candidates.map(|key| verify(token, key, header.alg));
                verified.find(Result::is_ok).unwrap_or(Err(Refusal::Invalid))
            }
            Keys::Published(keys) => {
                let kid = header.kid.ok_or(Refusal::Invalid)?;
                let key = keys.key(&kid).await?.ok_or(Refusal::Invalid)?;
                let key = key.of(header.alg).ok_or(Refusal::Invalid)?;
                verify(token, key, header.alg)
            }
        }
    }
}

/// Checks the signature alone: the clock of the crate is not ours, and claims that it cannot read it passes over.
fn verify(token: &str, key: &DecodingKey, with: Algorithm) -> Result<Box<RawValue>, Refusal> {
    let mut rules = Validation::new(with);
    rules.required_spec_claims.clear();
    rules.validate_exp = false;
    rules.validate_aud = false;
    let token = jsonwebtoken::decode::<Box<RawValue>>(token, key, &rules);
    token.map(|token| token.claims).map_err(|_| Refusal::Invalid)
}

#[cfg(test)]
mod tests;
