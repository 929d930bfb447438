//! Many connections on one thread with one epoll: reads whatever comes, answers pings, counts.

use crate::connection::Connection;
use crate::reader::{Peer, Reader};
use crate::sequence::Subscriptions;
use crate::tally::Tally;
use crate::timer::Timer;
use anyhow::{Context, Result};
use mio::{Events, Poll, Token};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// Whose event means no connection.
const TIMER: Token = Token(usize::MAX);
/// More are looked at in the next round.
const EVENTS_A_ROUND: usize = 1_024;

/// Connections under load. Each is known by its place, in the order in which they joined.
pub struct Crowd {
    poll: Poll,
    timer: Timer,
    events: Events,
    peers: Vec<Peer>,
    /// Reads them, and counts what they received.
    pub reader: Reader,
    began: Instant,
}

impl Crowd {
    /// Nobody yet; what is received counts into `tally`.
    ///
    /// # Errors
    /// When the kernel refuses an epoll or a timer.
    pub fn new(tally: Tally) -> Result<Self> {
        let poll = Poll::new()?;
        Ok(Self {
            timer: Timer::register(&poll, TIMER)?,
            poll,
            events: Events::with_capacity(EVENTS_A_ROUND),
            peers: Vec::new(),
            reader: Reader::new(tally),
            began: Instant::now(),
        })
    }

    /// Takes a connection over, with what it is subscribed to.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn join(&mut self, connection: Connection, subscriptions: Subscriptions) -> Result<()> {
        let token = Token(self.peers.len());
        self.peers.push(Peer::register(connection, subscriptions, &self.poll, token)?);
        Ok(())
    }

    /// All of them.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// The one at that place.
    pub fn peer(&mut self, place: usize) -> &mut Peer {
        &mut self.peers[place]
    }

    /// Starts the clock of the run anew.
    pub fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// Nanoseconds since the run began.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// Ends the wait of [`Self::attend`] after this time, and not when it was set to before.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn wake_after(&self, time: Duration) -> Result<()> {
        self.timer.set(time)
    }

    /// Waits at most so long until something can be read or written, and does it.
    ///
    /// # Errors
    /// When epoll fails.
    pub fn attend(&mut self, longest: Duration) -> Result<()> {
        match self.poll.poll(&mut self.events, Some(longest)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            outcome => outcome.context("epoll failed")?,
        }
        for event in self.events.iter().filter(|event| event.token() != TIMER) {
            let peer = &mut self.peers[event.token().0];
            if event.is_readable() {
                self.reader.read(peer, self.began, event.is_read_closed());
            }
            peer.flush();
        }
        Ok(())
    }

    /// What was received, once the run is over. The connections end with it.
    pub fn into_tally(self) -> Tally {
        self.reader.tally
    }

    /// How many connections ended, by the code of the server's close frame; `None` where there was no such frame.
    pub fn closes(&self) -> BTreeMap<Option<u16>, usize> {
        let mut closes = BTreeMap::new();
        for peer in self.peers.iter().filter(|peer| !peer.is_open()) {
            *closes.entry(peer.farewell().map(|(code, _)| *code)).or_default() += 1;
        }
        closes
    }

    /// Says on standard error why the server closed connections, if it did.
    pub fn explain_closes(&self) {
        let mut reasons = BTreeMap::new();
        for (code, reason) in self.peers.iter().filter_map(Peer::farewell) {
            *reasons.entry((code, reason)).or_insert(0_usize) += 1;
        }
        for ((code, reason), count) in reasons {
            eprintln!("the server closed {count} connections with {code} {reason}");
        }
    }
}
