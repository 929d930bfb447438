//! What durable writing bears: publications, likes and comments a second, beside a bare loop of inserts, and how fast the
//! projection follows.

mod drive;
mod figures;
mod insert_many;
mod lag;
mod node_counts;
mod projection;
mod reactions;
mod rebuild;
mod targets;
mod workload;
mod writes;

use crate::machine;
use crate::whole_path::http::Node;
use crate::whole_path::named_pid;
use anyhow::{Result, ensure};
use clap::{Args, Subcommand};
use reactions::Reaction;
use std::path::PathBuf;
use std::time::Duration;

/// Files beside the connections of writes.
const OTHER_FILES: usize = 100;

/// Arguments of `durable`.
#[derive(Args, Debug, Clone)]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug, Clone)]
enum What {
    /// Publications through the server API, to channels of a durable namespace.
    Publish(writes::PublishOptions),
    /// Likes and likes taken back, in turn.
    Likes(writes::ReactionOptions),
    /// Comments.
    Comments(writes::ReactionOptions),
    /// Likes and comments, half of each.
    Mixed(writes::ReactionOptions),
    /// The bound of `publish`: a bare loop of inserts into MongoDB.
    #[command(name = "insert_many", alias = "insert-many")]
    InsertMany(insert_many::Options),
    /// Fills the log, and measures how far the projection is behind at a rate of events.
    Projection(projection::Options),
    /// How fast the projection does the whole log anew: `carillon rebuild analytics`, timed from outside.
    Rebuild(rebuild::Options),
    /// A table of the targets, from the reports that the others wrote.
    Targets(targets::Options),
}

/// How much is written, and where.
#[derive(Args, Debug, Clone)]
pub struct Load {
    /// A node, as http://host:port; once for each.
    #[arg(long, required = true)]
    pub node: Vec<String>,
    /// How many kept-open connections there are, over all nodes; each has one request on its way.
    #[arg(long, default_value_t = 64)]
    pub concurrency: usize,
    /// Length of the measured window.
    #[arg(long, default_value_t = 20.0)]
    pub seconds: f64,
    /// How long to write before the window begins.
    #[arg(long, default_value_t = 3.0)]
    pub warmup_seconds: f64,
    /// A process whose CPU time is told, with its descendants, as NAME=PID; once for each.
    #[arg(long = "pid", value_parser = named_pid)]
    pub pids: Vec<(String, u32)>,
    /// Also write the report to this file.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

impl Load {
    /// The nodes, if what is asked for can be measured.
    ///
    /// # Errors
    /// When it cannot, or a node is no URL.
    pub fn nodes(&self) -> Result<Vec<Node>> {
        ensure!(self.concurrency > 0 && self.seconds > 0.0, "there must be writes");
        machine::ensure_open_files(self.concurrency + OTHER_FILES)?;
        self.node.iter().map(|url| Node::parse(url)).collect()
    }

    /// How long to write before anything is measured.
    pub fn warmup(&self) -> Duration {
        Duration::from_secs_f64(self.warmup_seconds)
    }

    /// How long to measure.
    pub fn window(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

/// Runs `durable` from the command line.
///
/// # Errors
/// When the run could not be made, or something went wrong in it.
pub fn command(options: &Options) -> Result<()> {
    match &options.what {
        What::Publish(options) => writes::publish(options),
        What::Likes(options) => writes::react(options, Reaction::Likes),
        What::Comments(options) => writes::react(options, Reaction::Comments),
        What::Mixed(options) => writes::react(options, Reaction::Mixed),
        What::InsertMany(options) => insert_many::command(options),
        What::Projection(options) => projection::command(options),
        What::Rebuild(options) => rebuild::command(options),
        What::Targets(options) => targets::command(options),
    }
}
