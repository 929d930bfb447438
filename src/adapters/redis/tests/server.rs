//! A Redis of a test's own, which may be emptied, stopped and started.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::adapters::contract::skip::skip;

/// How long a server may take to start or to do what is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A running server.
pub(super) struct Server {
    pub(super) port: u16,
    arguments: Vec<String>,
    process: Option<Child>,
    _directory: tempfile::TempDir,
}

impl Server {
    /// Starts one; the test is skipped where there is none to start.
    pub(super) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with more arguments.
    pub(super) fn start_with(more: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let arguments = ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""];
        let arguments = arguments.iter().chain(&["--appendonly", "no", "--dir"]);
        let mut arguments: Vec<String> = arguments.map(|it| (*it).to_owned()).collect();
        arguments.push(directory.path().to_str().unwrap().to_owned());
        arguments.extend(more.iter().map(|it| (*it).to_owned()));
        let mut server = Self { port, arguments, process: None, _directory: directory };
        server.run();
        server
    }

    /// Starts it again, with nothing kept.
    pub(super) fn run(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::null());
        match command.stderr(Stdio::null()).spawn() {
            Ok(process) => self.process = Some(process),
            Err(error) => skip(&format!("there is no redis-server to start: {error}")),
        }
        let began = Instant::now();
        while self.try_ask(&["PING"]).is_none() {
            assert!(began.elapsed() < PATIENCE, "the server does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it as the loss of power would.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Sends its process a signal.
    pub(super) fn signal(&self, name: &str) {
        let pid = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    pub(super) fn url(&self) -> String {
        url(self.port)
    }

    /// What it answers.
    pub(super) fn ask(&self, command: &[&str]) -> redis::Value {
        self.try_ask(command).unwrap()
    }

    fn try_ask(&self, command: &[&str]) -> Option<redis::Value> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_connection_with_timeout(Duration::from_secs(1)).ok()?;
        let mut asked = redis::cmd(command[0]);
        command[1..].iter().for_each(|argument| {
            asked.arg(*argument);
        });
        asked.query(&mut connection).ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The nodes that have keys, each by its own URL.
pub(super) fn nodes_of(url: &str) -> Vec<String> {
    let Some(rest) = url.strip_prefix("redis-cluster://") else { return vec![url.to_owned()] };
    let first = format!("redis://{}", rest.split('?').next().unwrap());
    let client = redis::Client::open(first.as_str()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let nodes: String = redis::cmd("CLUSTER").arg("NODES").query(&mut connection).unwrap();
    let masters = nodes.lines().filter(|line| line.contains("master"));
    let address =
        |line: &str| line.split(' ').nth(1).unwrap().split('@').next().unwrap().to_owned();
    masters.map(|line| format!("redis://{}", address(line))).collect()
}

pub(super) fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

pub(super) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// An address that leads to one server or another.
pub(super) struct Switch {
    pub(super) port: u16,
    target: Arc<AtomicU16>,
}

impl Switch {
    /// Leads to `target`; connections stay with the server that they were made to.
    pub(super) async fn to(target: u16) -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = Arc::new(AtomicU16::new(target));
        let now = Arc::clone(&target);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let target = now.load(Ordering::SeqCst);
                tokio::spawn(async move {
                    let server = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, target));
                    if let Ok(mut server) = server.await {
                        // Either side may end it at any time.
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Self { port, target }
    }

    /// Leads new connections to `target`.
    pub(super) fn turn_to(&self, target: u16) {
        self.target.store(target, Ordering::SeqCst);
    }
}
