//! The settings of JWTs, named as in Centrifugo 6.

use serde::Deserialize;

use super::values::Secret;

/// What connection tokens that are JWTs are checked with.
#[derive(Clone, Debug, Deserialize)]
pub struct Token {
    /// Whether the account behind a user who is a number must exist and be active.
    pub check_account: bool,
    /// The keys and claims.
    #[serde(flatten)]
    pub checks: TokenChecks,
}

/// What subscription tokens are checked with.
#[derive(Clone, Debug, Deserialize)]
pub struct SubscriptionToken {
    /// Whether this counts at all, instead of what connection tokens are checked with.
    pub enabled: bool,
    /// The keys and claims.
    #[serde(flatten)]
    pub checks: TokenChecks,
}

/// The keys that tokens may be signed with, and the claims that they must make.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenChecks {
    /// The shared secret of HS256, HS384 and HS512; empty: none.
    pub hmac_secret_key: Secret,
    /// The secret before that one, which still counts beside it; empty: none.
    pub hmac_previous_secret_key: Secret,
    /// When it ceases to (Unix seconds); 0: never.
    pub hmac_previous_secret_key_valid_until: i64,
    /// The key of RS256, RS384 and RS512 in PEM; empty: none.
    pub rsa_public_key: String,
    /// The key of ES256 and ES384 in PEM; empty: none.
    pub ecdsa_public_key: String,
    /// The key of EdDSA in PEM; empty: none.
    pub ed25519_public_key: String,
    /// Where a key set is published, which then counts alone; empty: nowhere. It may hold a password.
    pub jwks_public_endpoint: Secret,
    /// What `aud` must hold; empty: anything.
    pub audience: String,
    /// What `iss` must be; empty: anything.
    pub issuer: String,
    /// The claim that names the user; empty: `sub`.
    pub user_id_claim: String,
}
