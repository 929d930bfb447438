//! What a run with slow readers found, as JSON and as Markdown tables.

use crate::report::DeliveryReport;
use crate::run::MemoryRange;
use serde::Serialize;
use std::collections::BTreeMap;

/// The key of connections that ended without a close frame.
const NO_CLOSE_FRAME: &str = "no close frame";

/// One of the two runs.
#[derive(Debug, Clone, Serialize)]
pub struct Phase {
    /// What those received who read.
    #[serde(flatten)]
    pub delivered: DeliveryReport,
    /// Memory of the server, if its process is known.
    pub memory: Option<MemoryRange>,
}

/// What had become of slow readers when they read at last.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Ended connections by the code of the close frame; `None` where there was none.
    pub closes: BTreeMap<Option<u16>, usize>,
    /// Publications that they found, all together.
    pub deliveries: u64,
}

/// Figures of both runs.
#[derive(Debug, Clone, Serialize)]
pub struct SlowReadersReport {
    /// Without slow readers.
    pub without: Phase,
    /// With them.
    pub with: Phase,
    /// How many slow readers there were.
    pub slow: usize,
    /// How many of them were not closed.
    pub slow_left_open: usize,
    /// How many were closed, by the code.
    pub slow_closed: BTreeMap<String, usize>,
    /// Publications that waited for a slow reader when it read at last, on average.
    pub waiting_per_slow: f64,
}

impl SlowReadersReport {
    /// Of two runs, the second with so many slow readers.
    pub fn new(without: Phase, with: Phase, slow: usize, unread: Unread) -> Self {
        let closed: usize = unread.closes.values().sum();
        let name = |code: Option<u16>| {
            code.map_or_else(|| NO_CLOSE_FRAME.to_owned(), |code| code.to_string())
        };
        Self {
            without,
            with,
            slow,
            slow_left_open: slow - closed,
            slow_closed: unread.closes.iter().map(|(code, count)| (name(*code), *count)).collect(),
            waiting_per_slow: unread.deliveries as f64 / slow as f64,
        }
    }

    /// Prints both runs beside each other, and what became of the slow readers.
    pub fn print(&self) {
        println!("| measured | without slow readers | with {} of them |\n|---|---|---|", self.slow);
        let (without, with) = (self.without.delivered.rows(), self.with.delivered.rows());
        for ((what, without), (_, with)) in without.iter().zip(&with) {
            println!("| {what} | {without} | {with} |");
        }
        let mib = |bytes: u64| format!("{:.1}", bytes as f64 / 1024.0 / 1024.0);
        let memory = |phase: &Phase, of: fn(MemoryRange) -> u64| {
            phase.memory.map_or_else(|| "unknown".to_owned(), |range| mib(of(range)))
        };
        for (what, of) in [
            ("server memory before (MiB)", (|range| range.before) as fn(MemoryRange) -> u64),
            ("server memory at most (MiB)", |range| range.peak),
        ] {
            println!("| {what} | {} | {} |", memory(&self.without, of), memory(&self.with, of));
        }
        println!("\n| slow readers | |\n|---|---|");
        for (code, count) in &self.slow_closed {
            println!("| closed with {code} | {count} |");
        }
        println!("| left open | {} |", self.slow_left_open);
        println!("| publications that waited for each | {:.1} |", self.waiting_per_slow);
        println!("\nfaults without: {:?}", self.without.delivered.faults);
        println!("faults with: {:?}", self.with.delivered.faults);
    }
}
