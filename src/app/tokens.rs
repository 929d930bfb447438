//! What JWTs are checked with, by the settings; and one made by it, to try things out.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use super::AppError;
use crate::adapters::key_endpoint::KeyEndpoint;
use crate::adapters::system::SystemClock;
use crate::admission::authenticate::Bearers;
use crate::admission::tokens::{Demands, FixedKeys, Keys, PublishedKeys, TokenVerifier};
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock;
use crate::settings::{Settings, TokenChecks};

/// What connection tokens and subscription tokens are checked with.
pub(super) fn bearers(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Bearers, AppError> {
    let client = &settings.client;
    let connections = Arc::new(verifier("client.token", &client.token.checks, clock)?);
    let own = &client.subscription_token;
    let subscriptions = match own.enabled {
        true => Arc::new(verifier("client.subscription_token", &own.checks, clock)?),
        false => Arc::clone(&connections),
    };
    Ok(Bearers { connections, subscriptions, check_account: client.token.check_account })
}

fn verifier(
    section: &str,
    checks: &TokenChecks,
    clock: &Arc<dyn Clock>,
) -> Result<TokenVerifier, AppError> {
    let endpoint = checks.jwks_public_endpoint.expose();
    let keys = if endpoint.is_empty() {
        let keys = FixedKeys::new(
            checks.hmac_secret_key.expose(),
            &checks.rsa_public_key,
            &checks.ecdsa_public_key,
            &checks.ed25519_public_key,
        );
        let keys = keys.map_err(|error| format!("{section}: {error}"))?;
        let until = checks.hmac_previous_secret_key_valid_until;
        let until = (until > 0).then(|| Timestamp::from_millis(until.saturating_mul(1_000)));
        Keys::Fixed(keys.succeeding(checks.hmac_previous_secret_key.expose(), until))
    } else {
        let source = KeyEndpoint::new(endpoint);
        let source = source.map_err(|error| format!("{section}.jwks_public_endpoint: {error}"))?;
        Keys::Published(PublishedKeys::new(Arc::new(source), Arc::clone(clock)))
    };
    let demands = Demands {
        audience: checks.audience.clone(),
        issuer: checks.issuer.clone(),
        user_id_claim: checks.user_id_claim.clone(),
    };
    Ok(TokenVerifier::new(keys, demands, Arc::clone(clock)))
}

/// What a token is to say.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Whose it is; empty for an anonymous user.
    pub user: String,
    /// How long it is good.
    pub ttl: Duration,
    /// The channel of a subscription token; `None` for a connection token.
    pub channel: Option<String>,
    /// The claim `info`.
    pub info: Option<Value>,
}

/// Makes a token that a node with these settings takes.
///
/// # Errors
/// If there is no secret to sign it with: the private parts of other keys are not in the settings.
pub fn make(settings: &Settings, wanted: &Wanted) -> Result<String, AppError> {
    let client = &settings.client;
    let (section, checks) = match (&wanted.channel, client.subscription_token.enabled) {
        (Some(_), true) => ("client.subscription_token", &client.subscription_token.checks),
        _ => ("client.token", &client.token.checks),
    };
    if !checks.jwks_public_endpoint.is_empty() {
        let problem = "is set, so that tokens are signed with a key of that set, which is not here";
        return Err(format!("{section}.jwks_public_endpoint {problem}").into());
    }
    if checks.hmac_secret_key.is_empty() {
        let problem = "is not set; tokens are made with it";
        return Err(format!("{section}.hmac_secret_key {problem}").into());
    }
    let now = SystemClock.now();
    let user_claim = match checks.user_id_claim.as_str() {
        "" => "sub",
        claim => claim,
    };
    let mut claims = json!({
        "iat": now.as_millis() / 1_000,
        "exp": now.plus(wanted.ttl).as_millis() / 1_000,
    });
    claims[user_claim] = json!(wanted.user);
    for (name, value) in [("aud", &checks.audience), ("iss", &checks.issuer)] {
        if !value.is_empty() {
            claims[name] = json!(value);
        }
    }
    if let Some(channel) = &wanted.channel {
        claims["channel"] = json!(channel);
    }
    if let Some(info) = &wanted.info {
        claims["info"] = info.clone();
    }
    let key = EncodingKey::from_secret(checks.hmac_secret_key.expose().as_bytes());
    Ok(jsonwebtoken::encode(&Header::default(), &claims, &key)?)
}
