//! A log in memory, held to the contracts of the real ones. It is what tests of
//! the stages around the log run on, as it answers at once and needs no file.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;

use crate::domain::channel::ChannelName;
use crate::domain::event::{BarePublication, Event, Fact, LoggedEvent};
use crate::domain::ids::{EventId, Incarnation};
use crate::domain::publication::{Epoch, Json, PublishOptions, StreamPosition};
use crate::domain::time::Timestamp;
use crate::domain::trending::COUNTED;
use crate::ports::StoreError;
use crate::ports::event_log::{
    AppendError, EventLog, LogCursor, RelayLedger, RelayRecord, RelayedEvent,
};
use crate::ports::runs::{OpenRun, Runs};

use super::{at, event_id};

/// Events, relays and cursors in memory.
#[derive(Default)]
pub(crate) struct ModelLog {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    events: HashMap<EventId, LoggedEvent>,
    numbers: BTreeMap<(Incarnation, u64), EventId>,
    relays: BTreeMap<(ChannelName, StreamPosition), EventId>,
    runs: BTreeMap<Incarnation, Run>,
    last_epoch: Option<Epoch>,
    runs_counted: u32,
}

#[derive(Default)]
struct Run {
    relayed: u64,
    closed: bool,
    beat: u64,
    swept_until: Option<Timestamp>,
}

/// A bare publication to `channels`, decided `n` milliseconds after the beginning.
pub(crate) fn bare(n: u16, channels: &[&str]) -> Event {
    let channels = channels.iter().map(|name| ChannelName::built_in((*name).to_owned()));
    Event {
        id: event_id(n),
        actor: None,
        time: at(i64::from(n)),
        fact: Fact::ChannelPublished(BarePublication {
            channels: channels.collect(),
            data: Json::from_string(format!("{{\"n\":{n}}}")).unwrap(),
            tags: BTreeMap::new(),
            info: None,
            options: PublishOptions::default(),
        }),
    }
}

impl ModelLog {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The ids of all events, by incarnation and number.
    pub(crate) fn appended(&self) -> Vec<EventId> {
        self.state().numbers.values().copied().collect()
    }

    /// The ids of all recorded relays of a channel, by their places.
    pub(crate) fn recorded(&self, channel: &ChannelName) -> Vec<EventId> {
        let state = self.state();
        let relays = state.relays.iter().filter(|((name, _), _)| name == channel);
        relays.map(|(_, event)| *event).collect()
    }
}

impl State {
    fn clashes(&self, logged: &LoggedEvent) -> bool {
        let holder = self.numbers.get(&(logged.incarnation, logged.seq));
        !self.events.contains_key(&logged.event.id) && holder.is_some()
    }

    fn relayed(&self, position: &StreamPosition, event: EventId) -> Option<RelayedEvent> {
        let event = self.events.get(&event)?.event.clone();
        Some(RelayedEvent { position: position.clone(), event })
    }
}

#[async_trait]
impl EventLog for ModelLog {
    async fn append(&self, batch: &[LoggedEvent]) -> Result<(), AppendError> {
        let mut state = self.state();
        if batch.iter().any(|logged| state.clashes(logged)) {
            let pending = (0..batch.len()).collect();
            return Err(AppendError { pending, cause: "a number is taken".into() });
        }
        for logged in batch {
            let id = logged.event.id;
            if !state.events.contains_key(&id) {
                state.numbers.insert((logged.incarnation, logged.seq), id);
                state.events.insert(id, logged.clone());
            }
        }
        Ok(())
    }

    async fn read_after(
        &self,
        cursor: LogCursor,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let state = self.state();
        let (from, to) = ((cursor.incarnation, cursor.seq), (cursor.incarnation, u64::MAX));
        let after = state.numbers.range(from..=to).filter(|(place, _)| **place > from);
        Ok(after.take(limit).map(|(_, id)| state.events[id].clone()).collect())
    }

    async fn read_counted(&self, after: EventId, limit: usize) -> Result<Vec<Event>, StoreError> {
        let state = self.state();
        let mut events: Vec<_> = state.events.values().map(|logged| logged.event.clone()).collect();
        events.retain(|event| event.id > after && COUNTED.contains(&event.fact.kind()));
        events.sort_unstable_by_key(|event| event.id);
        events.truncate(limit);
        Ok(events)
    }

    async fn missing(&self, ids: &[EventId]) -> Result<Vec<EventId>, StoreError> {
        let state = self.state();
        Ok(ids.iter().filter(|id| !state.events.contains_key(id)).copied().collect())
    }
}

#[async_trait]
impl RelayLedger for ModelLog {
    async fn record(&self, relays: &[RelayRecord], cursor: LogCursor) -> Result<(), StoreError> {
        let mut state = self.state();
        let Some(run) = state.runs.get_mut(&cursor.incarnation) else {
            let cause = "the incarnation was never opened".into();
            return Err(StoreError::Corrupt { store: "events", cause });
        };
        run.relayed = run.relayed.max(cursor.seq);
        for relay in relays {
            let place = (relay.channel.clone(), relay.position.clone());
            state.relays.entry(place).or_insert(relay.event);
            state.last_epoch = state.last_epoch.take().max(Some(relay.position.epoch.clone()));
        }
        Ok(())
    }

    async fn relayed_after(
        &self,
        channel: &ChannelName,
        since: &StreamPosition,
        limit: usize,
    ) -> Result<Vec<RelayedEvent>, StoreError> {
        let state = self.state();
        let from = (channel.clone(), since.clone());
        let places = state.relays.range(from.clone()..).filter(|(place, _)| **place > from);
        let relays = places.take_while(|((name, _), _)| name == channel);
        let relays = relays.filter_map(|((_, position), event)| state.relayed(position, *event));
        Ok(relays.take(limit).collect())
    }

    async fn latest_relayed(
        &self,
        channel: &ChannelName,
        not_before: Timestamp,
        limit: usize,
    ) -> Result<Vec<RelayedEvent>, StoreError> {
        let state = self.state();
        let mut met = HashSet::new();
        let places = state.relays.iter().rev().filter(|((name, _), _)| name == channel);
        let relays = places.filter_map(|((_, position), event)| state.relayed(position, *event));
        let young = relays.filter(|relayed| relayed.event.time >= not_before);
        let each_once = young.filter(|relayed| met.insert(relayed.event.id));
        let mut latest: Vec<_> = each_once.take(limit).collect();
        latest.reverse();
        Ok(latest)
    }

    async fn count_run(&self) -> Result<u32, StoreError> {
        let mut state = self.state();
        state.runs_counted += 1;
        Ok(state.runs_counted)
    }

    async fn last_epoch(&self) -> Result<Option<Epoch>, StoreError> {
        Ok(self.state().last_epoch.clone())
    }
}

impl State {
    /// Changes a run that is open and has that beat, and returns its new one.
    fn change(&mut self, run: Incarnation, beat: u64, closed: bool) -> Option<u64> {
        let run = self.runs.get_mut(&run).filter(|run| run.beat == beat && !run.closed)?;
        (run.beat, run.closed) = (beat + 1, closed);
        Some(run.beat)
    }
}

#[async_trait]
impl Runs for ModelLog {
    async fn open(&self, run: Incarnation, swept_until: Timestamp) -> Result<(), StoreError> {
        let first = Run { swept_until: Some(swept_until), ..Run::default() };
        self.state().runs.entry(run).or_insert(first);
        Ok(())
    }

    async fn all_open(&self) -> Result<Vec<OpenRun>, StoreError> {
        let state = self.state();
        let open = state.runs.iter().filter(|(_, run)| !run.closed);
        let read = |(id, run): (&Incarnation, &Run)| OpenRun {
            cursor: LogCursor { incarnation: *id, seq: run.relayed },
            beat: run.beat,
            swept_until: run.swept_until.unwrap_or_else(|| at(0)),
        };
        Ok(open.map(read).collect())
    }

    async fn renew(&self, run: Incarnation, swept_until: Timestamp) -> Result<u64, StoreError> {
        let mut state = self.state();
        let Some(run) = state.runs.get_mut(&run) else {
            let cause = "the incarnation was never opened".into();
            return Err(StoreError::Corrupt { store: "events", cause });
        };
        (run.beat, run.closed) = (run.beat + 1, false);
        run.swept_until = run.swept_until.max(Some(swept_until));
        Ok(run.beat)
    }

    async fn take(&self, run: Incarnation, beat: u64) -> Result<Option<u64>, StoreError> {
        Ok(self.state().change(run, beat, false))
    }

    async fn close(&self, run: Incarnation, beat: u64) -> Result<bool, StoreError> {
        Ok(self.state().change(run, beat, true).is_some())
    }
}

mod tests {
    use std::sync::Arc;

    use super::ModelLog;
    use crate::adapters::contract::Log;
    use crate::adapters::sqlite::{Database, Schema, SqliteIdempotencyKeys};

    async fn log() -> Log {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(Schema::Log.file_name());
        let db = Database::open(&path, Schema::Log, true).await.unwrap();
        let model = Arc::new(ModelLog::default());
        Log {
            events: model.clone(),
            ledger: model.clone(),
            runs: model,
            keys: Arc::new(SqliteIdempotencyKeys::new(db)),
            keep: Box::new(directory),
        }
    }

    crate::adapters::contract::event_log::event_log_contract!(log);
    mod runs {
        crate::adapters::contract::runs::runs_contract!(super::log);
    }
    mod ledger {
        crate::adapters::contract::relay_ledger::relay_ledger_contract!(super::log);
    }
}
