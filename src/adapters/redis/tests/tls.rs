//! TLS: to a server whose certificate a private authority signed, and to nobody else.

use tokio::time::timeout;

use super::server::{PATIENCE, Server, free_port};
use super::*;
use crate::adapters::contract::model::bare;
use crate::adapters::contract::{event_id, published};
use crate::domain::channel::ChannelName;
use crate::ports::broker::{Broker, Outgoing};

mod own {
    super::tests![
        both_clients_trust_the_authority_that_the_url_names_and_no_other,
        a_file_without_a_certificate_is_an_error,
    ];
}

/// A server that speaks TLS at the URL that is returned, and where its authority's certificate is.
fn secure_server() -> (Server, String, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("ca.pem"), certificate.pem()).unwrap();
    std::fs::write(path("key.pem"), key.serialize_pem()).unwrap();
    let port = free_port().to_string();
    let server = Server::start_with(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &path("ca.pem"),
        "--tls-key-file",
        &path("key.pem"),
        "--tls-auth-clients",
        "no",
    ]);
    (server, format!("rediss://localhost:{port}"), directory)
}

async fn both_clients_trust_the_authority_that_the_url_names_and_no_other() {
    let (_server, url, directory) = secure_server();
    let file = directory.path().join("ca.pem");
    let options = with_own_prefix(&format!("{url}?ca_file={}", file.display()));
    let log = Arc::new(ModelLog::default());
    let mut node = node(&options, &log).await;
    node.broker.subscribe(&ChannelName::feed()).await.unwrap();
    let event = bare(1, &["feed:all"]);
    let (channel, body) = (ChannelName::feed(), absent::body_of(&event));
    let outgoing =
        Outgoing { channel, event: Some(event.id), body, retention: None, version: None };
    node.broker.publish(&[outgoing]).await.unwrap();
    let heard = published(timeout(PATIENCE, node.deliveries.recv()).await.unwrap().unwrap());
    assert_eq!(heard.publication.event, Some(event_id(1)));
    RedisCommands::connect(&options).await.unwrap();

    let stranger = with_own_prefix(&url);
    let refused = RedisCommands::connect(&stranger).await.err().unwrap().to_string();
    assert!(refused.to_lowercase().contains("certificate"), "{refused}");
    let (sink, _deliveries) = mpsc::channel(1);
    let (told, _lapses) = mpsc::channel(1);
    let surroundings = Surroundings {
        ledger: log.clone(),
        present: absent::present(),
        clock: node.clock.clone(),
        entropy: Arc::new(SystemEntropy),
    };
    let refused = RedisBroker::connect(&stranger, surroundings, sink, told).await;
    let refused = refused.err().unwrap().to_string();
    assert!(refused.to_lowercase().contains("certificate"), "{refused}");
}

async fn a_file_without_a_certificate_is_an_error() {
    let (_server, url, directory) = secure_server();
    for name in ["key.pem", "none.pem"] {
        let file = directory.path().join(name);
        let options = with_own_prefix(&format!("{url}?ca_file={}", file.display()));
        let refused = RedisCommands::connect(&options).await.err().unwrap().to_string();
        assert!(refused.contains("ca_file") && refused.contains(name), "{refused}");
    }
}
