//! What is due when: pings, pongs, stale and expired connections, readers that are stuck.

use std::rc::Rc;

use super::connection::Key;
use super::frames::Wire;
use super::shard::{Shard, State, ticks_of};
use super::terms::Terms;
use crate::client_protocol::codes::Disconnect;

/// What a connection's timer found.
enum Due {
    Nothing,
    Ping(Wire),
    Close(Disconnect),
    /// Subscriptions are over.
    End(Wire, Vec<Terms>),
}

impl State {
    /// Makes the wheel ask about a connection at tick `due` at the latest.
    pub(super) fn wake_at(&mut self, key: Key, due: u64) {
        let Some(connection) = self.connection(key) else {
            return;
        };
        if due < connection.timer {
            connection.timer = due;
            self.wheel.schedule(due, key);
        }
    }
}

impl Shard {
    /// Moves the wheel on by one tick and deals with what is due.
    pub(super) fn tick(self: &Rc<Self>) {
        let mut expired = {
            let state = &mut *self.state.borrow_mut();
            let mut expired = std::mem::take(&mut state.expired);
            // A busy thread ticks late; what counts is the time that has passed.
            while state.wheel.now() < ticks_of(self.began.elapsed()) {
                state.wheel.advance(&mut expired);
            }
            expired
        };
        for key in expired.drain(..) {
            match self.due(key) {
                Due::Nothing => {}
                Due::Ping(wire) => self.send(key, wire.ping()),
                Due::End(wire, over) => self.end(key, wire, over),
                Due::Close(why) => {
                    if why == Disconnect::SLOW {
                        self.state.borrow_mut().stats.slow += 1;
                    }
                    self.close(key, why);
                }
            }
        }
        self.state.borrow_mut().expired = expired;
    }

    fn due(&self, key: Key) -> Due {
        let state = &mut *self.state.borrow_mut();
        let now = state.wheel.now();
        let Some(connection) = state.connection(key) else {
            return Due::Nothing;
        };
        if connection.timer > now {
            // A nearer entry was scheduled and dealt with; its successor is to come.
            return Due::Nothing;
        }
        let connected = connection.ping_due > 0;
        if connection.ends_at.is_some_and(|tick| tick <= now) {
            return Due::Close(match (connected, connection.by_token) {
                (false, _) => Disconnect::STALE,
                (true, true) => Disconnect::EXPIRED,
                (true, false) => Disconnect::INVALID_TOKEN,
            });
        }
        let stuck_at = connection.blocked_since.map(|since| since + self.ticks.queue_max_age);
        if stuck_at.is_some_and(|tick| tick <= now) {
            return Due::Close(Disconnect::SLOW);
        }
        let over = connection.take_ended(now);
        if !over.is_empty() {
            let wire = connection.wire;
            // Whatever else is due is due at the next tick as well.
            connection.timer = u64::MAX;
            state.wake_at(key, now + 1);
            return Due::End(wire, over);
        }
        if connection.busy {
            // Its pong may be there already; it is read once the command is dealt with.
            connection.pong_due =
                connection.pong_due.map(|due| due.max(now + self.ticks.pong_timeout));
        }
        if connection.pong_due.is_some_and(|tick| tick <= now) {
            return Due::Close(Disconnect::NO_PONG);
        }
        let mut due = Due::Nothing;
        if connected && connection.ping_due <= now {
            due = Due::Ping(connection.wire);
            connection.ping_due = now + self.ticks.ping_interval;
            let answers = !connection.wire.is_unidirectional();
            connection.pong_due = answers.then_some(now + self.ticks.pong_timeout);
        }
        let ping_due = connected.then_some(connection.ping_due);
        let end = connection.next_end();
        let next = [connection.ends_at, stuck_at, connection.pong_due, ping_due, end];
        connection.timer = u64::MAX;
        if let Some(next) = next.into_iter().flatten().min() {
            state.wake_at(key, next);
        }
        due
    }
}
