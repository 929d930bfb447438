//! The run: one thread and one epoll for the writes, their answers and every socket.

use crate::connection::Connection;
use crate::procfs;
use crate::progress::{self, Figures, Progress};
use crate::timer::Timer;
use crate::whole_path::Options;
use crate::whole_path::http::{self, Credential, Node};
use crate::whole_path::ledger::Ledger;
use crate::whole_path::message;
use crate::whole_path::setup::{self, Account, Channels, FEED};
use crate::whole_path::sockets::Sockets;
use crate::whole_path::workload::{Deed, Planned};
use crate::whole_path::writers::{Outcome, Writers};
use anyhow::{Context, Result};
use mio::{Events, Poll, Token};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// Wakes the loop when a write is due.
const TIMER: Token = Token(usize::MAX);
/// Longest sleep between looks at the clock.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);
/// Answers that refuse are shown so often.
const REFUSALS_SHOWN: u64 = 5;

/// What it takes to say a write to a node.
pub struct Tell {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Who writes.
    pub accounts: Vec<Account>,
    /// The ids of the posts.
    pub posts: Vec<String>,
    /// The names of channels.
    pub channels: Channels,
    /// The key of the server API.
    pub api_key: String,
}

impl Tell {
    fn request(&self, number: usize, write: &Planned) -> Vec<u8> {
        let who = Credential::Bearer(&self.accounts[write.account].token);
        let stamp = message::stamp(number);
        let (method, path, who, body) = match write.deed {
            Deed::Like { post, on } => {
                let method = if on { "PUT" } else { "DELETE" };
                (method, format!("/v1/posts/{}/like", self.posts[post]), who, None)
            }
            Deed::Comment { post } => {
                let path = format!("/v1/posts/{}/comments", self.posts[post]);
                ("POST", path, who, Some(json!({ "content": stamp })))
            }
            Deed::Post => ("POST", "/v1/posts".to_owned(), who, Some(setup::post(&stamp))),
            Deed::Publication { room } => {
                let body = json!({"channel": self.channels.rooms[room], "data": {"text": stamp}});
                let who = Credential::ApiKey(&self.api_key);
                ("POST", "/api/publish".to_owned(), who, Some(body))
            }
        };
        http::request(&self.nodes[write.node], method, &path, who, body.as_ref())
    }

    /// The channels that tell of it.
    fn channels_of(&self, write: &Planned) -> Vec<String> {
        let main = match write.deed {
            Deed::Like { post, .. } | Deed::Comment { post } => self.channels.posts[post].clone(),
            Deed::Post => FEED.to_owned(),
            Deed::Publication { room } => self.channels.rooms[room].clone(),
        };
        let inbox = write.told.map(|account| self.channels.inboxes[account].clone());
        [Some(main), inbox].into_iter().flatten().collect()
    }
}

/// CPU seconds so far: of each process with its descendants, of this one, and when.
#[derive(Clone)]
pub struct Mark {
    /// When, in nanoseconds of the run.
    pub at_ns: u64,
    /// By name, in the order of the command line.
    pub processes: Vec<(String, f64)>,
    /// This process.
    pub generator: f64,
    /// Deliveries so far.
    pub deliveries: u64,
}

/// What a run found.
pub struct Finished {
    /// At the beginning of the window.
    pub start: Mark,
    /// At its end.
    pub end: Mark,
    /// The books.
    pub ledger: Ledger,
    /// Refusals, by status; 0 where the connection ended.
    pub refusals: BTreeMap<u16, u64>,
    /// Connections that writes were sent on.
    pub writers: usize,
    /// How long after the last write everything had come.
    pub drained_ns: u64,
}

/// A run that goes on.
pub struct Run<'a> {
    options: &'a Options,
    plan: Vec<Planned>,
    tell: Tell,
    poll: Poll,
    timer: Timer,
    sockets: Sockets,
    writers: Writers,
    ledger: Ledger,
    refusals: BTreeMap<u16, u64>,
    answered: usize,
    progress: Progress,
    began: Instant,
}

impl<'a> Run<'a> {
    /// Makes everything ready.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new(
        options: &'a Options,
        plan: Vec<Planned>,
        tell: Tell,
        connections: Vec<Connection>,
        ledger: Ledger,
    ) -> Result<Self> {
        let poll = Poll::new()?;
        let timer = Timer::register(&poll, TIMER)?;
        let sockets = Sockets::register(connections, &poll)?;
        let writers = Writers::new(tell.nodes.clone(), sockets.len());
        Ok(Self {
            options,
            plan,
            tell,
            poll,
            timer,
            sockets,
            writers,
            ledger,
            refusals: BTreeMap::new(),
            answered: 0,
            progress: Progress::on_stderr(),
            began: Instant::now(),
        })
    }

    fn now_ns(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    fn intended_ns(&self, number: usize) -> u64 {
        (number as f64 * 1e9 / self.options.rate) as u64
    }

    /// Writes the plan, waits for what must come, and says how it was.
    ///
    /// # Errors
    /// When a process is gone, or a node takes no connections.
    pub fn run(mut self) -> Result<Finished> {
        self.began = Instant::now();
        let window_ns = (self.options.warmup_seconds * 1e9) as u64;
        let end_ns = window_ns + (self.options.seconds * 1e9) as u64;
        self.work_until(window_ns, false)?;
        let start = self.mark()?;
        self.work_until(end_ns, false)?;
        let end = self.mark()?;
        // What was due at the very end may not have been sent yet.
        self.write_what_is_due(u64::MAX)?;
        let patience_ns = (self.options.patience_seconds * 1e9) as u64;
        self.work_until(self.now_ns() + patience_ns, true)?;
        let drained_ns = self.now_ns() - end_ns;
        drop(self.progress);
        // Whoever has not answered by now never will.
        let silent = self.ledger.writes() - self.answered;
        self.ledger.faults.refused += silent as u64;
        Ok(Finished {
            start,
            end,
            ledger: self.ledger,
            refusals: self.refusals,
            writers: self.writers.connections(),
            drained_ns,
        })
    }

    fn mark(&self) -> Result<Mark> {
        let cpu = |(name, pid): &(String, u32)| {
            Ok((name.clone(), procfs::tree_cpu_seconds(*pid).with_context(|| name.clone())?))
        };
        Ok(Mark {
            at_ns: self.now_ns(),
            processes: self.options.pids.iter().map(cpu).collect::<Result<_>>()?,
            generator: procfs::cpu_seconds(std::process::id())?,
            deliveries: self.ledger.deliveries,
        })
    }

    /// Goes on until the given time; in the end, until everything has come.
    fn work_until(&mut self, until_ns: u64, draining: bool) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            let now_ns = self.now_ns();
            let all_came = || self.answered == self.ledger.writes() && self.ledger.missing() == 0;
            if now_ns >= until_ns || draining && all_came() {
                return Ok(());
            }
            self.write_what_is_due(now_ns.min(until_ns))?;
            self.tell_progress(now_ns);
            let left = Duration::from_nanos(until_ns - now_ns);
            match self.poll.poll(&mut events, Some(LONGEST_SLEEP.min(left))) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                outcome => outcome.context("epoll failed")?,
            }
            for event in &events {
                match event.token() {
                    TIMER => {}
                    Token(index) if index < self.sockets.len() => {
                        let ended = event.is_read_closed();
                        self.sockets.ready(index, ended, &mut self.ledger, self.began);
                    }
                    token => {
                        if let Some((outcome, at_ns)) = self.writers.ready(token, self.began) {
                            self.answer(&outcome, at_ns);
                        }
                    }
                }
            }
        }
    }

    /// Sends the writes that are due, and has the timer wake the loop for the next.
    fn write_what_is_due(&mut self, now_ns: u64) -> Result<()> {
        loop {
            let number = self.ledger.writes();
            let Some(write) = self.plan.get(number).copied() else { return Ok(()) };
            let intended_ns = self.intended_ns(number);
            if intended_ns > now_ns {
                let left_ns = intended_ns.saturating_sub(self.now_ns());
                return self.timer.set(Duration::from_nanos(left_ns));
            }
            let request = self.tell.request(number, &write);
            let channels = self.tell.channels_of(&write);
            let actor = self.tell.accounts[write.account].id;
            self.ledger.written(&write, actor, intended_ns, &channels);
            let sent_ns = self.now_ns();
            let ended = self.writers.send(&self.poll, write.node, number, &request, sent_ns)?;
            if let Some(outcome) = ended {
                self.answer(&outcome, sent_ns);
            }
        }
    }

    fn answer(&mut self, outcome: &Outcome, at_ns: u64) {
        self.answered += 1;
        let status = outcome.status.unwrap_or(0);
        let body = String::from_utf8_lossy(&outcome.body);
        // The server API says 200 even to what it refuses.
        let success = (200..300).contains(&status) && !body.starts_with("{\"error\"");
        self.ledger.answered(outcome.number, success, at_ns);
        if !success {
            if self.ledger.faults.refused <= REFUSALS_SHOWN {
                eprintln!("write {} was answered with {status} {body}", outcome.number);
            }
            *self.refusals.entry(status).or_default() += 1;
        }
    }

    fn tell_progress(&mut self, now_ns: u64) {
        let ledger = &self.ledger;
        self.progress.tell(now_ns, || Figures {
            counts: vec![
                ("written", ledger.writes() as u64),
                ("answered", self.answered as u64),
                ("delivered", ledger.deliveries),
            ],
            p99_ms: progress::p99_ms(&ledger.latencies.delivered),
            faults: ledger.faults.total(),
        });
    }
}
