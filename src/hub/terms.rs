//! What is special about a subscription: that the server made it, or that it ends by itself.

use std::rc::Rc;

use super::connection::{Connection, Key};
use super::frames::Wire;
use super::shard::Shard;
use crate::client_protocol::codes::Unsubscribed;
use crate::domain::channel::ChannelName;

/// Called when a subscription ended by itself.
pub type Ended = Box<dyn FnOnce()>;

/// The terms of one subscription; most have none.
pub struct Terms {
    /// The channel.
    pub channel: ChannelName,
    /// Whether the server made it: the client cannot subscribe again by itself.
    pub is_server_side: bool,
    /// The tick at which it ends, and who is told then.
    pub end: Option<(u64, Option<Ended>)>,
}

impl Connection {
    /// The terms of a subscription, which has some from now on.
    pub fn terms_of(&mut self, channel: &ChannelName) -> &mut Terms {
        let place = self.terms.iter().position(|terms| terms.channel == *channel);
        let place = place.unwrap_or_else(|| {
            let channel = channel.clone();
            self.terms.push(Terms { channel, is_server_side: false, end: None });
            self.terms.len() - 1
        });
        &mut self.terms[place]
    }

    /// Forgets the terms of a subscription that ended.
    pub fn forget_terms(&mut self, channel: &ChannelName) {
        if !self.terms.is_empty() {
            self.terms.retain(|terms| terms.channel != *channel);
        }
    }

    /// Whether the server made this subscription.
    pub fn is_server_side(&self, channel: &ChannelName) -> bool {
        self.terms.iter().any(|terms| terms.is_server_side && terms.channel == *channel)
    }

    /// When the next subscription ends by itself.
    pub fn next_end(&self) -> Option<u64> {
        self.terms.iter().filter_map(|terms| terms.end.as_ref().map(|(tick, _)| *tick)).min()
    }

    /// Takes the terms of those that end at tick `now` or ended before.
    pub fn take_ended(&mut self, now: u64) -> Vec<Terms> {
        if self.next_end().is_none_or(|tick| tick > now) {
            return Vec::new();
        }
        let is_over = |terms: &mut Terms| terms.end.as_ref().is_some_and(|(tick, _)| *tick <= now);
        self.terms.extract_if(.., is_over).collect()
    }
}

impl Shard {
    /// Ends subscriptions whose time is over. The client is told, and whoever made the terms.
    pub(super) fn end(self: &Rc<Self>, key: Key, wire: Wire, over: Vec<Terms>) {
        for Terms { channel, end, .. } in over {
            if !self.leave(key, &channel) {
                continue;
            }
            self.send(key, wire.unsubscribe(&channel, Unsubscribed::EXPIRED));
            if let Some((_, Some(ended))) = end {
                ended();
            }
        }
    }
}
