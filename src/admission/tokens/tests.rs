//! What is signed by whom, and what it claims.

mod published;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;
use crate::adapters::memory::manual_clock::ManualClock;
use crate::domain::namespace::Overrides;
use crate::domain::time::Timestamp;

const SECRET: &str = "a secret of the tests";
/// In seconds.
const NOW: i64 = 1_800_000_000;

/// The key pairs of the tests: the private one, the public one.
macro_rules! pair {
    ($name:literal) => {
        (
            include_str!(concat!("../../../tests/keys/", $name, ".pem")),
            include_str!(concat!("../../../tests/keys/", $name, ".pub.pem")),
        )
    };
}
const RSA: (&str, &str) = pair!("rsa");
const P256: (&str, &str) = pair!("p256");
const P384: (&str, &str) = pair!("p384");
const ED25519: (&str, &str) = pair!("ed25519");

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(NOW * 1_000)))
}

fn verifier(ecdsa: &str, demands: Demands) -> TokenVerifier {
    let keys = FixedKeys::new(SECRET, RSA.1, ecdsa, ED25519.1).unwrap();
    TokenVerifier::new(Keys::Fixed(keys), demands, clock())
}

fn signing(algorithm: Algorithm) -> EncodingKey {
    use Algorithm as A;
    match algorithm {
        A::HS256 | A::HS384 | A::HS512 => EncodingKey::from_secret(SECRET.as_bytes()),
        A::ES256 => EncodingKey::from_ec_pem(P256.0.as_bytes()).unwrap(),
        A::ES384 => EncodingKey::from_ec_pem(P384.0.as_bytes()).unwrap(),
        A::EdDSA => EncodingKey::from_ed_pem(ED25519.0.as_bytes()).unwrap(),
        _ => EncodingKey::from_rsa_pem(RSA.0.as_bytes()).unwrap(),
    }
}

fn signed(algorithm: Algorithm, claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, &signing(algorithm)).unwrap()
}

fn hs256(claims: &Value) -> String {
    signed(Algorithm::HS256, claims)
}

/// What a connection token with these claims leads to.
async fn connection(claims: Value) -> Result<ConnectionToken, Refusal> {
    verifier(P256.1, Demands::default()).connection(&hs256(&claims)).await
}

async fn subscription(claims: Value) -> Result<SubscriptionToken, Refusal> {
    verifier(P256.1, Demands::default()).subscription(&hs256(&claims)).await
}

fn is_invalid<T>(outcome: Result<T, Refusal>) -> bool {
    matches!(outcome, Err(Refusal::Invalid))
}

#[tokio::test]
async fn every_algorithm_is_checked_with_the_key_of_its_kind() {
    use Algorithm as A;
    let claims = json!({"sub": "42"});
    for algorithm in [A::HS256, A::HS384, A::HS512, A::RS256, A::RS384, A::RS512, A::EdDSA] {
        let token = signed(algorithm, &claims);
        let read = verifier(P256.1, Demands::default()).connection(&token).await;
        assert_eq!(read.unwrap().user, "42", "{algorithm:?}");
    }
    for (algorithm, curve, other) in [(A::ES256, P256, P384), (A::ES384, P384, P256)] {
        let token = signed(algorithm, &claims);
        let read = verifier(curve.1, Demands::default()).connection(&token).await;
        assert_eq!(read.unwrap().user, "42", "{algorithm:?}");
        let read = verifier(other.1, Demands::default()).connection(&token).await;
        assert!(is_invalid(read), "{algorithm:?} with a key on another curve");
    }
    for algorithm in [A::PS256, A::PS384, A::PS512] {
        let token = signed(algorithm, &claims);
        let read = verifier(P256.1, Demands::default()).connection(&token).await;
        assert!(is_invalid(read), "{algorithm:?} is none that is offered");
    }
}

#[tokio::test]
async fn without_a_key_of_its_kind_a_token_is_invalid() {
    let none = FixedKeys::new("", "", "", "").unwrap();
    let verifier = TokenVerifier::new(Keys::Fixed(none), Demands::default(), clock());
    for algorithm in [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let token = signed(algorithm, &json!({"sub": "42"}));
        assert!(is_invalid(verifier.connection(&token).await), "{algorithm:?}");
    }
    // An empty secret is no secret that everybody knows.
    let key = EncodingKey::from_secret(b"");
    let token = encode(&Header::default(), &json!({"sub": "42"}), &key).unwrap();
    assert!(is_invalid(verifier.connection(&token).await));
}

#[tokio::test]
async fn a_public_key_is_no_secret_and_an_unsigned_token_none_at_all() {
    let verifier = verifier(P256.1, Demands::default());
    for public in [RSA.1, P256.1, ED25519.1] {
        let key = EncodingKey::from_secret(public.as_bytes());
        let token = encode(&Header::default(), &json!({"sub": "42"}), &key).unwrap();
        assert!(is_invalid(verifier.connection(&token).await));
    }
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = part(json!({"sub": "42"}));
    for alg in ["none", "None", "NONE", ""] {
        let header = part(json!({"typ": "JWT", "alg": alg}));
        for signature in ["", "AAAA"] {
            let token = format!("{header}.{claims}.{signature}");
            assert!(is_invalid(verifier.connection(&token).await), "{alg:?}");
        }
    }
}

#[tokio::test]
async fn whatever_is_changed_in_a_token_makes_it_invalid() {
    let verifier = verifier(P256.1, Demands::default());
    let token = hs256(&json!({"sub": "42"}));
    assert!(verifier.connection(&token).await.is_ok());
    let parts: Vec<&str> = token.split('.').collect();
    let other = hs256(&json!({"sub": "43"}));
    let claims = other.split('.').nth(1).unwrap();
    for forged in [
        format!("{}.{claims}.{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{token}A"),
        format!("{token}.{}", parts[2]),
        format!(" {token}"),
        String::new(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        "🦀.🦀.🦀".to_owned(),
    ] {
        assert!(is_invalid(verifier.connection(&forged).await), "{forged}");
    }
}

#[tokio::test]
async fn an_extension_that_is_not_understood_is_not_passed_over() {
    let header = Header { crit: Some(vec!["b64".to_owned()]), ..Header::default() };
    let token = encode(&header, &json!({"sub": "42"}), &signing(Algorithm::HS256)).unwrap();
    assert!(is_invalid(verifier(P256.1, Demands::default()).connection(&token).await));
}

#[tokio::test]
async fn a_token_is_good_from_nbf_until_exp_without_leeway() {
    let expired = |outcome| matches!(outcome, Err(Refusal::Expired));
    assert!(expired(connection(json!({"sub": "42", "exp": NOW})).await));
    assert!(expired(connection(json!({"sub": "42", "exp": NOW - 1})).await));
    assert!(expired(connection(json!({"sub": "42", "exp": -5})).await));
    assert!(expired(connection(json!({"sub": "42", "nbf": NOW + 1})).await));
    let at = |outcome: Result<ConnectionToken, Refusal>| {
        outcome.unwrap().expires_at.map(Timestamp::as_millis)
    };
    let exp = NOW + 1;
    assert_eq!(at(connection(json!({"exp": exp, "nbf": NOW})).await), Some(exp * 1_000));
    assert_eq!(at(connection(json!({"exp": exp as f64 + 0.5})).await), Some(exp * 1_000 + 500));
    assert_eq!(at(connection(json!({})).await), None);
    // What connects may live longer or shorter than its token, but a token that has expired connects nothing.
    assert_eq!(
        at(connection(json!({"exp": exp, "expire_at": NOW + 60})).await),
        Some((NOW + 60) * 1_000)
    );
    assert_eq!(at(connection(json!({"exp": exp, "expire_at": 0})).await), None);
    assert!(expired(connection(json!({"exp": NOW, "expire_at": NOW + 60})).await));
    for exp in [json!("1900000000"), json!(true), json!([1]), json!({})] {
        assert!(is_invalid(connection(json!({"exp": exp})).await), "{exp}");
    }
    assert_eq!(at(connection(json!({"exp": u64::MAX})).await), Some(i64::MAX));
}

#[tokio::test]
async fn time_goes_by_while_a_token_is_held() {
    let clock = clock();
    let keys = FixedKeys::new(SECRET, "", "", "").unwrap();
    let verifier = TokenVerifier::new(Keys::Fixed(keys), Demands::default(), clock.clone());
    let token = hs256(&json!({"exp": NOW + 10}));
    clock.advance(Duration::from_millis(9_999));
    assert!(verifier.connection(&token).await.is_ok());
    clock.advance(Duration::from_millis(1));
    assert!(matches!(verifier.connection(&token).await, Err(Refusal::Expired)));
}

#[tokio::test]
async fn audience_and_issuer_count_where_they_are_demanded() {
    let demands = Demands {
        audience: "carillon".into(),
        issuer: "https://id.example".into(),
        user_id_claim: String::new(),
    };
    let verifier = verifier(P256.1, demands);
    let issuer = "https://id.example";
    for aud in [json!("carillon"), json!(["other", "carillon"])] {
        let token = hs256(&json!({"aud": aud, "iss": issuer}));
        assert!(verifier.connection(&token).await.is_ok(), "{aud}");
    }
    for claims in [
        json!({"iss": issuer}),
        json!({"aud": "other", "iss": issuer}),
        json!({"aud": [], "iss": issuer}),
        json!({"aud": {"carillon": 1}, "iss": issuer}),
        json!({"aud": "carillon"}),
        json!({"aud": "carillon", "iss": "https://id.example/"}),
        json!({"aud": "carillon", "iss": [issuer]}),
    ] {
        assert!(is_invalid(verifier.connection(&hs256(&claims)).await), "{claims}");
    }
    // An expired token of somebody else is not one to ask a new one for.
    let token = hs256(&json!({"aud": "other", "iss": issuer, "exp": 1}));
    assert!(is_invalid(verifier.connection(&token).await));
}

#[tokio::test]
async fn the_user_is_who_sub_or_the_configured_claim_names() {
    for (claims, user) in
        [(json!({"sub": "ada"}), "ada"), (json!({}), ""), (json!({"sub": ""}), "")]
    {
        assert_eq!(connection(claims).await.unwrap().user, user);
    }
    for sub in [json!(42), json!("a\u{0}b"), json!("a\nb"), json!("x".repeat(256)), json!(["a"])] {
        assert!(is_invalid(connection(json!({"sub": sub})).await), "{sub}");
    }
    let demands = Demands { user_id_claim: "user_id".into(), ..Demands::default() };
    let verifier = verifier(P256.1, demands);
    for (claim, user) in [(json!("ada"), "ada"), (json!(42), "42"), (json!(null), "")] {
        let token = hs256(&json!({"sub": "eve", "user_id": claim}));
        assert_eq!(verifier.connection(&token).await.unwrap().user, user);
    }
    assert!(is_invalid(verifier.connection(&hs256(&json!({"user_id": ["ada"]}))).await));
}

#[tokio::test]
async fn a_connection_token_says_what_others_may_know_and_where_to_subscribe() {
    let token = connection(json!({
        "sub": "42", "iat": NOW, "jti": "x", "info": {"name": "Ada"}, "meta": {"plan": 1},
        "channels": ["a", "b"],
    }));
    let token = token.await.unwrap();
    assert_eq!(token.info.unwrap().get(), r#"{"name":"Ada"}"#);
    assert_eq!(token.meta.unwrap().get(), r#"{"plan":1}"#);
    assert_eq!(token.subs.keys().collect::<Vec<_>>(), ["a", "b"]);
    let token = connection(json!({
        "b64info": "eyJhIjoxfQ==", "channels": ["ignored"],
        "subs": {"c": {
            "data": [1], "b64info": "MQ==", "override": {"presence": {"value": false}},
        }},
    }));
    let mut token = token.await.unwrap();
    assert_eq!(token.info.unwrap().get(), r#"{"a":1}"#);
    let grant = token.subs.remove("c").unwrap();
    assert!(token.subs.is_empty(), "subs count before channels");
    assert_eq!((grant.data.unwrap().get(), grant.info.unwrap().get()), ("[1]", "1"));
    let overrides = Overrides { presence: Some(false), ..Overrides::default() };
    assert_eq!(grant.overrides, overrides);
    for claims in [
        json!({"b64info": "!"}),
        json!({"b64info": "Zm9v"}),
        json!({"info": "a\u{0}"}),
        json!({"channels": "a"}),
        json!({"subs": ["a"]}),
        json!({"subs": {"a": {"b64data": "Zm9v"}}}),
        json!([null, null]),
    ] {
        assert!(is_invalid(connection(claims.clone()).await), "{claims}");
    }
}

#[tokio::test]
async fn tokens_for_connections_and_for_subscriptions_are_not_mistaken_for_each_other() {
    assert!(is_invalid(connection(json!({"sub": "42", "channel": "$a:b"})).await));
    assert!(is_invalid(subscription(json!({"sub": "42"})).await));
    assert!(is_invalid(subscription(json!({"sub": "42", "channel": ""})).await));
    let token = subscription(json!({
        "sub": "42", "channel": "$a:b", "exp": NOW + 5, "client": "c", "info": {"role": "x"},
        "override": {"force_recovery": {"value": true}, "force_positioning": {}},
    }));
    let token = token.await.unwrap();
    assert_eq!((token.user.as_str(), token.channel.as_str()), ("42", "$a:b"));
    assert_eq!((token.client.as_str(), token.grant.info.unwrap().get()), ("c", r#"{"role":"x"}"#));
    assert_eq!(token.expires_at, Some(Timestamp::from_millis((NOW + 5) * 1_000)));
    let overrides = token.grant.overrides;
    assert_eq!((overrides.force_recovery, overrides.force_positioning), (Some(true), Some(false)));
    let expired = subscription(json!({"sub": "42", "channel": "$a:b", "exp": NOW})).await;
    assert!(matches!(expired, Err(Refusal::Expired)));
}

#[test]
fn what_is_no_key_is_refused_by_its_kind() {
    let error = FixedKeys::new("", "nonsense", "", "").err().unwrap().to_string();
    assert!(error.contains("RSA") && !error.contains("nonsense"), "{error}");
    assert!(FixedKeys::new("", P256.1, "", "").is_err());
    assert!(FixedKeys::new("", "", ED25519.1, "").is_err());
    assert!(FixedKeys::new("", "", "", RSA.1).is_err());
}
