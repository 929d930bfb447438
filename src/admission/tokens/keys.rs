//! Which key belongs to which algorithm. A key is never used with an algorithm of another kind: a token that
//! takes the public key of RSA for the secret of HMAC finds none.

use jsonwebtoken::{Algorithm, DecodingKey};

/// A text that is no key.
#[derive(Debug, thiserror::Error)]
#[error("the key of {0} cannot be read")]
pub struct InvalidKey(&'static str);

/// At most one key of each kind.
#[derive(Default)]
pub struct FixedKeys {
    hmac: Option<DecodingKey>,
    rsa: Option<DecodingKey>,
    ecdsa: Option<DecodingKey>,
    ed25519: Option<DecodingKey>,
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
        })
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
