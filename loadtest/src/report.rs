//! What a fan-out run found.

use crate::tally::Faults;
use anyhow::{Context, Result};
use serde::Serialize;
use std::path::Path;

/// Figures of one fan-out run. Rates and CPU are of the measured window alone.
#[derive(Debug, Clone, Serialize)]
pub struct FanOutReport {
    /// How many connections were subscribed.
    pub subscribers: usize,
    /// Length of the measured window.
    pub seconds: f64,
    /// Publications sent in the whole run.
    pub publications: u64,
    /// Deliveries in the window.
    pub deliveries: u64,
    /// Deliveries a second of the clock.
    pub deliveries_per_second: f64,
    /// CPU time of the server in the window, if its process is known.
    pub server_cpu_seconds: Option<f64>,
    /// CPU seconds of the server for a million deliveries.
    pub server_cpu_seconds_per_million: Option<f64>,
    /// Deliveries for a CPU second of the server.
    pub deliveries_per_server_cpu_second: Option<f64>,
    /// CPU time of this process in the window.
    pub client_cpu_seconds: f64,
    /// Share of the window in which this process ran: near 1 the client may be what limits.
    pub client_utilisation: f64,
    /// Median latency from the intended send time, in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of it.
    pub p99_ms: f64,
    /// 99.9th percentile of it.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// Length of a push message without its frame header, in bytes.
    pub push_bytes: usize,
    /// Deliveries for each read that returned some: how much the server joined, or the client lagged.
    pub deliveries_per_read: f64,
    /// What went wrong.
    pub faults: Faults,
}

impl FanOutReport {
    /// Prints the figures, one a line.
    pub fn print(&self) {
        let optional = |value: Option<f64>, digits: usize| {
            value.map_or_else(
                || "unknown (no --server-pid)".to_owned(),
                |value| format!("{value:.digits$}"),
            )
        };
        println!("subscribers                      {}", self.subscribers);
        println!("window                           {:.3} s", self.seconds);
        println!("publications (whole run)         {}", self.publications);
        println!("deliveries                       {}", self.deliveries);
        println!("deliveries/s                     {:.0}", self.deliveries_per_second);
        println!("server CPU                       {} s", optional(self.server_cpu_seconds, 2));
        println!(
            "server CPU s/million deliveries  {}",
            optional(self.server_cpu_seconds_per_million, 3)
        );
        println!(
            "deliveries/server CPU s          {}",
            optional(self.deliveries_per_server_cpu_second, 0)
        );
        println!(
            "client CPU                       {:.2} s ({:.0} %)",
            self.client_cpu_seconds,
            self.client_utilisation * 100.0
        );
        println!(
            "latency p50/p99/p99.9/max        {:.2} / {:.2} / {:.2} / {:.2} ms",
            self.p50_ms, self.p99_ms, self.p999_ms, self.max_ms
        );
        println!(
            "push message                     {} bytes, {:.1} deliveries a read",
            self.push_bytes, self.deliveries_per_read
        );
        println!("faults                           {:?}", self.faults);
    }
}

/// Writes any report as JSON.
///
/// # Errors
/// When the file cannot be written.
pub fn write_json(path: &Path, report: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
