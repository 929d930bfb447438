//! Recovery: what a subscriber missed, from the history or else from the log.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::channel::ChannelName;
use crate::domain::namespace::ChannelOptions;
use crate::domain::publication::{Epoch, Publication, StreamPosition};
use crate::ports::StoreError;
use crate::ports::broker::{Broker, HistoryPage, HistoryQuery, Retention};
use crate::ports::event_log::{RECORDED_WITHIN, RelayLedger, RelayedEvent};
use crate::ports::present::PresentReader;

/// Between looks at a record that another part of the node is about to write.
const RECORD_POLL: Duration = Duration::from_millis(50);
/// How often it is looked for. A relay that could not be recorded within a
/// second is relayed again, and then comes live.
const RECORD_POLLS: usize = 24;
/// How long after its beginning an epoch tells what was relayed in earlier ones: by then that is recorded, or relayed
/// again.
const EPOCH_SETTLES: Duration = RECORDED_WITHIN.saturating_mul(2);

/// A part of what a subscriber missed.
#[derive(Debug, PartialEq, Eq)]
pub struct RecoveredPage {
    /// Where the subscriber stands once it has `publications`.
    pub position: StreamPosition,
    /// Oldest first. Those of an epoch other than the position's carry no offset.
    pub publications: Vec<Publication>,
    /// What remains to be read.
    pub rest: Rest,
}

/// What a page leaves to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing: the position was the top of the stream.
    Nothing,
    /// More of the current epoch: read on from the position.
    InEpoch,
    /// More of epochs that are over. The position is one of those: the
    /// subscriber must come back with it.
    InOlderEpochs,
}

/// What a subscriber says about the last publication that it has.
#[derive(Clone, Debug)]
pub struct Since {
    /// Empty matches any.
    pub epoch: String,
    /// Within the epoch.
    pub offset: u64,
}

/// The bounds of one page.
#[derive(Clone, Copy, Debug)]
pub struct PageLimit {
    /// Publications.
    pub publications: usize,
    /// Bytes of their data; a page holds at least one publication.
    pub bytes: usize,
}

impl PageLimit {
    /// How many of `publications` fit by their bytes; at least one, if there is any.
    pub fn fitting(&self, publications: &[Publication]) -> usize {
        let mut total = 0;
        let fits = |publication: &&Publication| {
            total += publication.body.data.get().len();
            total <= self.bytes
        };
        publications.iter().take_while(fits).count().max(1).min(publications.len())
    }
}

/// Reads what subscribers missed.
pub struct Recovery {
    /// Remembers the latest of each channel.
    pub broker: Arc<dyn Broker>,
    /// Remembers where everything else was.
    pub ledger: Arc<dyn RelayLedger>,
    /// What is rebuilt from the log tells of the present.
    pub present: PresentReader,
    /// The bounds of a page.
    pub limit: PageLimit,
}

impl Recovery {
    /// The top of a channel's stream.
    pub async fn top(
        &self,
        channel: &ChannelName,
        retention: Retention,
    ) -> Result<StreamPosition, StoreError> {
        Ok(self.history(channel, retention, None, 0).await?.top)
    }

    /// What came after `since`; `None` if that cannot be told, or if the hub
    /// never was at that position.
    pub async fn missed(
        &self,
        channel: &ChannelName,
        options: &ChannelOptions,
        since: &Since,
    ) -> Result<Option<RecoveredPage>, StoreError> {
        let Some(retention) = Retention::of(options) else {
            return Ok(None);
        };
        let HistoryPage { top, seeded_through, .. } =
            self.history(channel, retention, None, 0).await?;
        let epoch = match since.epoch.as_str() {
            "" => Some(top.epoch.clone()),
            text => Epoch::parse(text),
        };
        let page = match epoch {
            Some(epoch) if epoch == top.epoch => {
                // A page does not end within what earlier epochs left to this one: such
                // a place means nothing any more once this epoch is over, too.
                let limit = seeded_through.saturating_sub(since.offset);
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                let limit = limit.max(self.limit.publications);
                self.in_epoch(channel, options, retention, since.offset, limit).await?
            }
            Some(epoch) if epoch < top.epoch && options.recovers_from_log() => {
                let since = StreamPosition { epoch, offset: since.offset };
                Some(self.across_epochs(channel, retention, since).await?)
            }
            _ => None,
        };
        Ok(page.map(|page| page.cut_to(self.limit, seeded_through)))
    }

    /// The latest publication, with which a subscriber knows all; without it if `since` says that
    /// the subscriber has it. `None` if the history holds none.
    pub async fn latest(
        &self,
        channel: &ChannelName,
        retention: Retention,
        since: Option<&Since>,
    ) -> Result<Option<RecoveredPage>, StoreError> {
        let query = HistoryQuery { since: None, limit: 1, reverse: true };
        let HistoryPage { top, mut publications, .. } =
            self.broker.history(channel, retention, &query).await?;
        if publications.is_empty() {
            return Ok(None);
        }
        let has = |since: &Since| since.epoch == top.epoch.as_str() && since.offset == top.offset;
        if since.is_some_and(has) {
            publications.clear();
        }
        Ok(Some(RecoveredPage { position: top, publications, rest: Rest::Nothing }))
    }

    async fn in_epoch(
        &self,
        channel: &ChannelName,
        options: &ChannelOptions,
        retention: Retention,
        since: u64,
        limit: usize,
    ) -> Result<Option<RecoveredPage>, StoreError> {
        for _ in 0..RECORD_POLLS {
            let page = self.history(channel, retention, Some(since), limit).await?;
            let HistoryPage { top, seeded_through, oldest, publications, .. } = page;
            if since > top.offset {
                return Ok(None);
            }
            if since + 1 >= oldest {
                return Ok(Some(RecoveredPage::within(top, since, publications)));
            }
            if !options.recovers_from_log() || since < seeded_through {
                return Ok(None);
            }
            let position = StreamPosition { epoch: top.epoch.clone(), offset: since };
            let recorded = self.ledger.relayed_after(channel, &position, limit).await?;
            let recorded = without_gap(&recorded, &position);
            if !recorded.is_empty() {
                let publications = self.rebuilt(channel, recorded, true).await?;
                return Ok(Some(RecoveredPage::within(top, since, publications)));
            }
            // Pushed out of the history already, but not recorded yet.
            tokio::time::sleep(RECORD_POLL).await;
        }
        Ok(None)
    }

    /// Serves what earlier epochs hold after `since`, then what the current one does.
    async fn across_epochs(
        &self,
        channel: &ChannelName,
        retention: Retention,
        since: StreamPosition,
    ) -> Result<RecoveredPage, StoreError> {
        let limit = self.limit.publications;
        let (recorded, current) = self.settled(channel, retention, &since).await?;
        let is_older = |relayed: &RelayedEvent| relayed.position.epoch < current.top.epoch;
        let (older, recorded) = recorded.split_at(recorded.partition_point(is_older));
        let mut publications = self.rebuilt(channel, older, false).await?;
        let fitting = self.limit.fitting(&publications);
        if let Some(last) =
            older[..fitting].last().filter(|_| fitting < older.len() || fitting == limit)
        {
            publications.truncate(fitting);
            let position = last.position.clone();
            return Ok(RecoveredPage { position, publications, rest: Rest::InOlderEpochs });
        }
        let room = limit - publications.len();
        let start = current.seeded_through;
        let page = self.history(channel, retention, Some(start), room).await?;
        let fresh = if start + 1 >= page.oldest {
            page.publications
        } else {
            let start = StreamPosition { epoch: page.top.epoch.clone(), offset: start };
            let fresh = without_gap(recorded, &start);
            self.rebuilt(channel, &fresh[..fresh.len().min(room)], true).await?
        };
        let within = RecoveredPage::within(page.top, start, fresh);
        publications.extend(within.publications);
        Ok(RecoveredPage { publications, ..within })
    }

    /// What the ledger has after `since`, up to as many as a page holds, once nothing of earlier epochs is to come any
    /// more; and the stream as it is then.
    async fn settled(
        &self,
        channel: &ChannelName,
        retention: Retention,
        since: &StreamPosition,
    ) -> Result<(Vec<RelayedEvent>, HistoryPage), StoreError> {
        let mut before = self.history(channel, retention, None, 0).await?;
        loop {
            tokio::time::sleep(EPOCH_SETTLES.saturating_sub(before.age)).await;
            let limit = self.limit.publications;
            let recorded = self.ledger.relayed_after(channel, since, limit).await?;
            // Read after the ledger: what is relayed between the two is in the history.
            let current = self.history(channel, retention, None, 0).await?;
            if current.top.epoch == before.top.epoch {
                return Ok((recorded, current));
            }
            before = current;
        }
    }

    /// The publications that told of events; of an earlier epoch they carry no offset.
    async fn rebuilt(
        &self,
        channel: &ChannelName,
        relayed: &[RelayedEvent],
        with_offsets: bool,
    ) -> Result<Vec<Publication>, StoreError> {
        let bodies = self.present.bodies(channel, relayed).await?;
        let publication = |(relayed, body): (&RelayedEvent, _)| Publication {
            offset: if with_offsets { relayed.position.offset } else { 0 },
            event: Some(relayed.event.id),
            body,
        };
        Ok(relayed.iter().zip(bodies).map(publication).collect())
    }

    async fn history(
        &self,
        channel: &ChannelName,
        retention: Retention,
        since: Option<u64>,
        limit: usize,
    ) -> Result<HistoryPage, StoreError> {
        self.broker
            .history(channel, retention, &HistoryQuery { since, limit, reverse: false })
            .await
    }
}

impl RecoveredPage {
    fn within(top: StreamPosition, since: u64, publications: Vec<Publication>) -> Self {
        let offset = publications.last().map_or(since, |last| last.offset);
        let rest = if offset < top.offset { Rest::InEpoch } else { Rest::Nothing };
        Self { position: StreamPosition { epoch: top.epoch, offset }, publications, rest }
    }

    /// Drops publications from the end until the page fits the limit, but
    /// for those of earlier epochs, which carry no offset or one up to
    /// `seeded_through`: without them there is nowhere to go on from.
    fn cut_to(mut self, limit: PageLimit, seeded_through: u64) -> Self {
        let whole = limit.fitting(&self.publications);
        let keep = self
            .publications
            .iter()
            .take_while(|publication| publication.offset <= seeded_through)
            .count()
            .max(1);
        let keep = keep.max(whole);
        if keep < self.publications.len() && self.rest != Rest::InOlderEpochs {
            let next = self.publications[keep].offset;
            self.publications.truncate(keep);
            self.position.offset = next - 1;
            self.rest = Rest::InEpoch;
        }
        self
    }
}

/// The relays that follow `since`, up to the first that is missing. The hub
/// relays from several places, and each records on its own: a relay may be
/// recorded before one that has a lower offset.
fn without_gap<'a>(recorded: &'a [RelayedEvent], since: &StreamPosition) -> &'a [RelayedEvent] {
    let recorded = &recorded[recorded.partition_point(|relayed| relayed.position <= *since)..];
    let follows = |(relayed, offset): &(&RelayedEvent, u64)| {
        relayed.position.epoch == since.epoch && relayed.position.offset == *offset
    };
    let length = recorded.iter().zip(since.offset + 1..).take_while(follows).count();
    &recorded[..length]
}

#[cfg(test)]
mod tests;
