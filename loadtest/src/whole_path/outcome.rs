//! What a run of the whole path found, as JSON and as Markdown tables.

use crate::whole_path::Options;
use crate::whole_path::ledger::Faults;
use crate::whole_path::run::Finished;
use crate::whole_path::workload::Mix;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;

/// The targets: the median and the 99th percentile of deliveries, and the limit of the 95th, in milliseconds.
const TARGETS_MS: [(&str, f64); 3] = [("p50", 8.0), ("p95", 200.0), ("p99", 40.0)];

/// Latencies from the intended time of the write, in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    /// To what.
    pub to: &'static str,
    /// How many were measured.
    pub count: u64,
    /// The median.
    pub p50_ms: f64,
    /// The 95th percentile.
    pub p95_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Latency {
    fn of(to: &'static str, microseconds: &Histogram<u64>) -> Self {
        let ms = |quantile| microseconds.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            to,
            count: microseconds.len(),
            p50_ms: ms(0.5),
            p95_ms: ms(0.95),
            p99_ms: ms(0.99),
            max_ms: microseconds.max() as f64 / 1e3,
        }
    }
}

/// CPU time of a process and its descendants in the window.
#[derive(Debug, Clone, Serialize)]
pub struct Cpu {
    /// Which process.
    pub process: String,
    /// User and system time, in seconds.
    pub seconds: f64,
    /// Of one core, in percent of the window.
    pub core_percent: f64,
}

/// Figures of one run. Latencies and CPU are of the measured window, counts of the whole run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Connected users, a socket each.
    pub users: usize,
    /// How many nodes they were connected to.
    pub nodes: usize,
    /// Accounts that they shared.
    pub accounts: usize,
    /// Writes a second that were intended.
    pub rate: f64,
    /// What was written, of a hundred.
    pub mix: Mix,
    /// Seed of the plan.
    pub seed: u64,
    /// Length of the window, in seconds.
    pub seconds: f64,
    /// Load average before the run.
    pub load_average_before: Option<f64>,
    /// Writes that were sent.
    pub writes: usize,
    /// Writes that were acknowledged.
    pub acknowledged: usize,
    /// Deliveries that came.
    pub deliveries: u64,
    /// Deliveries a second of the window.
    pub deliveries_per_second: f64,
    /// Connections that writes were sent on.
    pub write_connections: usize,
    /// How long after the window everything had come, in seconds.
    pub drained_seconds: f64,
    /// Latencies: to the answer, to every delivery, and to deliveries of each kind of channel.
    pub latencies: Vec<Latency>,
    /// CPU times.
    pub cpu: Vec<Cpu>,
    /// Refusals by status; 0 where the connection ended.
    pub refusals: BTreeMap<u16, u64>,
    /// What went wrong.
    pub faults: Faults,
}

impl Report {
    /// Of a run that is over.
    pub fn new(
        options: &Options,
        seed: u64,
        load_average_before: Option<f64>,
        finished: &Finished,
    ) -> Self {
        let (start, end, ledger) = (&finished.start, &finished.end, &finished.ledger);
        let seconds = (end.at_ns - start.at_ns) as f64 / 1e9;
        let cpu = |process: &str, before: f64, after: f64| Cpu {
            process: process.to_owned(),
            seconds: after - before,
            core_percent: (after - before) / seconds * 100.0,
        };
        let processes = start.processes.iter().zip(&end.processes);
        let mut cpus: Vec<_> =
            processes.map(|((name, before), (_, after))| cpu(name, *before, *after)).collect();
        cpus.push(cpu("this generator", start.generator, end.generator));
        let named = ledger.latencies.named();
        let latencies = named.map(|(to, latencies)| Latency::of(to, latencies)).to_vec();
        Self {
            users: options.users,
            nodes: options.node.len(),
            accounts: options.accounts,
            rate: options.rate,
            mix: options.mix,
            seed,
            seconds,
            load_average_before,
            writes: ledger.writes(),
            acknowledged: ledger.acknowledged(),
            deliveries: ledger.deliveries,
            deliveries_per_second: (end.deliveries - start.deliveries) as f64 / seconds,
            write_connections: finished.writers,
            drained_seconds: finished.drained_ns as f64 / 1e9,
            latencies,
            cpu: cpus,
            refusals: finished.refusals.clone(),
            faults: ledger.close(),
        }
    }

    /// Prints tables that can stand in a README.
    pub fn print(&self) {
        let load = self
            .load_average_before
            .map_or_else(String::new, |load| format!(", load average {load:.1} at the start"));
        println!(
            "{} users over {} nodes, {:.0} writes/s for {:.0} s, seed {}{load}: {} writes, {} acknowledged, {} deliveries \
             ({:.0}/s), all there {:.2} s after the last write.\n",
            self.users,
            self.nodes,
            self.rate,
            self.seconds,
            self.seed,
            self.writes,
            self.acknowledged,
            self.deliveries,
            self.deliveries_per_second,
            self.drained_seconds,
        );
        println!(
            "| from the intended time of a write to | p50 (ms) | p95 (ms) | p99 (ms) | max (ms) | measured |"
        );
        println!("|---|---|---|---|---|---|");
        for Latency { to, count, p50_ms, p95_ms, p99_ms, max_ms } in &self.latencies {
            println!("| {to} | {p50_ms:.2} | {p95_ms:.2} | {p99_ms:.2} | {max_ms:.2} | {count} |");
        }
        println!("\n| process | CPU (s) | of a core |");
        println!("|---|---|---|");
        for Cpu { process, seconds, core_percent } in &self.cpu {
            println!("| {process} | {seconds:.2} | {core_percent:.0} % |");
        }
        println!("\n| target, to every socket | measured | reached |");
        println!("|---|---|---|");
        for (name, limit, figure) in self.targets() {
            let reached = if figure <= limit { "yes" } else { "**no**" };
            println!("| {name} at most {limit:.0} ms | {figure:.2} ms | {reached} |");
        }
        println!("\nfaults: {:?}", self.faults);
        if !self.refusals.is_empty() {
            println!("refusals by status: {:?}", self.refusals);
        }
    }

    /// Name, limit and figure of each target.
    fn targets(&self) -> impl Iterator<Item = (&'static str, f64, f64)> {
        let delivered = self.latencies.iter().find(|latency| latency.to == "every socket");
        let figures = delivered.map_or([0.0; 3], |l| [l.p50_ms, l.p95_ms, l.p99_ms]);
        TARGETS_MS.into_iter().zip(figures).map(|((name, limit), figure)| (name, limit, figure))
    }
}
