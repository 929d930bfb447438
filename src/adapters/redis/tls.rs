//! TLS to a Redis whose certificate is signed by an authority that this machine does not know.

use std::path::Path;
use std::sync::Arc;

use fred::types::config::{TlsConfig, TlsConnector};
use redis::TlsCertificates;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::ports::StoreError;

use super::options::RedisOptions;

/// What a URL says in its query of the authorities to trust.
const CA_FILE: &str = "ca_file=";

/// The certificates of the authorities that are trusted instead of this machine's (PEM).
pub(super) struct Authorities(Vec<u8>);

/// The URL without `ca_file` in its query, and that.
pub(super) fn split(url: &str) -> (String, Option<String>) {
    let Some((address, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let file = query.split('&').find_map(|pair| pair.strip_prefix(CA_FILE));
    let rest: Vec<_> = query.split('&').filter(|pair| !pair.starts_with(CA_FILE)).collect();
    let joint = if rest.is_empty() { "" } else { "?" };
    (format!("{address}{joint}{}", rest.join("&")), file.map(str::to_owned))
}

impl Authorities {
    /// Reads those that `options` name, if any.
    ///
    /// # Errors
    /// If there is no such file, or no certificate in it.
    pub(super) fn of(options: &RedisOptions) -> Result<Option<Self>, StoreError> {
        let Some(path) = &options.ca_file else { return Ok(None) };
        let pem = std::fs::read(path).map_err(|error| unusable(path, error))?;
        let authorities = Self(pem);
        if authorities.roots().map_err(|error| unusable(path, error))?.is_empty() {
            return Err(unusable(path, "there is no certificate in it"));
        }
        Ok(Some(authorities))
    }

    fn roots(&self) -> Result<RootCertStore, Box<dyn std::error::Error>> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&self.0) {
            roots.add(certificate?)?;
        }
        Ok(roots)
    }

    /// As `fred` takes them.
    pub(super) fn for_fred(&self) -> Result<TlsConfig, StoreError> {
        let roots = self.roots().map_err(super::broker::unavailable)?;
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(TlsConfig::from(TlsConnector::Rustls(Arc::new(config).into())))
    }

    /// As `redis` takes them.
    pub(super) fn for_redis(&self) -> TlsCertificates {
        TlsCertificates { client_tls: None, root_cert: Some(self.0.clone()) }
    }
}

fn unusable(path: &Path, cause: impl std::fmt::Display) -> StoreError {
    let cause = format!("ca_file {}: {cause}", path.display());
    StoreError::Unavailable { store: "realtime", cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_authorities_is_taken_out_of_the_url() {
        let split = |url| {
            let (url, file) = split(url);
            (url, file.unwrap_or_default())
        };
        let plain = "rediss://u:p@a:1/2";
        assert_eq!(split(plain), (plain.into(), String::new()));
        assert_eq!(split("rediss://a:1?ca_file=/x.pem"), ("rediss://a:1".into(), "/x.pem".into()));
        let cluster = "rediss-cluster://a:1?node=b:2&ca_file=/x.pem&node=c:3";
        let rest = "rediss-cluster://a:1?node=b:2&node=c:3";
        assert_eq!(split(cluster), (rest.into(), "/x.pem".into()));
    }
}
