//! Channels that nobody on the node wants any more, and that stay subscribed for a moment: whoever
//! leaves a page often comes back, and those who leave are many at a time.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::domain::channel::ChannelName;

/// How long a channel that nobody wants stays subscribed.
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// The channels, and since when.
#[derive(Default)]
pub(super) struct Lingering {
    since: RwLock<FxHashMap<ChannelName, Instant>>,
}

impl Lingering {
    /// Nobody wants the channel from now on.
    pub(super) fn begin(&self, channel: &ChannelName) {
        let mut since = self.since.write().unwrap_or_else(PoisonError::into_inner);
        since.entry(channel.clone()).or_insert_with(Instant::now);
    }

    /// Somebody wants it, or it is subscribed no more; says whether it lingered.
    pub(super) fn end(&self, channel: &ChannelName) -> bool {
        let mut since = self.since.write().unwrap_or_else(PoisonError::into_inner);
        since.remove(channel).is_some()
    }

    /// Whether what arrives there is for nobody.
    pub(super) fn has(&self, channel: &ChannelName) -> bool {
        self.since.read().unwrap_or_else(PoisonError::into_inner).contains_key(channel)
    }

    /// Those that nobody wants.
    pub(super) fn all(&self) -> Vec<ChannelName> {
        self.since.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Those that nobody has wanted for long enough.
    pub(super) fn due(&self) -> Vec<ChannelName> {
        let since = self.since.read().unwrap_or_else(PoisonError::into_inner);
        let due = since.iter().filter(|(_, since)| since.elapsed() >= LINGER);
        due.map(|(channel, _)| channel.clone()).collect()
    }
}
