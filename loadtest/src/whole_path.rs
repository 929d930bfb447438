//! The whole path: writes over REST at any node, and how long they take to every socket that must hear of them.
//!
//! Everything is planned before it begins, so that every delivery to come is known: who is subscribed to what, which write
//! is told where, and whose inbox hears of it. Events are told apart by their ids.

pub mod http;
mod ledger;
mod message;
mod outcome;
mod run;
pub mod setup;
mod sockets;
mod workload;
pub mod writers;

use crate::options::Output;
use crate::plot;

use crate::{machine, procfs};
use anyhow::{Context, Result, ensure};
use clap::Args;
use http::Node;
use ledger::Ledger;
use run::{Run, Tell};
use workload::{Mix, Scale};

/// Sockets and files beside the users' connections: writes, logs, epoll.
const OTHER_FILES: usize = 1_000;

/// Arguments of `whole_path`.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// A node, as http://host:port; once for each.
    #[arg(long, required = true)]
    pub node: Vec<String>,
    /// How many users are connected, a socket each, over all nodes.
    #[arg(long, default_value_t = 1_000)]
    pub users: usize,
    /// Writes a second, whatever the nodes do.
    #[arg(long, default_value_t = 100.0)]
    pub rate: f64,
    /// Length of the measured window.
    #[arg(long, default_value_t = 60.0)]
    pub seconds: f64,
    /// How long to write before the window begins.
    #[arg(long, default_value_t = 5.0)]
    pub warmup_seconds: f64,
    /// How many accounts there are; users share them and their sessions, for each costs two hashes of a password.
    #[arg(long, default_value_t = 100)]
    pub accounts: usize,
    /// How many posts are liked and commented on.
    #[arg(long, default_value_t = 20)]
    pub hot_posts: usize,
    /// How many channels are published to through the server API.
    #[arg(long, default_value_t = 20)]
    pub rooms: usize,
    /// What is written.
    #[command(flatten)]
    pub mix: Mix,
    /// The namespace of the rooms; durable, and any user may subscribe.
    #[arg(long, default_value = "bench")]
    pub namespace: String,
    /// The key of the server API.
    #[arg(long)]
    pub api_key: String,
    /// A process whose CPU time is told, with its descendants, as NAME=PID; once for each.
    #[arg(long = "pid", value_parser = named_pid)]
    pub pids: Vec<(String, u32)>,
    /// How long to wait at the end for what has not come. A node that missed a message finds out within 45 s.
    #[arg(long, default_value_t = 60.0)]
    pub patience_seconds: f64,
    /// How many addresses of 127.0.0.0/24 to connect from.
    #[arg(long, default_value_t = 8)]
    pub source_addresses: u8,
    /// Seed of the plan; a random one otherwise.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Files of the figures.
    #[command(flatten)]
    pub output: Output,
}

/// Understands NAME=PID.
///
/// # Errors
/// When it is no such thing.
pub fn named_pid(text: &str) -> Result<(String, u32), String> {
    let named = text.split_once('=').and_then(|(name, pid)| Some((name, pid.parse().ok()?)));
    named.map(|(name, pid)| (name.to_owned(), pid)).ok_or_else(|| "expected NAME=PID".to_owned())
}

impl Options {
    /// Refuses what cannot be measured.
    fn check(&self) -> Result<()> {
        ensure!(self.rate > 0.0 && self.seconds > 0.0, "there must be writes");
        ensure!(self.rooms > 0 && self.hot_posts > 0, "there must be a post and a room");
        ensure!(self.accounts <= self.users, "there are more accounts than users");
        let least = 2 * self.node.len() * self.hot_posts.max(self.rooms);
        ensure!(self.users >= least, "so that every post and room is watched: {least} users");
        machine::ensure_open_files(self.users + OTHER_FILES)
    }

    /// How many writes there are, those of the warm-up included.
    fn writes(&self) -> usize {
        ((self.warmup_seconds + self.seconds) * self.rate) as usize
    }
}

/// Runs `whole_path` from the command line.
///
/// # Errors
/// When the run could not be made, or something went wrong in it.
pub fn command(options: &Options) -> Result<()> {
    options.check()?;
    let load_before = procfs::load_average();
    let seed = options.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let nodes: Vec<Node> =
        options.node.iter().map(|url| Node::parse(url)).collect::<Result<_>>()?;
    for (name, pid) in &options.pids {
        procfs::tree_cpu_seconds(*pid).with_context(|| format!("--pid {name}={pid}"))?;
    }
    let scale = Scale {
        nodes: nodes.len(),
        accounts: options.accounts,
        posts: options.hot_posts,
        rooms: options.rooms,
        writes: options.writes(),
    };
    let plan = workload::plan(&scale, options.mix, seed)?;
    let name = format!("{:08x}", rand::random::<u32>());
    eprintln!("registering {} accounts, seed {seed} …", options.accounts);
    let accounts = setup::accounts(&nodes, &name, options.accounts)?;
    let posts = setup::posts(&nodes, &name, &accounts, options.hot_posts)?;
    let channels = setup::Channels::new(options, &name, &posts, &accounts);
    let seats = setup::seats(options);
    eprintln!("connecting {} users …", options.users);
    let connections = setup::sockets(options, &nodes, &seats, &channels, &accounts)?;
    let start_ns = (options.warmup_seconds * 1e9) as u64;
    let window = start_ns..start_ns + (options.seconds * 1e9) as u64;
    let ledger = Ledger::new(channels.audiences(&seats), window)?;
    let tell = Tell { nodes, accounts, posts, channels, api_key: options.api_key.clone() };
    let finished = Run::new(options, plan, tell, connections, ledger)?.run()?;
    let report = outcome::Report::new(options, seed, load_before, &finished);
    report.print();
    options.output.write(&report, || {
        let title = format!("{} users, {:.0} writes/s", options.users, options.rate);
        let series = finished.ledger.latencies.named();
        plot::latency_by_percentile(&title, &series).svg()
    })?;
    ensure!(!report.faults.any(), "something was lost, refused or wrong; see the faults");
    Ok(())
}
