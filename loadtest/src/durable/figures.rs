//! Figures that several reports have: latencies and CPU times.

use crate::procfs;
use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// The longest latency that is told apart, in microseconds.
const LONGEST_US: u64 = 600_000_000;
/// Significant digits of a latency.
const DIGITS: u8 = 3;

/// Latencies, in microseconds as they are counted.
///
/// # Errors
/// Never with these bounds.
pub fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, LONGEST_US, DIGITS).context("a histogram of latencies")
}

/// Adds a latency.
pub fn record(latencies: &mut Histogram<u64>, ns: u64) {
    latencies.saturating_record((ns / 1_000).max(1));
}

/// Latencies, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// The median.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Latency {
    /// Of a histogram in microseconds.
    pub fn of(microseconds: &Histogram<u64>) -> Self {
        let ms = |quantile| microseconds.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            count: microseconds.len(),
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            max_ms: microseconds.max() as f64 / 1e3,
        }
    }
}

/// CPU time of a process and its descendants in the measured window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// Which process.
    pub process: String,
    /// User and system time, in seconds.
    pub seconds: f64,
    /// Of one core, in percent of the window.
    pub core_percent: f64,
}

/// CPU seconds so far of the processes that are watched, and when that was.
pub struct CpuMark {
    at: Instant,
    processes: Vec<f64>,
    generator: f64,
}

impl CpuMark {
    /// As it is now.
    ///
    /// # Errors
    /// When a process is gone.
    pub fn now(processes: &[(String, u32)]) -> Result<Self> {
        let cpu = |(name, pid): &(String, u32)| {
            procfs::tree_cpu_seconds(*pid).with_context(|| format!("--pid {name}={pid}"))
        };
        Ok(Self {
            at: Instant::now(),
            processes: processes.iter().map(cpu).collect::<Result<_>>()?,
            generator: procfs::cpu_seconds(std::process::id())?,
        })
    }

    /// What each process took up to `end`, this program last.
    pub fn until(&self, end: &Self, processes: &[(String, u32)]) -> Vec<Cpu> {
        let window = (end.at - self.at).as_secs_f64();
        let names = processes.iter().map(|(name, _)| name.as_str());
        let before = self.processes.iter().chain([&self.generator]);
        let after = end.processes.iter().chain([&end.generator]);
        names
            .chain(["this generator"])
            .zip(before.zip(after))
            .map(|(name, (before, after))| Cpu {
                process: name.to_owned(),
                seconds: after - before,
                core_percent: (after - before) / window * 100.0,
            })
            .collect()
    }
}

/// CPU times in one line of text.
pub fn cpu_line(cpu: &[Cpu]) -> String {
    let one = |one: &Cpu| format!("{} {:.0} %", one.process, one.core_percent);
    cpu.iter().map(one).collect::<Vec<_>>().join(", ")
}
