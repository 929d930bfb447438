//! The program under test, as a process of its own with a data directory of its own.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use super::databases::{Databases, on_servers};
use super::wait::{PATIENCE, until, within};
use super::{Api, Socket};

/// The server API key that every test server has.
pub(crate) const API_KEY: &str = "key-of-the-black-box-tests";

/// How long a start may take: under load, in a debug build, with migrations, perhaps under a tracer.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How a server is started; the default is an embedded one.
#[derive(Clone, Default)]
pub(crate) struct Start {
    settings: String,
    environment: Vec<(String, String)>,
    wrapper: Vec<String>,
}

impl Start {
    /// A node on these databases; others may be on them as well. Each has a data directory of its own.
    pub(crate) fn on(databases: &Databases) -> Self {
        Self { environment: databases.environment(), ..Self::default() }
    }

    /// Adds `settings` (TOML) to the settings file.
    pub(crate) fn settings(mut self, settings: &str) -> Self {
        self.settings.push_str(settings);
        self.settings.push('\n');
        self
    }

    /// Sets one environment variable of the server.
    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the server through another program, such as a tracer: `wrapper` and then the server's command line.
    pub(crate) fn wrapper(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Databases of its own, where the tests are run on real servers and this one says nothing about stores.
    async fn databases_unless_named(&mut self) -> Option<Databases> {
        let named = self.environment.iter().any(|(name, _)| name.ends_with("__URL"));
        if named || !on_servers() {
            return None;
        }
        let made = Databases::make().await;
        let databases = made.unwrap_or_else(|reason| panic!("tests on servers: {reason}"));
        // What the test itself set comes later, and wins.
        self.environment.splice(0..0, databases.environment());
        Some(databases)
    }

    /// Starts it and waits until it listens.
    pub(crate) async fn run(mut self) -> Server {
        let databases = self.databases_unless_named().await;
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let settings =
            format!("http_api.key = \"{API_KEY}\"\nlimits.enabled = false\n{}", self.settings);
        std::fs::write(dir.path().join("settings.toml"), settings)
            .expect("the settings file can be written");
        let mut server = Server {
            start: self,
            databases,
            dir,
            child: None,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            stderr: Arc::default(),
        };
        server.launch().await;
        server
    }
}

/// The program's command, with no setting inherited from whoever runs the tests.
fn carillon(wrapper: &[String]) -> Command {
    let program = env!("CARGO_BIN_EXE_carillon");
    let mut command = match wrapper.split_first() {
        None => Command::new(program),
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    };
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARILLON_") {
            command.env_remove(name);
        }
    }
    command
}

/// A running server. Dropping it kills it and removes its data.
pub(crate) struct Server {
    start: Start,
    /// Dropped after the process was killed.
    #[expect(dead_code, reason = "kept for as long as the server is")]
    databases: Option<Databases>,
    dir: TempDir,
    child: Option<Child>,
    address: SocketAddr,
    stderr: Arc<Mutex<String>>,
}

impl Server {
    /// An embedded server with the settings that every test has.
    pub(crate) async fn start() -> Self {
        Start::default().run().await
    }

    /// The same with `settings` (TOML) added.
    pub(crate) async fn with(settings: &str) -> Self {
        Start::default().settings(settings).run().await
    }

    /// Where it listens. A restart changes it, because nothing reserves a port for a process that is dead.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many sockets its process holds open, the listening one among them.
    pub(crate) fn sockets(&self) -> usize {
        let pid = self.child.as_ref().expect("the server runs").id();
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("an own child is shown");
        let targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// An HTTP client for it.
    pub(crate) fn api(&self) -> Api {
        Api::new(self.address)
    }

    /// A socket connected with `token`.
    pub(crate) async fn socket(&self, token: &str) -> Socket {
        Socket::connected(self.address, token).await
    }

    /// Kills it as a power cut would (SIGKILL) and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        if !self.start.wrapper.is_empty()
            && let Some(pid) = traced(&child)
        {
            signal("KILL", pid);
        }
        // A process that is already gone cannot be killed again; waiting for it is what counts.
        let _ = child.kill();
        child.wait().expect("an own child can be waited for");
    }

    /// Asks it to end (SIGTERM) and answers how it ended.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the server runs");
        let pid = if self.start.wrapper.is_empty() {
            child.id()
        } else {
            traced(&child).expect("the tracer has the server as its child")
        };
        signal("TERM", pid);
        until(START_PATIENCE, "the server to end after TERM", || {
            let ended = child.try_wait().expect("an own child can be asked");
            async move { ended }
        })
        .await
    }

    /// Starts it again on the same data.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        self.launch().await;
    }

    /// Sets one environment variable for the next start, or forgets it.
    pub(crate) fn environment(&mut self, name: &str, value: Option<&str>) {
        self.start.environment.retain(|(set, _)| set != name);
        if let Some(value) = value {
            self.start.environment.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Waits until it has written `text` to stderr, since its first start.
    pub(crate) async fn logged(&self, text: &str) {
        until(PATIENCE * 2, &format!("{text:?} on stderr"), || async {
            let stderr = self.stderr.lock().expect("the keeper never panics");
            stderr.contains(text).then_some(())
        })
        .await;
    }

    async fn launch(&mut self) {
        let mut child = carillon(&self.start.wrapper)
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(self.dir.path().join("settings.toml"))
            .arg("--data")
            .arg(self.data())
            .envs(self.start.environment.iter().map(|(k, v)| (k, v)))
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server can be started");
        let errors = child.stderr.take().expect("stderr is piped");
        keep(errors, Arc::clone(&self.stderr));
        let output = child.stdout.take().expect("stdout is piped");
        self.child = Some(child);
        self.address = within(START_PATIENCE, "the server to listen", announced(output))
            .await
            .unwrap_or_else(|| panic!("the server ended before it listened"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let stderr = self.stderr.lock().expect("the keeper never panics");
            let from = stderr.len().saturating_sub(8_000);
            let from = (from..=stderr.len()).find(|&i| stderr.is_char_boundary(i));
            eprintln!("--- the server's log\n{}", &stderr[from.unwrap_or(0)..]);
        }
    }
}

/// Collects what the server logs, so that its pipe never fills and a failed test can show it.
fn keep(errors: impl Read + Send + 'static, into: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(errors).lines().map_while(Result::ok) {
            let mut kept = into.lock().expect("nobody panics while holding it");
            kept.push_str(&line);
            kept.push('\n');
        }
    });
}

/// Reads the one line that announces the address, and goes on draining the pipe.
async fn announced(output: impl Read + Send + 'static) -> Option<SocketAddr> {
    let (found, wanted) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut found = Some(found);
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let Some(address) = line.strip_prefix("listening on http://") else {
                continue;
            };
            if let (Some(found), Ok(address)) = (found.take(), address.trim().parse()) {
                // The waiting test may have given up already; then nobody needs the address.
                let _ = found.send(address);
            }
        }
    });
    wanted.await.ok()
}

/// The server's own process id below its tracer, as long as it runs.
fn traced(tracer: &Child) -> Option<u32> {
    let pid = tracer.id();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// Sends a signal by name to a process that this test started.
fn signal(name: &str, pid: u32) {
    let status = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .status()
        .expect("kill(1) is there");
    if !status.success() {
        // No failure here: the process may have ended by itself a moment ago.
        eprintln!("no process {pid} to send {name} to");
    }
}

impl Start {
    /// Starts a server that is expected to refuse to start: its exit status and stderr.
    pub(crate) async fn refused(self) -> (ExitStatus, String) {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let file = dir.path().join("settings.toml");
        std::fs::write(&file, &self.settings).expect("the settings file can be written");
        let mut child = carillon(&self.wrapper)
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&file)
            .arg("--data")
            .arg(dir.path().join("data"))
            .envs(self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server can be started");
        let stderr = kept(child.stderr.take().expect("stderr is piped"));
        let status = Reaped(&mut child).ended().await;
        (status, whole(&stderr).await)
    }
}

/// How another command of the program ended, and what it wrote.
pub(crate) struct Ran {
    /// The exit status.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Server {
    /// Runs another command of the program beside the server, on its settings and data.
    pub(crate) async fn beside(&self, arguments: &[&str]) -> Ran {
        let settings = self.start.environment.iter();
        let settings = settings.filter(|(name, _)| !name.starts_with("CARILLON_TEST_"));
        let mut child = carillon(&[])
            .args(arguments)
            .arg("--config")
            .arg(self.dir.path().join("settings.toml"))
            .arg("--data")
            .arg(self.data())
            .envs(settings.map(|(name, value)| (name, value)))
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command can be started");
        let stdout = kept(child.stdout.take().expect("stdout is piped"));
        let stderr = kept(child.stderr.take().expect("stderr is piped"));
        let status = Reaped(&mut child).ended().await;
        let (stdout, stderr) = (whole(&stdout).await, whole(&stderr).await);
        Ran { code: status.code(), stdout, stderr }
    }
}

/// What a pipe brings, as it comes.
fn kept(pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::default();
    keep(pipe, Arc::clone(&text));
    text
}

/// What a pipe brought until its end. That follows the process's end; the keeper holds the only other reference until
/// then.
async fn whole(kept: &Arc<Mutex<String>>) -> String {
    until(PATIENCE, "the end of a pipe", || {
        let done = Arc::strong_count(kept) == 1;
        async move { done.then_some(()) }
    })
    .await;
    kept.lock().expect("the keeper never panics").clone()
}

/// A child that is killed should it outlive its test.
struct Reaped<'a>(&'a mut Child);

impl Reaped<'_> {
    async fn ended(self) -> ExitStatus {
        until(START_PATIENCE, "the process to end by itself", || {
            let ended = self.0.try_wait().expect("an own child can be asked");
            async move { ended }
        })
        .await
    }
}

impl Drop for Reaped<'_> {
    fn drop(&mut self) {
        // Both fail only where the child has ended and been waited for, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
