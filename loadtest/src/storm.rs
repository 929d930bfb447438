//! Everybody loses the connection, something is published, and everybody comes back at once and recovers it.

use crate::connection::{Connection, Target};
use crate::options::{Destination, Output};
use crate::payload::{self, Finder, Stamp};
use crate::plot;
use crate::progress::{self, Figures, Progress};
use crate::report::rows;
use crate::{machine, procfs};
use anyhow::{Context, Result, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// What a thread that waits for one answer after the other needs.
const STACK_BYTES: usize = 256 * 1024;
/// Between connections of somebody new, who comes while the storm rages.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);
const LONGEST_US: u64 = 120_000_000;

/// Arguments of `storm`.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// The server.
    #[command(flatten)]
    pub server: Destination,
    /// How many come back.
    #[arg(long, default_value_t = 10_000)]
    pub connections: usize,
    /// How many of them are on their way at any moment; the next begins when one has recovered.
    #[arg(long, default_value_t = 500)]
    pub at_once: usize,
    /// The channel, which must keep a history.
    #[arg(long, default_value = "kept:all")]
    pub channel: String,
    /// How many publications they have missed.
    #[arg(long, default_value_t = 10)]
    pub missed: u64,
    /// Process whose CPU time is reported.
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// Files of the figures.
    #[command(flatten)]
    pub output: Output,
}

/// Figures of one storm. Times are from its beginning, when all are wanted back.
#[derive(Debug, Clone, Serialize)]
pub struct StormReport {
    /// How many came back.
    pub connections: usize,
    /// How many publications each had missed.
    pub missed: u64,
    /// Who got all of them, in order and once, and was told that nothing is missing.
    pub recovered: usize,
    /// Publications that did not come, of all connections together.
    pub lost: u64,
    /// Until the last one had recovered.
    pub seconds: f64,
    /// Half had recovered by then, in milliseconds.
    pub p50_ms: f64,
    /// All but one in a hundred had.
    pub p99_ms: f64,
    /// From opening a socket to having recovered, of those in the slowest hundredth, in milliseconds.
    pub one_p99_ms: f64,
    /// How many connections of somebody new were made meanwhile.
    pub newcomers: usize,
    /// How long the slowest of them took, in milliseconds.
    pub newcomer_max_ms: f64,
    /// CPU time of the server in the storm, if its process is known.
    pub server_cpu_seconds: Option<f64>,
    /// CPU time of this process in the storm.
    pub client_cpu_seconds: f64,
    /// All times.
    #[serde(skip)]
    pub times: Times,
}

/// Times in microseconds.
#[derive(Debug, Clone)]
pub struct Times {
    /// From the beginning of the storm until one was back.
    since_beginning: Histogram<u64>,
    /// From opening a socket until it had recovered.
    each: Histogram<u64>,
    /// From opening a socket of somebody new until it was connected.
    newcomers: Histogram<u64>,
}

impl Times {
    fn none() -> Result<Self> {
        let none = Histogram::new_with_bounds(1, LONGEST_US, 3)?;
        Ok(Self { since_beginning: none.clone(), each: none.clone(), newcomers: none })
    }
}

/// Runs `storm` from the command line.
///
/// # Errors
/// When the run could not be made, or something was lost.
pub fn command(options: &Options) -> Result<()> {
    let report = run(options)?;
    report.print();
    options.output.write(&report, || {
        let title = format!("{} come back, {} at once", report.connections, options.at_once);
        let series = [
            ("all, since the beginning", &report.times.since_beginning),
            ("one, from its socket on", &report.times.each),
            ("somebody new", &report.times.newcomers),
        ];
        plot::latency_by_percentile(&title, &series).svg()
    })?;
    ensure!(report.recovered == report.connections, "not everybody got back what was missed");
    Ok(())
}

impl StormReport {
    /// Prints the figures as a table.
    fn print(&self) {
        let ms = |ms: f64| format!("{ms:.1}");
        let server_cpu = self.server_cpu_seconds.map(|cpu| format!("{cpu:.2}"));
        let table = [
            ("came back", self.connections.to_string()),
            ("publications that each had missed", self.missed.to_string()),
            ("recovered all of them", self.recovered.to_string()),
            ("publications lost", self.lost.to_string()),
            ("all back after (s)", format!("{:.2}", self.seconds)),
            ("half were back after (ms)", ms(self.p50_ms)),
            ("99 of 100 were back after (ms)", ms(self.p99_ms)),
            ("one connection, p99 (ms)", ms(self.one_p99_ms)),
            ("somebody new, connections meanwhile", self.newcomers.to_string()),
            ("somebody new, the slowest (ms)", ms(self.newcomer_max_ms)),
            (
                "server CPU (s)",
                server_cpu.unwrap_or_else(|| "unknown (no --server-pid)".to_owned()),
            ),
            ("client CPU (s)", format!("{:.2}", self.client_cpu_seconds)),
        ];
        println!("{}", rows(&table));
    }
}

/// What those who come back count together.
struct Count {
    next: AtomicUsize,
    recovered: AtomicUsize,
    lost: Mutex<u64>,
    times: Mutex<Times>,
    failure: Mutex<Option<anyhow::Error>>,
}

impl Count {
    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn figures(&self) -> Figures {
        Figures {
            counts: vec![("recovered", self.recovered.load(Ordering::Relaxed) as u64)],
            p99_ms: progress::p99_ms(&self.times().each),
            faults: *self.lost.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// Connects everybody, cuts everybody off, publishes, and lets everybody come back.
///
/// # Errors
/// When a connection is refused or the process is gone.
pub fn run(options: &Options) -> Result<StormReport> {
    ensure!(options.connections > 0 && options.at_once > 0, "there must be a connection");
    machine::ensure_open_files(options.connections)?;
    let target = options.server.target()?;
    let position = connect_and_cut_off(options, &target)?;
    let mut publisher = Connection::establish(&target, 0, options.server.source_addresses)?;
    for sequence in 0..options.missed {
        let mut data = Vec::new();
        payload::encode(&mut data, Stamp { sequence, intended_ns: 0 }, 128);
        let data: Value = serde_json::from_slice(&data)?;
        publisher.command("publish", &json!({"channel": options.channel, "data": data}))?;
    }
    let since = json!({
        "channel": options.channel, "recover": true, "epoch": position["epoch"],
        "offset": position["offset"].as_u64().unwrap_or(0),
    });
    let cpu = || options.server_pid.map(procfs::cpu_seconds).transpose();
    let client_cpu = || procfs::cpu_seconds(std::process::id());
    let (server_before, client_before) = (cpu()?, client_cpu()?);
    let (count, seconds, newcomers) = rage(options, &target, &since)?;
    let server_cpu_seconds = cpu()?.zip(server_before).map(|(after, before)| after - before);
    let client_cpu_seconds = client_cpu()? - client_before;
    let mut times = count.times.into_inner().unwrap_or_else(PoisonError::into_inner);
    for newcomer in &newcomers {
        times.newcomers.saturating_record(newcomer.as_micros() as u64);
    }
    let ms = |times: &Histogram<u64>, quantile| times.value_at_quantile(quantile) as f64 / 1e3;
    Ok(StormReport {
        connections: options.connections,
        missed: options.missed,
        recovered: count.recovered.into_inner(),
        lost: count.lost.into_inner().unwrap_or_else(PoisonError::into_inner),
        seconds,
        p50_ms: ms(&times.since_beginning, 0.5),
        p99_ms: ms(&times.since_beginning, 0.99),
        one_p99_ms: ms(&times.each, 0.99),
        newcomers: newcomers.len(),
        newcomer_max_ms: newcomers.iter().map(Duration::as_secs_f64).fold(0.0, f64::max) * 1e3,
        server_cpu_seconds,
        client_cpu_seconds,
        times,
    })
}

/// Connects and subscribes everybody, one after the other, and cuts all of them off; answers where the channel stood.
fn connect_and_cut_off(options: &Options, target: &Target) -> Result<Value> {
    let mut connections = Vec::with_capacity(options.connections);
    let (mut position, mut progress) = (Value::Null, Progress::on_stderr());
    let began = Instant::now();
    for index in 0..options.connections {
        let mut connection = Connection::establish(target, index, options.server.source_addresses)?;
        let request = json!({"channel": options.channel, "recoverable": true});
        position = connection.command("subscribe", &request)?;
        connections.push(connection);
        progress.tell(began.elapsed().as_nanos() as u64, || Figures {
            counts: vec![("connected", index as u64 + 1)],
            ..Figures::default()
        });
    }
    ensure!(position["recoverable"] == true, "{} cannot be recovered", options.channel);
    Ok(position)
}

/// Lets everybody come back; answers how long it took, and how long somebody new took to connect, again and again.
fn rage(options: &Options, target: &Target, since: &Value) -> Result<(Count, f64, Vec<Duration>)> {
    let count = Count {
        next: AtomicUsize::new(0),
        recovered: AtomicUsize::new(0),
        lost: Mutex::new(0),
        times: Mutex::new(Times::none()?),
        failure: Mutex::new(None),
    };
    let workers = options.at_once.min(options.connections);
    let (start, over) = (Barrier::new(workers + 1), AtomicBool::new(false));
    let (mut seconds, mut newcomers) = (0.0, Vec::new());
    thread::scope(|scope| -> Result<()> {
        let mut threads = Vec::with_capacity(workers);
        for _ in 0..workers {
            let work = || come_back(options, target, since, &count, &start);
            let thread = thread::Builder::new().stack_size(STACK_BYTES);
            threads.push(thread.spawn_scoped(scope, work)?);
        }
        let probe = scope.spawn(|| probe(options, target, &over));
        let (going_on, end) = mpsc::channel();
        let figures = || count.figures();
        scope.spawn(move || Progress::on_stderr().watch(&end, figures));
        start.wait();
        let began = Instant::now();
        for thread in threads {
            let _ = thread.join();
        }
        seconds = began.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        drop(going_on);
        newcomers = probe.join().ok().context("the newcomer failed")??;
        Ok(())
    })?;
    let failure = count.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
    match failure {
        Some(error) => Err(error),
        None => Ok((count, seconds, newcomers)),
    }
}

/// One after the other, as long as there are some who are not back. They stay connected until all are.
fn come_back(options: &Options, target: &Target, since: &Value, count: &Count, start: &Barrier) {
    let mut back = Vec::new();
    start.wait();
    let storm_began = Instant::now();
    loop {
        let index = count.next.fetch_add(1, Ordering::Relaxed);
        if index >= options.connections {
            return drop(back);
        }
        let began = Instant::now();
        let outcome = Connection::establish(target, index, options.server.source_addresses)
            .and_then(|mut connection| Ok((connection.command("subscribe", since)?, connection)));
        match outcome {
            Ok((reply, connection)) => {
                let missing = missing(&reply, options.missed);
                let whole = missing == 0 && reply["recovered"] == true;
                count.recovered.fetch_add(usize::from(whole), Ordering::Relaxed);
                *count.lost.lock().unwrap_or_else(PoisonError::into_inner) += missing;
                let mut times = count.times();
                times.since_beginning.saturating_record(storm_began.elapsed().as_micros() as u64);
                times.each.saturating_record(began.elapsed().as_micros() as u64);
                back.push(connection);
            }
            Err(error) => {
                count.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                return;
            }
        }
    }
}

/// How many of the publications are not in the reply at their place.
fn missing(reply: &Value, published: u64) -> u64 {
    let mut finder = Finder::default();
    let publications = reply["publications"].as_array().map_or(&[][..], Vec::as_slice);
    let stamps =
        publications.iter().filter_map(|it| finder.find(it["data"].to_string().as_bytes()));
    let in_order = stamps.zip(0..).filter(|(stamp, number)| stamp.sequence == *number).count();
    published.saturating_sub(in_order as u64)
}

/// Somebody new connects again and again; answers how long each time took.
fn probe(options: &Options, target: &Target, over: &AtomicBool) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        drop(Connection::establish(target, times.len(), options.server.source_addresses)?);
        times.push(began.elapsed());
        thread::sleep(PROBE_INTERVAL);
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_or_not_at_its_place_is_missing() {
        let publication = |sequence| {
            let mut data = Vec::new();
            payload::encode(&mut data, Stamp { sequence, intended_ns: 0 }, 64);
            json!({"data": serde_json::from_slice::<Value>(&data).unwrap(), "offset": sequence + 1})
        };
        let reply = |numbers: &[u64]| {
            let publications: Vec<_> = numbers.iter().map(|n| publication(*n)).collect();
            json!({"publications": publications})
        };
        assert_eq!(missing(&reply(&[0, 1, 2]), 3), 0);
        assert_eq!(missing(&reply(&[0, 2]), 3), 2);
        assert_eq!(missing(&reply(&[]), 3), 3);
        assert_eq!(missing(&json!({}), 0), 0);
    }
}
