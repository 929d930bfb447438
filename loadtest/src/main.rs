//! The load generator and benchmark of Carillon.
//!
//! `raw` is the bound: a loop of `send()` on N sockets. `fan_out` and `idle` put any server that speaks the client
//! protocol under load, and `bench` runs both against Carillon and the raw loop in turn and compares them. `whole_path` writes
//! over REST and follows every write to every socket. `durable` tells how many durable writes are acknowledged a second.

mod bench;
mod churn;
mod connection;
mod contender;
mod durable;
mod fan_out;
mod frame;
mod idle;
mod machine;
mod measurement;
mod pacing;
mod payload;
mod procfs;
mod raw_protocol;
mod raw_server;
mod reader;
mod report;
mod sequence;
mod statistics;
mod storm;
mod table;
mod tally;
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
        Command::Idle(options) => idle::command(&options),
        Command::Storm(options) => storm::command(&options),
        Command::Churn(options) => churn::command(&options),
        Command::WholePath(options) => whole_path::command(&options),
        Command::Durable(options) => durable::command(&options),
        Command::Bench(options) => bench::command(&options),
    }
}
