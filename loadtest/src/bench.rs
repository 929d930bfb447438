//! The benchmark: every measurement of every contender once a round, in random order, server and client on a core each.

use crate::contender::{Contender, Launch};
use crate::fan_out;
use crate::measurement::{Measurement, RAW, Scale};
use crate::options::{Destination, Output};
use crate::pacing::Pace;
use crate::report::write_json;
use crate::table::{self, Comparison, Series};
use crate::{machine, procfs};
use anyhow::{Context, Result, ensure};
use clap::Args;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::Serialize;
use std::path::PathBuf;

/// Arguments of `bench`.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// The Carillon binary; without it, the one beside this program.
    #[arg(long)]
    pub carillon: Option<PathBuf>,
    /// Instead of Carillon, measure the raw loop against itself: what this machine's noise does to a ratio.
    #[arg(long, conflicts_with = "carillon")]
    pub control: bool,
    /// How many rounds; each gives one pair.
    #[arg(long, default_value_t = 7)]
    pub pairs: usize,
    /// Two short rounds, to see that everything runs; not for figures.
    #[arg(long)]
    pub quick: bool,
    /// Another server to start: NAME=COMMAND with {port} in it, and {push_bytes} if it can choose that.
    #[arg(long = "command", value_parser = Contender::parse_command)]
    pub commands: Vec<Contender>,
    /// Other servers that run already: NAME=PID@URL.
    #[arg(long, value_delimiter = ',', value_parser = Contender::parse_url)]
    pub urls: Vec<Contender>,
    /// Seed of the order; a random one otherwise.
    #[arg(long)]
    pub seed: Option<u64>,
    /// The client never sleeps.
    #[arg(long)]
    pub spin: bool,
    /// Also write all figures and reports to this file.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

#[derive(Serialize)]
struct Results {
    seed: u64,
    pairs: usize,
    scale: Scale,
    push_bytes: usize,
    comparisons: Vec<Comparison>,
    measurements: Vec<Measured>,
}

#[derive(Serialize)]
struct Measured {
    measurement: Measurement,
    series: Vec<Series>,
}

struct Bench {
    contenders: Vec<Contender>,
    cores: (usize, usize),
    scale: Scale,
    push_bytes: usize,
    rng: StdRng,
}

/// Runs `bench` from the command line.
///
/// # Errors
/// When a server does not start, or any sample was faulty.
pub fn command(options: &Options) -> Result<()> {
    let seed = options.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let mut scale = if options.quick { Scale::QUICK } else { Scale::FULL };
    scale.spin = options.spin;
    let pairs = if options.quick { 2 } else { options.pairs };
    let mut bench = Bench {
        contenders: contenders(options)?,
        cores: machine::two_cores()?,
        scale,
        push_bytes: 0,
        rng: StdRng::seed_from_u64(seed),
    };
    let (server, client) = bench.cores;
    println!("seed {seed}, {pairs} pairs, server on core {server}, client on core {client}");
    if let Some(load) = procfs::load_average() {
        println!(
            "load average {load:.2} before the start: what is not near 0 disturbs the figures"
        );
    }
    bench.push_bytes = bench.find_push_bytes()?;
    println!(
        "push messages of {} have {} bytes, and the raw loop's are padded to it\n",
        bench.contenders[0].name, bench.push_bytes
    );
    let measurements = bench.measure(pairs)?;
    let subject = bench.contenders[0].name.clone();
    let comparisons: Vec<Comparison> = measurements
        .iter()
        .flat_map(|measured| table::compare(measured.measurement, &measured.series))
        .collect();
    println!("\n{}", table::comparisons(&subject, &comparisons));
    println!("{}", table::targets(&subject, &comparisons));
    let faulty: usize =
        measurements.iter().flat_map(|measured| &measured.series).map(|series| series.faulty).sum();
    let results =
        Results { seed, pairs, scale, push_bytes: bench.push_bytes, comparisons, measurements };
    println!("{}", serde_json::to_string(&results.comparisons)?);
    if let Some(path) = &options.json {
        write_json(path, &results)?;
    }
    ensure!(
        faulty == 0,
        "{faulty} samples lost, repeated or disordered deliveries: these are no results"
    );
    Ok(())
}

/// The subject first, then the raw loop, then whoever else is to be compared.
fn contenders(options: &Options) -> Result<Vec<Contender>> {
    let subject = if options.control {
        Contender::raw("raw again")
    } else {
        let path = match &options.carillon {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("carillon"),
        };
        ensure!(
            path.is_file(),
            "there is no Carillon at {}: build it, or say --carillon or --control",
            path.display()
        );
        Contender { name: "carillon".to_owned(), launch: Launch::Carillon(path) }
    };
    let others = options.commands.iter().chain(&options.urls).cloned();
    Ok([subject, Contender::raw(RAW)].into_iter().chain(others).collect())
}

impl Bench {
    /// A short run against the subject shows how long its pushes are.
    fn find_push_bytes(&self) -> Result<usize> {
        let subject = &self.contenders[0];
        machine::pin(self.cores.0)?;
        let server = subject.start(Measurement::CpuPerDelivery.start(0))?;
        machine::pin(self.cores.1)?;
        let report = fan_out::run(&fan_out::Options {
            server: Destination::open(&server.url),
            subscribers: 2,
            channel: "bench:all".to_owned(),
            payload_bytes: 128,
            pace: Pace::in_flight(1),
            seconds: 0.2,
            warmup_seconds: 0.0,
            server_pid: None,
            spin: false,
            core: None,
            output: Output::default(),
        })
        .with_context(|| format!("a first short run against {}", subject.name))?;
        ensure!(report.push_bytes > 0, "{} delivered nothing", subject.name);
        Ok(report.push_bytes)
    }

    fn measure(&mut self, pairs: usize) -> Result<Vec<Measured>> {
        let series = |contender: &Contender| Series {
            name: contender.name.clone(),
            figures: Vec::new(),
            reports: Vec::new(),
            faulty: 0,
        };
        let mut measured: Vec<Measured> = Measurement::ALL
            .iter()
            .map(|measurement| Measured {
                measurement: *measurement,
                series: self.contenders.iter().map(series).collect(),
            })
            .collect();
        for round in 1..=pairs {
            for entry in &mut measured {
                let mut order: Vec<usize> = (0..self.contenders.len()).collect();
                order.shuffle(&mut self.rng);
                for index in order {
                    self.sample(round, entry.measurement, &mut entry.series[index], index)?;
                }
            }
        }
        Ok(measured)
    }

    /// Starts a contender afresh, measures it once, and stops it.
    fn sample(
        &self,
        round: usize,
        measurement: Measurement,
        series: &mut Series,
        index: usize,
    ) -> Result<()> {
        let contender = &self.contenders[index];
        // A child inherits the core of the thread that starts it.
        machine::pin(self.cores.0)?;
        let server = contender.start(measurement.start(self.push_bytes))?;
        machine::pin(self.cores.1)?;
        let sample = measurement
            .sample(&server.url, server.pid, &self.scale)
            .with_context(|| format!("{} of {}", measurement.title(), contender.name))?;
        let note = if sample.faulty {
            format!("  FAULTY {}", sample.report["faults"])
        } else {
            String::new()
        };
        println!(
            "round {round}: {:<56} {:<12} {:>14.3} {}{note}",
            measurement.title(),
            contender.name,
            sample.figure,
            measurement.unit()
        );
        series.figures.push(sample.figure);
        series.reports.push(sample.report);
        series.faulty += usize::from(sample.faulty);
        Ok(())
    }
}
