//! The trending lists: counted again from the log at the start, and told whenever they change.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::domain::announcement::trending_body;
use crate::domain::channel::ChannelName;
use crate::domain::ids::EventId;
use crate::domain::namespace::Namespaces;
use crate::domain::time::Timestamp;
use crate::domain::trending::{Ranked, TrendingItem, Window, tally_of};
use crate::ports::StoreError;
use crate::ports::broker::{Broker, Outgoing, Retention};
use crate::ports::clock::Clock;
use crate::ports::content::Content;
use crate::ports::entropy::Entropy;
use crate::ports::event_log::EventLog;
use crate::ports::trending::{Trending, Turn, candidates, listed};

/// Events read from the log at once.
const BATCH_MAX: usize = 1_024;
/// How much longer before an event its id may have been minted.
const MINTED_BEFORE: Duration = Duration::from_secs(60);
/// How often a list is put together although the ranking is what it was: titles change, and
/// posts are removed.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Between looks whether something was lost.
const WHOLE_INTERVAL: Duration = Duration::from_secs(1);

/// Counts what the log holds of the longest window, if something is missing; returns how many interactions were counted.
pub async fn rebuild(
    log: &dyn EventLog,
    trending: &dyn Trending,
    now: Timestamp,
) -> Result<usize, StoreError> {
    if trending.is_whole().await? { Ok(0) } else { recount(log, trending, now).await }
}

/// Counts what the log holds of the longest window, and declares the tallies whole if nothing was lost meanwhile; returns
/// how many interactions were counted.
pub async fn recount(
    log: &dyn EventLog,
    trending: &dyn Trending,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let recount = trending.begin_recount().await?;
    let counted = count_again(log, trending, now).await?;
    // If it was lost again meanwhile, the next look counts once more.
    trending.declare_whole(&recount).await?;
    Ok(counted)
}

/// Counts the log again whenever something of the tallies was lost, until `stop` turns true.
pub async fn keep_whole(
    log: Arc<dyn EventLog>,
    trending: Arc<dyn Trending>,
    clock: Arc<dyn Clock>,
    mut stop: watch::Receiver<bool>,
) {
    while tokio::time::timeout(WHOLE_INTERVAL, stop.wait_for(|stop| *stop)).await.is_err() {
        match rebuild(&*log, &*trending, clock.now()).await {
            Ok(0) => {}
            Ok(counted) => tracing::info!(counted, "trending was counted again from the log"),
            Err(error) => tracing::debug!(%error, "trending cannot be looked at"),
        }
    }
}

/// Counts the events of the longest window that were not counted.
async fn count_again(
    log: &dyn EventLog,
    trending: &dyn Trending,
    now: Timestamp,
) -> Result<usize, StoreError> {
    // Whoever counts learns what time it is, and need not keep what is too old for a window.
    for window in Window::ALL {
        trending.ranked(window, now, 0).await?;
    }
    let longest = Window::ALL.into_iter().map(Window::length_millis).max().unwrap_or_default();
    let since = Timestamp::from_millis(now.as_millis() - longest).minus(MINTED_BEFORE);
    let mut after = EventId::from_parts(since, [0; 10]);
    let mut counted = 0;
    loop {
        let events = log.read_counted(after, BATCH_MAX).await?;
        let Some(last) = events.last() else {
            return Ok(counted);
        };
        after = last.id;
        let tallies = events.iter().filter_map(|event| Some((event.id, tally_of(event)?)));
        let tallies: Vec<_> = tallies.collect();
        trending.count(&tallies).await?;
        counted += tallies.len();
    }
}

/// Publishes the lists.
pub struct TrendingPublisher {
    /// Ranks posts.
    pub trending: Arc<dyn Trending>,
    /// Knows which of them are published, and what they are called.
    pub content: Arc<dyn Content>,
    /// Takes the publications.
    pub broker: Arc<dyn Broker>,
    /// Says what the present is.
    pub clock: Arc<dyn Clock>,
    /// Makes the ids of publications.
    pub entropy: Arc<dyn Entropy>,
    /// What each channel keeps.
    pub namespaces: Arc<Namespaces>,
    /// A list is published at most once in this time.
    pub interval: Duration,
    /// How many posts a list shows.
    pub limit: usize,
}

/// What was last told of a window.
#[derive(Default)]
struct Told {
    /// The ranking from which the list was made.
    ranked: Vec<Ranked>,
    /// When it was made, if it ever was.
    at: Option<Timestamp>,
    items: Vec<TrendingItem>,
}

impl TrendingPublisher {
    /// Publishes each list that changed, every interval, until `stopping` turns true.
    pub async fn run(self, mut stopping: watch::Receiver<bool>) {
        let mut told: [Told; Window::ALL.len()] = Default::default();
        loop {
            for (window, told) in Window::ALL.into_iter().zip(&mut told) {
                if let Err(error) = self.tell(window, told).await {
                    tracing::warn!(%error, window = window.as_str(), "a trending list waits for a store");
                }
            }
            // An error means that whoever could say so is gone, which is an end as well.
            let wait = tokio::time::timeout(self.interval, stopping.wait_for(|stop| *stop));
            if wait.await.is_ok() {
                return;
            }
        }
    }

    /// Publishes the list of a window if it is not what was last told.
    async fn tell(&self, window: Window, told: &mut Told) -> Result<(), StoreError> {
        let now = self.clock.now();
        let ranked = candidates(&*self.trending, window, now, self.limit).await?;
        let is_due = told.at.is_none_or(|at| now.since(at) >= LOOK_AGAIN || now < at);
        if ranked == told.ranked && (ranked.is_empty() || !is_due) {
            return Ok(());
        }
        let items = listed(&ranked, &*self.content, self.limit, false).await?;
        if items != told.items {
            let digest = digest_of(&items);
            match self.trending.turn(window, &digest, self.interval).await? {
                Turn::Granted => {
                    self.publish(window, &items, now).await?;
                    self.trending.note_told(window, &digest).await?;
                }
                Turn::Told => {}
                Turn::Later => return Ok(()),
            }
        }
        *told = Told { ranked, at: Some(now), items };
        Ok(())
    }

    async fn publish(
        &self,
        window: Window,
        items: &[TrendingItem],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let channel = ChannelName::trending(window.as_str());
        let retention = self.namespaces.options(&channel).and_then(Retention::of);
        let id = EventId::from_parts(now, self.entropy.bytes::<10>());
        let body = trending_body(id, now, items);
        // It stands for no event: the next list takes its place.
        self.broker
            .publish(&[Outgoing { channel, event: None, body, retention, version: None }])
            .await?;
        Ok(())
    }
}

/// Stands for a list.
fn digest_of(items: &[TrendingItem]) -> String {
    let text = serde_json::to_vec(items).expect("a list holds nothing that JSON cannot say");
    let digest = Sha256::digest(&text);
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
