//! Where events were relayed.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use sqlx::{Connection, Error};

use crate::domain::channel::ChannelName;
use crate::domain::publication::{Epoch, StreamPosition};
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::event_log::{LogCursor, RelayLedger, RelayRecord, RelayedEvent};

use super::database::{Database, unreadable};
use super::stored;

/// The time is kept with the position so that reading a channel backwards does
/// not touch the events that are too old.
const RECORD: &str = "
    INSERT INTO positions (channel, epoch, \"offset\", event, event_time)
    SELECT r.value ->> 0, r.value ->> 1, r.value ->> 2, unhex(r.value ->> 3), coalesce(e.time, 0)
    FROM json_each(?1) AS r LEFT JOIN events AS e ON e.id = unhex(r.value ->> 3)
    WHERE true
    ON CONFLICT DO NOTHING";

const ADVANCE: &str = "
    UPDATE incarnations
    SET relay_seq = max(relay_seq, ?2), last_epoch = max(coalesce(last_epoch, ''), ?3)
    WHERE id = ?1";

/// A CROSS JOIN keeps the order of the tables: the positions decide what is read.
pub(super) const RELAYED_AFTER: &str = "
    SELECT p.epoch, p.\"offset\", e.body
    FROM positions AS p CROSS JOIN events AS e ON e.id = p.event
    WHERE p.channel = ?1 AND (p.epoch, p.\"offset\") > (?2, ?3)
    ORDER BY p.epoch, p.\"offset\" LIMIT ?4";

pub(super) const BACKWARDS: &str = "
    SELECT p.epoch, p.\"offset\", p.event, e.body
    FROM positions AS p CROSS JOIN events AS e ON e.id = p.event
    WHERE p.channel = ?1 AND p.event_time >= ?2
    ORDER BY p.epoch DESC, p.\"offset\" DESC";

pub(super) const LAST_EPOCH: &str =
    "SELECT max(last_epoch) FROM incarnations WHERE last_epoch <> ''";

/// Keeps positions and relay cursors in `log.db`.
///
/// Its writes are covered ones: a record that is lost is made again, as the
/// cursor is lost with it and the events after the cursor are relayed again.
pub struct SqliteRelayLedger {
    db: Arc<Database>,
}

impl SqliteRelayLedger {
    /// A ledger in the file opened with `Schema::Log`, next to the events that it tells of.
    pub fn new(db: Arc<Database>) -> Self {
        Self { db }
    }

    async fn next_run(&self) -> Result<u32, Error> {
        let mut writer = self.db.durable_write().await?;
        let count: i64 = sqlx::query_scalar("UPDATE runs SET count = count + 1 RETURNING count")
            .fetch_one(&mut *writer)
            .await?;
        u32::try_from(count).map_err(unreadable)
    }

    async fn write(&self, relays: &[RelayRecord], cursor: LogCursor) -> Result<(), Error> {
        let rows = stored::rows(relays.iter().map(|relay| {
            (
                relay.channel.as_str(),
                relay.position.epoch.as_str(),
                stored::integer(relay.position.offset),
                stored::hex(relay.event.0),
            )
        }))?;
        let last_epoch = relays.iter().map(|r| r.position.epoch.as_str()).max();
        let mut writer = self.db.covered_write().await?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        if !relays.is_empty() {
            sqlx::query(RECORD).bind(rows).execute(&mut *tx).await?;
        }
        let done = sqlx::query(ADVANCE)
            .bind(&cursor.incarnation.0.as_bytes()[..])
            .bind(stored::integer(cursor.seq))
            .bind(last_epoch.unwrap_or_default())
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() == 0 {
            return Err(unreadable(format_args!(
                "the incarnation {} was never opened",
                cursor.incarnation
            )));
        }
        tx.commit().await
    }

    async fn after(
        &self,
        channel: &ChannelName,
        since: &StreamPosition,
        limit: usize,
    ) -> Result<Vec<RelayedEvent>, Error> {
        let rows: Vec<(String, i64, String)> = sqlx::query_as(RELAYED_AFTER)
            .bind(channel.as_str())
            .bind(since.epoch.as_str())
            .bind(stored::integer(since.offset))
            .bind(stored::integer(limit))
            .fetch_all(self.db.readers())
            .await?;
        rows.into_iter().map(|(epoch, offset, body)| relayed(&epoch, offset, &body)).collect()
    }

    /// Walks the channel back from its last place, and so meets each event first where it is last.
    async fn latest(
        &self,
        channel: &ChannelName,
        not_before: Timestamp,
        limit: usize,
    ) -> Result<Vec<RelayedEvent>, Error> {
        let mut met = HashSet::new();
        let mut events = Vec::new();
        let mut rows = sqlx::query_as::<_, (String, i64, Vec<u8>, String)>(BACKWARDS)
            .bind(channel.as_str())
            .bind(not_before.as_millis())
            .fetch(self.db.readers());
        while events.len() < limit
            && let Some((epoch, offset, id, body)) = rows.try_next().await?
        {
            if met.insert(id) {
                events.push(relayed(&epoch, offset, &body)?);
            }
        }
        events.reverse();
        Ok(events)
    }

    async fn last(&self) -> Result<Option<Epoch>, Error> {
        let (last,): (Option<String>,) =
            sqlx::query_as(LAST_EPOCH).fetch_one(self.db.readers()).await?;
        last.map(|text| epoch(&text)).transpose()
    }
}

fn epoch(text: &str) -> Result<Epoch, Error> {
    Epoch::parse(text).ok_or_else(|| unreadable(format_args!("{text:?} is no epoch")))
}

fn relayed(text: &str, offset: i64, body: &str) -> Result<RelayedEvent, Error> {
    Ok(RelayedEvent {
        position: StreamPosition { epoch: epoch(text)?, offset: stored::count(offset)? },
        event: stored::event(body)?,
    })
}

#[async_trait]
impl RelayLedger for SqliteRelayLedger {
    async fn count_run(&self) -> Result<u32, StoreError> {
        self.next_run().await.map_err(|e| self.db.failed(e))
    }

    async fn record(&self, relays: &[RelayRecord], cursor: LogCursor) -> Result<(), StoreError> {
        let recorded = self.write(relays, cursor).await;
        recorded.map_err(|e| self.db.failed(e))
    }

    async fn relayed_after(
        &self,
        channel: &ChannelName,
        since: &StreamPosition,
        limit: usize,
    ) -> Result<Vec<RelayedEvent>, StoreError> {
        let events = self.after(channel, since, limit).await;
        events.map_err(|e| self.db.failed(e))
    }

    async fn latest_relayed(
        &self,
        channel: &ChannelName,
        not_before: Timestamp,
        limit: usize,
    ) -> Result<Vec<RelayedEvent>, StoreError> {
        let events = self.latest(channel, not_before, limit).await;
        events.map_err(|e| self.db.failed(e))
    }

    async fn last_epoch(&self) -> Result<Option<Epoch>, StoreError> {
        self.last().await.map_err(|e| self.db.failed(e))
    }
}
