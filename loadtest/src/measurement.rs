//! What `bench` measures, and the targets of each.

use crate::contender::Start;
use crate::fan_out;
use crate::idle;
use crate::options::{Destination, Output};
use crate::pacing::Pace;
use anyhow::{Context, Result};
use serde::Serialize;

/// What the raw loop is called.
pub const RAW: &str = "raw";
/// What Centrifugo is called.
const CENTRIFUGO: &str = "centrifugo";
/// What the program of Bun is called.
const BUN: &str = "bun";

/// Subscribers of the fan-out measurements.
pub const SUBSCRIBERS: usize = 1_000;

/// One thing that is measured of every contender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measurement {
    /// CPU time of the server for a delivery, one publication in flight.
    CpuPerDelivery,
    /// Deliveries for a CPU second of the server, 16 publications in flight.
    SixteenInFlight,
    /// 99th percentile of the latency at 30 publications a second.
    LatencyAtThirty,
    /// Memory of an idle connection with three subscriptions.
    IdleMemory,
}

/// How long and how large the measurements are.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Scale {
    /// Window of the closed loops, in seconds.
    pub loop_seconds: f64,
    /// Window of the open loop, in seconds.
    pub rate_seconds: f64,
    /// How long to publish before a window.
    pub warmup_seconds: f64,
    /// Connections of the memory measurement.
    pub idle_connections: usize,
    /// Whether the client never sleeps.
    pub spin: bool,
}

impl Scale {
    /// The lengths that results are reported with.
    pub const FULL: Self = Self {
        loop_seconds: 4.0,
        rate_seconds: 10.0,
        warmup_seconds: 1.0,
        idle_connections: 5_000,
        spin: false,
    };
    /// Just enough to see that everything runs.
    pub const QUICK: Self = Self {
        loop_seconds: 1.0,
        rate_seconds: 2.0,
        warmup_seconds: 0.3,
        idle_connections: 500,
        spin: false,
    };
}

/// One figure, and the report that it is from.
pub struct Sample {
    /// The figure, in [`Measurement::unit`].
    pub figure: f64,
    /// Whether deliveries were lost, repeated, late, or the run broke off.
    pub faulty: bool,
    /// The whole report.
    pub report: serde_json::Value,
}

impl Measurement {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 4] =
        [Self::CpuPerDelivery, Self::SixteenInFlight, Self::LatencyAtThirty, Self::IdleMemory];

    /// What the tables call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::CpuPerDelivery => "server CPU a delivery, 1 in flight",
            Self::SixteenInFlight => "deliveries a server CPU second, 16 in flight",
            Self::LatencyAtThirty => "p99 latency, 30 publications/s",
            Self::IdleMemory => "private dirty memory an idle connection, 3 subscriptions",
        }
    }

    /// The unit of its figures.
    pub fn unit(self) -> &'static str {
        match self {
            Self::CpuPerDelivery => "µs",
            Self::SixteenInFlight => "deliveries/s",
            Self::LatencyAtThirty => "ms",
            Self::IdleMemory => "bytes",
        }
    }

    /// Whether the smaller figure is the better one.
    pub fn less_is_better(self) -> bool {
        self != Self::SixteenInFlight
    }

    /// The least median ratio against another contender, if that is a target. Contenders are known by name: the raw
    /// loop, and those that `loadtest/compare` starts.
    pub fn target_ratio(self, reference: &str) -> Option<f64> {
        match (reference, self) {
            (RAW, Self::CpuPerDelivery) => Some(0.90),
            (RAW, Self::SixteenInFlight) => Some(0.85),
            (CENTRIFUGO, Self::CpuPerDelivery | Self::SixteenInFlight) => Some(3.0),
            (CENTRIFUGO, Self::IdleMemory) => Some(5.0),
            (BUN, Self::CpuPerDelivery | Self::SixteenInFlight) => Some(1.0),
            _ => None,
        }
    }

    /// The worst median figure, if that is a target.
    pub fn target_figure(self) -> Option<f64> {
        match self {
            Self::CpuPerDelivery => None,
            Self::SixteenInFlight => Some(1_500_000.0),
            Self::LatencyAtThirty => Some(20.0),
            Self::IdleMemory => Some(3.0 * 1024.0),
        }
    }

    /// How servers are started for it: the raw loop joins what queued only where several may queue.
    pub fn start(self, push_bytes: usize) -> Start {
        Start { coalesce: self == Self::SixteenInFlight, push_bytes }
    }

    /// Measures a running server once.
    ///
    /// # Errors
    /// When the server refuses connections or is gone.
    pub fn sample(self, url: &str, pid: u32, scale: &Scale) -> Result<Sample> {
        if self == Self::IdleMemory {
            let report = idle::run(&idle_options(url, pid, scale))?;
            return Ok(Sample {
                figure: report.bytes_per_connection.private_dirty,
                faulty: false,
                report: serde_json::to_value(&report)?,
            });
        }
        let report = fan_out::run(&self.fan_out_options(url, pid, scale))?;
        let unknown = "the server's CPU time is not known";
        let figure = match self {
            Self::CpuPerDelivery => report.server_cpu_seconds_per_million.context(unknown)?,
            Self::SixteenInFlight => report.deliveries_per_server_cpu_second.context(unknown)?,
            Self::LatencyAtThirty | Self::IdleMemory => report.p99_ms,
        };
        Ok(Sample { figure, faulty: report.faults.any(), report: serde_json::to_value(&report)? })
    }

    fn fan_out_options(self, url: &str, pid: u32, scale: &Scale) -> fan_out::Options {
        let (pace, seconds) = match self {
            Self::CpuPerDelivery | Self::IdleMemory => (Pace::in_flight(1), scale.loop_seconds),
            Self::SixteenInFlight => (Pace::in_flight(16), scale.loop_seconds),
            Self::LatencyAtThirty => (Pace::rate(30.0), scale.rate_seconds),
        };
        fan_out::Options {
            server: Destination::open(url),
            subscribers: SUBSCRIBERS,
            channel: "bench:all".to_owned(),
            payload_bytes: 128,
            pace,
            seconds,
            warmup_seconds: scale.warmup_seconds,
            server_pid: Some(pid),
            spin: scale.spin,
            core: None,
            output: Output::default(),
        }
    }
}

fn idle_options(url: &str, pid: u32, scale: &Scale) -> idle::Options {
    idle::Options {
        server: Destination::open(url),
        connections: scale.idle_connections,
        channels: ["a", "b", "c"].map(|name| format!("bench:{name}")).to_vec(),
        server_pid: pid,
        json: None,
    }
}
