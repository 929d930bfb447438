//! How fast the projection does a whole log: `carillon rebuild analytics`, timed from outside.

use crate::durable::figures::{Cpu, CpuMark, cpu_line};
use crate::procfs;
use crate::report::write_json;
use crate::whole_path::named_pid;
use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// Arguments of `durable rebuild`.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// The Carillon binary.
    #[arg(long)]
    pub carillon: PathBuf,
    /// The settings of the nodes; what the environment says of the stores is passed on.
    #[arg(long)]
    pub config: PathBuf,
    /// The data directory of the nodes. If a store is embedded in it, no node may run.
    #[arg(long)]
    pub data: PathBuf,
    /// How long the same takes over an empty log: it starts, waits for nodes to settle, and ends. That is subtracted.
    #[arg(long, default_value_t = 0.0)]
    pub fixed_seconds: f64,
    /// A process whose CPU time is told, with its descendants, as NAME=PID; once for each.
    #[arg(long = "pid", value_parser = named_pid)]
    pub pids: Vec<(String, u32)>,
    /// Also write the report to this file.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// Figures of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RebuildReport {
    /// Events that were projected.
    pub events: u64,
    /// How long the process ran.
    pub seconds: f64,
    /// How much of that an empty log would have taken.
    pub fixed_seconds: f64,
    /// Events a second of the rest.
    pub events_per_second: f64,
    /// CPU times of the process and of those that were named.
    pub cpu: Vec<Cpu>,
}

impl RebuildReport {
    fn print(&self) {
        println!("| `rebuild analytics` | of which fixed (s) | events/s | CPU |");
        println!("|---|---|---|---|");
        println!(
            "| {} events in {:.2} s | {:.2} | {:.0} | {} |",
            self.events,
            self.seconds,
            self.fixed_seconds,
            self.events_per_second,
            cpu_line(&self.cpu)
        );
    }
}

/// How many events the command says that it projected.
fn projected(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("analytics: "))?;
    line.strip_suffix(" events projected")?.parse().ok()
}

/// Runs `durable rebuild` from the command line.
///
/// # Errors
/// When the command fails, or says nothing of what it did.
pub fn command(options: &Options) -> Result<()> {
    let before = CpuMark::now(&options.pids)?;
    // Those who ended and were waited for count as their parent's.
    let own = || procfs::tree_cpu_seconds(std::process::id());
    let (own_before, began) = (own()?, Instant::now());
    let output = Command::new(&options.carillon)
        .args(["rebuild", "analytics", "--config"])
        .arg(&options.config)
        .arg("--data")
        .arg(&options.data)
        .output()
        .with_context(|| format!("cannot run {}", options.carillon.display()))?;
    let seconds = began.elapsed().as_secs_f64();
    let cpu_seconds = own()? - own_before;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "rebuild ended with {}: {complaint}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let events = projected(&text).with_context(|| format!("rebuild said {text:?}"))?;
    let mut cpu = before.until(&CpuMark::now(&options.pids)?, &options.pids);
    cpu.pop();
    let core_percent = cpu_seconds / seconds * 100.0;
    cpu.push(Cpu { process: "rebuild".to_owned(), seconds: cpu_seconds, core_percent });
    let report = RebuildReport {
        events,
        seconds,
        fixed_seconds: options.fixed_seconds,
        events_per_second: events as f64 / (seconds - options.fixed_seconds).max(f64::EPSILON),
        cpu,
    };
    report.print();
    if let Some(path) = &options.json {
        write_json(path, &report)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_command_says() {
        assert_eq!(projected("analytics: 200123 events projected\n"), Some(200_123));
        assert_eq!(projected("counters: 5 counted, 0 were wrong, 0 put right\n"), None);
    }
}
