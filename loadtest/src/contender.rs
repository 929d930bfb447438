//! The servers that a benchmark compares: how each is started, found and stopped.

use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const START_DEADLINE: Duration = Duration::from_secs(30);
const WEBSOCKET_PATH: &str = "/connection/websocket";

/// Settings for a benchmark: no database, anyone may connect, and a namespace whose publications are not logged, so
/// that what is measured is delivery.
const CARILLON_CONFIG: &str = r#"
[client]
insecure = true

[[channel.namespaces]]
name = "bench"
durable = false
allow_subscribe_for_client = true
allow_publish_for_client = true
"#;

/// A server to be measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contender {
    /// What the tables call it.
    pub name: String,
    /// How to get at it.
    pub launch: Launch,
}

/// How to get at a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launch {
    /// The raw loop of this very program.
    Raw,
    /// A Carillon binary.
    Carillon(PathBuf),
    /// A shell-free command in which `{port}` stands for the port to listen on and `{push_bytes}` for how long its pushes
    /// should be; it speaks the client protocol at the usual path and lets anyone publish to and subscribe to `bench:…`.
    Command(Vec<String>),
    /// A server that runs already: its address and the process whose CPU and memory are taken.
    Running {
        /// WebSocket address.
        url: String,
        /// Process id.
        pid: u32,
    },
}

/// What a start may depend on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Start {
    /// Whether the raw loop joins what queued.
    pub coalesce: bool,
    /// How long the pushes of those are to be who can choose it, in bytes.
    pub push_bytes: usize,
}

impl Contender {
    /// The raw loop under a name.
    pub fn raw(name: &str) -> Self {
        Self { name: name.to_owned(), launch: Launch::Raw }
    }

    /// Understands `NAME=COMMAND …{port}…`.
    ///
    /// # Errors
    /// When it is not of that form.
    pub fn parse_command(text: &str) -> Result<Self> {
        let (name, command) = text.split_once('=').context("expected NAME=COMMAND")?;
        ensure!(command.contains("{port}"), "the command of {name} has no {{port}}");
        Ok(Self {
            name: name.to_owned(),
            launch: Launch::Command(command.split_whitespace().map(str::to_owned).collect()),
        })
    }

    /// Understands `NAME=PID@URL`.
    ///
    /// # Errors
    /// When it is not of that form.
    pub fn parse_url(text: &str) -> Result<Self> {
        let form = "expected NAME=PID@ws://host:port/path";
        let (name, rest) = text.split_once('=').context(form)?;
        let (pid, url) = rest.split_once('@').context(form)?;
        Ok(Self {
            name: name.to_owned(),
            launch: Launch::Running { url: url.to_owned(), pid: pid.parse().context(form)? },
        })
    }

    /// Starts it and waits until it accepts connections. It runs on the cores that the calling thread may use.
    ///
    /// # Errors
    /// When it does not start in time, with the end of what it logged.
    pub fn start(&self, start: Start) -> Result<Server> {
        let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
        match &self.launch {
            Launch::Raw => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["raw", "--port", "0", "--push-bytes", &start.push_bytes.to_string()]);
                if start.coalesce {
                    command.arg("--coalesce");
                }
                Server::announced(command, directory)
            }
            Launch::Carillon(path) => {
                let config = directory.path().join("bench.toml");
                fs::write(&config, CARILLON_CONFIG)?;
                let data = directory.path().join("data");
                fs::create_dir(&data)?;
                let mut command = Command::new(path);
                // Settings of the shell would otherwise override those of the benchmark.
                for (name, _) in std::env::vars_os() {
                    if name.as_encoded_bytes().starts_with(b"CARILLON_") {
                        command.env_remove(name);
                    }
                }
                command.arg("serve").arg("--config").arg(&config);
                command.args(["--listen", "127.0.0.1:0"]).arg("--data").arg(&data);
                Server::announced(command, directory)
            }
            Launch::Command(words) => Server::on_port(words, start, directory),
            Launch::Running { url, pid } => {
                Ok(Server { url: url.clone(), pid: *pid, child: None, _directory: directory })
            }
        }
        .with_context(|| format!("{} does not start", self.name))
    }
}

/// A running server; one that was started here is killed when this is dropped.
pub struct Server {
    /// WebSocket address.
    pub url: String,
    /// Process id.
    pub pid: u32,
    child: Option<Child>,
    _directory: TempDir,
}

impl Server {
    /// Starts a server that says `listening on http://…` when it is ready.
    fn announced(mut command: Command, directory: TempDir) -> Result<Self> {
        let log = directory.path().join("log");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot run {}", command.get_program().display()))?;
        let stdout = child.stdout.take().context("a piped child has a stdout")?;
        let mut server =
            Self { url: String::new(), pid: child.id(), child: Some(child), _directory: directory };
        let (sender, receiver) = mpsc::channel();
        // Goes on reading to the end, so that the server never waits for a full pipe.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody listens any more once the address is known.
                let _ = sender.send(line);
            }
        });
        let deadline = Instant::now() + START_DEADLINE;
        while let Ok(line) =
            receiver.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            if let Some(address) = line.strip_prefix("listening on http://") {
                server.url = format!("ws://{}{WEBSOCKET_PATH}", address.trim_end_matches('/'));
                return Ok(server);
            }
        }
        bail!("it did not say where it listens; its log ends:\n{}", tail(&log))
    }

    /// Starts a server that takes its port as an argument, and waits until the port is open.
    fn on_port(words: &[String], start: Start, directory: TempDir) -> Result<Self> {
        // The port is free now and is taken a moment later; a benchmark machine runs nothing that would take it.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let (port_text, push_bytes) = (port.to_string(), start.push_bytes.to_string());
        let mut words = words
            .iter()
            .map(|word| word.replace("{port}", &port_text).replace("{push_bytes}", &push_bytes));
        let mut command = Command::new(words.next().context("the command is empty")?);
        let log = directory.path().join("log");
        let output = File::create(&log)?;
        command.args(words).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command
            .spawn()
            .with_context(|| format!("cannot run {}", command.get_program().display()))?;
        let mut server = Self {
            url: format!("ws://127.0.0.1:{port}{WEBSOCKET_PATH}"),
            pid: child.id(),
            child: None,
            _directory: directory,
        };
        let child = server.child.insert(child);
        let deadline = Instant::now() + START_DEADLINE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = child.try_wait()?.is_some();
            if ended || Instant::now() > deadline {
                bail!("nothing listens on its port; its log ends:\n{}", tail(&log));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Its data are in a temporary directory, so it need not be asked to stop. It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_other_contenders() {
        let other = Contender::parse_command("bun=bun run server.js --port={port}").unwrap();
        let words = ["bun", "run", "server.js", "--port={port}"].map(str::to_owned).to_vec();
        assert_eq!((other.name.as_str(), other.launch), ("bun", Launch::Command(words)));
        assert!(Contender::parse_command("bun=bun run server.js").is_err());
        let running = Contender::parse_url("x=12@ws://127.0.0.1:1/p").unwrap();
        let wanted = Launch::Running { url: "ws://127.0.0.1:1/p".to_owned(), pid: 12 };
        assert_eq!(running.launch, wanted);
        assert!(Contender::parse_url("x=ws://127.0.0.1:1/p").is_err());
    }

    #[test]
    fn a_server_that_ends_at_once_is_reported_with_its_log() {
        let sick = Contender::parse_command("sick=sh -c {port}").unwrap();
        let Err(error) = sick.start(Start::default()) else { panic!("it cannot have started") };
        assert!(format!("{error:#}").contains("nothing listens"), "{error:#}");
    }
}
