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

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::super::outlet::Outlet;
    use super::*;

    fn channel(name: &str) -> ChannelName {
        ChannelName::parse(name, 255).unwrap()
    }

    fn names(terms: &[Terms]) -> Vec<&str> {
        terms.iter().map(|terms| terms.channel.as_str()).collect()
    }

    #[test]
    fn subscriptions_end_at_their_tick_unless_their_terms_change() {
        let (body, _stays_open) = mpsc::channel(1);
        let mut connection = Connection::new(Rc::new(Outlet::Body(body)), Wire::UniEventStream, 1);
        assert_eq!(connection.next_end(), None);
        for (name, tick) in [("a:1", 5), ("a:2", 7), ("a:3", 7), ("a:4", 8)] {
            connection.terms_of(&channel(name)).end = Some((tick, None));
        }
        connection.terms_of(&channel("a:5")).is_server_side = true;
        assert_eq!(connection.next_end(), Some(5));
        connection.terms_of(&channel("a:1")).end = Some((9, None));
        connection.terms_of(&channel("a:4")).end = None;
        connection.forget_terms(&channel("a:3"));
        assert!(connection.take_ended(6).is_empty());
        assert_eq!(connection.next_end(), Some(7));
        assert_eq!(names(&connection.take_ended(7)), ["a:2"]);
        // Whoever looks late finds what has ended meanwhile.
        assert_eq!(names(&connection.take_ended(20)), ["a:1"]);
        assert_eq!(connection.next_end(), None);
        let server_side = ["a:4", "a:5"].map(|name| connection.is_server_side(&channel(name)));
        assert_eq!(server_side, [false, true]);
    }
}
