//! Serves HTTP until it is asked to stop.

use std::io::Write;
use std::sync::Arc;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::AppError;
use crate::endpoints::listener::{Peer, TlsListener};
use crate::endpoints::router::router;
use crate::endpoints::services::Services;
use crate::lifecycle;
use crate::settings::{Settings, Tls};

/// Serves on a bound listener. Requests that are being answered when `stop`
/// turns true are answered to the end, within `shutdown.timeout`.
pub(super) async fn serve(
    settings: &Settings,
    listener: TcpListener,
    services: Arc<Services>,
    stop: watch::Receiver<bool>,
) -> Result<(), AppError> {
    warn_of_open_doors(settings);
    let address = listener.local_addr()?;
    let app = router(services).into_make_service_with_connect_info::<Peer>();
    let tls = settings.http_server.tls.enabled;
    let scheme = if tls { "https" } else { "http" };
    // The one line on stdout: whoever started the process learns the port from it.
    writeln!(std::io::stdout(), "listening on {scheme}://{address}")?;
    let drain = lifecycle::requested(stop.clone());
    let server = async {
        if tls {
            let listener = TlsListener::new(listener, tls_config(&settings.http_server.tls)?)?;
            axum::serve(listener, app).with_graceful_shutdown(drain).await
        } else {
            axum::serve(listener, app).with_graceful_shutdown(drain).await
        }
    };
    let patience = async {
        lifecycle::requested(stop).await;
        tokio::time::sleep(settings.shutdown.timeout / 2).await;
    };
    tokio::select! {
        outcome = server => Ok(outcome?),
        () = patience => {
            tracing::warn!("some requests were not answered in time");
            Ok(())
        }
    }
}

fn warn_of_open_doors(settings: &Settings) {
    if settings.client.insecure {
        tracing::warn!(
            "client.insecure is on: ANYONE may subscribe, publish and read. For development only."
        );
    }
    if settings.http_api.insecure {
        tracing::warn!(
            "http_api.insecure is on: ANYONE may use the server API. For development only."
        );
    }
}

fn tls_config(tls: &Tls) -> Result<ServerConfig, std::io::Error> {
    let unreadable = |path: &std::path::Path, error: &dyn std::fmt::Display| {
        std::io::Error::other(format!("cannot read {}: {error}", path.display()))
    };
    let chain = CertificateDer::pem_file_iter(&tls.cert_pem)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(&tls.cert_pem, &error))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key_pem)
        .map_err(|error| unreadable(&tls.key_pem, &error))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(std::io::Error::other)?;
    // WebSocket needs HTTP/1.1, and nothing else is spoken here.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Lets the process open as many files as it may: every connection is one.
pub(super) fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "could not raise the limit of open files");
    }
}
