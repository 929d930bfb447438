//! Secrets that stand for a session.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::ports::entropy::Entropy;

/// A new secret of 256 random bits behind `prefix`.
pub fn mint(prefix: &str, entropy: &dyn Entropy) -> String {
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(entropy.bytes::<32>()))
}
