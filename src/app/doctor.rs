//! `carillon doctor`: how the stores are, as a table for people or as JSON for programs.

use serde::Serialize;

use super::inspectors::patients;
use crate::adapters::system::SystemClock;
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::inspection::{Finding, Inspection, SchemaState, Severity};
use crate::queries::doctor::{Doctor, Examination, Verdict, verdict};
use crate::settings::Settings;

/// What to print, and what to exit with.
pub struct Told {
    /// The report; it ends with the end of a line.
    pub report: String,
    /// 0 if every store answers and a node can work with it, 1 if a node cannot work with one, 2 if one does not answer.
    pub code: u8,
}

/// Looks at all stores.
pub async fn run(settings: &Settings, as_json: bool) -> Told {
    let migrate_on_start = settings.migrate_on_start;
    let doctor = Doctor { patients: patients(settings), migrate_on_start };
    let examinations = doctor.examine().await;
    let verdict = verdict(&examinations);
    let report = match as_json {
        true => json(&examinations, verdict),
        false => table(&examinations, verdict),
    };
    let code = match verdict {
        Verdict::Well => 0,
        Verdict::Unfit => 1,
        Verdict::Unreachable => 2,
    };
    Told { report, code }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    timestamp: Timestamp,
    carillon: &'static str,
    /// `well`, `unfit` or `unreachable`.
    verdict: &'static str,
    stores: Vec<Store<'a>>,
}

#[derive(Serialize)]
struct Store<'a> {
    store: &'a str,
    /// `healthy`, `unhealthy` or `embedded`.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(flatten)]
    told: Option<ToldByStore<'a>>,
}

#[derive(Serialize)]
struct ToldByStore<'a> {
    product: &'a str,
    version: &'a str,
    tested: bool,
    latency_ms: f64,
    clock_ahead_ms: Option<i64>,
    schema: Schema<'a>,
    findings: Vec<Found<'a>>,
}

#[derive(Serialize)]
struct Schema<'a> {
    /// `none`, `current`, `pending`, `newer` or `broken`.
    state: &'static str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    parts: &'a [String],
}

#[derive(Serialize)]
struct Found<'a> {
    /// `note`, `warning` or `fault`.
    severity: &'static str,
    about: &'static str,
    detail: &'a str,
}

fn json(examinations: &[Examination], verdict: Verdict) -> String {
    let stores = examinations.iter().map(|examination| Store {
        store: examination.store,
        status: status(examination),
        error: examination.outcome.as_ref().err().map(String::as_str),
        told: examination.outcome.as_ref().ok().map(told),
    });
    let report = Report {
        timestamp: SystemClock.now(),
        carillon: env!("CARGO_PKG_VERSION"),
        verdict: match verdict {
            Verdict::Well => "well",
            Verdict::Unfit => "unfit",
            Verdict::Unreachable => "unreachable",
        },
        stores: stores.collect(),
    };
    let text = serde_json::to_string_pretty(&report);
    text.expect("a report has nothing that JSON cannot hold") + "\n"
}

fn told(inspection: &Inspection) -> ToldByStore<'_> {
    let (state, parts): (_, &[String]) = match &inspection.schema {
        SchemaState::Unneeded => ("none", &[]),
        SchemaState::Current => ("current", &[]),
        SchemaState::Pending(parts) => ("pending", parts),
        SchemaState::Newer(parts) => ("newer", parts),
        SchemaState::Broken(_) => ("broken", &[]),
    };
    let found = |finding: &'_ Finding| (severity(finding.severity), finding.about);
    let findings = inspection.findings.iter().map(|finding| {
        let (severity, about) = found(finding);
        Found { severity, about, detail: &finding.detail }
    });
    ToldByStore {
        product: &inspection.product,
        version: &inspection.version,
        tested: inspection.is_tested,
        latency_ms: (inspection.latency.as_secs_f64() * 1e6).round() / 1e3,
        clock_ahead_ms: inspection.clock_ahead_ms,
        schema: Schema { state, parts },
        findings: findings.collect(),
    }
}

fn status(examination: &Examination) -> &'static str {
    match (&examination.outcome, examination.is_embedded) {
        (Err(_), _) => "unhealthy",
        (Ok(_), true) => "embedded",
        (Ok(_), false) => "healthy",
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Fault => "fault",
    }
}

const HEADINGS: [&str; 6] = ["STORE", "STATE", "SERVER", "LATENCY", "CLOCK", "SCHEMA"];

fn table(examinations: &[Examination], verdict: Verdict) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(examinations.iter().map(row));
    let mut widths = [0; HEADINGS.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    for examination in examinations {
        text.push_str(&format!("\n{}\n", examination.store));
        match &examination.outcome {
            Err(error) => text.push_str(&format!("  error    {error}\n")),
            Ok(inspection) => {
                let lines = inspection.findings.iter().map(|finding| {
                    let severity = severity(finding.severity);
                    format!("  {severity:7}  {}: {}\n", finding.about, finding.detail)
                });
                text.extend(lines);
            }
        }
    }
    text.push_str(match verdict {
        Verdict::Well => "\nEvery store answers, and a node can work with it.\n",
        Verdict::Unfit => "\nA node cannot work with every store: see the faults.\n",
        Verdict::Unreachable => "\nNot every store answers: see the errors.\n",
    });
    text
}

fn row(examination: &Examination) -> [String; HEADINGS.len()] {
    let (store, status) = (examination.store.to_owned(), status(examination).to_owned());
    let Ok(told) = &examination.outcome else {
        return [store, status, "-".into(), "-".into(), "-".into(), "-".into()];
    };
    // What a distribution adds to the version is in the JSON.
    let version = told.version.split(['-', ' ']).next().unwrap_or_default();
    let server = format!("{} {version}", told.product).trim_end().to_owned();
    let latency = match told.latency.is_zero() {
        true => "-".to_owned(),
        false => format!("{:.2} ms", told.latency.as_secs_f64() * 1e3),
    };
    let clock = told.clock_ahead_ms.map_or("-".to_owned(), |ahead| format!("{ahead:+} ms"));
    let schema = match &told.schema {
        SchemaState::Unneeded => "none needed",
        SchemaState::Current => "up to date",
        SchemaState::Pending(_) => "pending",
        SchemaState::Newer(_) => "newer",
        SchemaState::Broken(_) => "broken",
    };
    [store, status, server, latency, clock, schema.to_owned()]
}
