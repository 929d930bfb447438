//! Scripts for Node.js and Python that play the client: what they need is installed as their lock file pins it, once,
//! outside of the clone; what they tell comes as JSON, one object a line.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::Value;
use tokio::sync::mpsc;

use super::skip::has_program;

/// Where the scripts of `suite` and their lock file are.
fn sources(suite: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(suite)
}

/// The directory that keeps downloads between runs, outside of the clone.
fn cache() -> PathBuf {
    if let Some(cache) = std::env::var_os("CARILLON_CACHE") {
        return cache.into();
    }
    let home = std::env::var_os("HOME").expect("a user has a home");
    Path::new(&home).join(".cache/carillon")
}

/// A number for the content of the lock file: another content, another installation.
fn fingerprint(bytes: &[u8]) -> u64 {
    // FNV-1a; nothing here needs it to be more than that.
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Installs what the lock file of `suite` pins, once a lock file: the directory with its modules. Or why it cannot be.
pub(crate) async fn installed(suite: &'static str) -> Result<PathBuf, String> {
    if !has_program("node") || !has_program("npm") {
        return Err("node or npm is not installed".to_owned());
    }
    let installation = tokio::task::spawn_blocking(move || install(suite)).await;
    installation.unwrap_or_else(|e| panic!("the installation panicked: {e}"))
}

fn install(suite: &str) -> Result<PathBuf, String> {
    let sources = sources(suite);
    let lock = std::fs::read(sources.join("package-lock.json")).map_err(|e| e.to_string())?;
    let kept = cache().join(suite);
    let home = kept.join(format!("{:016x}", fingerprint(&lock)));
    // A directory gets its final name only once it is whole.
    if home.is_dir() {
        return Ok(home);
    }
    std::fs::create_dir_all(&kept).map_err(|e| e.to_string())?;
    let fresh = tempfile::tempdir_in(&kept).map_err(|e| e.to_string())?;
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(sources.join(file), fresh.path().join(file)).map_err(|e| e.to_string())?;
    }
    let npm = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    run(Command::new("npm").args(npm).current_dir(fresh.path()))?;
    named(fresh.path(), &home)?;
    Ok(home)
}

/// Installs what `requirements.txt` of `suite` pins into a virtual environment, once a file: its interpreter. Or why it
/// cannot be.
pub(crate) async fn python(suite: &'static str) -> Result<PathBuf, String> {
    if !has_program("python3") {
        return Err("python3 is not installed".to_owned());
    }
    let installation = tokio::task::spawn_blocking(move || install_python(suite)).await;
    installation.unwrap_or_else(|e| panic!("the installation panicked: {e}"))
}

fn install_python(suite: &str) -> Result<PathBuf, String> {
    let pinned = sources(suite).join("requirements.txt");
    let lock = std::fs::read(&pinned).map_err(|e| e.to_string())?;
    let kept = cache().join(format!("{suite}-python"));
    let home = kept.join(format!("{:016x}", fingerprint(&lock)));
    if !home.is_dir() {
        std::fs::create_dir_all(&kept).map_err(|e| e.to_string())?;
        let fresh = tempfile::tempdir_in(&kept).map_err(|e| e.to_string())?;
        run(Command::new("python3").args(["-m", "venv"]).arg(fresh.path()))?;
        let pip =
            ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--requirement"];
        run(Command::new(fresh.path().join("bin/python")).args(pip).arg(&pinned))?;
        // Of what stands in it, only the scripts in bin/ know where it was made; python itself looks around.
        named(fresh.path(), &home)?;
    }
    Ok(home.join("bin/python"))
}

/// Runs a command of an installation to its end.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|e| format!("{command:?} cannot be started: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{command:?} failed: {said:.500}"))
}

/// Gives an installation that is whole its name.
fn named(fresh: &Path, home: &Path) -> Result<(), String> {
    match std::fs::rename(fresh, home) {
        Ok(()) => Ok(()),
        // Another run may have put the same there meanwhile; then this copy goes away again.
        Err(_) if home.is_dir() => Ok(()),
        Err(e) => Err(e.to_string()),
    }
}

/// A script as a running process, and what it tells. Dropping it ends it.
pub(crate) struct Script {
    child: Child,
    input: ChildStdin,
    told: mpsc::UnboundedReceiver<String>,
}

impl Script {
    /// Starts `file` of `suite` with the directory of its modules and `arguments`.
    pub(crate) fn start(suite: &str, file: &str, modules: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new("node");
        command.arg(sources(suite).join(file)).arg(modules).args(arguments);
        Self::spawn(command)
    }

    /// Starts `file` of `suite` with an interpreter of [`python`] and, as its argument, settings.
    pub(crate) fn python(suite: &str, file: &str, interpreter: &Path, settings: &Value) -> Self {
        let mut command = Command::new(interpreter);
        // Nothing is written beside the sources.
        command.arg("-B").arg(sources(suite).join(file)).arg(settings.to_string());
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter starts");
        let (teller, told) = mpsc::unbounded_channel();
        let input = child.stdin.take().expect("stdin is piped");
        let output = child.stdout.take().expect("stdout is piped");
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Once the test is over nobody listens.
                let _ = teller.send(line);
            }
        });
        Self { child, input, told }
    }

    /// Waits for the next thing that it tells; the caller sets the deadline.
    pub(crate) async fn next(&mut self) -> Value {
        let line = self.told.recv().await.unwrap_or_else(|| panic!("the script ended too early"));
        serde_json::from_str(&line)
            .unwrap_or_else(|e| panic!("the script told no JSON: {e} in {line}"))
    }

    /// Says a line to it.
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("the script listens");
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
