//! Keys: public ones from the settings, and a key set that somebody publishes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use jsonwebtoken::jwk::Jwk;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;
use crate::support::Start;

const RSA: (&str, &str) =
    (include_str!("../../../keys/rsa.pem"), include_str!("../../../keys/rsa.pub.pem"));
const P256: (&str, &str) =
    (include_str!("../../../keys/p256.pem"), include_str!("../../../keys/p256.pub.pem"));
const ED25519: (&str, &str) =
    (include_str!("../../../keys/ed25519.pem"), include_str!("../../../keys/ed25519.pub.pem"));

fn rsa() -> EncodingKey {
    EncodingKey::from_rsa_pem(RSA.0.as_bytes()).expect("it is a key")
}

fn p256() -> EncodingKey {
    EncodingKey::from_ec_pem(P256.0.as_bytes()).expect("it is a key")
}

fn by(key: &EncodingKey, algorithm: Algorithm, kid: Option<&str>) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, &json!({"sub": "ada"}), key).expect("claims can be signed")
}

#[tokio::test]
async fn public_keys_of_the_settings_count_for_their_algorithms() {
    let settings = format!(
        "[client.token]\nrsa_public_key = '''{}'''\necdsa_public_key = '''{}'''\n\
         ed25519_public_key = '''{}'''\n",
        RSA.1, P256.1, ED25519.1
    );
    let server = Server::with(&settings).await;
    let ed25519 = EncodingKey::from_ed_pem(ED25519.0.as_bytes()).expect("it is a key");
    for token in [
        by(&rsa(), Algorithm::RS256, None),
        by(&p256(), Algorithm::ES256, None),
        by(&ed25519, Algorithm::EdDSA, None),
    ] {
        server.socket(&token).await;
    }
    for public in [RSA.1, P256.1, ED25519.1] {
        let token = signed(public, &json!({"sub": "ada"}));
        assert_eq!(closed_with(&server, &token).await, 3500, "a public key is no secret");
    }
}

#[tokio::test]
async fn the_secret_before_counts_until_its_time_is_over() {
    for (until, counts) in [(0, true), (seconds(60), true), (seconds(-60), false)] {
        let server = Server::with(&format!(
            "[client.token]\nhmac_secret_key = \"{SECRET}\"\nhmac_previous_secret_key = \"old\"\n\
             hmac_previous_secret_key_valid_until = {until}\n",
        ))
        .await;
        let claims = json!({"sub": "ada"});
        server.socket(&jwt(claims.clone())).await;
        match counts {
            true => drop(server.socket(&signed("old", &claims)).await),
            false => assert_eq!(closed_with(&server, &signed("old", &claims)).await, 3500),
        }
        assert_eq!(closed_with(&server, &signed("older", &claims)).await, 3500);
    }
}

#[tokio::test]
async fn bad_keys_are_listed_and_not_shown() {
    let settings = format!(
        "[client.token]\nrsa_public_key = '''{}'''\necdsa_public_key = \"hunter2\"\n\
         jwks_public_endpoint = \"ftp://hunter2\"\n[client.subscription_token]\n\
         user_id_claim = \"a.b\"\n",
        RSA.0
    );
    let (status, stderr) = Start::default().settings(&settings).refused().await;
    assert!(!status.success());
    for key in [
        "client.token.rsa_public_key",
        "client.token.ecdsa_public_key",
        "client.token.jwks_public_endpoint",
        "client.subscription_token.user_id_claim",
    ] {
        assert!(stderr.contains(key), "{key} is listed:\n{stderr}");
    }
    assert!(!stderr.contains("hunter2") && !stderr.contains("PRIVATE"), "{stderr}");
}

/// Publishes whatever set a test puts into it; while there is none, it hangs up.
struct Publisher {
    scheme: &'static str,
    address: SocketAddr,
    set: Arc<Mutex<Option<Value>>>,
}

impl Publisher {
    async fn start() -> Self {
        Self::over(None).await
    }

    /// One that speaks TLS, if it is told how.
    async fn over(tls: Option<TlsAcceptor>) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let set = Arc::new(Mutex::new(None));
        let published = Arc::clone(&set);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let set: Option<Value> = published.lock().expect("nobody panics").clone();
                let (Some(set), tls) = (set, tls.clone()) else { continue };
                tokio::spawn(async move {
                    match tls {
                        None => answer(socket, set.to_string()).await,
                        // Whoever does not trust the certificate hangs up.
                        Some(tls) => match tls.accept(socket).await {
                            Ok(socket) => answer(socket, set.to_string()).await,
                            Err(error) => eprintln!("no TLS: {error}"),
                        },
                    }
                });
            }
        });
        Self { scheme, address, set }
    }

    fn publish(&self, keys: &[(&str, &EncodingKey, Algorithm)]) {
        let keys = keys.iter().map(|(kid, key, algorithm)| {
            let jwk = Jwk::from_encoding_key(key, *algorithm).expect("it has a public part");
            let mut jwk = serde_json::to_value(jwk).expect("it is JSON");
            jwk["kid"] = json!(kid);
            jwk["use"] = json!("sig");
            jwk
        });
        let keys: Vec<Value> = keys.collect();
        *self.set.lock().expect("nobody panics") = Some(json!({ "keys": keys }));
    }

    /// A server that takes its keys from here alone.
    async fn server(&self) -> Server {
        self.start_of_server().run().await
    }

    fn start_of_server(&self) -> Start {
        let url = format!("{}://{}/keys", self.scheme, self.address);
        let endpoint = format!("client.token.jwks_public_endpoint = \"{url}\"");
        let start = Start::default().settings(&format!("{endpoint}\n{SETTINGS}"));
        start.environment("NO_PROXY", "127.0.0.1")
    }
}

async fn answer(mut socket: impl AsyncRead + AsyncWrite + Unpin, body: String) {
    // A request without a body fits into one read.
    let _ = socket.read(&mut [0; 4_096]).await;
    let head =
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    let _ = socket.write_all(format!("{head}{body}").as_bytes()).await;
    let _ = socket.shutdown().await;
}

#[tokio::test]
async fn a_key_set_alone_counts_and_its_keys_may_change() {
    let publisher = Publisher::start().await;
    publisher.publish(&[("first", &rsa(), Algorithm::RS256)]);
    let server = publisher.server().await;
    let first = by(&rsa(), Algorithm::RS256, Some("first"));
    server.socket(&first).await;
    assert_eq!(closed_with(&server, &by(&rsa(), Algorithm::RS256, None)).await, 3500);
    assert_eq!(closed_with(&server, &jwt(json!({"sub": "ada"}))).await, 3500);
    publisher.publish(&[("second", &p256(), Algorithm::ES256)]);
    let second = by(&p256(), Algorithm::ES256, Some("second"));
    // The server asks again for a key that it does not know, but not more often than every 10 s.
    let found = async {
        let mut looks = tokio::time::interval(Duration::from_millis(250));
        loop {
            looks.tick().await;
            let mut socket = Socket::open(server.address()).await;
            let (id, connect) = socket.command("connect", json!({"token": second}));
            socket.send(&connect).await;
            if socket.read().await.is_ok() {
                return socket.reply_to(id, &connect).await;
            }
        }
    };
    let patience = Duration::from_secs(10) + crate::support::PATIENCE;
    let hello = within(patience, "the new key to be found", found).await;
    assert!(hello["connect"].is_object(), "{hello}");
    assert_eq!(closed_with(&server, &first).await, 3500, "the old key is gone");
    *publisher.set.lock().expect("nobody panics") = None;
    server.socket(&second).await;
}

#[tokio::test]
async fn while_no_key_was_ever_fetched_the_client_may_come_back_later() {
    let publisher = Publisher::start().await;
    let server = publisher.server().await;
    let token = by(&rsa(), Algorithm::RS256, Some("first"));
    let mut socket = Socket::open(server.address()).await;
    let reply = socket.reply("connect", json!({"token": token})).await;
    assert_eq!(
        (&reply["error"]["code"], &reply["error"]["temporary"]),
        (&json!(100), &json!(true))
    );
}

#[tokio::test]
async fn a_key_set_over_https_counts_where_its_certificate_is_trusted() {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]);
    let made = made.expect("a certificate can be made");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("it is a key");
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("the certificate is that of the key");
    let publisher = Publisher::over(Some(TlsAcceptor::from(Arc::new(config)))).await;
    publisher.publish(&[("first", &rsa(), Algorithm::RS256)]);
    let token = by(&rsa(), Algorithm::RS256, Some("first"));

    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let authorities = dir.path().join("authorities.pem");
    std::fs::write(&authorities, made.cert.pem()).expect("a file can be written");
    let authorities = authorities.to_str().expect("the path is text");
    let trusting = publisher.start_of_server().environment("SSL_CERT_FILE", authorities);
    trusting.run().await.socket(&token).await;

    let distrusting = publisher.server().await;
    let mut socket = Socket::open(distrusting.address()).await;
    let reply = socket.reply("connect", json!({"token": token})).await;
    assert_eq!(reply["error"]["code"], 100, "{reply}");
}
