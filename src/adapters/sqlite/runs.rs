//! The runs of nodes.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Error;

use crate::domain::ids::Incarnation;
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::event_log::LogCursor;
use crate::ports::runs::{OpenRun, Runs};

use super::database::{Database, unreadable};
use super::stored;

/// Keeps the runs in `log.db`, next to their relay cursors.
///
/// Its writes are covered ones: what shows that a run goes on need not outlive the machine that it goes on on.
pub struct SqliteRuns {
    db: Arc<Database>,
}

impl SqliteRuns {
    /// The runs of the file opened with `Schema::Log`.
    pub fn new(db: Arc<Database>) -> Self {
        Self { db }
    }

    async fn insert(&self, run: Incarnation, swept_until: Timestamp) -> Result<(), Error> {
        let mut writer = self.db.covered_write().await?;
        sqlx::query(
            "INSERT INTO incarnations (id, opened_at, relay_seq, swept_until) VALUES (?1, ?2, 0, ?2)
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(&run.0.as_bytes()[..])
        .bind(swept_until.as_millis())
        .execute(&mut *writer)
        .await?;
        Ok(())
    }

    async fn open_ones(&self) -> Result<Vec<OpenRun>, Error> {
        let rows: Vec<(Vec<u8>, i64, i64, i64)> = sqlx::query_as(
            "SELECT id, relay_seq, beat, swept_until FROM incarnations WHERE closed = 0 ORDER BY id",
        )
        .fetch_all(self.db.readers())
        .await?;
        let read = |(id, seq, beat, swept_until): (Vec<u8>, i64, i64, i64)| {
            let incarnation = Incarnation(stored::uuid(&id)?);
            Ok(OpenRun {
                cursor: LogCursor { incarnation, seq: stored::count(seq)? },
                beat: stored::count(beat)?,
                swept_until: Timestamp::from_millis(swept_until),
            })
        };
        rows.into_iter().map(read).collect()
    }

    async fn go_on(&self, run: Incarnation, swept_until: Timestamp) -> Result<u64, Error> {
        let mut writer = self.db.covered_write().await?;
        let beat: Option<i64> = sqlx::query_scalar(
            "UPDATE incarnations
             SET beat = beat + 1, closed = 0, swept_until = max(swept_until, ?2)
             WHERE id = ?1 RETURNING beat",
        )
        .bind(&run.0.as_bytes()[..])
        .bind(swept_until.as_millis())
        .fetch_optional(&mut *writer)
        .await?;
        let never = || unreadable(format_args!("the incarnation {run} was never opened"));
        stored::count(beat.ok_or_else(never)?)
    }

    /// Changes a run that is open and has that beat; returns its new one.
    async fn change(
        &self,
        run: Incarnation,
        beat: u64,
        closed: bool,
    ) -> Result<Option<u64>, Error> {
        let mut writer = self.db.covered_write().await?;
        let beat: Option<i64> = sqlx::query_scalar(
            "UPDATE incarnations SET beat = beat + 1, closed = ?3
             WHERE id = ?1 AND beat = ?2 AND closed = 0 RETURNING beat",
        )
        .bind(&run.0.as_bytes()[..])
        .bind(stored::integer(beat))
        .bind(closed)
        .fetch_optional(&mut *writer)
        .await?;
        beat.map(stored::count).transpose()
    }
}

#[async_trait]
impl Runs for SqliteRuns {
    async fn open(&self, run: Incarnation, swept_until: Timestamp) -> Result<(), StoreError> {
        self.insert(run, swept_until).await.map_err(|e| self.db.failed(e))
    }

    async fn all_open(&self) -> Result<Vec<OpenRun>, StoreError> {
        self.open_ones().await.map_err(|e| self.db.failed(e))
    }

    async fn renew(&self, run: Incarnation, swept_until: Timestamp) -> Result<u64, StoreError> {
        self.go_on(run, swept_until).await.map_err(|e| self.db.failed(e))
    }

    async fn take(&self, run: Incarnation, beat: u64) -> Result<Option<u64>, StoreError> {
        self.change(run, beat, false).await.map_err(|e| self.db.failed(e))
    }

    async fn close(&self, run: Incarnation, beat: u64) -> Result<bool, StoreError> {
        let closed = self.change(run, beat, true).await.map_err(|e| self.db.failed(e))?;
        Ok(closed.is_some())
    }
}
