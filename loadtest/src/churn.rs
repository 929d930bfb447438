//! Subscribing and unsubscribing, on schedule (open loop): what it takes to change one's mind.

use crate::connection::{Connection, Target};
use crate::report::write_json;
use crate::{machine, procfs};
use anyhow::{Context, Result, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::json;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

const STACK_BYTES: usize = 256 * 1024;
const LONGEST_US: u64 = 120_000_000;

/// Arguments of `churn`.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// WebSocket address of the server.
    #[arg(long)]
    pub url: String,
    /// Connection token; none for a server that lets anyone in.
    #[arg(long)]
    pub token: Option<String>,
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
    /// How many addresses of 127.0.0.0/24 to connect from.
    #[arg(long, default_value_t = 8)]
    pub source_addresses: u8,
    /// Also write the report to this file.
    #[arg(long)]
    pub json: Option<PathBuf>,
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
}

/// Runs `churn` from the command line.
///
/// # Errors
/// When the run could not be made, or a command was refused.
pub fn command(options: &Options) -> Result<()> {
    let report = run(options)?;
    println!("commands         {}, {:.0} a second", report.commands, report.commands_per_second);
    let (p50, p99, max) = (report.p50_ms, report.p99_ms, report.max_ms);
    println!("p50/p99/max      {p50:.2} / {p99:.2} / {max:.2} ms");
    if let Some(cpu) = report.server_cpu_us_per_command {
        println!("server CPU       {cpu:.1} µs a command");
    }
    if let Some(path) = &options.json {
        write_json(path, &report)?;
    }
    Ok(())
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
    let target = Target::parse(&options.url, options.token.clone())?;
    let mut connections = Vec::with_capacity(options.connections);
    for index in 0..options.connections {
        connections.push(Connection::establish(&target, index, options.source_addresses)?);
    }
    let cpu = || options.server_pid.map(procfs::cpu_seconds).transpose();
    let before = cpu()?;
    let began = Instant::now();
    let mut all = Histogram::<u64>::new_with_bounds(1, LONGEST_US, 3)?;
    thread::scope(|scope| -> Result<()> {
        let mut threads = Vec::with_capacity(connections.len());
        for (index, connection) in connections.into_iter().enumerate() {
            let work = move || change(options, connection, index, began);
            let thread = thread::Builder::new().stack_size(STACK_BYTES);
            threads.push(thread.spawn_scoped(scope, work)?);
        }
        for thread in threads {
            all.add(thread.join().ok().context("a connection failed")??)?;
        }
        Ok(())
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let server_cpu_seconds = cpu()?.zip(before).map(|(after, before)| after - before);
    let quantile_ms = |quantile| all.value_at_quantile(quantile) as f64 / 1e3;
    Ok(ChurnReport {
        commands: all.len(),
        commands_per_second: all.len() as f64 / seconds,
        p50_ms: quantile_ms(0.5),
        p99_ms: quantile_ms(0.99),
        max_ms: all.max() as f64 / 1e3,
        server_cpu_seconds,
        server_cpu_us_per_command: server_cpu_seconds.map(|cpu| cpu * 1e6 / all.len() as f64),
    })
}

/// One connection's share of the schedule.
fn change(
    options: &Options,
    mut connection: Connection,
    index: usize,
    began: Instant,
) -> Result<Histogram<u64>> {
    let mut latencies = Histogram::new_with_bounds(1, LONGEST_US, 3)?;
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
        latencies.saturating_record(intended.elapsed().as_micros() as u64);
    }
    Ok(latencies)
}
