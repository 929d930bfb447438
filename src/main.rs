//! The command line: arguments to settings to app to exit code.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use carillon::app::admin::Order;
use carillon::app::audit::Rebuild;
use carillon::app::tokens::Wanted;
use carillon::commands::control_account::Decision;
use carillon::domain::account::{Plan, Role};
use carillon::settings::{Settings, Sources};
use carillon::{app, telemetry};
use clap::{Args, Parser, Subcommand, ValueEnum};

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
    /// Bring the schemas of all stores up to date, and say what was missing.
    Migrate(DataArguments),
    /// Look at all stores and say how they are: 0 all well, 1 a node cannot work with one, 2 one does not answer.
    Doctor(DoctorArguments),
    /// Compare the event log with the analytics, the counts and the content, beside running nodes: 0 nothing differs,
    /// 1 something does, 2 that cannot be said.
    Audit(AuditArguments),
    /// Make anew what follows from the event log and the documents.
    Rebuild(RebuildArguments),
    /// Print a JWT that a node with these settings takes, to try things out; it is signed with
    /// client.token.hmac_secret_key.
    Token(TokenArguments),
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
struct DoctorArguments {
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataArguments,
}

#[derive(Args)]
struct AuditArguments {
    /// Print JSON instead of a list.
    #[arg(long)]
    json: bool,
    /// Repair what can be repaired without guessing, and compare again.
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    data: DataArguments,
}

#[derive(Args)]
struct RebuildArguments {
    /// What to make anew.
    #[arg(value_enum)]
    what: Rebuilt,
    #[command(flatten)]
    data: DataArguments,
}

#[derive(Clone, Copy, ValueEnum)]
enum Rebuilt {
    /// The projection of the event log, emptied before.
    Analytics,
    /// The counts of posts and of followers, from the documents.
    Counters,
    /// The trending tallies, from the event log.
    Trending,
}

impl From<Rebuilt> for Rebuild {
    fn from(what: Rebuilt) -> Self {
        match what {
            Rebuilt::Analytics => Self::Analytics,
            Rebuilt::Counters => Self::Counters,
            Rebuilt::Trending => Self::Trending,
        }
    }
}

#[derive(Args)]
struct TokenArguments {
    /// Whose token it is; "" for an anonymous user.
    #[arg(long, value_name = "ID")]
    user: String,
    /// How long it is good, such as 90s or 1h30m.
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
    ttl: Duration,
    /// Make a subscription token, for this channel.
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// What others may know about the connection, or the subscription: any JSON.
    #[arg(long, value_name = "JSON", value_parser = parse_json)]
    info: Option<serde_json::Value>,
    #[command(flatten)]
    data: DataArguments,
}

fn parse_json(text: &str) -> Result<serde_json::Value, serde_json::Error> {
    serde_json::from_str(text)
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
    Migrate,
    Doctor { json: bool },
    Audit { json: bool, repair: bool },
    Rebuild(Rebuild),
    Token(Wanted),
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
        Some(Command::Migrate(DataArguments { config, data })) => {
            (ServeArguments { config, listen: None, data }, Task::Migrate)
        }
        Some(Command::Doctor(DoctorArguments { json, data: DataArguments { config, data } })) => {
            (ServeArguments { config, listen: None, data }, Task::Doctor { json })
        }
        Some(Command::Audit(AuditArguments {
            json,
            repair,
            data: DataArguments { config, data },
        })) => (ServeArguments { config, listen: None, data }, Task::Audit { json, repair }),
        Some(Command::Rebuild(RebuildArguments { what, data: DataArguments { config, data } })) => {
            (ServeArguments { config, listen: None, data }, Task::Rebuild(what.into()))
        }
        Some(Command::Token(TokenArguments { user, ttl, channel, info, data })) => {
            let DataArguments { config, data } = data;
            let wanted = Wanted { user, ttl, channel, info };
            (ServeArguments { config, listen: None, data }, Task::Token(wanted))
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
        .and_then(|runtime| {
            let outcome = runtime.block_on(carry_out(task, settings));
            // What was worth waiting for is done; looking up the name of a host may take much longer.
            runtime.shutdown_background();
            outcome
        });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("carillon: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn carry_out(task: Task, settings: Settings) -> Result<ExitCode, app::AppError> {
    let mut out = std::io::stdout();
    match task {
        Task::Serve => app::serve(settings).await?,
        Task::SeedDemo => {
            let (people, posts, interactions) = app::seed::seed_demo(&settings).await?;
            let password = app::seed::PASSWORD;
            writeln!(out, "{people} people, {posts} posts, {interactions} interactions")?;
            writeln!(out, "sign in as \"ada\" with the password \"{password}\"")?;
        }
        Task::Migrate => app::migrate::run(&settings, &mut out).await?,
        Task::Doctor { json } => {
            let told = app::doctor::run(&settings, json).await;
            write!(out, "{}", told.report)?;
            return Ok(told.code.into());
        }
        Task::Audit { json, repair } => {
            let told = app::audit::run(&settings, repair, json).await;
            write!(out, "{}", told.report)?;
            return Ok(told.code.into());
        }
        Task::Rebuild(what) => {
            writeln!(out, "{}", app::audit::rebuild(&settings, what).await?)?;
        }
        Task::Token(wanted) => writeln!(out, "{}", app::tokens::make(&settings, &wanted)?)?,
        Task::Admin(order) => writeln!(out, "{}", app::admin::run(&settings, order).await?)?,
    }
    Ok(ExitCode::SUCCESS)
}
