//! The command line: arguments to settings to app to exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use carillon::settings::{Settings, Sources};
use carillon::{app, telemetry};
use clap::{Args, Parser, Subcommand};

/// A self-hosted, durable WebSocket realtime notification hub.
#[derive(Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArguments,
}

#[derive(Subcommand)]
enum Command {
    /// Run a node (the default).
    Serve(ServeArguments),
}

#[derive(Args)]
struct ServeArguments {
    /// A file of settings: TOML, JSON or YAML.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen, as ADDRESS:PORT.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where the embedded databases are kept.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let arguments = match cli.command {
        Some(Command::Serve(arguments)) => arguments,
        None => cli.serve,
    };
    let sources = Sources {
        file: arguments.config,
        // A name or value that is not Unicode cannot be a setting.
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        listen: arguments.listen,
        data: arguments.data,
    };
    let settings = match Settings::load(&sources) {
        Ok(settings) => settings,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::from(2);
        }
    };
    telemetry::start(&settings.log);
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(app::AppError::from)
        .and_then(|runtime| runtime.block_on(app::serve(settings)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("carillon: {error}");
            ExitCode::FAILURE
        }
    }
}
