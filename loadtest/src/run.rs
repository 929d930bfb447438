//! A run: publications on schedule or as fast as they are received, and every delivery of them followed.

use crate::connection::Connection;
use crate::crowd::Crowd;
use crate::pacing::Pace;
use crate::payload::{self, Stamp};
use crate::progress::{self, Figures, Progress};
use crate::sequence::Subscriptions;
use crate::tally::{Faults, Tally};
use crate::{frame, procfs};
use anyhow::{Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::io::Write;
use std::ops::Range;
use std::time::Duration;

/// Longest sleep between looks at the clock.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);
/// A run in which nothing comes for so long has stalled; also how long stragglers are waited for at the end.
const PATIENCE_NS: u64 = 5_000_000_000;
/// How often the server's memory is read, where it is.
const MEMORY_INTERVAL_NS: u64 = 500_000_000;
/// Publish commands have ids from here on; smaller ones were used during setup.
const FIRST_ID: u64 = 1_000_000;

/// What is published, and how it is measured.
#[derive(Debug, Clone)]
pub struct Load {
    /// The channels. A publication goes to a random one of them.
    pub channels: Vec<String>,
    /// How many subscribers each channel has.
    pub audience: usize,
    /// When publications are due.
    pub pace: Pace,
    /// Length of the published JSON.
    pub payload_bytes: usize,
    /// Length of the measured window.
    pub seconds: f64,
    /// How long to publish before the window begins.
    pub warmup_seconds: f64,
    /// Process whose CPU time is told.
    pub server_pid: Option<u32>,
    /// Whether its memory is read twice a second as well, which costs it a little.
    pub watch_memory: bool,
    /// Whether to never sleep.
    pub spin: bool,
    /// Seed of the choice of channels.
    pub seed: u64,
}

impl Load {
    /// Refuses what cannot be measured.
    ///
    /// # Errors
    /// When there is nobody to publish to, the payload is too short or the rate is none.
    pub fn check(&self) -> Result<()> {
        ensure!(!self.channels.is_empty() && self.audience > 0, "there must be a subscriber");
        ensure!(
            self.payload_bytes >= payload::SHORTEST,
            "the payload needs {} bytes for its stamp",
            payload::SHORTEST
        );
        ensure!(self.pace.rate.is_none_or(|rate| rate > 0.0), "the rate must be above 0");
        ensure!(self.seconds > 0.0, "the measured window must have a length");
        Ok(())
    }

    fn window(&self) -> Range<u64> {
        let start = (self.warmup_seconds * 1e9) as u64;
        start..start + (self.seconds * 1e9) as u64
    }
}

/// CPU times and deliveries at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// Nanoseconds since the run began.
    pub at_ns: u64,
    /// Deliveries so far.
    pub deliveries: u64,
    /// CPU seconds of the server, if its process is known.
    pub server_cpu: Option<f64>,
    /// CPU seconds of this process.
    pub client_cpu: f64,
}

/// Private dirty bytes of the server, before the first publication and at the most.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct MemoryRange {
    /// With all connections there.
    pub before: u64,
    /// The most that was seen.
    pub peak: u64,
}

/// What a run found.
pub struct Finished {
    /// At the beginning of the window.
    pub start: Mark,
    /// At its end.
    pub end: Mark,
    /// All that was received.
    pub tally: Tally,
    /// What went wrong, losses included.
    pub faults: Faults,
    /// Length of the last push message.
    pub push_bytes: usize,
    /// Reads that returned bytes.
    pub reads: u64,
    /// Memory of the server, where it was watched.
    pub memory: Option<MemoryRange>,
}

/// A run that is being set up, or goes on.
pub struct Run {
    load: Load,
    crowd: Crowd,
    window: Range<u64>,
    /// The places of the connections that publish, among all.
    publishers: Vec<usize>,
    rng: StdRng,
    command: Vec<u8>,
    /// The publication for which the crowd's timer is set.
    woken_for: Option<u64>,
    progress: Progress,
    memory: Option<MemoryRange>,
    next_memory_ns: u64,
}

impl Run {
    /// Without connections yet.
    ///
    /// # Errors
    /// When the load cannot be measured, or the kernel refuses an epoll.
    pub fn new(load: Load) -> Result<Self> {
        load.check()?;
        let window = load.window();
        let tally = Tally::new(load.channels.len(), load.audience, window.clone())?;
        Ok(Self {
            crowd: Crowd::new(tally)?,
            window,
            publishers: Vec::new(),
            rng: StdRng::seed_from_u64(load.seed),
            command: Vec::new(),
            woken_for: None,
            progress: Progress::on_stderr(),
            memory: None,
            next_memory_ns: 0,
            load,
        })
    }

    /// A connection that has subscribed to these channels, by their places in the load. Pings of those that came before
    /// are answered meanwhile.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn subscriber(
        &mut self,
        connection: Connection,
        channels: impl IntoIterator<Item = u32>,
    ) -> Result<()> {
        self.crowd.join(connection, Subscriptions::to(channels))?;
        self.crowd.attend(Duration::ZERO)
    }

    /// A connection that publishes.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn publisher(&mut self, connection: Connection) -> Result<()> {
        self.publishers.push(self.crowd.peers().len());
        self.crowd.join(connection, Subscriptions::default())
    }

    /// Publishes and measures; `at_end` is called when everything has come, with all connections still there.
    ///
    /// # Errors
    /// When the server's process is gone or epoll fails; what goes wrong with deliveries is in the answer.
    pub fn run(mut self, at_end: impl FnOnce() -> Result<()>) -> Result<Finished> {
        ensure!(!self.publishers.is_empty(), "there must be somebody who publishes");
        if let (Some(pid), true) = (self.load.server_pid, self.load.watch_memory) {
            let before = procfs::memory(pid)?.private_dirty;
            self.memory = Some(MemoryRange { before, peak: before });
        }
        self.crowd.begin();
        self.work_until(self.window.start, true)?;
        let start = self.mark()?;
        self.work_until(self.window.end, true)?;
        let end = self.mark()?;
        self.work_until(self.crowd.now_ns() + PATIENCE_NS, false)?;
        let tally = &self.crowd.reader.tally;
        let mut faults = tally.faults;
        let published = tally.published_by_channel();
        faults.lost = self.crowd.peers().iter().map(|it| it.subscriptions.lost(published)).sum();
        drop(self.progress);
        at_end()?;
        self.crowd.explain_closes();
        Ok(Finished {
            start,
            end,
            faults,
            push_bytes: self.crowd.reader.push_bytes(),
            reads: self.crowd.reader.reads(),
            memory: self.memory,
            tally: self.crowd.into_tally(),
        })
    }

    /// Reads, and publishes if asked to, until the given time; without publishing, until everything has come.
    fn work_until(&mut self, until_ns: u64, publish: bool) -> Result<()> {
        let mut advance = (self.crowd.reader.tally.deliveries(), self.crowd.now_ns());
        loop {
            let now = self.crowd.now_ns();
            let tally = &mut self.crowd.reader.tally;
            let (deliveries, expected) = (tally.deliveries(), tally.expected());
            if deliveries != advance.0 || deliveries == expected {
                advance = (deliveries, now);
            } else if now - advance.1 > PATIENCE_NS && publish {
                tally.faults.stalled = 1;
            }
            let faults = tally.faults;
            if now >= until_ns
                || faults.stalled + faults.disconnected > 0
                || !publish && deliveries == expected
            {
                return Ok(());
            }
            if publish {
                self.publish_what_is_due(now);
            }
            self.look_around(now)?;
            let left = LONGEST_SLEEP.min(Duration::from_nanos(until_ns - now));
            if publish {
                self.wake_when_due()?;
            }
            self.crowd.attend(if self.load.spin { Duration::ZERO } else { left })?;
        }
    }

    /// Has the crowd stop waiting when the next publication of an open loop is due.
    fn wake_when_due(&mut self) -> Result<()> {
        let number = self.crowd.reader.tally.publications();
        if self.woken_for == Some(number) {
            return Ok(());
        }
        if let Some(left) = self.load.pace.left(number, self.crowd.now_ns()) {
            self.woken_for = Some(number);
            self.crowd.wake_after(left)?;
        }
        Ok(())
    }

    /// Publishes all that is due, in one write of each publisher.
    fn publish_what_is_due(&mut self, now_ns: u64) {
        let completed = self.crowd.reader.tally.completed();
        loop {
            let sequence = self.crowd.reader.tally.publications();
            let Some(intended_ns) = self.load.pace.due(sequence, completed, now_ns) else {
                break;
            };
            let channel = self.rng.random_range(0..self.load.channels.len());
            self.command.clear();
            let head = format_args!(
                "{{\"id\":{},\"publish\":{{\"channel\":\"{}\",\"data\":",
                sequence + FIRST_ID,
                self.load.channels[channel]
            );
            self.command.write_fmt(head).expect("writing to a Vec cannot fail");
            let stamp = Stamp { sequence, intended_ns };
            payload::encode(&mut self.command, stamp, self.load.payload_bytes);
            self.command.extend_from_slice(b"}}");
            // A channel has one publisher: the order of publications on two connections is nobody's promise.
            let publisher = self.publishers[channel % self.publishers.len()];
            let unsent = &mut self.crowd.peer(publisher).unsent;
            frame::encode_from_client(unsent, frame::TEXT, &self.command);
            self.crowd.reader.tally.published(channel as u32);
        }
        for publisher in &self.publishers {
            self.crowd.peer(*publisher).flush();
        }
    }

    /// Tells how it goes, and reads the server's memory where that is watched.
    fn look_around(&mut self, now_ns: u64) -> Result<()> {
        let tally = &self.crowd.reader.tally;
        self.progress.tell(now_ns, || Figures {
            counts: vec![("published", tally.publications()), ("delivered", tally.deliveries())],
            p99_ms: progress::p99_ms(tally.latencies()),
            faults: tally.faults.total(),
        });
        if let (Some(memory), Some(pid)) = (&mut self.memory, self.load.server_pid)
            && now_ns >= self.next_memory_ns
        {
            memory.peak = memory.peak.max(procfs::memory(pid)?.private_dirty);
            self.next_memory_ns = now_ns + MEMORY_INTERVAL_NS;
        }
        Ok(())
    }

    fn mark(&self) -> Result<Mark> {
        Ok(Mark {
            at_ns: self.crowd.now_ns(),
            deliveries: self.crowd.reader.tally.deliveries(),
            server_cpu: self.load.server_pid.map(procfs::cpu_seconds).transpose()?,
            client_cpu: procfs::cpu_seconds(std::process::id())?,
        })
    }
}
