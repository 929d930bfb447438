//! What an idle connection costs the server: memory before and after so many have connected and subscribed.

use crate::connection::Connection;
use crate::crowd::Crowd;
use crate::machine;
use crate::options::Destination;
use crate::procfs::{self, Memory};
use crate::progress::{Figures, Progress};
use crate::reader::Peer;
use crate::report::write_json;
use crate::sequence::Subscriptions;
use crate::tally::Tally;
use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// Memory is read again until two readings agree, for at most this long.
const LONGEST_SETTLING: Duration = Duration::from_secs(3);
const READING_INTERVAL: Duration = Duration::from_millis(200);

/// Arguments of `idle`.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// The server.
    #[command(flatten)]
    pub server: Destination,
    /// How many connections.
    #[arg(long, default_value_t = 5_000)]
    pub connections: usize,
    /// Channels that each of them subscribes to.
    #[arg(long, value_delimiter = ',', default_value = "bench:a,bench:b,bench:c")]
    pub channels: Vec<String>,
    /// Process whose memory is reported.
    #[arg(long)]
    pub server_pid: u32,
    /// Also write the report to this file.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// Growth for each connection, in bytes; nothing is subtracted.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Growth {
    /// Of the resident set.
    pub rss: f64,
    /// Of the proportional set.
    pub pss: f64,
    /// Of private pages.
    pub private: f64,
    /// Of private pages that were written.
    pub private_dirty: f64,
}

/// Figures of one run.
#[derive(Debug, Clone, Serialize)]
pub struct IdleReport {
    /// How many connections there were.
    pub connections: usize,
    /// How many subscriptions each had.
    pub subscriptions: usize,
    /// Before the first connection.
    pub before: Memory,
    /// When all were connected, subscribed and quiet.
    pub after: Memory,
    /// The difference, divided by the number of connections.
    pub bytes_per_connection: Growth,
    /// How long connecting took.
    pub connect_seconds: f64,
}

/// Runs `idle` from the command line.
///
/// # Errors
/// When the run could not be made.
pub fn command(options: &Options) -> Result<()> {
    let report = run(options)?;
    println!(
        "{} connections with {} subscriptions, made in {:.2} s\n",
        report.connections, report.subscriptions, report.connect_seconds
    );
    println!("| memory | before (KiB) | after (KiB) | a connection (bytes) |\n|---|---|---|---|");
    let kib = |bytes: u64| bytes / 1024;
    let (before, after, growth) = (report.before, report.after, report.bytes_per_connection);
    for (name, before, after, growth) in [
        ("rss", before.rss, after.rss, growth.rss),
        ("pss", before.pss, after.pss, growth.pss),
        ("private", before.private, after.private, growth.private),
        ("private dirty", before.private_dirty, after.private_dirty, growth.private_dirty),
    ] {
        println!("| {name} | {} | {} | {growth:.0} |", kib(before), kib(after));
    }
    if let Some(path) = &options.json {
        write_json(path, &report)?;
    }
    Ok(())
}

/// Connects, waits until memory is quiet, and measures.
///
/// # Errors
/// When a connection is refused or the process is gone.
pub fn run(options: &Options) -> Result<IdleReport> {
    ensure!(options.connections > 0, "there must be a connection");
    machine::ensure_open_files(options.connections)?;
    let target = options.server.target()?;
    let before = settled_memory(options.server_pid)?;
    let began = Instant::now();
    let mut crowd = Crowd::new(Tally::new(1, options.connections, 0..0)?)?;
    let mut progress = Progress::on_stderr();
    for index in 0..options.connections {
        let mut connection = Connection::establish(&target, index, options.server.source_addresses)
            .with_context(|| format!("connection {index}"))?;
        for channel in &options.channels {
            connection.subscribe(channel)?;
        }
        crowd.join(connection, Subscriptions::default())?;
        // Whoever came long ago may have been pinged since.
        crowd.attend(Duration::ZERO)?;
        progress.tell(began.elapsed().as_nanos() as u64, || Figures {
            counts: vec![("connected", index as u64 + 1)],
            faults: crowd.reader.tally.faults.total(),
            ..Figures::default()
        });
    }
    drop(progress);
    let connect_seconds = began.elapsed().as_secs_f64();
    let after = settled_memory(options.server_pid)?;
    crowd.attend(Duration::ZERO)?;
    crowd.explain_closes();
    ensure!(crowd.peers().iter().all(Peer::is_open), "the server closed connections meanwhile");
    let growth =
        |before: u64, after: u64| (after as f64 - before as f64) / options.connections as f64;
    Ok(IdleReport {
        connections: options.connections,
        subscriptions: options.channels.len(),
        before,
        after,
        bytes_per_connection: Growth {
            rss: growth(before.rss, after.rss),
            pss: growth(before.pss, after.pss),
            private: growth(before.private, after.private),
            private_dirty: growth(before.private_dirty, after.private_dirty),
        },
        connect_seconds,
    })
}

fn settled_memory(pid: u32) -> Result<Memory> {
    let began = Instant::now();
    let mut last = procfs::memory(pid)?;
    loop {
        thread::sleep(READING_INTERVAL);
        let now = procfs::memory(pid)?;
        if now.private_dirty == last.private_dirty || began.elapsed() > LONGEST_SETTLING {
            return Ok(now);
        }
        last = now;
    }
}
