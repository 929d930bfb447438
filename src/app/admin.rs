//! What an operator does with accounts, beside running nodes: only the store of
//! accounts is opened, and nodes read the changes from it.

use std::path::PathBuf;
use std::sync::Arc;

use super::AppError;
use super::sql_stores::{self, AccountPorts};
use crate::adapters::sqlite::Schema;
use crate::adapters::system::{SystemClock, SystemEntropy};
use crate::commands::control_account::{ControlAccount, Decision};
use crate::commands::create_api_key::CreateApiKey;
use crate::domain::problem::Problem;
use crate::settings::{Settings, StoreUrl};

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Order {
    /// Decide over the account that the text names.
    Decide(String, Decision),
    /// Make a key of the server API with this name.
    CreateApiKey(String),
}

/// Does it; returns what to print.
pub async fn run(settings: &Settings, order: Order) -> Result<String, AppError> {
    let creates = matches!(order, Order::CreateApiKey(_));
    let AccountPorts { accounts, control } = open(settings, creates).await?;
    let clock = Arc::new(SystemClock);
    match order {
        Order::Decide(who, decision) => {
            let command = ControlAccount { accounts, control, clock };
            let user = command.run(&who, decision).await.map_err(in_words)?;
            Ok(format!("{}: {} ({})", done(decision), user.username, user.id.0))
        }
        Order::CreateApiKey(name) => {
            let command = CreateApiKey { control, clock, entropy: Arc::new(SystemEntropy) };
            Ok(command.run(&name).await.map_err(in_words)?)
        }
    }
}

/// The store of accounts. A key may be made before the first node starts; apart
/// from that, a file that is not there is a wrong directory.
async fn open(settings: &Settings, create: bool) -> Result<AccountPorts, AppError> {
    if !matches!(settings.accounts.url, StoreUrl::Mysql(_)) {
        check_file(settings, create)?;
    }
    sql_stores::open_accounts(settings).await
}

fn check_file(settings: &Settings, create: bool) -> Result<(), AppError> {
    let path: PathBuf =
        settings.accounts.url.file_or(&settings.data_dir.join(Schema::Accounts.file_name()));
    if create && let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    } else if !path.exists() {
        return Err(format!("there are no accounts: {} does not exist", path.display()).into());
    }
    Ok(())
}

fn done(decision: Decision) -> String {
    match decision {
        Decision::Ban => "banned".to_owned(),
        Decision::Unban => "unbanned".to_owned(),
        Decision::Role(role) => format!("role {}", role.as_str()),
        Decision::Plan(plan) => format!("plan {}", plan.as_str()),
    }
}

/// A problem for somebody at a terminal: what it says, and of which argument.
fn in_words(problem: Problem) -> AppError {
    let mut words = problem.detail;
    for error in problem.errors {
        words = format!("{words} {}: {}", error.field, error.detail);
    }
    words.into()
}
