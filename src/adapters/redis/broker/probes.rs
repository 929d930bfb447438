//! Messages that a node sends to itself, since a connection may look healthy and deliver nothing. On a
//! cluster each server that has channels gets one, for each has its own connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use crate::domain::channel::ChannelName;

use super::link::{Ask, Link};
use crate::adapters::redis::keys::Keys;

/// What was sent, and what came.
pub(super) struct Probes {
    /// What the channels of probes begin with; no other node's do.
    pub(super) base: String,
    /// The last number that was sent to each channel.
    sent: FxHashMap<ChannelName, u64>,
    heard: Arc<Heard>,
}

/// What came.
pub(super) struct Heard {
    base: String,
    last: Mutex<FxHashMap<ChannelName, u64>>,
}

impl Probes {
    /// None sent yet, by the node of this name.
    pub(super) fn new(name: &str) -> Self {
        let base = format!("node:probe-{name}");
        let heard = Heard { base: base.clone(), last: Mutex::default() };
        Self { base, sent: FxHashMap::default(), heard: Arc::new(heard) }
    }

    /// Where what comes is told.
    pub(super) fn heard(&self) -> Arc<Heard> {
        Arc::clone(&self.heard)
    }

    /// The channels that probes are sent to.
    pub(super) fn channels(&self) -> impl Iterator<Item = &ChannelName> {
        self.sent.keys()
    }

    /// From now on sends to these channels; returns which of them are new, and which were until now.
    pub(super) fn place(
        &mut self,
        channels: Vec<ChannelName>,
    ) -> (Vec<ChannelName>, Vec<ChannelName>) {
        let gone = |channel: &&ChannelName| !channels.contains(channel);
        let gone: Vec<_> = self.sent.keys().filter(gone).cloned().collect();
        for channel in &gone {
            self.sent.remove(channel);
            self.heard.last().remove(channel);
        }
        let is_new = |channel: &ChannelName| !self.sent.contains_key(channel);
        let new: Vec<_> = channels.into_iter().filter(is_new).collect();
        self.sent.extend(new.iter().map(|channel| (channel.clone(), 0)));
        (new, gone)
    }

    /// Expects nothing that was sent to the channel, for its subscription was made anew.
    pub(super) fn forgive(&mut self, channel: &ChannelName) {
        if let Some(sent) = self.sent.get_mut(channel) {
            *sent = 0;
        }
    }

    /// The same for all channels.
    pub(super) fn forgive_all(&mut self) {
        self.sent.values_mut().for_each(|sent| *sent = 0);
    }

    /// Whether something was sent that has not come.
    pub(super) fn is_silent(&self) -> bool {
        let last = self.heard.last();
        self.sent.iter().any(|(channel, sent)| last.get(channel).copied().unwrap_or(0) < *sent)
    }

    /// Sends the next number. Where it cannot be sent, nothing is known about what can be heard.
    pub(super) async fn send(&mut self, number: u64, prober: &Link, keys: &Keys) {
        for (channel, sent) in &mut self.sent {
            let ask = Ask::Send(keys.audience(channel), number.to_string());
            if prober.ask(ask).await.is_ok() {
                *sent = number;
            }
        }
    }
}

impl Heard {
    fn last(&self) -> MutexGuard<'_, FxHashMap<ChannelName, u64>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message, if it is a probe; says whether it is.
    pub(super) fn take(&self, channel: &ChannelName, text: &str) -> bool {
        if !channel.as_str().starts_with(&self.base) {
            return false;
        }
        if let Ok(number) = text.parse::<u64>() {
            let mut last = self.last();
            let last = last.entry(channel.clone()).or_default();
            *last = number.max(*last);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_what_was_sent_and_did_not_come() {
        let mut probes = Probes::new("a");
        let channel = |n: u8| ChannelName::built_in(format!("node:probe-a-{n}"));
        let (new, gone) = probes.place(vec![channel(1), channel(2)]);
        assert_eq!((new.len(), gone.len()), (2, 0));
        assert!(!probes.is_silent());
        probes.sent.insert(channel(1), 5);
        assert!(probes.is_silent());
        assert!(probes.heard.take(&channel(1), "5"));
        assert!(!probes.heard.take(&ChannelName::feed(), "5"));
        assert!(!probes.is_silent());
        probes.sent.insert(channel(2), 6);
        assert!(probes.is_silent(), "one server's silence is enough");
        let (new, gone) = probes.place(vec![channel(1), channel(3)]);
        assert_eq!((new, gone), (vec![channel(3)], vec![channel(2)]));
        assert!(!probes.is_silent(), "nothing is expected where nothing is sent any more");
    }
}
