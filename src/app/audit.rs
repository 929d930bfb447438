//! `carillon audit` and `carillon rebuild`: the stores that they need, beside live nodes, and what they print.

use std::fmt::Write;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use serde::Serialize;

use super::AppError;
use super::doctor::Told;
use super::log_stores::{self, ContentPorts, LogPorts};
use super::realtime_stores;
use super::sql_stores::{self, AnalyticsPorts};
use super::stores::{self, Stores};
use super::write_path::{self, WritePath};
use crate::adapters::system::SystemClock;
use crate::ports::clock::Clock;
use crate::ports::failpoint::Failpoints;
use crate::projections::audit::report::{Outcome, Report};
use crate::projections::audit::{Audit, Audited, Commit, Patience};
use crate::projections::rebuild::{AnalyticsRebuild, trending_tallies};
use crate::settings::{Settings, StoreUrl};

/// How long one question to the analytics may take: some go through a whole table.
const TABLE_PATIENCE: Duration = Duration::from_secs(1_800);
/// The same for the documents: some go through all marks of a page of posts.
const PAGE_PATIENCE: Duration = Duration::from_secs(120);
/// What a node needs at the most, while nothing is wrong, to deal with what it acknowledged.
const SETTLE: Duration = Duration::from_secs(3);
/// A relay or a projection that is further behind is late.
const LATE: Duration = Duration::from_secs(30);
/// How many differences of each kind are told in words.
const EXAMPLES_MAX: usize = 20;

/// What is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebuild {
    /// The projection of the log.
    Analytics,
    /// The counts of posts and of followers.
    Counters,
    /// The trending tallies.
    Trending,
}

/// Compares the log with all that follows from it; with `repair`, repairs what it finds and compares again.
///
/// The code is 0 if nothing differs, 1 if something does, 2 if that cannot be said.
pub async fn run(settings: &Settings, repair: bool, as_json: bool) -> Told {
    let outcome = if repair { repaired(settings).await } else { compared(settings).await };
    let (reports, code) = match &outcome {
        Ok(reports) => (reports, u8::from(!reports.last.is_clean())),
        Err(error) => {
            let error = error.to_string();
            let report = match as_json {
                true => json(&Printed { error: Some(&error), ..Printed::new("unable", None) }),
                false => format!("Nothing can be said: {error}\n"),
            };
            return Told { report, code: 2 };
        }
    };
    let verdict = if code == 0 { "clean" } else { "drift" };
    let report = match as_json {
        true => json(&Printed::new(verdict, Some(reports))),
        false => text(reports),
    };
    Told { report, code }
}

/// What was found in the end, and before that, if something was to be repaired.
struct Reports {
    repaired: Option<Report>,
    last: Report,
}

/// Opens no more than is read, and changes nothing: not even a directory is taken hold of.
async fn compared(settings: &Settings) -> Result<Reports, AppError> {
    let settings = Settings { migrate_on_start: false, ..patient(settings) };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let failpoints = Failpoints::default();
    let analytics = sql_stores::open_analytics(&settings, &clock, &failpoints).await?;
    let (log, content) = log_stores::open(&settings, &clock).await?;
    let AnalyticsPorts { analytics, projected, aggregates } = analytics;
    let LogPorts { log: events, runs, audit: log, .. } = log;
    let ContentPorts { content, marks, comments, inbox, documents, counts } = content;
    let stores = Audited {
        log,
        events,
        runs,
        analytics,
        projected,
        aggregates,
        content,
        marks,
        comments,
        inbox,
        documents,
        counts,
        clock,
    };
    let audit = Audit { stores, patience: patience(&settings), repairs: None };
    Ok(Reports { repaired: None, last: audit.run().await? })
}

/// Joins the nodes for as long as it takes: what the log lacks is appended and relayed through a run of its own.
async fn repaired(settings: &Settings) -> Result<Reports, AppError> {
    let settings = &patient(settings);
    let stores = hold(settings).await?;
    let mut path = write_path::start(settings, &stores).await?;
    if !write_path::is_shared(settings) {
        // No node lives that would finish them.
        write_path::finish_earlier_runs(settings, &stores, &mut path).await?;
    }
    let mut audit = Audit {
        stores: audited(&stores),
        patience: patience(settings),
        repairs: Some(committing(&path)),
    };
    let found = audit.run().await;
    audit.repairs = None;
    let last = match &found {
        Ok(_) => Some(audit.run().await),
        Err(_) => None,
    };
    drop(audit);
    write_path::finish_own_run(settings, &stores, path).await?;
    let found = found?;
    let last = last.transpose()?;
    Ok(match last {
        Some(last) => Reports { repaired: Some(found), last },
        None => Reports { repaired: None, last: found },
    })
}

/// Appends through the run.
fn committing(path: &WritePath) -> Commit {
    let committer = Arc::clone(&path.committer);
    Box::new(move |event| {
        let committer = Arc::clone(&committer);
        async move { write_path::commit(&committer, event).await }.boxed()
    })
}

fn audited(stores: &Stores) -> Audited {
    Audited {
        log: Arc::clone(&stores.audit.log),
        events: Arc::clone(&stores.log),
        runs: Arc::clone(&stores.runs),
        analytics: Arc::clone(&stores.analytics),
        projected: Arc::clone(&stores.audit.projected),
        aggregates: Arc::clone(&stores.audit.aggregates),
        content: Arc::clone(&stores.content),
        marks: Arc::clone(&stores.marks),
        comments: Arc::clone(&stores.comments),
        inbox: Arc::clone(&stores.inbox),
        documents: Arc::clone(&stores.audit.documents),
        counts: Arc::clone(&stores.counts),
        clock: Arc::clone(&stores.clock),
    }
}

/// The same settings, but that questions may take as long as an audit's.
fn patient(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    let analytics = &mut settings.analytics.pool;
    analytics.operation_timeout = analytics.operation_timeout.max(TABLE_PATIENCE);
    for pool in [&mut settings.events.pool, &mut settings.content.pool] {
        pool.operation_timeout = pool.operation_timeout.max(PAGE_PATIENCE);
    }
    settings
}

/// A request takes some seconds at the most from its first write to its last; what a node that died left between
/// the two is found by a sweep, and finished by whoever takes over.
fn patience(settings: &Settings) -> Patience {
    let content = &settings.content;
    let swept = content.sweep_age + content.sweep_interval;
    Patience {
        grace: SETTLE + swept + settings.events.lease_term + settings.analytics.interval,
        settle: SETTLE,
        late: LATE,
        examples_max: EXAMPLES_MAX,
    }
}

/// Whether one of the stores is in the data directory, and so of one node alone.
fn is_embedded(settings: &Settings) -> bool {
    let Settings { accounts, events, content, analytics, realtime, .. } = settings;
    !matches!(accounts.url, StoreUrl::Mysql(_))
        || !matches!(events.url, StoreUrl::Mongodb(_))
        || !matches!(content.url, StoreUrl::Mongodb(_))
        || !matches!(analytics.url, StoreUrl::Postgres(_))
        || !matches!(realtime.url, StoreUrl::Redis(_))
}

/// Opens all stores to change something. What is embedded belongs to one process at a time.
async fn hold(settings: &Settings) -> Result<Stores, AppError> {
    let lock = if is_embedded(settings) { Some(lock(settings)?) } else { None };
    stores::open_beside(settings, lock).await
}

fn lock(settings: &Settings) -> Result<File, AppError> {
    let data = &settings.data_dir;
    if !data.is_dir() {
        return Err(format!("there is no data directory {}", data.display()).into());
    }
    stores::lock_directory(data).map_err(|error| {
        let advice =
            "a node keeps some of its data embedded and has them to itself; stop it for this";
        format!("{error}: {advice}").into()
    })
}

/// Makes something anew; returns what to print.
pub async fn rebuild(settings: &Settings, what: Rebuild) -> Result<String, AppError> {
    let settings = &patient(settings);
    if what == Rebuild::Trending && !matches!(settings.realtime.url, StoreUrl::Redis(_)) {
        let said =
            "trending: it is in the memory of its node, which counts the log whenever it starts";
        return Ok(said.to_owned());
    }
    let stores = hold(settings).await?;
    match what {
        Rebuild::Analytics => {
            let rebuild = AnalyticsRebuild {
                log: Arc::clone(&stores.audit.log),
                projected: Arc::clone(&stores.audit.projected),
                projection: write_path::projection(settings, &stores),
                settle: SETTLE,
            };
            Ok(format!("analytics: {} events projected", rebuild.run().await?))
        }
        Rebuild::Counters => {
            let repairs: Commit = Box::new(|_| async { false }.boxed());
            let (stores, patience) = (audited(&stores), patience(settings));
            let report = Audit { stores, patience, repairs: Some(repairs) }.recount().await?;
            let sum = |of: fn(&Outcome) -> u64| report.checks.iter().map(of).sum::<u64>();
            let (counted, wrong) = (sum(|one| one.examined), sum(|one| one.found));
            let repaired = sum(|one| one.repaired);
            Ok(format!("counters: {counted} counted, {wrong} were wrong, {repaired} put right"))
        }
        Rebuild::Trending => {
            let tallies = realtime_stores::tallies_of(settings).await?;
            let (log, trending) = (&*stores.log, Arc::clone(&stores.trending));
            let now = stores.clock.now();
            let count = trending_tallies(log, &*trending, &*tallies, now).await?;
            Ok(format!("trending: {count} interactions counted"))
        }
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    /// `clean`, `drift` or `unable`.
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(flatten)]
    last: Option<&'a Report>,
    /// What was found before anything was repaired, and what became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    repair: Option<&'a Report>,
}

impl<'a> Printed<'a> {
    fn new(verdict: &'static str, reports: Option<&'a Reports>) -> Self {
        let last = reports.map(|reports| &reports.last);
        let repair = reports.and_then(|reports| reports.repaired.as_ref());
        Self { verdict, error: None, last, repair }
    }
}

fn json(printed: &Printed<'_>) -> String {
    let text = serde_json::to_string_pretty(printed);
    text.expect("a report has nothing that JSON cannot hold") + "\n"
}

fn text(reports: &Reports) -> String {
    let mut text = String::new();
    if let Some(repaired) = &reports.repaired {
        tell(&mut text, "Found and repaired", repaired);
        text.push('\n');
    }
    tell(&mut text, "Compared", &reports.last);
    let verdict = match reports.last.is_clean() {
        true => "Nothing differs.",
        false => {
            "Not everything is as the log says; `carillon audit --repair` repairs what can be repaired."
        }
    };
    text.push('\n');
    text.push_str(verdict);
    text.push('\n');
    text
}

fn tell(text: &mut String, heading: &str, report: &Report) {
    // Writing to a text does not fail.
    let _ = writeln!(text, "{heading}, as of {}:", report.as_of);
    for outcome in &report.checks {
        let Outcome { check, examined, found, repaired, examples } = outcome;
        let _ = write!(text, "  {:22} {found:>8} of {examined}", check.as_str());
        if *repaired > 0 {
            let _ = write!(text, ", {repaired} repaired");
        }
        text.push('\n');
        for example in examples {
            let _ = writeln!(text, "    {example}");
        }
        if *found > examples.len() as u64 {
            let _ = writeln!(text, "    …");
        }
    }
}
