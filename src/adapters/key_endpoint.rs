//! A key set behind a URL.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::Client;
use reqwest::redirect::Policy;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::ports::StoreError;
use crate::ports::key_set::KeySet;

/// How long one request may take, a redirection included.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The largest set that is read.
const MAX_BYTES: usize = 256 * 1024;
/// How often a request is sent elsewhere.
const MAX_REDIRECTS: usize = 3;

/// Fetches a key set over HTTP, through the proxy that the environment names, if any.
pub struct KeyEndpoint {
    http: Client,
    url: String,
}

impl KeyEndpoint {
    /// Reads nothing yet.
    ///
    /// # Errors
    /// If `url` is none, or TLS cannot be set up.
    pub fn new(url: &str) -> Result<Self, StoreError> {
        url.parse::<reqwest::Url>().map_err(|error| unavailable(&error.to_string()))?;
        let mut roots = RootCertStore::empty();
        // An authority of this machine that cannot be read is one that is not trusted.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let tls = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(|error| unavailable(&error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let http = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(Policy::limited(MAX_REDIRECTS))
            .timeout(TIMEOUT)
            .build()
            .map_err(failed)?;
        Ok(Self { http, url: url.to_owned() })
    }
}

#[async_trait]
impl KeySet for KeyEndpoint {
    async fn fetch(&self) -> Result<Vec<u8>, StoreError> {
        let answer = self.http.get(&self.url).send().await.map_err(failed)?;
        if !answer.status().is_success() {
            return Err(unavailable(&format!("the answer is {}", answer.status())));
        }
        let mut answer = answer;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_BYTES {
                return Err(unavailable(&format!("the answer has more than {MAX_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// The cause of the error, down to what the system said, but without the URL, which may hold a password.
fn failed(error: reqwest::Error) -> StoreError {
    let error = error.without_url();
    let mut cause = error.to_string();
    let mut deeper = std::error::Error::source(&error);
    while let Some(source) = deeper {
        cause = format!("{cause}: {source}");
        deeper = source.source();
    }
    unavailable(&cause)
}

fn unavailable(cause: &str) -> StoreError {
    StoreError::Unavailable { store: "token keys", cause: cause.to_owned() }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What is made of an endpoint that answers `answer` to one request.
    async fn fetched(answer: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://user:hunter2@{}/keys", listener.local_addr().unwrap());
        let serve = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 4_096]).await.unwrap();
            // Who has heard enough does not listen to the end.
            let _ = socket.write_all(&answer).await;
        });
        let endpoint = KeyEndpoint::new(&url).unwrap();
        let fetched = endpoint.fetch().await;
        serve.abort();
        fetched
    }

    fn ok(length: usize) -> Vec<u8> {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        [head.as_bytes(), &vec![b' '; length]].concat()
    }

    #[tokio::test]
    async fn an_answer_is_read_up_to_a_size() {
        assert_eq!(fetched(ok(MAX_BYTES)).await.unwrap().len(), MAX_BYTES);
        let error = fetched(ok(MAX_BYTES + 1)).await.unwrap_err().to_string();
        assert!(error.contains("more than"), "{error}");
    }

    #[tokio::test]
    async fn a_failure_says_why_and_no_password() {
        let missing = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec();
        let error = fetched(missing).await.unwrap_err().to_string();
        assert!(error.contains("404") && !error.contains("hunter2"), "{error}");
        let error = fetched(b"nonsense\r\n\r\n".to_vec()).await.unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        assert!(KeyEndpoint::new("https://").is_err());
    }
}
