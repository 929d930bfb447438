//! A server that speaks TLS, and clients that trust its certificate and nothing else.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::{API_KEY, PATIENCE, unique, until, within};

/// How long a start or an end may take: under load, in a debug build, with migrations.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// The only name in the certificate.
const NAME: &str = "localhost";

/// A self-signed certificate in a directory of its own, and who trusts it.
pub(super) struct Certificate {
    pub(super) dir: TempDir,
    connector: TlsConnector,
}

impl Certificate {
    /// Makes one and writes `cert.pem` and `key.pem`.
    pub(super) fn make() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()])
            .expect("a certificate can be made");
        for (file, pem) in
            [("cert.pem", made.cert.pem()), ("key.pem", made.signing_key.serialize_pem())]
        {
            std::fs::write(dir.path().join(file), pem).expect("a file can be written");
        }
        Self { dir, connector: trusting(made.cert.der()) }
    }

    /// The settings of a server that has it.
    pub(super) fn settings(&self) -> String {
        let [cert, key] = ["cert.pem", "key.pem"].map(|file| self.dir.path().join(file));
        format!(
            "http_api.key = \"{API_KEY}\"\nhttp_server.tls.enabled = true\n\
             http_server.tls.cert_pem = '{}'\nhttp_server.tls.key_pem = '{}'\n",
            cert.display(),
            key.display()
        )
    }
}

fn trusting(certificate: &CertificateDer<'static>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("the certificate is well formed");
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// Starts the program with `settings` in `dir` and inherits no setting from whoever runs the tests.
pub(super) fn spawn(dir: &std::path::Path, settings: &str) -> Child {
    std::fs::write(dir.join("settings.toml"), settings).expect("the settings can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_carillon"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARILLON_") {
            command.env_remove(name);
        }
    }
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(dir.join("settings.toml"))
        .arg("--data")
        .arg(dir.join("data"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server can be started")
}

/// Waits until a started program has ended by itself.
pub(super) async fn ended(child: &mut Child) -> ExitStatus {
    until(START_PATIENCE, "the server to end", || {
        let ended = child.try_wait().expect("an own child can be asked");
        async move { ended }
    })
    .await
}

/// A running server that speaks TLS. Dropping it kills it and removes its data.
pub(super) struct SecureServer {
    certificate: Certificate,
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl SecureServer {
    /// An embedded one with `settings` (TOML) added.
    pub(super) async fn with(settings: &str) -> Self {
        let certificate = Certificate::make();
        let settings = format!("{}{settings}\n", certificate.settings());
        let mut child = spawn(certificate.dir.path(), &settings);
        let log = Arc::<Mutex<String>>::default();
        let (errors, into) = (child.stderr.take().expect("it is piped"), Arc::clone(&log));
        std::thread::spawn(move || keep(errors, &into));
        let output = child.stdout.take().expect("it is piped");
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { certificate, child, address, log };
        let told = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(output).read_line(&mut line).expect("the output is text");
            line
        });
        let line = within(START_PATIENCE, "the server to listen", told).await.expect("it is read");
        let address = line.trim_end().strip_prefix("listening on https://");
        let address = address.unwrap_or_else(|| panic!("no address over https in {line:?}"));
        server.address = address.parse().expect("it is an address");
        server
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A TLS connection.
    pub(super) async fn stream(&self) -> TlsStream<TcpStream> {
        self.over(TcpSocket::new_v4().expect("a socket can be made")).await
    }

    /// A TLS connection with a receive buffer so small that a reader who does not read is soon felt.
    pub(super) async fn narrow(&self) -> TlsStream<TcpStream> {
        let socket = TcpSocket::new_v4().expect("a socket can be made");
        socket.set_recv_buffer_size(4_096).expect("a receive buffer can be small");
        self.over(socket).await
    }

    async fn over(&self, socket: TcpSocket) -> TlsStream<TcpStream> {
        let name = ServerName::try_from(NAME).expect("it is a name");
        let connecting = async {
            let socket = socket.connect(self.address).await?;
            socket.set_nodelay(true)?;
            self.certificate.connector.connect(name, socket).await
        };
        within(PATIENCE, "the TLS handshake", connecting)
            .await
            .unwrap_or_else(|e| panic!("no TLS with {}: {e}", self.address))
    }

    /// An HTTPS client on one connection.
    pub(super) async fn https(&self) -> Https {
        Https { stream: self.stream().await }
    }

    /// Sends TERM and answers how it ended.
    pub(super) async fn terminate(&mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.expect("kill(1) is there").success(), "the server runs until then");
        ended(&mut self.child).await
    }
}

fn keep(errors: impl Read, into: &Mutex<String>) {
    for line in BufReader::new(errors).lines().map_while(Result::ok) {
        let mut kept = into.lock().expect("nobody panics while holding it");
        kept.push_str(&line);
        kept.push('\n');
    }
}

impl Drop for SecureServer {
    fn drop(&mut self) {
        // Both fail only where it has ended and been waited for, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log.lock().expect("the keeper never panics");
            eprintln!("--- the server's log\n{log}");
        }
    }
}

/// HTTP/1.1 over one TLS connection that is kept.
pub(super) struct Https {
    stream: TlsStream<TcpStream>,
}

impl Https {
    /// Sends one request and answers the status and the body as JSON.
    pub(super) async fn ask(
        &mut self,
        method: &str,
        path: &str,
        more: &str,
        body: &str,
    ) -> (u16, Value) {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {NAME}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n{more}\r\n{body}"
        );
        let exchange = async {
            self.stream.write_all(request.as_bytes()).await.expect("the server takes a request");
            let head = head(&mut self.stream).await;
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
            let status = status.unwrap_or_else(|| panic!("an answer has a status: {head:?}"));
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            let mut body = vec![0; length.unwrap_or(0)];
            self.stream.read_exact(&mut body).await.expect("an answer is as long as it says");
            (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
        };
        within(PATIENCE * 2, &format!("the answer to {method} {path}"), exchange).await
    }

    /// A call that must be answered with `status`: its body.
    pub(super) async fn post(
        &mut self,
        path: &str,
        more: &str,
        body: &Value,
        status: u16,
    ) -> Value {
        let (got, answer) = self.ask("POST", path, more, &body.to_string()).await;
        assert_eq!(got, status, "POST {path}: {answer}");
        answer
    }

    /// Publishes through the server API.
    pub(super) async fn publish(&mut self, channel: &str, data: &Value) {
        let body = json!({"channel": channel, "data": data});
        let key = format!("X-API-Key: {API_KEY}\r\n");
        let answer = self.post("/api/publish", &key, &body, 200).await;
        assert!(answer["result"].is_object(), "{answer}");
    }

    /// Registers somebody new and logs in: a session's token.
    pub(super) async fn person(&mut self) -> String {
        let (name, password) = (format!("ada{}", unique()), "correct horse battery staple");
        let email = format!("{name}@example.test");
        let body = json!({"email": email, "username": name, "password": password});
        self.post("/v1/users", "", &body, 201).await;
        let body = json!({"login": name, "password": password});
        let answer = self.post("/v1/sessions", "", &body, 201).await;
        answer["token"].as_str().expect("a session has a token").to_owned()
    }
}

/// Reads the head of an HTTP answer and not a byte more.
pub(super) async fn head(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("an answer has a whole head"));
    }
    String::from_utf8(head).expect("the head of an answer is text")
}
