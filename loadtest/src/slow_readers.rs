//! Subscribers who never read, among many who do: whether they harm anybody but themselves.
//!
//! The same load runs twice, first without and then with them. At the end of the second run they begin to read, and then it
//! shows whether the server had given them up, and with which code.

mod outcome;

use crate::connection::{Connection, Target};
use crate::crowd::Crowd;
use crate::machine;
use crate::options::{Destination, Output};
use crate::pacing::Pace;
use crate::plot;
use crate::reader::Peer;
use crate::report::DeliveryReport;
use crate::run::{Load, Run};
use crate::sequence::Subscriptions;
use crate::tally::Tally;
use anyhow::{Result, ensure};
use clap::Args;
use outcome::{Phase, SlowReadersReport, Unread};
use std::time::{Duration, Instant};

/// What a slow reader asks the kernel to keep for it, in bytes: little, so that its server notices soon.
const RECEIVE_BUFFER: usize = 4_096;
/// Slow readers read at the end until nothing comes for so long. A server goes on to write as they read, so it is short.
const SILENCE: Duration = Duration::from_secs(3);
const ROUND: Duration = Duration::from_millis(50);

/// Arguments of `slow_readers`.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// The server.
    #[command(flatten)]
    pub server: Destination,
    /// How many connections subscribe and read.
    #[arg(long, default_value_t = 1_000)]
    pub subscribers: usize,
    /// How many others subscribe and never read.
    #[arg(long, default_value_t = 10)]
    pub slow: usize,
    /// The channel.
    #[arg(long, default_value = "bench:all")]
    pub channel: String,
    /// Publications a second, whatever the server does.
    #[arg(long, default_value_t = 20.0)]
    pub rate: f64,
    /// Length of the published JSON: with the rate and the time it must be more than a server lets wait.
    #[arg(long, default_value_t = 16_384)]
    pub payload_bytes: usize,
    /// Length of the measured window, at the end of which the slow ones must have been given up.
    #[arg(long, default_value_t = 12.0)]
    pub seconds: f64,
    /// How long to publish before the window begins.
    #[arg(long, default_value_t = 1.0)]
    pub warmup_seconds: f64,
    /// Process whose CPU time and memory are reported.
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// Files of the figures.
    #[command(flatten)]
    pub output: Output,
}

/// Runs `slow_readers` from the command line.
///
/// # Errors
/// When the run could not be made, somebody who reads was harmed, or a slow reader was not closed.
pub fn command(options: &Options) -> Result<()> {
    let report = run(options)?;
    report.print();
    options.output.write(&report, || {
        let title =
            format!("{} readers, without and with {} slow ones", options.subscribers, options.slow);
        let series = [
            ("without slow readers", &report.without.delivered.latencies),
            ("with slow readers", &report.with.delivered.latencies),
        ];
        plot::latency_by_percentile(&title, &series).svg()
    })?;
    let harmed = report.without.delivered.faults.any() || report.with.delivered.faults.any();
    ensure!(!harmed, "deliveries to those who read were lost, repeated or out of order");
    let open = report.slow_left_open;
    ensure!(open == 0, "{open} slow readers were not closed, whatever waits for them");
    Ok(())
}

/// Runs the load without slow readers, and then with them.
///
/// # Errors
/// When the connections cannot be made or a process is gone; what goes wrong with deliveries is in the report.
pub fn run(options: &Options) -> Result<SlowReadersReport> {
    ensure!(options.slow > 0, "there must be a slow reader");
    machine::ensure_open_files(options.subscribers + options.slow)?;
    eprintln!("without slow readers …");
    let (without, _) = phase(options, 0)?;
    eprintln!("with {} of them …", options.slow);
    let (with, unread) = phase(options, options.slow)?;
    Ok(SlowReadersReport::new(without, with, options.slow, unread))
}

/// The load, once; answers also what had become of the slow readers.
fn phase(options: &Options, slow: usize) -> Result<(Phase, Unread)> {
    let target = options.server.target()?;
    let mut run = Run::new(options.load())?;
    for index in 0..options.subscribers {
        run.subscriber(subscribed(options, &target, index)?, [0])?;
    }
    // Nobody attends to this crowd before the end. What it receives is of no run that its tally knows.
    let mut crowd = Crowd::new(Tally::new(1, slow.max(1), 0..0)?)?;
    let target = target.with_receive_buffer(RECEIVE_BUFFER);
    for index in 0..slow {
        crowd.join(subscribed(options, &target, index)?, Subscriptions::default())?;
    }
    run.publisher(Connection::establish(&target, 0, options.server.source_addresses)?)?;
    let mut unread = Unread::default();
    let finished = run.run(|| {
        unread = read_at_last(&mut crowd)?;
        Ok(())
    })?;
    let memory = finished.memory;
    let delivered = DeliveryReport::of(options.subscribers, finished);
    Ok((Phase { delivered, memory }, unread))
}

fn subscribed(options: &Options, target: &Target, index: usize) -> Result<Connection> {
    let mut connection = Connection::establish(target, index, options.server.source_addresses)?;
    connection.subscribe(&options.channel)?;
    Ok(connection)
}

/// Has the slow ones read, until all their connections have ended or nothing comes any more.
fn read_at_last(crowd: &mut Crowd) -> Result<Unread> {
    let mut last = (crowd.reader.reads(), Instant::now());
    while crowd.peers().iter().any(Peer::is_open) && last.1.elapsed() < SILENCE {
        crowd.attend(ROUND)?;
        if crowd.reader.reads() != last.0 {
            last = (crowd.reader.reads(), Instant::now());
        }
    }
    Ok(Unread { closes: crowd.closes(), deliveries: crowd.reader.tally.faults.unknown })
}

impl Options {
    fn load(&self) -> Load {
        Load {
            channels: vec![self.channel.clone()],
            audience: self.subscribers,
            pace: Pace::rate(self.rate),
            payload_bytes: self.payload_bytes,
            seconds: self.seconds,
            warmup_seconds: self.warmup_seconds,
            server_pid: self.server_pid,
            watch_memory: true,
            spin: false,
            seed: 0,
        }
    }
}
