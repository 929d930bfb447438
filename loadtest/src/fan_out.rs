//! One publisher and many subscribers of one channel, on one thread with one epoll.

use crate::connection::{Connection, Target};
use crate::pacing::Pace;
use crate::payload::{self, Stamp};
use crate::reader::{Peer, Reader};
use crate::report::{FanOutReport, write_json};
use crate::tally::{Faults, Tally};
use crate::{frame, machine, procfs};
use anyhow::{Context, Result, ensure};
use clap::Args;
use mio::{Events, Poll, Token};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const PUBLISHER: Token = Token(usize::MAX);
/// Longest sleep between looks at the clock.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);
/// A run in which nothing comes for so long has stalled; also how long stragglers are waited for at the end.
const PATIENCE_NS: u64 = 5_000_000_000;

/// Arguments of `fan_out`.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// WebSocket address of the server.
    #[arg(long)]
    pub url: String,
    /// Connection token; none for a server that lets anyone in.
    #[arg(long)]
    pub token: Option<String>,
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
    /// How many addresses of 127.0.0.0/24 to connect from.
    #[arg(long, default_value_t = 8)]
    pub source_addresses: u8,
    /// Never sleep: the server then pays no wake-ups of this process.
    #[arg(long)]
    pub spin: bool,
    /// Run on this core only.
    #[arg(long)]
    pub core: Option<usize>,
    /// Also write the report to this file.
    #[arg(long)]
    pub json: Option<PathBuf>,
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
    if let Some(path) = &options.json {
        write_json(path, &report)?;
    }
    ensure!(!report.faults.any(), "deliveries were lost, repeated or out of order");
    Ok(())
}

/// Connects, publishes and measures.
///
/// # Errors
/// When the connections cannot be made or a process is gone; what goes wrong with deliveries is in the report.
pub fn run(options: &Options) -> Result<FanOutReport> {
    ensure!(options.subscribers > 0, "there must be a subscriber");
    ensure!(
        options.payload_bytes >= payload::SHORTEST,
        "the payload needs {} bytes for its stamp",
        payload::SHORTEST
    );
    machine::ensure_open_files(options.subscribers)?;
    let target = Target::parse(&options.url, options.token.clone())?;
    let poll = Poll::new()?;
    let mut subscribers = Vec::with_capacity(options.subscribers);
    for index in 0..options.subscribers {
        let mut connection = Connection::establish(&target, index, options.source_addresses)?;
        connection.subscribe(&options.channel)?;
        subscribers.push(Peer::register(connection, &poll, Token(index))?);
    }
    let publisher = Connection::establish(&target, 0, options.source_addresses)?;
    let publisher = Peer::register(publisher, &poll, PUBLISHER)?;
    Run::new(options, poll, subscribers, publisher)?.run()
}

/// CPU times and deliveries at one moment.
#[derive(Clone, Copy)]
struct Mark {
    at_ns: u64,
    deliveries: u64,
    server_cpu: Option<f64>,
    client_cpu: f64,
}

struct Run<'a> {
    options: &'a Options,
    poll: Poll,
    subscribers: Vec<Peer>,
    publisher: Peer,
    reader: Reader,
    command: Vec<u8>,
    began: Instant,
    window: std::ops::Range<u64>,
}

impl<'a> Run<'a> {
    fn new(
        options: &'a Options,
        poll: Poll,
        subscribers: Vec<Peer>,
        publisher: Peer,
    ) -> Result<Self> {
        let start = (options.warmup_seconds * 1e9) as u64;
        let window = start..start + (options.seconds * 1e9) as u64;
        let tally = Tally::new(subscribers.len(), window.clone())?;
        Ok(Self {
            options,
            poll,
            subscribers,
            publisher,
            reader: Reader::new(tally),
            command: Vec::new(),
            began: Instant::now(),
            window,
        })
    }

    fn now_ns(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    fn run(mut self) -> Result<FanOutReport> {
        self.began = Instant::now();
        let before_window = self.window.start;
        self.work_until(before_window, true)?;
        let start = self.mark()?;
        let window_end = self.window.end;
        self.work_until(window_end, true)?;
        let end = self.mark()?;
        let deadline = self.now_ns() + PATIENCE_NS;
        self.work_until(deadline, false)?;
        let mut faults = self.reader.tally.faults;
        let published = self.reader.tally.publications();
        faults.lost = self.subscribers.iter().map(|peer| peer.sequence.lost(published)).sum();
        Ok(self.report(start, end, faults))
    }

    /// Reads, and publishes if asked to, until the given time; without publishing, until everything has come.
    fn work_until(&mut self, until_ns: u64, publish: bool) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut progress = (self.reader.tally.deliveries(), self.now_ns());
        loop {
            let now = self.now_ns();
            let deliveries = self.reader.tally.deliveries();
            let expected = self.reader.tally.publications() * self.subscribers.len() as u64;
            if deliveries != progress.0 || deliveries == expected {
                progress = (deliveries, now);
            } else if now - progress.1 > PATIENCE_NS && publish {
                self.reader.tally.faults.stalled = 1;
            }
            let faults = self.reader.tally.faults;
            if now >= until_ns
                || faults.stalled + faults.disconnected > 0
                || !publish && deliveries == expected
            {
                return Ok(());
            }
            if publish {
                self.publish_what_is_due(now);
            }
            let left = Duration::from_nanos(until_ns - now);
            let sleep = if self.options.spin {
                Duration::ZERO
            } else {
                let number = self.reader.tally.publications();
                self.options.pace.sleep(number, now, LONGEST_SLEEP.min(left))
            };
            match self.poll.poll(&mut events, Some(sleep)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                outcome => outcome.context("epoll failed")?,
            }
            for event in &events {
                let peer = match event.token() {
                    PUBLISHER => &mut self.publisher,
                    Token(index) => &mut self.subscribers[index],
                };
                if event.is_readable() {
                    self.reader.read(peer, self.began);
                }
                peer.flush();
            }
        }
    }

    /// Publishes all that is due, in one write.
    fn publish_what_is_due(&mut self, now_ns: u64) {
        let completed = self.reader.tally.completed();
        loop {
            let sequence = self.reader.tally.publications();
            let Some(intended_ns) = self.options.pace.due(sequence, completed, now_ns) else {
                break;
            };
            self.command.clear();
            // Ids 1 and up were used during setup.
            let head = format_args!(
                "{{\"id\":{},\"publish\":{{\"channel\":\"{}\",\"data\":",
                sequence + 1_000,
                self.options.channel
            );
            self.command.write_fmt(head).expect("writing to a Vec cannot fail");
            let stamp = Stamp { sequence, intended_ns };
            payload::encode(&mut self.command, stamp, self.options.payload_bytes);
            self.command.extend_from_slice(b"}}");
            frame::encode_from_client(&mut self.publisher.unsent, frame::TEXT, &self.command);
            self.reader.tally.published();
        }
        self.publisher.flush();
    }

    fn mark(&self) -> Result<Mark> {
        Ok(Mark {
            at_ns: self.now_ns(),
            deliveries: self.reader.tally.deliveries(),
            server_cpu: self.options.server_pid.map(procfs::cpu_seconds).transpose()?,
            client_cpu: procfs::cpu_seconds(std::process::id())?,
        })
    }

    fn report(&self, start: Mark, end: Mark, faults: Faults) -> FanOutReport {
        let seconds = (end.at_ns - start.at_ns) as f64 / 1e9;
        let deliveries = end.deliveries - start.deliveries;
        let server_cpu_seconds =
            end.server_cpu.zip(start.server_cpu).map(|(end, start)| end - start);
        let client_cpu_seconds = end.client_cpu - start.client_cpu;
        let tally = &self.reader.tally;
        let quantile_ms = |quantile| tally.latencies().value_at_quantile(quantile) as f64 / 1e3;
        FanOutReport {
            subscribers: self.subscribers.len(),
            seconds,
            publications: tally.publications(),
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
            max_ms: tally.latencies().max() as f64 / 1e3,
            push_bytes: self.reader.push_bytes(),
            deliveries_per_read: tally.deliveries() as f64 / self.reader.reads().max(1) as f64,
            faults,
        }
    }
}
