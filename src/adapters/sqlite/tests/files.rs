//! Files, writers and what outlives a failure.

use std::time::Duration;

use sqlx::Connection;

use crate::adapters::sqlite::database::OpenError;
use crate::domain::event::{Actor, BarePublication, Event, Fact, LoggedEvent};
use crate::domain::ids::{EventId, Incarnation, UserId};
use crate::domain::publication::Json;
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::event_log::{EventLog, LogCursor, RelayLedger};
use crate::ports::runs::Runs;

use super::*;

const NOON: Timestamp = Timestamp::from_millis(1_700_049_600_000);

fn run() -> Incarnation {
    Incarnation::from_parts(NOON, [1; 10])
}

fn event(n: u8, bytes: usize) -> LoggedEvent {
    let bare = BarePublication {
        channels: Vec::new(),
        data: Json::from_value(&"x".repeat(bytes)).unwrap(),
        tags: Default::default(),
        info: None,
        options: Default::default(),
    };
    LoggedEvent {
        incarnation: run(),
        seq: n.into(),
        event: Event {
            id: EventId::from_parts(NOON, [n; 10]),
            actor: Some(Actor { id: UserId(7), username: "ada".into() }),
            time: NOON,
            fact: Fact::ChannelPublished(bare),
        },
    }
}

#[tokio::test]
async fn writers_differ_in_how_they_sync_and_readers_cannot_write() {
    let (db, _directory) = database(Schema::Log).await;
    let synchronous = "PRAGMA synchronous";
    let mut durable = db.durable_write().await.unwrap();
    let full: (i64,) = sqlx::query_as(synchronous).fetch_one(&mut *durable).await.unwrap();
    drop(durable);
    let mut covered = db.covered_write().await.unwrap();
    let normal: (i64,) = sqlx::query_as(synchronous).fetch_one(&mut *covered).await.unwrap();
    drop(covered);
    assert_eq!((full.0, normal.0), (2, 1), "FULL is 2, NORMAL is 1");
    let mode: (String,) =
        sqlx::query_as("PRAGMA journal_mode").fetch_one(db.readers()).await.unwrap();
    assert_eq!(mode.0, "wal");
    let written = sqlx::query("DELETE FROM events").execute(db.readers()).await;
    assert!(written.is_err());
}

#[tokio::test]
async fn a_file_without_the_schema_is_refused_unless_it_may_be_migrated() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    let open = async |migrate| Database::open(&path, Schema::Log, migrate).await;
    assert!(matches!(open(false).await, Err(OpenError::Mismatch { .. })));
    assert!(!path.exists(), "nothing was made");
    std::fs::write(&path, "").unwrap();
    assert!(matches!(open(false).await, Err(OpenError::Mismatch { .. })));
    let db = open(true).await.unwrap();
    assert!(open(false).await.is_ok());
    // A later version was here.
    let mut writer = db.durable_write().await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'later', 1, x'00', 0)",
    )
    .execute(&mut *writer)
    .await
    .unwrap();
    drop(writer);
    assert!(matches!(open(false).await, Err(OpenError::Mismatch { .. })));
    assert!(matches!(open(true).await, Err(OpenError::Migrate { .. })));
    std::fs::write(directory.path().join("text"), "x".repeat(4096)).unwrap();
    let text = Database::open(&directory.path().join("text"), Schema::Log, true).await;
    assert!(text.is_err());
}

#[tokio::test]
async fn what_was_written_is_there_when_the_file_is_opened_again() {
    let (db, directory) = database(Schema::Log).await;
    let written = SqliteEventLog::new(db);
    written.append(&[event(1, 10)]).await.unwrap();
    drop(written);
    let log = SqliteEventLog::new(open(directory.path(), Schema::Log).await);
    let start = LogCursor { incarnation: run(), seq: 0 };
    assert_eq!(log.read_after(start, 9).await.unwrap(), [event(1, 10)]);
}

#[tokio::test]
async fn nothing_is_acknowledged_after_a_failed_sync_before_it_was_written_anew() {
    let (db, directory) = database(Schema::Log).await;
    let log = SqliteEventLog::new(db.clone());
    log.append(&[event(1, 10)]).await.unwrap();
    // The file that SQLite goes on to write to cannot be found, as it could not be written.
    let wal = directory.path().join("log.db-wal");
    let elsewhere = directory.path().join("elsewhere");
    std::fs::rename(&wal, &elsewhere).unwrap();
    let refused = log.append(&[event(2, 10)]).await.unwrap_err();
    assert_eq!(refused.pending, [0]);
    std::fs::rename(&elsewhere, &wal).unwrap();
    assert!(std::fs::metadata(&wal).unwrap().len() > 0);
    // The same again writes nothing, so that a sync alone would prove nothing.
    log.append(&[event(2, 10)]).await.unwrap();
    assert_eq!(std::fs::metadata(&wal).unwrap().len(), 0, "it was all written into the database");
    log.append(&[event(3, 10)]).await.unwrap();
    assert!(std::fs::metadata(&wal).unwrap().len() > 0, "it is synced as before");
}

/// SQLite answers as if the disk were full beyond this many pages.
async fn limit_pages(db: &Database, statement: &'static str) {
    let mut covered = db.covered_write().await.unwrap();
    sqlx::query(statement).execute(&mut *covered).await.unwrap();
    drop(covered);
    let mut durable = db.durable_write().await.unwrap();
    sqlx::query(statement).execute(&mut *durable).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_room() {
    let (db, _directory) = database(Schema::Analytics).await;
    let analytics = SqliteAnalytics::new(db.clone());
    let big = event(1, 100_000);
    let cursor = LogCursor { incarnation: run(), seq: 1 };
    limit_pages(&db, "PRAGMA max_page_count = 1").await;
    for _ in 0..3 {
        let refused = analytics.project(std::slice::from_ref(&big), cursor).await;
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })));
        limit_pages(&db, "PRAGMA max_page_count = 1").await;
    }
    assert_eq!(analytics.cursors().await.unwrap(), []);
    limit_pages(&db, "PRAGMA max_page_count = 100000").await;
    analytics.project(&[big], cursor).await.unwrap();
    assert_eq!(analytics.cursors().await.unwrap(), [cursor]);
}

#[tokio::test]
async fn a_writer_whose_transaction_sqlite_ended_by_itself_is_replaced() {
    let (db, _directory) = database(Schema::Analytics).await;
    let analytics = SqliteAnalytics::new(db.clone());
    let cursor = LogCursor { incarnation: run(), seq: 1 };
    // What SQLite does where a disk fails: the driver does not hear of it, its
    // own rollback then finds no transaction, and it goes on believing in one.
    let mut writer = db.covered_write().await.unwrap();
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("ROLLBACK").execute(&mut *tx).await.unwrap();
    drop(tx);
    drop(writer);
    let stuck = analytics.project(&[], cursor).await;
    assert!(matches!(stuck, Err(StoreError::Unavailable { .. })));
    analytics.project(&[], cursor).await.unwrap();
    assert_eq!(analytics.cursors().await.unwrap(), [cursor]);
}

#[tokio::test]
async fn a_write_that_is_given_up_midway_stops_nobody() {
    let (db, _directory) = database(Schema::Log).await;
    let ledger = SqliteRelayLedger::new(db.clone());
    let runs = SqliteRuns::new(db.clone());
    runs.open(run(), NOON).await.unwrap();
    let cursor = |seq| LogCursor { incarnation: run(), seq };
    for seq in 1..50 {
        // Given up after more and more steps of the way.
        let mut write = Box::pin(ledger.record(&[], cursor(seq)));
        for _ in 0..seq {
            if futures_util::poll!(&mut write).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(write);
    }
    ledger.record(&[], cursor(50)).await.unwrap();
    assert_eq!(runs.all_open().await.unwrap()[0].cursor, cursor(50));
}

#[tokio::test]
async fn days_are_counted_by_user_and_kind() {
    let (db, _directory) = database(Schema::Analytics).await;
    let analytics = SqliteAnalytics::new(db.clone());
    let mut late = event(2, 1);
    late.event.time = NOON.plus(Duration::from_secs(12 * 3600));
    let batch = [event(1, 1), late, event(3, 1)];
    let cursor = LogCursor { incarnation: run(), seq: 3 };
    for _ in 0..2 {
        analytics.project(&batch, cursor).await.unwrap();
    }
    let rows: Vec<(String, i64, String, i64)> =
        sqlx::query_as("SELECT day, user_id, kind, count FROM user_daily ORDER BY day")
            .fetch_all(db.readers())
            .await
            .unwrap();
    let kind = "channel.published".to_owned();
    let first = ("2023-11-15".to_owned(), 7, kind.clone(), 2);
    let second = ("2023-11-16".to_owned(), 7, kind, 1);
    assert_eq!(rows, [first, second]);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_told_apart_from_a_store_that_is_away() {
    let (db, _directory) = database(Schema::Log).await;
    let log = SqliteEventLog::new(db.clone());
    log.append(&[event(1, 10)]).await.unwrap();
    let mut writer = db.durable_write().await.unwrap();
    sqlx::query("UPDATE events SET body = '{}'").execute(&mut *writer).await.unwrap();
    drop(writer);
    let start = LogCursor { incarnation: run(), seq: 0 };
    let read = log.read_after(start, 9).await;
    assert!(matches!(read, Err(StoreError::Corrupt { .. })));
}
