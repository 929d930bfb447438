//! Drives nodes with a workload: one thread and one epoll, over kept-open connections, in a closed or an open loop.

use crate::durable::figures::{self, Cpu, CpuMark, Latency};
use crate::durable::node_counts::{self, Counts};
use crate::durable::workload::{Told, Workload};
use crate::timer::Timer;
use crate::whole_path::http::Node;
use crate::whole_path::writers::{Outcome, Writers};
use anyhow::Result;
use hdrhistogram::Histogram;
use mio::{Events, Poll, Token};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::{Duration, Instant};

const TIMER: Token = Token(usize::MAX);
/// Longest sleep between looks at the clock.
const LONGEST_SLEEP_NS: u64 = 50_000_000;
/// How long answers that are still to come at the end are waited for: nodes give a request 30 s.
const PATIENCE_NS: u64 = 40_000_000_000;
/// Answers that refuse are shown so often.
const REFUSALS_SHOWN: u64 = 5;

/// How requests follow one another.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How many may be on their way, on a connection each.
    pub concurrency: usize,
    /// Requests a second, whatever the nodes do (open loop); without it the next one goes when one is answered.
    pub rate: Option<f64>,
}

/// What is driven, and how it is watched.
pub struct Setting<'a> {
    /// The nodes.
    pub nodes: &'a [Node],
    /// Processes whose CPU time is told, by name.
    pub processes: &'a [(String, u32)],
    /// How requests follow one another.
    pub pace: Pace,
}

/// Counts at one moment.
struct Mark {
    cpu: CpuMark,
    counts: Counts,
}

/// What a run found. Counts of refusals and of all events are of the whole run, everything else of the window.
pub struct Driven {
    /// Length of the window.
    pub seconds: f64,
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Writes that were acknowledged in the whole run.
    pub acknowledged_in_all: u64,
    /// Writes that were refused, and those whose answer did not come.
    pub refused: u64,
    /// The same by status; 0 where the connection ended or nothing came.
    pub refusals: BTreeMap<u16, u64>,
    /// From when a request was, or should have been, sent to its answer.
    pub latency: Latency,
    /// CPU times.
    pub cpu: Vec<Cpu>,
    /// What the nodes counted.
    pub counts: Counts,
    /// What the nodes counted in the whole run.
    pub counts_in_all: Counts,
}

/// Requests, counted and measured.
struct Tally {
    window: Range<u64>,
    acknowledged: u64,
    acknowledged_in_all: u64,
    refused: u64,
    refusals: BTreeMap<u16, u64>,
    latencies: Histogram<u64>,
}

impl Tally {
    /// Takes what became of a request. A closed loop measures what is answered in the window, an open one what should
    /// have been sent in it, so that what a node is late with counts.
    fn take(&mut self, told: Told, intended_ns: u64, at_ns: u64, open: bool) {
        self.acknowledged_in_all += told.acknowledged;
        if self.window.contains(&at_ns) {
            self.acknowledged += told.acknowledged;
        }
        let measured = self.window.contains(if open { &intended_ns } else { &at_ns });
        if measured && told.acknowledged > 0 {
            figures::record(&mut self.latencies, at_ns.saturating_sub(intended_ns));
        }
    }

    fn refuse(&mut self, outcome: &Outcome, count: u64) {
        if self.refused < REFUSALS_SHOWN {
            let text = String::from_utf8_lossy(&outcome.body);
            let status = outcome.status.unwrap_or(0);
            eprintln!("request {} was answered with {status} {text}", outcome.number);
        }
        self.refused += count;
        *self.refusals.entry(outcome.status.unwrap_or(0)).or_default() += count;
    }
}

/// A run that goes on.
struct Drive<'a, W> {
    setting: &'a Setting<'a>,
    workload: &'a mut W,
    poll: Poll,
    timer: Timer,
    writers: Writers,
    /// When each request that is on its way was, or should have been, sent.
    in_flight: HashMap<usize, u64>,
    sent: usize,
    /// The workload had nothing to ask at the last look.
    exhausted: bool,
    tally: Tally,
    began: Instant,
}

/// Asks for all that the workload has, as fast as the pace allows.
///
/// # Errors
/// When a node takes no connection or does not tell its counts.
pub fn drain<W: Workload>(setting: &Setting<'_>, workload: &mut W) -> Result<Driven> {
    Drive::new(setting, workload, 0..u64::MAX)?.run()
}

/// Asks without end until the window is over, which begins after a warm-up.
///
/// # Errors
/// When a node takes no connection or does not tell its counts, or a process is gone.
pub fn measure<W: Workload>(
    setting: &Setting<'_>,
    workload: &mut W,
    warmup: Duration,
    window: Duration,
) -> Result<Driven> {
    let start_ns = warmup.as_nanos() as u64;
    Drive::new(setting, workload, start_ns..start_ns + window.as_nanos() as u64)?.run()
}

impl<'a, W: Workload> Drive<'a, W> {
    fn new(setting: &'a Setting<'a>, workload: &'a mut W, window: Range<u64>) -> Result<Self> {
        let poll = Poll::new()?;
        let timer = Timer::register(&poll, TIMER)?;
        Ok(Self {
            setting,
            workload,
            timer,
            writers: Writers::new(setting.nodes.to_vec(), 0),
            poll,
            in_flight: HashMap::new(),
            sent: 0,
            exhausted: false,
            tally: Tally {
                window,
                acknowledged: 0,
                acknowledged_in_all: 0,
                refused: 0,
                refusals: BTreeMap::new(),
                latencies: figures::histogram()?,
            },
            began: Instant::now(),
        })
    }

    fn run(mut self) -> Result<Driven> {
        let first = self.mark()?;
        self.began = Instant::now();
        let Range { start, end } = self.tally.window;
        let mut events = Events::with_capacity(1024);
        self.work_until(start, &mut events)?;
        let before = self.mark()?;
        self.work_until(end, &mut events)?;
        let ended = self.now_ns().min(end);
        let after = self.mark()?;
        self.finish(&mut events)?;
        let last = self.mark()?;
        let Tally { acknowledged, acknowledged_in_all, refused, .. } = self.tally;
        Ok(Driven {
            seconds: ended.saturating_sub(start) as f64 / 1e9,
            acknowledged,
            acknowledged_in_all,
            refused,
            refusals: self.tally.refusals,
            latency: Latency::of(&self.tally.latencies),
            cpu: before.cpu.until(&after.cpu, self.setting.processes),
            counts: after.counts - before.counts,
            counts_in_all: last.counts - first.counts,
        })
    }

    fn mark(&self) -> Result<Mark> {
        let counts = node_counts::of_all(self.setting.nodes)?;
        Ok(Mark { cpu: CpuMark::now(self.setting.processes)?, counts })
    }

    fn now_ns(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// Goes on until then, or until there is nothing more to ask.
    fn work_until(&mut self, until_ns: u64, events: &mut Events) -> Result<()> {
        loop {
            let now_ns = self.now_ns();
            let is_done = self.exhausted && self.in_flight.is_empty();
            if now_ns >= until_ns || is_done {
                return Ok(());
            }
            self.ask_what_is_due(now_ns)?;
            self.listen(until_ns, events)?;
        }
    }

    /// Asks for what was due before the end and has found no connection, and waits for what was asked.
    fn finish(&mut self, events: &mut Events) -> Result<()> {
        let give_up_ns = self.now_ns() + PATIENCE_NS;
        let end_ns = self.tally.window.end;
        let is_behind = |drive: &Self| {
            let due_ns = drive.scheduled_ns(drive.sent);
            !drive.exhausted && due_ns.is_some_and(|due_ns| due_ns < end_ns)
        };
        while (is_behind(self) || !self.in_flight.is_empty()) && self.now_ns() < give_up_ns {
            if self.setting.pace.rate.is_some() {
                self.ask_what_is_due(end_ns - 1)?;
            }
            self.listen(give_up_ns, events)?;
        }
        for number in std::mem::take(&mut self.in_flight).into_keys() {
            let outcome = Outcome { number, status: None, body: Vec::new() };
            let told = self.workload.answered(&outcome);
            self.tally.refuse(&outcome, told.refused);
        }
        Ok(())
    }

    /// When a request should be sent in an open loop.
    fn scheduled_ns(&self, number: usize) -> Option<u64> {
        self.setting.pace.rate.map(|rate| (number as f64 * 1e9 / rate) as u64)
    }

    fn ask_what_is_due(&mut self, now_ns: u64) -> Result<()> {
        self.exhausted = false;
        while self.in_flight.len() < self.setting.pace.concurrency {
            let number = self.sent;
            let intended_ns = self.scheduled_ns(number).unwrap_or_else(|| self.now_ns());
            if self.setting.pace.rate.is_some() && intended_ns > now_ns {
                return self
                    .timer
                    .set(Duration::from_nanos(intended_ns.saturating_sub(self.now_ns())));
            }
            let Some(ask) = self.workload.next(number) else {
                self.exhausted = true;
                return Ok(());
            };
            self.sent += 1;
            self.in_flight.insert(number, intended_ns);
            let now_ns = self.now_ns();
            let ended = self.writers.send(&self.poll, ask.node, number, &ask.bytes, now_ns)?;
            if let Some(outcome) = ended {
                self.answer(&outcome, now_ns);
            }
        }
        Ok(())
    }

    /// Sleeps until something happens, but not long, and takes the answers that came.
    fn listen(&mut self, until_ns: u64, events: &mut Events) -> Result<()> {
        let left_ns = until_ns.saturating_sub(self.now_ns()).min(LONGEST_SLEEP_NS);
        if let Err(error) = self.poll.poll(events, Some(Duration::from_nanos(left_ns))) {
            if error.kind() == std::io::ErrorKind::Interrupted {
                return Ok(());
            }
            return Err(error.into());
        }
        for event in events.iter().filter(|event| event.token() != TIMER) {
            if let Some((outcome, at_ns)) = self.writers.ready(event.token(), self.began) {
                self.answer(&outcome, at_ns);
            }
        }
        Ok(())
    }

    fn answer(&mut self, outcome: &Outcome, at_ns: u64) {
        let intended_ns = self.in_flight.remove(&outcome.number).unwrap_or(at_ns);
        let told = self.workload.answered(outcome);
        self.tally.take(told, intended_ns, at_ns, self.setting.pace.rate.is_some());
        if told.refused > 0 {
            self.tally.refuse(outcome, told.refused);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_decides_what_is_measured() {
        let told = Told { acknowledged: 1, refused: 0 };
        let tally = || Tally {
            window: 1_000_000..2_000_000,
            acknowledged: 0,
            acknowledged_in_all: 0,
            refused: 0,
            refusals: BTreeMap::new(),
            latencies: figures::histogram().unwrap(),
        };
        // Asked in the window and answered after it; then asked before it and answered in it.
        let (late, early) = ((1_500_000, 2_500_000), (500_000, 1_200_000));
        for (open, latency_us) in [(true, 1_000), (false, 700)] {
            let mut tally = tally();
            for (intended_ns, at_ns) in [late, early] {
                tally.take(told, intended_ns, at_ns, open);
            }
            assert_eq!((tally.acknowledged, tally.acknowledged_in_all), (1, 2));
            assert_eq!((tally.latencies.len(), tally.latencies.max()), (1, latency_us), "{open}");
        }
    }
}
