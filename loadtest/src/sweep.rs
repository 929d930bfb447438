//! Fan-out in open loop at one rate after the other: from which rate on latency grows.

use crate::fan_out;
use crate::machine;
use crate::options::{Destination, Output};
use crate::pacing::Pace;
use crate::plot;
use crate::report::DeliveryReport;
use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;

/// Arguments of `sweep`.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// The server.
    #[command(flatten)]
    pub server: Destination,
    /// Publications a second, one run for each.
    #[arg(long, value_delimiter = ',', default_value = "10,30,100,300,1000")]
    pub rates: Vec<f64>,
    /// How many connections subscribe.
    #[arg(long, default_value_t = 1_000)]
    pub subscribers: usize,
    /// The channel.
    #[arg(long, default_value = "bench:all")]
    pub channel: String,
    /// Length of the published JSON.
    #[arg(long, default_value_t = 128)]
    pub payload_bytes: usize,
    /// Length of the measured window of each run.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// How long to publish before a window begins.
    #[arg(long, default_value_t = 1.0)]
    pub warmup_seconds: f64,
    /// Process whose CPU time is reported.
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// Run on this core only.
    #[arg(long)]
    pub core: Option<usize>,
    /// Files of the figures.
    #[command(flatten)]
    pub output: Output,
}

/// What came of one rate.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// Publications a second that were intended.
    pub rate: f64,
    /// The figures.
    pub report: DeliveryReport,
}

/// Runs `sweep` from the command line.
///
/// # Errors
/// When a run could not be made, or none was without faults: that some rates are too much is what it looks for.
pub fn command(options: &Options) -> Result<()> {
    ensure!(!options.rates.is_empty(), "there must be a rate");
    if let Some(core) = options.core {
        machine::pin(core)?;
    }
    println!(
        "| publications/s | deliveries/s | p50 (ms) | p99 (ms) | max (ms) | server CPU, of a core | client CPU, of a core | faults |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut steps = Vec::with_capacity(options.rates.len());
    for rate in &options.rates {
        let report =
            fan_out::run(&options.at(*rate)).with_context(|| format!("at {rate} a second"))?;
        let step = Step { rate: *rate, report };
        println!("{}", step.row());
        steps.push(step);
    }
    let good: Vec<_> = steps.iter().filter(|step| !step.report.faults.any()).collect();
    options.output.write(&steps, || {
        let title = format!("Fan-out to {} subscribers", options.subscribers);
        let points = good.iter().map(|step| (step.rate, step.report.p99_ms)).collect();
        let series = vec![("runs without faults".to_owned(), points)];
        plot::p99_by_rate(&title, series).svg()
    })?;
    ensure!(!good.is_empty(), "deliveries were lost, repeated or out of order at every rate");
    Ok(())
}

impl Options {
    fn at(&self, rate: f64) -> fan_out::Options {
        fan_out::Options {
            server: self.server.clone(),
            subscribers: self.subscribers,
            channel: self.channel.clone(),
            payload_bytes: self.payload_bytes,
            pace: Pace::rate(rate),
            seconds: self.seconds,
            warmup_seconds: self.warmup_seconds,
            server_pid: self.server_pid,
            spin: false,
            core: None,
            output: Output::default(),
        }
    }
}

impl Step {
    /// A row of the table.
    fn row(&self) -> String {
        let report = &self.report;
        let percent = |part: f64| format!("{:.0} %", part * 100.0);
        let server = report.server_cpu_seconds.map(|cpu| percent(cpu / report.seconds));
        let faults = match report.faults.total() {
            0 => "0".to_owned(),
            count => format!("**{count}**"),
        };
        format!(
            "| {} | {:.0} | {:.2} | {:.2} | {:.2} | {} | {} | {faults} |",
            self.rate,
            report.deliveries_per_second,
            report.p50_ms,
            report.p99_ms,
            report.max_ms,
            server.unwrap_or_else(|| "unknown".to_owned()),
            percent(report.client_utilisation),
        )
    }
}
