//! How the projection follows: after the log was filled as fast as it takes events, and at a rate.

use crate::durable::Load;
use crate::durable::drive::{self, Driven, Pace, Setting};
use crate::durable::figures::{self, Cpu, Latency, cpu_line};
use crate::durable::lag::{self, Sample};
use crate::durable::node_counts::{self, Counts};
use crate::durable::workload::{Batches, Publishing};
use crate::durable::writes::Publish;
use crate::report::write_json;
use crate::whole_path::http::Node;
use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Events in one request: as many as a node carries out at once.
const BATCH: usize = 16;
/// A node whose counts were the same for so long has nothing left to project: it looks five times a second, and after a
/// failure a second later.
const IDLE_FOR: Duration = Duration::from_millis(2_500);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the projection may take to catch up.
const PATIENCE: Duration = Duration::from_secs(300);

/// Arguments of `durable projection`.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// How much is written at the rate.
    #[command(flatten)]
    pub load: Load,
    /// What is published.
    #[command(flatten)]
    pub publish: Publish,
    /// How many events the log is filled with first.
    #[arg(long, default_value_t = 200_000)]
    pub events: usize,
    /// Events a second, on schedule.
    #[arg(long, default_value_t = 5_000.0)]
    pub rate: f64,
}

/// How the log was filled, and how the projection came after it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Filling {
    /// Events that were acknowledged.
    pub events: u64,
    /// How long that took.
    pub seconds: f64,
    /// How many of them were not projected then.
    pub behind: u64,
    /// How long it took until all of them were projected, from the first request.
    pub projected_seconds: f64,
}

/// Figures of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProjectionReport {
    /// How many nodes took part.
    pub nodes: usize,
    /// Before anything was measured at a rate.
    pub filling: Filling,
    /// Events a second that were intended.
    pub rate: f64,
    /// Events a second that the log got.
    pub committed_per_second: f64,
    /// From when an event was in the log to when it was seen in the analytics, by looks every 50 ms.
    pub lag: Latency,
    /// Looks after which the projection never came so far.
    pub never: u64,
    /// Events that were refused.
    pub refused: u64,
    /// CPU times while the rate was kept.
    pub cpu: Vec<Cpu>,
}

impl ProjectionReport {
    fn print(&self) {
        let Filling { events, seconds, behind, projected_seconds } = self.filling;
        println!(
            "| filling the log | events/s | behind at its end | projected beside it, events/s |"
        );
        println!("|---|---|---|---|");
        let per_second = |seconds: f64| events as f64 / seconds;
        println!(
            "| {events} events in {seconds:.1} s | {:.0} | {behind} | {:.0} |\n",
            per_second(seconds),
            per_second(projected_seconds)
        );
        let Latency { p50_ms, p99_ms, max_ms, .. } = self.lag;
        println!(
            "| events/s intended | in the log | refused | lag p50 (ms) | p99 (ms) | max (ms) | never seen | CPU |"
        );
        println!("|---|---|---|---|---|---|---|---|");
        println!(
            "| {:.0} | {:.0} | {} | {p50_ms:.0} | {p99_ms:.0} | {max_ms:.0} | {} | {} |",
            self.rate,
            self.committed_per_second,
            self.refused,
            self.never,
            cpu_line(&self.cpu),
        );
    }
}

/// Runs `durable projection` from the command line.
///
/// # Errors
/// When the run could not be made, something was refused, or the projection does not catch up.
pub fn command(options: &Options) -> Result<()> {
    ensure!(options.rate > 0.0 && options.events > 0, "there must be events");
    let nodes = options.load.nodes()?;
    let publishing = options.publish.publishing(nodes.clone())?;
    let idle = idle(&nodes)?;
    eprintln!("filling the log with {} events …", options.events);
    let filling = fill(options, &nodes, &publishing, sum(&idle))?;
    let idle = self::idle(&nodes)?;
    let (driven, samples) = keep_the_rate(options, &nodes, publishing, &idle)?;
    let report = report(options, filling, &driven, &samples)?;
    report.print();
    if let Some(path) = &options.load.json {
        write_json(path, &report)?;
    }
    ensure!(report.refused == 0, "{} events were refused", report.refused);
    ensure!(report.never == 0, "the projection did not catch up");
    Ok(())
}

fn report(
    options: &Options,
    filling: Filling,
    driven: &Driven,
    samples: &[Vec<Sample>],
) -> Result<ProjectionReport> {
    let start_ns = options.load.warmup().as_nanos() as u64;
    let window = start_ns..start_ns + options.load.window().as_nanos() as u64;
    let (mut lags, mut never) = (figures::histogram()?, 0);
    for samples in samples {
        let (of_node, never_of_node) = lag::lags(samples, &window);
        of_node.into_iter().for_each(|lag_ns| figures::record(&mut lags, lag_ns));
        never += never_of_node;
    }
    Ok(ProjectionReport {
        nodes: options.load.node.len(),
        filling,
        rate: options.rate,
        committed_per_second: driven.counts.committed as f64 / driven.seconds,
        lag: Latency::of(&lags),
        never,
        refused: driven.refused,
        cpu: driven.cpu.clone(),
    })
}

fn sum(counts: &[Counts]) -> Counts {
    let mut sum = Counts::default();
    counts.iter().for_each(|counts| sum += *counts);
    sum
}

/// The counts of each node, once none of them changes any more. A node that projected what another left has projected
/// more than it committed, so that only what comes after this can be compared.
fn idle(nodes: &[Node]) -> Result<Vec<Counts>> {
    let look = || -> Result<Vec<Counts>> {
        nodes.iter().map(|node| node_counts::of_all(std::slice::from_ref(node))).collect()
    };
    let began = Instant::now();
    let mut counts = look()?;
    let mut since = Instant::now();
    while since.elapsed() < IDLE_FOR {
        ensure!(began.elapsed() < PATIENCE, "the nodes do not come to rest");
        thread::sleep(LOOK_EVERY);
        let now = look()?;
        if now != counts {
            (counts, since) = (now, Instant::now());
        }
    }
    Ok(counts)
}

fn fill(
    options: &Options,
    nodes: &[Node],
    publishing: &Publishing,
    idle: Counts,
) -> Result<Filling> {
    let pace = Pace { concurrency: options.load.concurrency, rate: None };
    let mut batches = Batches::new(publishing.clone(), BATCH, options.events);
    let began = Instant::now();
    let driven = drive::drain(&Setting { nodes, processes: &[], pace }, &mut batches)?;
    let seconds = began.elapsed().as_secs_f64();
    ensure!(driven.refused == 0, "{} events were refused", driven.refused);
    let counts = || Ok::<_, anyhow::Error>(node_counts::of_all(nodes)? - idle);
    let mut now = counts()?;
    let behind = now.committed.saturating_sub(now.projected);
    while now.projected < now.committed {
        ensure!(began.elapsed() < PATIENCE, "the projection does not catch up");
        thread::sleep(LOOK_EVERY);
        now = counts()?;
    }
    let projected_seconds = began.elapsed().as_secs_f64();
    Ok(Filling { events: driven.acknowledged_in_all, seconds, behind, projected_seconds })
}

/// Publishes on schedule, and watches every node meanwhile and until it caught up.
fn keep_the_rate(
    options: &Options,
    nodes: &[Node],
    publishing: Publishing,
    idle: &[Counts],
) -> Result<(Driven, Vec<Vec<Sample>>)> {
    let requests = options.rate / BATCH as f64;
    let pace = Pace { concurrency: options.load.concurrency, rate: Some(requests) };
    let setting = Setting { nodes, processes: &options.load.pids, pace };
    let mut batches = Batches::new(publishing, BATCH, usize::MAX);
    let stop = &AtomicBool::new(false);
    thread::scope(|scope| {
        let began = Instant::now();
        let watchers = nodes
            .iter()
            .zip(idle)
            .map(|(node, idle)| scope.spawn(move || lag::watch(node, *idle, began, stop)));
        let watchers: Vec<_> = watchers.collect();
        let (warmup, window) = (options.load.warmup(), options.load.window());
        let driven = drive::measure(&setting, &mut batches, warmup, window);
        let caught_up = self::idle(nodes);
        stop.store(true, Ordering::Relaxed);
        let samples = watchers
            .into_iter()
            .map(|watcher| watcher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Result<_>>();
        caught_up.context("after the last event")?;
        Ok((driven?, samples?))
    })
}
