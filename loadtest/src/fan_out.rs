//! One publisher and many subscribers of one channel.

use crate::connection::Connection;
use crate::machine;
use crate::options::{Destination, Output};
use crate::pacing::Pace;
use crate::plot;
use crate::report::DeliveryReport;
use crate::run::{Load, Run};
use anyhow::{Result, ensure};
use clap::Args;

/// Arguments of `fan_out`.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// The server.
    #[command(flatten)]
    pub server: Destination,
    /// How many connections subscribe.
    #[arg(long, default_value_t = 1_000)]
    pub subscribers: usize,
    /// The channel.
    #[arg(long, default_value = "bench:all")]
    pub channel: String,
    /// Length of the published JSON.
    #[arg(long, default_value_t = 128)]
    pub payload_bytes: usize,
    /// Closed or open loop.
    #[command(flatten)]
    pub pace: Pace,
    /// Length of the measured window.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// How long to publish before the window begins.
    #[arg(long, default_value_t = 1.0)]
    pub warmup_seconds: f64,
    /// Process whose CPU time is reported.
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// Never sleep: the server then pays no wake-ups of this process.
    #[arg(long)]
    pub spin: bool,
    /// Run on this core only.
    #[arg(long)]
    pub core: Option<usize>,
    /// Files of the figures.
    #[command(flatten)]
    pub output: Output,
}

/// Runs `fan_out` from the command line.
///
/// # Errors
/// When the run could not be made, or something went wrong in it.
pub fn command(options: &Options) -> Result<()> {
    if let Some(core) = options.core {
        machine::pin(core)?;
    }
    let report = run(options)?;
    report.print();
    options.output.write(&report, || {
        let title = format!("Fan-out to {} subscribers", options.subscribers);
        let series = [("deliveries", &report.latencies)];
        plot::latency_by_percentile(&title, &series).svg()
    })?;
    ensure!(!report.faults.any(), "deliveries were lost, repeated or out of order");
    Ok(())
}

/// Connects, publishes and measures.
///
/// # Errors
/// When the connections cannot be made or a process is gone; what goes wrong with deliveries is in the report.
pub fn run(options: &Options) -> Result<DeliveryReport> {
    machine::ensure_open_files(options.subscribers)?;
    let target = options.server.target()?;
    let mut run = Run::new(options.load())?;
    for index in 0..options.subscribers {
        let mut connection =
            Connection::establish(&target, index, options.server.source_addresses)?;
        connection.subscribe(&options.channel)?;
        run.subscriber(connection, [0])?;
    }
    run.publisher(Connection::establish(&target, 0, options.server.source_addresses)?)?;
    Ok(DeliveryReport::of(options.subscribers, run.run(|| Ok(()))?))
}

impl Options {
    fn load(&self) -> Load {
        Load {
            channels: vec![self.channel.clone()],
            audience: self.subscribers,
            pace: self.pace,
            payload_bytes: self.payload_bytes,
            seconds: self.seconds,
            warmup_seconds: self.warmup_seconds,
            server_pid: self.server_pid,
            watch_memory: false,
            spin: self.spin,
            seed: 0,
        }
    }
}
