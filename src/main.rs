//! The command line: arguments to settings to app to exit code.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use carillon::app::admin::Order;
use carillon::commands::control_account::Decision;
use carillon::domain::account::{Plan, Role};
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
    /// Fill an empty data directory with a small lively community.
    SeedDemo(DataArguments),
    /// Decide over accounts and keys, beside running nodes, which act on it within a second.
    Admin(AdminArguments),
}

#[derive(Args)]
struct DataArguments {
    /// A file of settings: TOML, JSON or YAML.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the embedded databases are kept.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Args)]
struct AdminArguments {
    #[command(subcommand)]
    order: AdminOrder,
    /// A file of settings: TOML, JSON or YAML.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Where the embedded databases are kept.
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
}

/// USER is a number, an email address or a user name; digits alone are a number.
#[derive(Subcommand)]
enum AdminOrder {
    /// Close an account: its sessions and sockets end, and it cannot log in.
    Ban {
        /// A number, an email address or a user name.
        user: String,
    },
    /// Open an account again.
    Unban {
        /// A number, an email address or a user name.
        user: String,
    },
    /// Give an account a plan.
    SetPlan {
        /// A number, an email address or a user name.
        user: String,
        /// The plan.
        #[arg(value_parser = ["free", "pro", "enterprise"])]
        plan: String,
    },
    /// Give an account a role.
    SetRole {
        /// A number, an email address or a user name.
        user: String,
        /// The role.
        #[arg(value_parser = ["member", "moderator", "admin"])]
        role: String,
    },
    /// Make a key of the server API and print it, once.
    CreateApiKey {
        /// What it is for.
        name: String,
    },
}

impl From<AdminOrder> for Order {
    fn from(order: AdminOrder) -> Self {
        match order {
            AdminOrder::Ban { user } => Self::Decide(user, Decision::Ban),
            AdminOrder::Unban { user } => Self::Decide(user, Decision::Unban),
            AdminOrder::SetPlan { user, plan } => {
                Self::Decide(user, Decision::Plan(Plan::from_stored(&plan)))
            }
            AdminOrder::SetRole { user, role } => {
                Self::Decide(user, Decision::Role(Role::from_stored(&role)))
            }
            AdminOrder::CreateApiKey { name } => Self::CreateApiKey(name),
        }
    }
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

/// What the program is to do once the settings are read.
enum Task {
    Serve,
    SeedDemo,
    Admin(Order),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let (arguments, task) = match cli.command {
        None => (cli.serve, Task::Serve),
        Some(Command::Serve(arguments)) => (arguments, Task::Serve),
        Some(Command::SeedDemo(DataArguments { config, data })) => {
            (ServeArguments { config, listen: None, data }, Task::SeedDemo)
        }
        Some(Command::Admin(AdminArguments { order, config, data })) => {
            (ServeArguments { config, listen: None, data }, Task::Admin(order.into()))
        }
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
        .and_then(|runtime| runtime.block_on(carry_out(task, settings)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("carillon: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn carry_out(task: Task, settings: Settings) -> Result<(), app::AppError> {
    let mut out = std::io::stdout();
    match task {
        Task::Serve => app::serve(settings).await?,
        Task::SeedDemo => {
            let (people, posts, interactions) = app::seed::seed_demo(&settings).await?;
            let password = app::seed::PASSWORD;
            writeln!(out, "{people} people, {posts} posts, {interactions} interactions")?;
            writeln!(out, "sign in as \"ada\" with the password \"{password}\"")?;
        }
        Task::Admin(order) => writeln!(out, "{}", app::admin::run(&settings, order).await?)?,
    }
    Ok(())
}
