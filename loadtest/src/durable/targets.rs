//! What was to be reached, and whether it was: from the reports of the other commands.

use crate::durable::insert_many::InsertReport;
use crate::durable::projection::ProjectionReport;
use crate::durable::rebuild::RebuildReport;
use crate::durable::writes::WritesReport;
use anyhow::{Context, Result};
use clap::Args;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// Publications a second, as a share of bare inserts.
const PUBLISH_SHARE: f64 = 0.7;
/// Likes and comments a second.
const REACTIONS_PER_SECOND: f64 = 3_000.0;
/// The 99th percentile of their answers, in milliseconds.
const REACTIONS_P99_MS: f64 = 50.0;
/// Events a second of the projection.
const PROJECTED_PER_SECOND: f64 = 50_000.0;
/// The 99th percentile of its lag, in milliseconds.
const LAG_P99_MS: f64 = 1_000.0;
/// A lag counts if at least this share of the intended rate was there.
const RATE_SHARE: f64 = 0.95;

/// Arguments of `durable targets`.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// The report of `publish`; once for each.
    #[arg(long)]
    pub publish: Vec<PathBuf>,
    /// The report of `insert_many`, without which `publish` is not judged.
    #[arg(long)]
    pub insert_many: Option<PathBuf>,
    /// The report of `mixed`.
    #[arg(long)]
    pub mixed: Option<PathBuf>,
    /// The report of `rebuild`.
    #[arg(long)]
    pub rebuild: Option<PathBuf>,
    /// The report of `projection`.
    #[arg(long)]
    pub projection: Option<PathBuf>,
}

/// One line of the table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    target: String,
    measured: String,
    reached: bool,
}

/// Runs `durable targets` from the command line.
///
/// # Errors
/// When a report cannot be read.
pub fn command(options: &Options) -> Result<()> {
    println!("| target | measured | reached |");
    println!("|---|---|---|");
    for Row { target, measured, reached } in rows(options)? {
        println!("| {target} | {measured} | {} |", if reached { "yes" } else { "**no**" });
    }
    Ok(())
}

fn rows(options: &Options) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    if let Some(bound) = &options.insert_many {
        let bound: InsertReport = read(bound)?;
        for path in &options.publish {
            rows.push(of_publications(&read(path)?, &bound));
        }
    }
    if let Some(path) = &options.mixed {
        rows.extend(of_reactions(&read(path)?));
    }
    if let Some(path) = &options.rebuild {
        rows.push(of_rebuild(&read(path)?));
    }
    if let Some(path) = &options.projection {
        rows.push(of_lag(&read(path)?));
    }
    Ok(rows)
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let name = || format!("the report {}", path.display());
    let text = std::fs::read_to_string(path).with_context(name)?;
    serde_json::from_str(&text).with_context(name)
}

fn of_publications(publish: &WritesReport, bound: &InsertReport) -> Row {
    let share = publish.acknowledged_per_second / bound.documents_per_second;
    Row {
        target: format!(
            "{} acknowledged/s: at least {PUBLISH_SHARE} of bare inserts of {:.1} documents",
            publish.what, bound.mean_batch
        ),
        measured: format!(
            "{:.0} of {:.0}: {share:.2}",
            publish.acknowledged_per_second, bound.documents_per_second
        ),
        reached: share >= PUBLISH_SHARE,
    }
}

fn of_reactions(mixed: &WritesReport) -> [Row; 2] {
    let per_second = mixed.acknowledged_per_second;
    [
        Row {
            target: format!("{} acknowledged/s: at least {REACTIONS_PER_SECOND:.0}", mixed.what),
            measured: format!("{per_second:.0}"),
            reached: per_second >= REACTIONS_PER_SECOND,
        },
        Row {
            target: format!("p99 of the same: at most {REACTIONS_P99_MS:.0} ms"),
            measured: format!("{:.1} ms", mixed.latency.p99_ms),
            reached: mixed.latency.p99_ms <= REACTIONS_P99_MS,
        },
    ]
}

fn of_rebuild(rebuild: &RebuildReport) -> Row {
    Row {
        target: format!("events projected a second: at least {PROJECTED_PER_SECOND:.0}"),
        measured: format!("{:.0}", rebuild.events_per_second),
        reached: rebuild.events_per_second >= PROJECTED_PER_SECOND,
    }
}

fn of_lag(projection: &ProjectionReport) -> Row {
    let is_rate_kept = projection.committed_per_second >= RATE_SHARE * projection.rate;
    let p99_ms = projection.lag.p99_ms;
    Row {
        target: format!(
            "p99 of the projection's lag at {:.0} events/s: at most {LAG_P99_MS:.0} ms",
            projection.rate
        ),
        measured: format!("{p99_ms:.0} ms at {:.0} events/s", projection.committed_per_second),
        reached: is_rate_kept && projection.never == 0 && p99_ms <= LAG_P99_MS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::figures::Latency;
    use crate::durable::projection::Filling;
    use std::collections::BTreeMap;

    fn latency(p99_ms: f64) -> Latency {
        Latency { count: 100, p50_ms: 1.0, p99_ms, max_ms: 2.0 * p99_ms }
    }

    fn writes(acknowledged_per_second: f64, p99_ms: f64) -> WritesReport {
        WritesReport {
            what: "likes and comments".to_owned(),
            nodes: 1,
            concurrency: 64,
            rate: None,
            seconds: 20.0,
            acknowledged: 60_000,
            acknowledged_per_second,
            refused: 0,
            refusals: BTreeMap::from([(503, 1)]),
            latency: latency(p99_ms),
            mean_batch: Some(31.4),
            without_event: 0,
            cpu: Vec::new(),
        }
    }

    fn bound(documents_per_second: f64) -> InsertReport {
        InsertReport {
            indexes: false,
            mean_batch: 31.4,
            document_bytes: 600,
            seconds: 20.0,
            documents: 200_000,
            documents_per_second,
            latency: latency(3.0),
            cpu: Vec::new(),
        }
    }

    fn projection(committed_per_second: f64, lag_ms: f64, never: u64) -> ProjectionReport {
        let filling = Filling { events: 1, seconds: 1.0, behind: 0, projected_seconds: 1.0 };
        ProjectionReport {
            nodes: 1,
            filling,
            rate: 5_000.0,
            committed_per_second,
            lag: latency(lag_ms),
            never,
            refused: 0,
            cpu: Vec::new(),
        }
    }

    #[test]
    fn a_share_below_the_target_is_not_reached() {
        assert!(of_publications(&writes(7_000.0, 1.0), &bound(10_000.0)).reached);
        let row = of_publications(&writes(6_900.0, 1.0), &bound(10_000.0));
        assert_eq!((row.measured.as_str(), row.reached), ("6900 of 10000: 0.69", false));
    }

    #[test]
    fn rate_and_latency_of_reactions_are_judged_apart() {
        let reached = |report| of_reactions(&report).map(|row| row.reached);
        assert_eq!(reached(writes(3_000.0, 50.0)), [true, true]);
        assert_eq!(reached(writes(2_999.0, 50.1)), [false, false]);
    }

    #[test]
    fn a_lag_counts_only_at_its_rate() {
        for (report, reached) in [
            (projection(4_990.0, 400.0, 0), true),
            (projection(4_990.0, 1_400.0, 0), false),
            (projection(3_000.0, 400.0, 0), false),
            (projection(4_990.0, 400.0, 1), false),
        ] {
            assert_eq!(of_lag(&report).reached, reached, "{report:?}");
        }
    }

    #[test]
    fn reports_are_read_back_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        crate::report::write_json(&path("mixed"), &writes(3_100.0, 20.0)).unwrap();
        crate::report::write_json(&path("bound"), &bound(1_000.0)).unwrap();
        let options = Options {
            publish: vec![path("mixed")],
            insert_many: Some(path("bound")),
            mixed: Some(path("mixed")),
            rebuild: None,
            projection: None,
        };
        assert_eq!(rows(&options).unwrap().len(), 3);
        let gone = Options { mixed: Some(path("gone")), ..options };
        assert!(rows(&gone).is_err());
    }
}
