//! What a run of publications and deliveries found, and how reports are written.

use crate::run::Finished;
use crate::tally::Faults;
use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::path::Path;

/// Figures of one run. Rates and CPU are of the measured window alone.
#[derive(Debug, Clone, Serialize)]
pub struct DeliveryReport {
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
    /// All latencies, in microseconds.
    #[serde(skip)]
    pub latencies: Histogram<u64>,
}

impl DeliveryReport {
    /// Of a run that is over, with so many subscribed connections.
    pub fn of(subscribers: usize, finished: Finished) -> Self {
        let Finished { start, end, tally, faults, push_bytes, reads, .. } = finished;
        let (publications, received) = (tally.publications(), tally.deliveries());
        let latencies = tally.into_latencies();
        // A run that broke off before its window has no length.
        let seconds = (end.at_ns.saturating_sub(start.at_ns) as f64 / 1e9).max(f64::EPSILON);
        let deliveries = end.deliveries - start.deliveries;
        let server_cpu_seconds =
            end.server_cpu.zip(start.server_cpu).map(|(end, start)| end - start);
        let client_cpu_seconds = end.client_cpu - start.client_cpu;
        let quantile_ms = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            subscribers,
            seconds,
            publications,
            deliveries,
            deliveries_per_second: deliveries as f64 / seconds,
            server_cpu_seconds,
            server_cpu_seconds_per_million: server_cpu_seconds
                .map(|cpu| cpu * 1e6 / deliveries as f64),
            deliveries_per_server_cpu_second: server_cpu_seconds.map(|cpu| deliveries as f64 / cpu),
            client_cpu_seconds,
            client_utilisation: client_cpu_seconds / seconds,
            p50_ms: quantile_ms(0.5),
            p99_ms: quantile_ms(0.99),
            p999_ms: quantile_ms(0.999),
            max_ms: latencies.max() as f64 / 1e3,
            push_bytes,
            deliveries_per_read: received as f64 / reads.max(1) as f64,
            faults,
            latencies,
        }
    }

    /// Prints the figures as a table.
    pub fn print(&self) {
        println!("{}", rows(&self.rows()));
        println!("faults: {:?}", self.faults);
    }

    /// The rows of the table: what, and how much.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let optional = |value: Option<f64>, digits: usize| {
            value.map_or_else(
                || "unknown (no --server-pid)".to_owned(),
                |value| format!("{value:.digits$}"),
            )
        };
        vec![
            ("subscribed connections", self.subscribers.to_string()),
            ("window (s)", format!("{:.3}", self.seconds)),
            ("publications, whole run", self.publications.to_string()),
            ("deliveries", self.deliveries.to_string()),
            ("deliveries/s", format!("{:.0}", self.deliveries_per_second)),
            ("server CPU (s)", optional(self.server_cpu_seconds, 2)),
            (
                "server CPU a million deliveries (s)",
                optional(self.server_cpu_seconds_per_million, 3),
            ),
            ("deliveries a server CPU second", optional(self.deliveries_per_server_cpu_second, 0)),
            ("client CPU (s)", format!("{:.2}", self.client_cpu_seconds)),
            ("client CPU, of a core", format!("{:.0} %", self.client_utilisation * 100.0)),
            ("latency p50 (ms)", format!("{:.2}", self.p50_ms)),
            ("latency p99 (ms)", format!("{:.2}", self.p99_ms)),
            ("latency p99.9 (ms)", format!("{:.2}", self.p999_ms)),
            ("latency max (ms)", format!("{:.2}", self.max_ms)),
            ("push message (bytes)", self.push_bytes.to_string()),
            ("deliveries a read", format!("{:.1}", self.deliveries_per_read)),
        ]
    }
}

/// A Markdown table of what was measured.
pub fn rows(rows: &[(&str, String)]) -> String {
    let mut text = "| measured | |\n|---|---|\n".to_owned();
    for (what, figure) in rows {
        text.push_str(&format!("| {what} | {figure} |\n"));
    }
    text
}

/// Writes any report as JSON.
///
/// # Errors
/// When the file cannot be written.
pub fn write_json(path: &Path, report: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    write_text(path, &text)
}

/// Writes a text to a file.
///
/// # Errors
/// When the file cannot be written.
pub fn write_text(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
