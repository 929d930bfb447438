//! How far the projection is behind: counts of a node every 50 ms, and how long it took from each to the next that has
//! everything projected.

use crate::durable::node_counts::{CountReader, Counts};
use crate::whole_path::http::Node;
use anyhow::Result;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks at the counts; a lag is told no finer than this, and is never told too short.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The counts of a node at one moment, from when nothing was behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When they were there, in nanoseconds of the run.
    pub at_ns: u64,
    /// Events that the log had.
    pub committed: u64,
    /// Events that the analytics had.
    pub projected: u64,
}

/// Looks at the counts of a node until `stop`; `idle` are those from when nothing was behind.
///
/// # Errors
/// When the node does not tell.
pub fn watch(node: &Node, idle: Counts, began: Instant, stop: &AtomicBool) -> Result<Vec<Sample>> {
    let mut reader = CountReader::connect(node)?;
    let mut samples = Vec::new();
    let mut next = began;
    while !stop.load(Ordering::Relaxed) {
        let counts = reader.read()? - idle;
        let at_ns = began.elapsed().as_nanos() as u64;
        let Counts { committed, projected, .. } = counts;
        samples.push(Sample { at_ns, committed, projected });
        // A look that took too long delays none but those it leaves no time for.
        next = (next + LOOK_EVERY).max(Instant::now());
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(samples)
}

/// The lags, in nanoseconds, of the samples that were taken within the window: each up to the first sample by which
/// what was committed was projected. And of how many that was never seen: their lags are up to the last sample.
pub fn lags(samples: &[Sample], window: &Range<u64>) -> (Vec<u64>, u64) {
    let (mut lags, mut never) = (Vec::new(), 0);
    let mut later = 0;
    for (place, sample) in samples.iter().enumerate() {
        if !window.contains(&sample.at_ns) {
            continue;
        }
        later = later.max(place);
        // What is committed only grows, so that no earlier sample will do for a later one.
        while samples.get(later).is_some_and(|later| later.projected < sample.committed) {
            later += 1;
        }
        let reached = samples.get(later).or(samples.last());
        lags.push(reached.map_or(0, |reached| reached.at_ns - sample.at_ns));
        never += u64::from(later == samples.len());
    }
    (lags, never)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(counts: &[(u64, u64)]) -> Vec<Sample> {
        let sample = |(at_ns, (committed, projected)): (u64, &(u64, u64))| Sample {
            at_ns: at_ns * 50,
            committed: *committed,
            projected: *projected,
        };
        (0..).zip(counts).map(sample).collect()
    }

    #[test]
    fn a_lag_ends_with_the_first_sample_that_has_everything() {
        let seen = samples(&[(0, 0), (10, 0), (20, 10), (30, 10), (30, 30), (30, 30)]);
        assert_eq!(lags(&seen, &(0..u64::MAX)), (vec![0, 50, 100, 50, 0, 0], 0));
        assert_eq!(lags(&seen, &(100..200)), (vec![100, 50], 0));
    }

    #[test]
    fn what_is_never_projected_is_told() {
        let seen = samples(&[(10, 10), (20, 10), (30, 10), (30, 15)]);
        assert_eq!(lags(&seen, &(0..150)), (vec![0, 100, 50], 2));
        assert_eq!(lags(&[], &(0..100)), (Vec::new(), 0));
    }
}
