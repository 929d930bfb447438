//! Subscribing and unsubscribing, on schedule (open loop): what it takes to change one's mind.

use crate::connection::Connection;
use crate::options::{Destination, Output};
use crate::plot;
use crate::progress::{self, Figures, Progress};
use crate::report::rows;
use crate::{machine, procfs};
use anyhow::{Context, Result, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::json;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const STACK_BYTES: usize = 256 * 1024;
const LONGEST_US: u64 = 120_000_000;

/// Arguments of `churn`.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// The server.
    #[command(flatten)]
    pub server: Destination,
    /// How many connections.
    #[arg(long, default_value_t = 200)]
    pub connections: usize,
    /// Commands a second of all together: half of them subscribe, half take it back.
    #[arg(long, default_value_t = 5_000.0)]
    pub rate: f64,
    /// Among so many channels, of which each connection has its next one each time.
    #[arg(long, default_value_t = 1_000)]
    pub channels: usize,
    /// The namespace of the channels.
    #[arg(long, default_value = "bench")]
    pub namespace: String,
    /// For how long.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Process whose CPU time is reported.
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// Files of the figures.
    #[command(flatten)]
    pub output: Output,
}

/// Figures of one run. Latencies are from the intended time of a command to its reply.
#[derive(Debug, Clone, Serialize)]
pub struct ChurnReport {
    /// How many commands were answered.
    pub commands: u64,
    /// How many a second.
    pub commands_per_second: f64,
    /// Median latency, in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of it.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// CPU time of the server, if its process is known.
    pub server_cpu_seconds: Option<f64>,
    /// Microseconds of it a command.
    pub server_cpu_us_per_command: Option<f64>,
    /// CPU time of this process.
    pub client_cpu_seconds: f64,
    /// All latencies, in microseconds.
    #[serde(skip)]
    pub latencies: Histogram<u64>,
}

/// Runs `churn` from the command line.
///
/// # Errors
/// When the run could not be made, or a command was refused.
pub fn command(options: &Options) -> Result<()> {
    let report = run(options)?;
    report.print();
    options.output.write(&report, || {
        let title = format!("Subscribing and unsubscribing, {:.0} commands/s", options.rate);
        let series = [("replies", &report.latencies)];
        plot::latency_by_percentile(&title, &series).svg()
    })?;
    Ok(())
}

impl ChurnReport {
    /// Prints the figures as a table.
    fn print(&self) {
        let server_cpu = self.server_cpu_us_per_command.map(|cpu| format!("{cpu:.1}"));
        let table = [
            ("commands", self.commands.to_string()),
            ("commands/s", format!("{:.0}", self.commands_per_second)),
            ("latency p50 (ms)", format!("{:.2}", self.p50_ms)),
            ("latency p99 (ms)", format!("{:.2}", self.p99_ms)),
            ("latency max (ms)", format!("{:.2}", self.max_ms)),
            (
                "server CPU a command (µs)",
                server_cpu.unwrap_or_else(|| "unknown (no --server-pid)".to_owned()),
            ),
            ("client CPU (s)", format!("{:.2}", self.client_cpu_seconds)),
        ];
        println!("{}", rows(&table));
    }
}

/// Connects, and has each connection subscribe and unsubscribe in turn.
///
/// # Errors
/// When a connection or a command is refused, or the process is gone.
pub fn run(options: &Options) -> Result<ChurnReport> {
    ensure!(
        options.connections > 0 && options.channels > 0 && options.rate > 0.0,
        "there must be some"
    );
    machine::ensure_open_files(options.connections)?;
    let target = options.server.target()?;
    let mut connections = Vec::with_capacity(options.connections);
    for index in 0..options.connections {
        connections.push(Connection::establish(&target, index, options.server.source_addresses)?);
    }
    let cpu = || options.server_pid.map(procfs::cpu_seconds).transpose();
    let client_cpu = || procfs::cpu_seconds(std::process::id());
    let (server_before, client_before) = (cpu()?, client_cpu()?);
    let began = Instant::now();
    let latencies = Mutex::new(Histogram::<u64>::new_with_bounds(1, LONGEST_US, 3)?);
    thread::scope(|scope| -> Result<()> {
        let (going_on, end) = mpsc::channel();
        let figures = || figures(&lock(&latencies));
        scope.spawn(move || Progress::on_stderr().watch(&end, figures));
        let mut threads = Vec::with_capacity(connections.len());
        for (index, connection) in connections.into_iter().enumerate() {
            let latencies = &latencies;
            let work = move || change(options, connection, index, began, latencies);
            let thread = thread::Builder::new().stack_size(STACK_BYTES);
            threads.push(thread.spawn_scoped(scope, work)?);
        }
        let outcomes: Vec<_> = threads.into_iter().map(thread::ScopedJoinHandle::join).collect();
        drop(going_on);
        outcomes.into_iter().try_for_each(|it| it.ok().context("a connection failed")?)
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let server_cpu_seconds = cpu()?.zip(server_before).map(|(after, before)| after - before);
    let latencies = latencies.into_inner().unwrap_or_else(PoisonError::into_inner);
    let quantile_ms = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
    Ok(ChurnReport {
        commands: latencies.len(),
        commands_per_second: latencies.len() as f64 / seconds,
        p50_ms: quantile_ms(0.5),
        p99_ms: quantile_ms(0.99),
        max_ms: latencies.max() as f64 / 1e3,
        server_cpu_seconds,
        server_cpu_us_per_command: server_cpu_seconds.map(|cpu| cpu * 1e6 / latencies.len() as f64),
        client_cpu_seconds: client_cpu()? - client_before,
        latencies,
    })
}

fn lock(latencies: &Mutex<Histogram<u64>>) -> MutexGuard<'_, Histogram<u64>> {
    latencies.lock().unwrap_or_else(PoisonError::into_inner)
}

fn figures(latencies: &Histogram<u64>) -> Figures {
    let counts = vec![("answered", latencies.len())];
    Figures { counts, p99_ms: progress::p99_ms(latencies), faults: 0 }
}

/// One connection's share of the schedule.
fn change(
    options: &Options,
    mut connection: Connection,
    index: usize,
    began: Instant,
    latencies: &Mutex<Histogram<u64>>,
) -> Result<()> {
    let interval = options.connections as f64 / options.rate;
    let first = interval * index as f64 / options.connections as f64;
    for turn in 0_usize.. {
        let intended = began + Duration::from_secs_f64(first + interval * turn as f64);
        if intended.duration_since(began).as_secs_f64() > options.seconds {
            break;
        }
        thread::sleep(intended.saturating_duration_since(Instant::now()));
        let method = if turn % 2 == 0 { "subscribe" } else { "unsubscribe" };
        let number = (index * 31 + turn / 2) % options.channels;
        let channel = format!("{}:{number}", options.namespace);
        connection.command(method, &json!({ "channel": channel }))?;
        let latency = intended.elapsed();
        lock(latencies).saturating_record(latency.as_micros() as u64);
    }
    Ok(())
}
