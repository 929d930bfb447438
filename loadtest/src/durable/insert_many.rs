//! The bound of durable publications: a bare loop of `insert_many` with the write concern of the event log.

use crate::durable::figures::{self, Cpu, CpuMark, Latency, cpu_line};
use crate::durable::workload::payload;
use crate::report::write_json;
use crate::whole_path::named_pid;
use anyhow::{Context, Result, ensure};
use clap::Args;
use mongodb::bson::{self, DateTime, doc};
use mongodb::options::{Acknowledgment, CollectionOptions, IndexOptions, WriteConcern};
use mongodb::{Client, Collection, IndexModel};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Where documents go if the URL names no database.
const DATABASE: &str = "carillon_loadtest";
/// How many channels the documents name in turn, as `durable publish` does.
const CHANNELS: i64 = 20;

/// Arguments of `durable insert_many`.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// The deployment. A collection is made for the run in the database that this names, and dropped in the end.
    #[arg(long)]
    pub url: String,
    /// Documents in one insert: as many as Carillon had events in one append. A fraction is kept to on average.
    #[arg(long)]
    pub batch: f64,
    /// Length of the measured window.
    #[arg(long, default_value_t = 20.0)]
    pub seconds: f64,
    /// How long to insert before the window begins.
    #[arg(long, default_value_t = 3.0)]
    pub warmup_seconds: f64,
    /// Length of the text in each document.
    #[arg(long, default_value_t = 128)]
    pub payload_bytes: usize,
    /// Make the indexes that Carillon's events have; a bare loop has that of the ids alone.
    #[arg(long)]
    pub indexes: bool,
    /// A process whose CPU time is told, with its descendants, as NAME=PID; once for each.
    #[arg(long = "pid", value_parser = named_pid)]
    pub pids: Vec<(String, u32)>,
    /// Also write the report to this file.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// What a bare publication is as a document: field by field that of `EventDocument` in Carillon's
/// `src/adapters/mongodb/event_log.rs`, for an event without an actor.
#[derive(Serialize)]
struct EventDocument {
    #[serde(rename = "_id")]
    id: bson::Uuid,
    incarnation: bson::Uuid,
    seq: i64,
    kind: &'static str,
    subject: String,
    data: References,
    time: DateTime,
    body: String,
}

#[derive(Serialize)]
struct References {
    channels: Vec<String>,
}

impl EventDocument {
    /// Event `seq` of a run, decided now.
    fn new(incarnation: bson::Uuid, seq: i64, payload_bytes: usize) -> Result<Self> {
        let id = Uuid::now_v7();
        let time = DateTime::now();
        let channel = format!("bench:00000000-{}", seq % CHANNELS);
        let body = json!({
            "id": id.to_string(),
            "actor": null,
            "time": time.try_to_rfc3339_string().context("a time of today is a text")?,
            "kind": "channel.published",
            "data": {"channels": [&channel], "data": payload(seq.unsigned_abs() as usize, payload_bytes)},
        });
        Ok(Self {
            id: bson::Uuid::from_bytes(id.into_bytes()),
            incarnation,
            seq,
            kind: "channel.published",
            subject: format!("channel:{channel}"),
            data: References { channels: vec![channel] },
            time,
            body: body.to_string(),
        })
    }
}

/// Figures of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InsertReport {
    /// Whether the collection had the indexes of Carillon's events.
    pub indexes: bool,
    /// Documents in one insert, on average.
    pub mean_batch: f64,
    /// Bytes of one document, as BSON.
    pub document_bytes: usize,
    /// Length of the window.
    pub seconds: f64,
    /// Documents that were acknowledged in the window.
    pub documents: u64,
    /// The same a second.
    pub documents_per_second: f64,
    /// From an insert to its acknowledgement.
    pub latency: Latency,
    /// CPU times.
    pub cpu: Vec<Cpu>,
}

impl InsertReport {
    fn print(&self) {
        let Latency { p50_ms, p99_ms, max_ms, .. } = self.latency;
        println!(
            "| bare inserts | documents an insert | bytes a document | documents/s | p50 (ms) | p99 (ms) | max (ms) | CPU |"
        );
        println!("|---|---|---|---|---|---|---|---|");
        println!(
            "| {} | {:.1} | {} | {:.0} | {p50_ms:.2} | {p99_ms:.2} | {max_ms:.2} | {} |",
            if self.indexes { "with the indexes of the event log" } else { "without indexes" },
            self.mean_batch,
            self.document_bytes,
            self.documents_per_second,
            cpu_line(&self.cpu),
        );
    }
}

/// How many documents insert `number` has, so that `batch` is their mean.
fn size(number: u64, batch: f64) -> u64 {
    let through = |number: u64| (number as f64 * batch).round() as u64;
    through(number + 1) - through(number)
}

/// Runs `durable insert_many` from the command line.
///
/// # Errors
/// When the server does not answer or refuses a document.
pub fn command(options: &Options) -> Result<()> {
    ensure!(options.batch >= 1.0 && options.seconds > 0.0, "there must be documents to insert");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(run(options))?;
    report.print();
    if let Some(path) = &options.json {
        write_json(path, &report)?;
    }
    Ok(())
}

async fn run(options: &Options) -> Result<InsertReport> {
    let client = Client::with_uri_str(&options.url).await.context("cannot use --url")?;
    let database = client.default_database().unwrap_or_else(|| client.database(DATABASE));
    let name = format!("insert_many_{:08x}", rand::random::<u32>());
    let concern = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
    let settings = CollectionOptions::builder().write_concern(concern).build();
    let documents: Collection<EventDocument> = database.collection_with_options(&name, settings);
    database.create_collection(&name).await.context("cannot make a collection")?;
    if options.indexes {
        documents.create_indexes(indexes()).await.context("cannot make indexes")?;
    }
    let report = insert(&documents, options).await;
    documents.drop().await.context("cannot drop the collection of the run")?;
    report
}

/// Those of `migrations/mongodb/log.json`.
fn indexes() -> Vec<IndexModel> {
    let plain = [
        doc! { "kind": 1, "_id": 1 },
        doc! { "subject": 1, "time": 1 },
        doc! { "actor": 1, "time": 1 },
    ];
    let unique = IndexOptions::builder().unique(true).build();
    let by_number = IndexModel::builder().keys(doc! { "incarnation": 1, "seq": 1 });
    let plain = plain.into_iter().map(|keys| IndexModel::builder().keys(keys).build());
    [by_number.options(unique).build()].into_iter().chain(plain).collect()
}

/// One insert after the other, as the event log has one append in flight.
async fn insert(documents: &Collection<EventDocument>, options: &Options) -> Result<InsertReport> {
    let incarnation = bson::Uuid::from_bytes(Uuid::now_v7().into_bytes());
    let mut seq = 0;
    let mut number = 0;
    let mut latencies = figures::histogram()?;
    let (mut inserted, mut inserts) = (0, 0);
    let warm = Instant::now() + Duration::from_secs_f64(options.warmup_seconds);
    let mut start = None;
    let seconds = loop {
        let now = Instant::now();
        if start.is_none() && now >= warm {
            start = Some((CpuMark::now(&options.pids)?, Instant::now()));
        }
        if let Some((_, began)) = &start
            && began.elapsed().as_secs_f64() >= options.seconds
        {
            break began.elapsed().as_secs_f64();
        }
        let mut batch = Vec::new();
        for _ in 0..size(number, options.batch) {
            seq += 1;
            batch.push(EventDocument::new(incarnation, seq, options.payload_bytes)?);
        }
        number += 1;
        let asked = Instant::now();
        documents.insert_many(&batch).ordered(false).await.context("an insert was refused")?;
        if start.is_some() {
            figures::record(&mut latencies, asked.elapsed().as_nanos() as u64);
            inserted += batch.len() as u64;
            inserts += 1;
        }
    };
    let (before, _) = start.context("the window began")?;
    let sample = EventDocument::new(incarnation, seq, options.payload_bytes)?;
    Ok(InsertReport {
        indexes: options.indexes,
        mean_batch: inserted as f64 / f64::from(inserts),
        document_bytes: bson::serialize_to_vec(&sample)?.len(),
        seconds,
        documents: inserted,
        documents_per_second: inserted as f64 / seconds,
        latency: Latency::of(&latencies),
        cpu: before.until(&CpuMark::now(&options.pids)?, &options.pids),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_have_the_mean_that_was_asked_for() {
        for batch in [1.0, 7.0, 31.4, 2.5] {
            let sizes: Vec<_> = (0..1_000).map(|number| size(number, batch)).collect();
            let mean = sizes.iter().sum::<u64>() as f64 / 1_000.0;
            assert!((mean - batch).abs() < 0.001, "{mean} for {batch}");
            assert!(sizes.iter().all(|size| (*size as f64 - batch).abs() <= 1.0), "{sizes:?}");
        }
    }

    #[test]
    fn a_document_is_what_the_event_log_writes() {
        let run = bson::Uuid::from_bytes([7; 16]);
        let document = EventDocument::new(run, 42, 128).unwrap();
        let body: serde_json::Value = serde_json::from_str(&document.body).unwrap();
        assert_eq!(body["kind"], "channel.published");
        assert_eq!(body["data"]["channels"], json!(["bench:00000000-2"]));
        assert_eq!(body["data"]["data"]["text"].as_str().map(str::len), Some(128));
        let bson = bson::serialize_to_document(&document).unwrap();
        let names: Vec<_> = bson.keys().map(String::as_str).collect();
        let wanted = ["_id", "incarnation", "seq", "kind", "subject", "data", "time", "body"];
        assert_eq!(names, wanted);
        assert_eq!(bson.get_str("subject").unwrap(), "channel:bench:00000000-2");
    }
}
