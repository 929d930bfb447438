//! Many channels with a few subscribers each, and publications to random ones of them on schedule.

use crate::connection::Connection;
use crate::machine;
use crate::options::{Destination, Output};
use crate::pacing::Pace;
use crate::plot;
use crate::progress::{Figures, Progress};
use crate::report::{DeliveryReport, rows};
use crate::run::{Load, Run};
use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;
use std::time::Instant;

/// Arguments of `many_channels`.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// The server.
    #[command(flatten)]
    pub server: Destination,
    /// How many channels.
    #[arg(long, default_value_t = 10_000)]
    pub channels: usize,
    /// How many subscribers each channel has.
    #[arg(long, default_value_t = 2)]
    pub subscribers: usize,
    /// How many connections share these subscriptions evenly.
    #[arg(long, default_value_t = 1_000)]
    pub connections: usize,
    /// How many connections publish; each has its share of the channels.
    #[arg(long, default_value_t = 4)]
    pub publishers: usize,
    /// The namespace of the channels.
    #[arg(long, default_value = "bench")]
    pub namespace: String,
    /// Publications a second of all together, whatever the server does.
    #[arg(long, default_value_t = 2_000.0)]
    pub rate: f64,
    /// Length of the published JSON.
    #[arg(long, default_value_t = 128)]
    pub payload_bytes: usize,
    /// Length of the measured window.
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// How long to publish before the window begins.
    #[arg(long, default_value_t = 1.0)]
    pub warmup_seconds: f64,
    /// The most subscriptions that the server lets one connection have.
    #[arg(long, default_value_t = 128)]
    pub subscription_limit: usize,
    /// Seed of the choice of channels; a random one otherwise.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Process whose CPU time is reported.
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// Files of the figures.
    #[command(flatten)]
    pub output: Output,
}

/// Figures of one run.
#[derive(Debug, Clone, Serialize)]
pub struct ManyChannelsReport {
    /// How many channels there were.
    pub channels: usize,
    /// How many subscribers each had.
    pub subscribers_per_channel: usize,
    /// How many connections published.
    pub publishers: usize,
    /// Publications a second that were intended.
    pub rate: f64,
    /// Seed of the choice of channels.
    pub seed: u64,
    /// How long connecting and subscribing took, one after the other.
    pub setup_seconds: f64,
    /// What was delivered.
    #[serde(flatten)]
    pub delivered: DeliveryReport,
}

/// Runs `many_channels` from the command line.
///
/// # Errors
/// When the run could not be made, or something went wrong in it.
pub fn command(options: &Options) -> Result<()> {
    let report = run(options)?;
    let mut table = vec![
        ("channels", report.channels.to_string()),
        ("subscribers of each", report.subscribers_per_channel.to_string()),
        ("publications/s intended", format!("{:.0}", report.rate)),
        ("publishing connections", report.publishers.to_string()),
        ("connecting and subscribing (s)", format!("{:.2}", report.setup_seconds)),
    ];
    table.extend(report.delivered.rows());
    println!("{}", rows(&table));
    println!("faults: {:?}", report.delivered.faults);
    options.output.write(&report, || {
        let title = format!(
            "{} channels with {} subscribers each, {:.0} publications/s",
            report.channels, report.subscribers_per_channel, report.rate
        );
        let series = [("deliveries", &report.delivered.latencies)];
        plot::latency_by_percentile(&title, &series).svg()
    })?;
    let faulty = report.delivered.faults.any();
    ensure!(!faulty, "deliveries were lost, repeated, out of order or sent to others");
    Ok(())
}

/// Connects, subscribes, publishes and measures.
///
/// # Errors
/// When the connections cannot be made or a process is gone; what goes wrong with deliveries is in the report.
pub fn run(options: &Options) -> Result<ManyChannelsReport> {
    options.check()?;
    let seed = options.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let load = options.load(seed);
    let names = load.channels.clone();
    let target = options.server.target()?;
    let mut run = Run::new(load)?;
    let began = Instant::now();
    let mut progress = Progress::on_stderr();
    for index in 0..options.connections {
        let mut connection =
            Connection::establish(&target, index, options.server.source_addresses)?;
        let channels = options.channels_of(index);
        for channel in &channels {
            let name = &names[*channel as usize];
            connection.subscribe(name).with_context(|| format!("connection {index}, {name}"))?;
        }
        run.subscriber(connection, channels)?;
        progress.tell(began.elapsed().as_nanos() as u64, || Figures {
            counts: vec![("connected", index as u64 + 1)],
            ..Figures::default()
        });
    }
    drop(progress);
    let setup_seconds = began.elapsed().as_secs_f64();
    for index in 0..options.publishers {
        run.publisher(Connection::establish(&target, index, options.server.source_addresses)?)?;
    }
    Ok(ManyChannelsReport {
        channels: options.channels,
        subscribers_per_channel: options.subscribers,
        publishers: options.publishers,
        rate: options.rate,
        seed,
        setup_seconds,
        delivered: DeliveryReport::of(options.connections, run.run(|| Ok(()))?),
    })
}

impl Options {
    fn check(&self) -> Result<()> {
        ensure!(self.publishers > 0, "there must be somebody who publishes");
        ensure!(
            (1..=self.connections).contains(&self.subscribers),
            "a channel has from one to as many subscribers as there are connections"
        );
        ensure!(u32::try_from(self.channels).is_ok(), "there are too many channels");
        let each = (self.channels * self.subscribers).div_ceil(self.connections);
        ensure!(
            each <= self.subscription_limit,
            "a connection would have {each} subscriptions, more than {}: give more --connections",
            self.subscription_limit
        );
        machine::ensure_open_files(self.connections + self.publishers)
    }

    fn load(&self, seed: u64) -> Load {
        Load {
            channels: (0..self.channels).map(|it| format!("{}:{it}", self.namespace)).collect(),
            audience: self.subscribers,
            pace: Pace::rate(self.rate),
            payload_bytes: self.payload_bytes,
            seconds: self.seconds,
            warmup_seconds: self.warmup_seconds,
            server_pid: self.server_pid,
            watch_memory: false,
            spin: false,
            seed,
        }
    }

    /// Subscriptions are dealt to the connections in turn, as cards are; those of one channel follow each other, so that no
    /// connection gets two of them.
    fn channels_of(&self, connection: usize) -> Vec<u32> {
        let subscriptions = self.channels * self.subscribers;
        let dealt = (connection..subscriptions).step_by(self.connections);
        dealt.map(|subscription| (subscription / self.subscribers) as u32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn options(arguments: &[&str]) -> Options {
        let line = [&["many_channels", "--url", "ws://127.0.0.1:1/"], arguments].concat();
        Line::parse_from(line).options
    }

    #[test]
    fn every_channel_has_its_subscribers_on_as_many_connections() {
        for (channels, subscribers, connections) in [(10, 2, 5), (7, 3, 4), (3, 1, 10), (5, 5, 5)] {
            let mut options = options(&[]);
            (options.channels, options.subscribers, options.connections) =
                (channels, subscribers, connections);
            options.check().unwrap();
            let mut found = vec![0; channels];
            for connection in 0..connections {
                let mut dealt = options.channels_of(connection);
                assert!(dealt.len() <= (channels * subscribers).div_ceil(connections));
                dealt.iter().for_each(|channel| found[*channel as usize] += 1);
                let all = dealt.len();
                dealt.dedup();
                assert_eq!(dealt.len(), all, "none twice");
            }
            assert_eq!(found, vec![subscribers; channels]);
        }
    }

    #[test]
    fn what_no_server_would_take_is_refused() {
        let refused = |arguments: &[&str]| options(arguments).check().unwrap_err().to_string();
        assert!(refused(&["--connections", "100"]).contains("200 subscriptions"));
        assert!(refused(&["--subscribers", "1001"]).contains("as many subscribers"));
        assert!(refused(&["--publishers", "0"]).contains("who publishes"));
        options(&[]).check().unwrap();
    }
}
