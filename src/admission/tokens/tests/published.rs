//! Keys that are published, change, and cannot be fetched.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use jsonwebtoken::jwk::Jwk;

use super::*;
use crate::ports::key_set::KeySet;

/// A set that a test changes; without one it is away.
#[derive(Default)]
struct Endpoint {
    set: Mutex<Option<String>>,
    asked: AtomicUsize,
}

impl Endpoint {
    fn publish(&self, keys: &[Value]) {
        *self.set.lock().unwrap() = Some(json!({ "keys": keys }).to_string());
    }

    fn go_away(&self) {
        *self.set.lock().unwrap() = None;
    }

    /// How often it was asked since this was called.
    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::SeqCst)
    }
}

#[async_trait]
impl KeySet for Endpoint {
    async fn fetch(&self) -> Result<Vec<u8>, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let set = self.set.lock().unwrap().clone();
        let away = || StoreError::Unavailable { store: "token keys", cause: "it is away".into() };
        set.map(String::into_bytes).ok_or_else(away)
    }
}

/// The public key to an algorithm under a name.
fn jwk(algorithm: Algorithm, kid: &str) -> Value {
    let jwk = Jwk::from_encoding_key(&signing(algorithm), algorithm).unwrap();
    let mut jwk = serde_json::to_value(jwk).unwrap();
    jwk["kid"] = json!(kid);
    jwk
}

fn named(algorithm: Algorithm, kid: &str) -> String {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
    encode(&header, &json!({"sub": "42"}), &signing(algorithm)).unwrap()
}

struct Given {
    endpoint: Arc<Endpoint>,
    clock: Arc<ManualClock>,
    verifier: TokenVerifier,
}

fn given() -> Given {
    let (endpoint, clock) = (Arc::new(Endpoint::default()), clock());
    let keys = Keys::Published(PublishedKeys::new(endpoint.clone(), clock.clone()));
    let verifier = TokenVerifier::new(keys, Demands::default(), clock.clone());
    Given { endpoint, clock, verifier }
}

impl Given {
    async fn takes(&self, token: &str) -> bool {
        match self.verifier.connection(token).await {
            Ok(_) => true,
            Err(Refusal::Invalid) => false,
            Err(error) => panic!("{error}"),
        }
    }

    async fn is_away(&self, token: &str) -> bool {
        matches!(self.verifier.connection(token).await, Err(Refusal::Keys(_)))
    }
}

#[tokio::test]
async fn keys_of_all_kinds_are_found_by_their_name_and_fetched_once() {
    use Algorithm as A;
    let given = given();
    let kinds = [(A::RS256, "r"), (A::ES256, "e"), (A::ES384, "f"), (A::EdDSA, "o")];
    let mut keys: Vec<Value> = kinds.iter().map(|(a, kid)| jwk(*a, kid)).collect();
    keys.push(json!({"kty": "new", "kid": "n"}));
    keys.push(json!("no key"));
    given.endpoint.publish(&keys);
    for (algorithm, kid) in kinds {
        assert!(given.takes(&named(algorithm, kid)).await, "{algorithm:?}");
    }
    assert_eq!(given.endpoint.asked(), 1);
    // The key says that it is for RS256 alone.
    assert!(!given.takes(&named(A::RS512, "r")).await);
    assert!(!given.takes(&named(A::ES256, "r")).await);
    assert!(!given.takes(&named(A::RS256, "e")).await);
    assert!(!given.takes(&signed(A::RS256, &json!({"sub": "42"}))).await, "it names no key");
    assert!(!given.takes(&hs256(&json!({"sub": "42"}))).await);
}

#[tokio::test]
async fn a_published_secret_and_a_key_for_encryption_are_no_keys() {
    let given = given();
    let mut encryption = jwk(Algorithm::RS256, "enc");
    encryption["use"] = json!("enc");
    given.endpoint.publish(&[jwk(Algorithm::HS256, "oct"), encryption]);
    assert!(!given.takes(&named(Algorithm::HS256, "oct")).await);
    assert!(!given.takes(&named(Algorithm::RS256, "enc")).await);
}

#[tokio::test]
async fn a_new_key_is_found_and_an_unknown_one_is_not_asked_for_all_the_time() {
    let given = given();
    given.endpoint.publish(&[jwk(Algorithm::RS256, "old")]);
    assert!(given.takes(&named(Algorithm::RS256, "old")).await);
    given.clock.advance(Duration::from_secs(10));
    given.endpoint.publish(&[jwk(Algorithm::ES256, "new")]);
    assert!(given.takes(&named(Algorithm::ES256, "new")).await);
    assert!(!given.takes(&named(Algorithm::RS256, "old")).await, "it is not published any more");
    assert_eq!(given.endpoint.asked(), 2);
    for kid in ["x", "y", "z"] {
        assert!(!given.takes(&named(Algorithm::RS256, kid)).await);
    }
    assert_eq!(given.endpoint.asked(), 0, "the last question is less than 10 s ago");
    given.clock.advance(Duration::from_secs(10));
    for kid in ["x", "y", "z"] {
        assert!(!given.takes(&named(Algorithm::RS256, kid)).await);
    }
    assert_eq!(given.endpoint.asked(), 1);
}

#[tokio::test]
async fn known_keys_serve_while_the_set_is_away_and_are_looked_at_again_after_an_hour() {
    let given = given();
    let (good, other) = (named(Algorithm::RS256, "k"), named(Algorithm::RS256, "other"));
    assert!(given.is_away(&good).await, "nothing is known yet");
    given.endpoint.publish(&[jwk(Algorithm::RS256, "k")]);
    assert!(given.is_away(&good).await, "it is not asked again at once");
    given.clock.advance(Duration::from_secs(10));
    assert!(given.takes(&good).await);
    given.endpoint.go_away();
    given.clock.advance(Duration::from_secs(3_599));
    given.endpoint.asked();
    assert!(given.takes(&good).await);
    assert_eq!(given.endpoint.asked(), 0);
    given.clock.advance(Duration::from_secs(1));
    assert!(given.takes(&good).await, "stale, but there is no better");
    assert_eq!(given.endpoint.asked(), 1);
    assert!(given.is_away(&other).await, "it may have been published meanwhile");
    *given.endpoint.set.lock().unwrap() = Some("<html>".to_owned());
    given.clock.advance(Duration::from_secs(10));
    assert!(given.takes(&good).await, "what is no set takes no key away");
    given.endpoint.publish(&[]);
    given.clock.advance(Duration::from_secs(10));
    assert!(!given.takes(&good).await);
}
