//! Writes acknowledged a second: publications, likes, comments.

use crate::durable::Load;
use crate::durable::drive::{self, Driven, Pace, Setting};
use crate::durable::figures::{Cpu, Latency, cpu_line};
use crate::durable::reactions::{Cast, Reaction, Reactions};
use crate::durable::workload::{Posts, Publications, Publishing, Workload};
use crate::report::write_json;
use crate::whole_path::http::Node;
use crate::whole_path::setup;
use anyhow::{Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the server API publishes to.
#[derive(Args, Debug, Clone)]
pub struct Publish {
    /// The key of the server API.
    #[arg(long)]
    pub api_key: String,
    /// The namespace of the channels; durable.
    #[arg(long, default_value = "bench")]
    pub namespace: String,
    /// How many channels are published to, in turn.
    #[arg(long, default_value_t = 20)]
    pub channels: usize,
    /// Length of the text that is published.
    #[arg(long, default_value_t = 128)]
    pub payload_bytes: usize,
}

/// How requests follow one another.
#[derive(Args, Debug, Clone, Copy)]
pub struct Schedule {
    /// Requests a second, whatever the nodes do; without it the next one goes when one is answered.
    #[arg(long)]
    pub rate: Option<f64>,
}

impl Publish {
    /// Channels of a run of their own.
    ///
    /// # Errors
    /// When there are none.
    pub fn publishing(&self, nodes: Vec<Node>) -> Result<Publishing> {
        ensure!(self.channels > 0, "there must be a channel");
        let run = run_name();
        Ok(Publishing {
            nodes,
            api_key: self.api_key.clone(),
            channels: Publishing::channels(&self.namespace, &run, self.channels),
            payload_bytes: self.payload_bytes,
        })
    }
}

/// Arguments of `durable publish`.
#[derive(Args, Debug, Clone)]
pub struct PublishOptions {
    /// How much is written.
    #[command(flatten)]
    pub load: Load,
    /// How fast.
    #[command(flatten)]
    pub schedule: Schedule,
    /// What is published.
    #[command(flatten)]
    pub publish: Publish,
}

/// Arguments of `durable likes`, `comments` and `mixed`.
#[derive(Args, Debug, Clone)]
pub struct ReactionOptions {
    /// How much is written.
    #[command(flatten)]
    pub load: Load,
    /// How fast.
    #[command(flatten)]
    pub schedule: Schedule,
    /// How many accounts react; each costs two hashes of a password before anything is measured.
    #[arg(long, default_value_t = 50)]
    pub accounts: usize,
    /// How many posts are reacted to; they are made before anything is measured.
    #[arg(long, default_value_t = 1_000)]
    pub posts: usize,
    /// Seed of the order in which pairs of an account and a post take turns; a random one otherwise.
    #[arg(long)]
    pub seed: Option<u64>,
}

/// Figures of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WritesReport {
    /// What was written.
    pub what: String,
    /// How many nodes took it.
    pub nodes: usize,
    /// Connections, and so requests in flight at the most.
    pub concurrency: usize,
    /// Requests a second that were intended; none in a closed loop.
    pub rate: Option<f64>,
    /// Length of the window.
    pub seconds: f64,
    /// Writes that were acknowledged in the window.
    pub acknowledged: u64,
    /// The same a second.
    pub acknowledged_per_second: f64,
    /// Writes that were refused, in the whole run.
    pub refused: u64,
    /// The same by status; 0 where the connection ended or nothing came.
    pub refusals: BTreeMap<u16, u64>,
    /// From a request to its answer; in an open loop, from when it was due.
    pub latency: Latency,
    /// Events in one append of a node, on average.
    pub mean_batch: Option<f64>,
    /// Acknowledged writes, in the whole run, that no event was appended for: they changed nothing.
    pub without_event: u64,
    /// CPU times.
    pub cpu: Vec<Cpu>,
}

impl WritesReport {
    fn new(what: &str, load: &Load, rate: Option<f64>, driven: Driven) -> Self {
        let all = driven.counts_in_all.committed;
        Self {
            what: what.to_owned(),
            nodes: load.node.len(),
            concurrency: load.concurrency,
            rate,
            seconds: driven.seconds,
            acknowledged: driven.acknowledged,
            acknowledged_per_second: driven.acknowledged as f64 / driven.seconds,
            refused: driven.refused,
            refusals: driven.refusals,
            latency: driven.latency,
            mean_batch: driven.counts.mean_batch(),
            without_event: driven.acknowledged_in_all.saturating_sub(all),
            cpu: driven.cpu,
        }
    }

    /// Prints a table with one row.
    fn print(&self) {
        let Latency { p50_ms, p99_ms, max_ms, .. } = self.latency;
        let batch = self.mean_batch.map_or_else(|| "-".to_owned(), |mean| format!("{mean:.1}"));
        let pace = self.rate.map_or_else(String::new, |rate| format!(", {rate:.0}/s intended"));
        println!(
            "| written | connections | acknowledged/s | refused | p50 (ms) | p99 (ms) | max (ms) | events a batch | CPU |"
        );
        println!("|---|---|---|---|---|---|---|---|---|");
        println!(
            "| {}{pace} | {} | {:.0} | {} | {p50_ms:.2} | {p99_ms:.2} | {max_ms:.2} | {batch} | {} |",
            self.what,
            self.concurrency,
            self.acknowledged_per_second,
            self.refused,
            cpu_line(&self.cpu),
        );
        if !self.refusals.is_empty() {
            println!("\nrefusals by status: {:?}", self.refusals);
        }
    }
}

/// A name that no other run has.
pub fn run_name() -> String {
    format!("{:08x}", rand::random::<u32>())
}

/// Runs `durable publish` from the command line.
///
/// # Errors
/// When the run could not be made, or something was refused.
pub fn publish(options: &PublishOptions) -> Result<()> {
    let nodes = options.load.nodes()?;
    let mut publications = Publications(options.publish.publishing(nodes.clone())?);
    let what = format!("publications to {}:*", options.publish.namespace);
    measure(&what, (&options.load, options.schedule), &nodes, &mut publications)
}

/// Runs `durable likes`, `comments` or `mixed` from the command line.
///
/// # Errors
/// When the run could not be made, something was refused, or a write changed nothing.
pub fn react(options: &ReactionOptions, what: Reaction) -> Result<()> {
    ensure!(options.accounts > 1, "one account alone has nobody's posts to react to");
    let spare = 2 * options.load.concurrency;
    let pairs = options.posts * (options.accounts - 1);
    ensure!(pairs >= spare, "{pairs} pairs of an account and a post are too few; raise --posts");
    let nodes = options.load.nodes()?;
    eprintln!("registering {} accounts …", options.accounts);
    let accounts = setup::accounts(&nodes, &run_name(), options.accounts)?;
    eprintln!("publishing {} posts …", options.posts);
    let mut posts = Posts::new(&nodes, &accounts, options.posts);
    let pace = Pace { concurrency: options.load.concurrency, rate: None };
    drive::drain(&Setting { nodes: &nodes, processes: &[], pace }, &mut posts)?;
    let posts = posts.into_ids()?;
    let seed = options.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let cast = Cast { nodes: nodes.clone(), accounts, posts };
    let mut reactions = Reactions::new(cast, what, seed);
    measure(what.name(), (&options.load, options.schedule), &nodes, &mut reactions)
}

fn measure<W: Workload>(
    what: &str,
    (load, Schedule { rate }): (&Load, Schedule),
    nodes: &[Node],
    workload: &mut W,
) -> Result<()> {
    ensure!(rate.is_none_or(|rate| rate > 0.0), "there must be writes");
    let pace = Pace { concurrency: load.concurrency, rate };
    let setting = Setting { nodes, processes: &load.pids, pace };
    let driven = drive::measure(&setting, workload, load.warmup(), load.window())?;
    let report = WritesReport::new(what, load, rate, driven);
    report.print();
    if let Some(path) = &load.json {
        write_json(path, &report)?;
    }
    ensure!(report.acknowledged > 0, "nothing was acknowledged");
    ensure!(report.refused == 0, "{} writes were refused", report.refused);
    let without_event = report.without_event;
    ensure!(without_event == 0, "{without_event} acknowledged writes have no event");
    Ok(())
}
