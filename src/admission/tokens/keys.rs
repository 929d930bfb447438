//! Which key belongs to which algorithm. A key is never used with an algorithm of another kind: a token that
//! takes the public key of RSA for the secret of HMAC finds none.

use jsonwebtoken::{Algorithm, DecodingKey};

use crate::domain::time::Timestamp;

/// A text that is no key.
#[derive(Debug, thiserror::Error)]
#[error("the key of {0} cannot be read")]
pub struct InvalidKey(&'static str);

/// At most one key of each kind, and the secret that came before.
#[derive(Default)]
pub struct FixedKeys {
    hmac: Option<DecodingKey>,
    rsa: Option<DecodingKey>,
    ecdsa: Option<DecodingKey>,
    ed25519: Option<DecodingKey>,
    previous: Option<(DecodingKey, Option<Timestamp>)>,
}

impl FixedKeys {
    /// A shared secret and public keys in PEM; an empty text is none.
    ///
    /// # Errors
    /// [`InvalidKey`] for what is not empty and no key.
    pub fn new(hmac: &str, rsa: &str, ecdsa: &str, ed25519: &str) -> Result<Self, InvalidKey> {
        type Read = fn(&[u8]) -> jsonwebtoken::errors::Result<DecodingKey>;
        let read = |text: &str, kind: &'static str, read: Read| match text {
            "" => Ok(None),
            text => read(text.as_bytes()).map(Some).map_err(|_| InvalidKey(kind)),
        };
        Ok(Self {
            hmac: (!hmac.is_empty()).then(|| DecodingKey::from_secret(hmac.as_bytes())),
            rsa: read(rsa, "RSA", DecodingKey::from_rsa_pem)?,
            ecdsa: read(ecdsa, "ECDSA", DecodingKey::from_ec_pem)?,
            ed25519: read(ed25519, "Ed25519", DecodingKey::from_ed_pem)?,
            previous: None,
        })
    }

    /// The same, with a secret that counts beside the other one through `until`, or without an end: tokens that were
    /// signed with it before the secret changed. An empty text is none.
    pub fn succeeding(self, hmac: &str, until: Option<Timestamp>) -> Self {
        let key = || DecodingKey::from_secret(hmac.as_bytes());
        Self { previous: (!hmac.is_empty()).then(|| (key(), until)), ..self }
    }

    /// The secret that came before, for signatures by `algorithm`, if it still counts at `now`.
    pub(super) fn previous(&self, algorithm: Algorithm, now: Timestamp) -> Option<&DecodingKey> {
        use Algorithm::{HS256, HS384, HS512};
        let (key, until) = self.previous.as_ref()?;
        let counts =
            matches!(algorithm, HS256 | HS384 | HS512) && until.is_none_or(|until| now <= until);
        counts.then_some(key)
    }

    /// The key for signatures by `algorithm`.
    pub(super) fn of(&self, algorithm: Algorithm) -> Option<&DecodingKey> {
        use Algorithm as A;
        match algorithm {
            A::HS256 | A::HS384 | A::HS512 => self.hmac.as_ref(),
            A::RS256 | A::RS384 | A::RS512 => self.rsa.as_ref(),
            A::ES256 | A::ES384 => self.ecdsa.as_ref(),
            A::EdDSA => self.ed25519.as_ref(),
            _ => None,
        }
    }
}
