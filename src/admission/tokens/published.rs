//! Keys that somebody else publishes, kept by their name (`kid`).

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::key_set::KeySet;

/// How long what was published counts without looking again, as in Centrifugo.
const FRESH: Duration = Duration::from_secs(3_600);
/// However many unknown keys tokens name, and however old what is known is, it is not asked for more often than this.
const REST: Duration = Duration::from_secs(10);

/// The keys of a set. Those that are known go on to count while the set cannot be fetched.
pub struct PublishedKeys {
    source: Arc<dyn KeySet>,
    clock: Arc<dyn Clock>,
    known: RwLock<Known>,
    /// When the set was last asked for. Held by who asks for it now.
    asked: Mutex<Option<Timestamp>>,
}

#[derive(Default)]
struct Known {
    keys: HashMap<String, Arc<PublicKey>>,
    /// When they were fetched.
    at: Option<Timestamp>,
    /// Whether asking for them failed since.
    is_away: bool,
}

/// A published key, and what it may be used with.
pub(super) struct PublicKey {
    key: DecodingKey,
    algorithms: Vec<Algorithm>,
}

impl PublicKey {
    /// The key, if it may be used with `algorithm`.
    pub(super) fn of(&self, algorithm: Algorithm) -> Option<&DecodingKey> {
        self.algorithms.contains(&algorithm).then_some(&self.key)
    }

    /// Reads a key for signatures. A shared secret (`oct`) is none that may be published.
    fn read(jwk: &Jwk) -> Option<Self> {
        if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return None;
        }
        let algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => {
                vec![Algorithm::RS256, Algorithm::RS384, Algorithm::RS512]
            }
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                vec![Algorithm::ES256]
            }
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => {
                vec![Algorithm::ES384]
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                vec![Algorithm::EdDSA]
            }
            _ => return None,
        };
        let named = jwk.common.key_algorithm;
        let is_named =
            |algorithm: &Algorithm| named.is_none_or(|n| n == KeyAlgorithm::from(*algorithm));
        let algorithms = algorithms.into_iter().filter(is_named).collect();
        Some(Self { key: DecodingKey::from_jwk(jwk).ok()?, algorithms })
    }
}

impl PublishedKeys {
    /// Asks `source` when the first key is needed.
    pub fn new(source: Arc<dyn KeySet>, clock: Arc<dyn Clock>) -> Self {
        Self { source, clock, known: RwLock::default(), asked: Mutex::new(None) }
    }

    /// The key of this name; `None` if there is none.
    ///
    /// # Errors
    /// If it is not known, and the set cannot be fetched.
    pub(super) async fn key(&self, kid: &str) -> Result<Option<Arc<PublicKey>>, StoreError> {
        let (known, is_fresh) = self.look(kid);
        if known.is_some() {
            if !is_fresh && let Ok(mut asked) = self.asked.try_lock() {
                // Who asks at the same time is served what is known.
                self.ask(&mut asked).await;
                return Ok(self.look(kid).0);
            }
            return Ok(known);
        }
        let mut asked = self.asked.lock().await;
        // Somebody else may have asked meanwhile.
        if self.look(kid).0.is_none() {
            self.ask(&mut asked).await;
        }
        let found = self.look(kid).0;
        let is_away = self.known.read().expect("nobody panics with the keys").is_away;
        if found.is_none() && is_away {
            let cause = "the key set could not be fetched".to_owned();
            return Err(StoreError::Unavailable { store: "token keys", cause });
        }
        Ok(found)
    }

    /// The key of this name, as far as is known, and whether that is fresh.
    fn look(&self, kid: &str) -> (Option<Arc<PublicKey>>, bool) {
        let known = self.known.read().expect("nobody panics with the keys");
        let now = self.clock.now();
        let is_fresh = known.at.is_some_and(|at| at <= now && now.since(at) < FRESH);
        (known.keys.get(kid).cloned(), is_fresh)
    }

    /// Fetches the set, unless that was tried a moment ago.
    async fn ask(&self, asked: &mut Option<Timestamp>) {
        let now = self.clock.now();
        if asked.is_some_and(|at| at <= now && now.since(at) < REST) {
            return;
        }
        *asked = Some(now);
        let fetched = self.source.fetch().await.map(|json| read(&json));
        let mut known = self.known.write().expect("nobody panics with the keys");
        match fetched {
            Ok(Some(keys)) => *known = Known { keys, at: Some(now), is_away: false },
            Ok(None) => {
                tracing::warn!("what is published as a key set is none");
                known.is_away = true;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot fetch the keys of tokens");
                known.is_away = true;
            }
        }
    }
}

/// The keys of a set that have a name and can be used; `None` if it is no set. One key of a kind that is not known
/// here does not spoil the others.
fn read(json: &[u8]) -> Option<HashMap<String, Arc<PublicKey>>> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let set: Set = serde_json::from_slice(json).ok()?;
    let keys = set.keys.into_iter().filter_map(|key| {
        let jwk: Jwk = serde_json::from_value(key).ok()?;
        Some((jwk.common.key_id.clone()?, Arc::new(PublicKey::read(&jwk)?)))
    });
    Some(keys.collect())
}
