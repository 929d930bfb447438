//! The load generator and benchmark of Carillon.
//!
//! `raw` is the bound: a loop of `send()` on N sockets. `fan_out`, `idle` and others put any server that speaks the
//! client protocol under load, and `bench` runs both against Carillon and the raw loop in turn and compares them. `whole_path` writes
//! over REST and follows every write to every socket. `durable` tells how many durable writes are acknowledged a second.

mod bench;
mod churn;
mod connection;
mod contender;
mod crowd;
mod durable;
mod fan_out;
mod frame;
mod idle;
mod machine;
mod many_channels;
mod measurement;
mod options;
mod pacing;
mod payload;
mod plot;
mod procfs;
mod progress;
mod raw_protocol;
mod raw_server;
mod reader;
mod report;
mod run;
mod sequence;
mod slow_readers;
mod statistics;
mod storm;
mod sweep;
mod table;
mod tally;
mod timer;
mod whole_path;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "carillon-loadtest", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The raw bound: a server that does nothing but send.
    Raw(raw_server::Options),
    /// One publisher, many subscribers of one channel.
    #[command(name = "fan_out", alias = "fan-out")]
    FanOut(fan_out::Options),
    /// Many channels, few subscribers of each, publications to random ones on schedule.
    #[command(name = "many_channels", alias = "many-channels")]
    ManyChannels(many_channels::Options),
    /// Subscribers who never read, among many who do.
    #[command(name = "slow_readers", alias = "slow-readers")]
    SlowReaders(slow_readers::Options),
    /// Fan-out at one rate after the other.
    Sweep(sweep::Options),
    /// What an idle connection costs the server in memory.
    Idle(idle::Options),
    /// Everybody comes back at once, and recovers what was missed.
    Storm(storm::Options),
    /// Subscribing and unsubscribing, on schedule.
    Churn(churn::Options),
    /// Writes over REST at all nodes, and how long they take to every socket.
    #[command(name = "whole_path", alias = "whole-path")]
    WholePath(whole_path::Options),
    /// What durable writing bears, and how the projection follows.
    Durable(durable::Options),
    /// Carillon against the raw bound, in interleaved pairs.
    Bench(bench::Options),
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    machine::raise_open_files()?;
    match arguments.command {
        Command::Raw(options) => raw_server::serve(&options),
        Command::FanOut(options) => fan_out::command(&options),
        Command::ManyChannels(options) => many_channels::command(&options),
        Command::SlowReaders(options) => slow_readers::command(&options),
        Command::Sweep(options) => sweep::command(&options),
        Command::Idle(options) => idle::command(&options),
        Command::Storm(options) => storm::command(&options),
        Command::Churn(options) => churn::command(&options),
        Command::WholePath(options) => whole_path::command(&options),
        Command::Durable(options) => durable::command(&options),
        Command::Bench(options) => bench::command(&options),
    }
}
