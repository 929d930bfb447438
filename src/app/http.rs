//! Serves HTTP until it is asked to stop.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::AppError;
use crate::endpoints::listener;
use crate::endpoints::router::router;
use crate::endpoints::services::Services;
use crate::lifecycle;
use crate::settings::{Settings, Tls};

/// Connections that the kernel keeps until they are accepted, as far as it may (`somaxconn`): after a node has ended, all of its
/// clients come to another one at once, and whoever is turned away tries again only after a second.
const ACCEPT_BACKLOG: i32 = 4096;

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
    limit_patience(&listener, settings.client.queue_max_age * 2)?;
    rustix::net::listen(&listener, ACCEPT_BACKLOG)?;
    let tls = &settings.http_server.tls;
    let tls = tls.enabled.then(|| tls_config(tls)).transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    // The one line on stdout: whoever started the process learns the port from it.
    writeln!(std::io::stdout(), "listening on {scheme}://{address}")?;
    let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    let header_timeout = settings.http.header_timeout;
    let server = listener::serve(listener, router(services), tls, header_timeout, stop.clone());
    let patience = async {
        lifecycle::requested(stop).await;
        tokio::time::sleep(settings.shutdown.timeout / 2).await;
    };
    tokio::select! {
        () = server => {}
        () = patience => tracing::warn!("some requests were not answered in time"),
    }
    Ok(())
}

/// Bounds how long a peer may take nothing of what was sent to it. Accepted
/// sockets inherit it; answers that HTTP writes have no other such bound.
#[cfg(target_os = "linux")]
fn limit_patience(listener: &TcpListener, patience: Duration) -> std::io::Result<()> {
    let millis = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
    Ok(rustix::net::sockopt::set_tcp_user_timeout(listener, millis)?)
}

#[cfg(not(target_os = "linux"))]
fn limit_patience(_: &TcpListener, _: Duration) -> std::io::Result<()> {
    Ok(())
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
    if chain.is_empty() {
        return Err(unreadable(&tls.cert_pem, &"there is no certificate in it"));
    }
    let key = PrivateKeyDer::from_pem_file(&tls.key_pem)
        .map_err(|error| unreadable(&tls.key_pem, &error))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| unreadable(&tls.cert_pem, &error))?;
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
