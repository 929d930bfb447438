//! What nodes count themselves, as `/metrics` tells it.

use crate::whole_path::http::{self, Credential, Node};
use anyhow::{Context, Result, ensure};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::{AddAssign, Sub};
use std::time::Duration;

/// How long a node may take to tell its counts.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The counts of the write path since a node began, or between two moments.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Batches that the event log has.
    pub commits: u64,
    /// Events that the event log has.
    pub committed: u64,
    /// Events that the analytics have, or that were set aside.
    pub projected: u64,
}

impl Counts {
    /// Reads the text format of Prometheus.
    ///
    /// # Errors
    /// When a count is missing: this is no Carillon, or another version.
    pub fn read(text: &str) -> Result<Self> {
        let count = |name: &str| {
            let mut lines =
                text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            let value: Option<f64> = lines.next().and_then(|value| value.trim().parse().ok());
            value.map(|value| value as u64).with_context(|| format!("/metrics has no {name}"))
        };
        Ok(Self {
            commits: count("carillon_commits_total")?,
            committed: count("carillon_committed_events_total")?,
            projected: count("carillon_projected_events_total")?
                + count("carillon_set_aside_events_total")?,
        })
    }

    /// Events in a batch on average; `None` where there was none.
    pub fn mean_batch(&self) -> Option<f64> {
        (self.commits > 0).then(|| self.committed as f64 / self.commits as f64)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.commits += more.commits;
        self.committed += more.committed;
        self.projected += more.projected;
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            commits: self.commits.saturating_sub(before.commits),
            committed: self.committed.saturating_sub(before.committed),
            projected: self.projected.saturating_sub(before.projected),
        }
    }
}

/// A kept-open connection to one node that is asked for its counts.
pub struct CountReader {
    stream: TcpStream,
    request: Vec<u8>,
    received: Vec<u8>,
}

impl CountReader {
    /// Connects.
    ///
    /// # Errors
    /// When the node refuses.
    pub fn connect(node: &Node) -> Result<Self> {
        let stream = node.connect()?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let request = http::request(node, "GET", "/metrics", Credential::None, None);
        Ok(Self { stream, request, received: Vec::new() })
    }

    /// Asks and waits.
    ///
    /// # Errors
    /// When the node does not answer, or with something else.
    pub fn read(&mut self) -> Result<Counts> {
        self.stream.write_all(&self.request)?;
        self.received.clear();
        let mut chunk = [0; 16 * 1024];
        let answer = loop {
            if let Some(answer) = http::scan(&self.received)? {
                break answer;
            }
            let count = self.stream.read(&mut chunk).context("no answer to /metrics")?;
            ensure!(count > 0, "the node hung up instead of answering /metrics");
            self.received.extend_from_slice(&chunk[..count]);
        };
        ensure!(answer.status == 200, "/metrics was answered with {}", answer.status);
        Counts::read(&String::from_utf8_lossy(&answer.body))
    }
}

/// The counts of all nodes together. Connects anew, for nodes close a connection that asks for nothing.
///
/// # Errors
/// When one of them does not tell.
pub fn of_all(nodes: &[Node]) -> Result<Counts> {
    let mut sum = Counts::default();
    for node in nodes {
        sum += CountReader::connect(node)?.read()?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_counts_by_their_whole_names() {
        let text = "# TYPE carillon_commits counter\ncarillon_commits_total 4\n\
                    carillon_committed_events_total 10\ncarillon_committed_events_total_more 7\n\
                    carillon_projected_events_total 8\ncarillon_set_aside_events_total 1\n# EOF\n";
        let counts = Counts::read(text).unwrap();
        assert_eq!(counts, Counts { commits: 4, committed: 10, projected: 9 });
        assert_eq!(counts.mean_batch(), Some(2.5));
        let later = Counts { commits: 5, committed: 11, projected: 9 };
        assert_eq!((later - counts).mean_batch(), Some(1.0));
        assert_eq!((counts - counts).mean_batch(), None);
        assert!(Counts::read("carillon_commits_total 4\n").is_err());
    }
}
