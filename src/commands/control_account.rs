//! What an operator decides over an account.

use std::sync::Arc;

use crate::domain::account::{Plan, Role, User};
use crate::domain::ids::UserId;
use crate::domain::problem::Problem;
use crate::ports::StoreError;
use crate::ports::account_control::AccountControl;
use crate::ports::accounts::Accounts;
use crate::ports::clock::Clock;

/// A decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The account is closed and its sessions end.
    Ban,
    /// The account is opened again, whoever closed it.
    Unban,
    /// It has this role.
    Role(Role),
    /// It has this plan.
    Plan(Plan),
}

/// The command.
pub struct ControlAccount {
    /// Finds the account.
    pub accounts: Arc<dyn Accounts>,
    /// Carries the decision out.
    pub control: Arc<dyn AccountControl>,
    /// Dates it.
    pub clock: Arc<dyn Clock>,
}

impl ControlAccount {
    /// Decides over the account that `who` names: a number, a mail address or a
    /// user name. Digits alone are always a number, so that nobody can take a
    /// name which stands for another's account.
    pub async fn run(&self, who: &str, decision: Decision) -> Result<User, Problem> {
        let who = who.trim();
        let unknown = || Problem::not_found(&format!("account: {who:?}"));
        let user = self.find(who).await?.ok_or_else(unknown)?;
        let (id, now) = (user.id, self.clock.now());
        let known = match decision {
            Decision::Ban => self.control.set_active(id, false, true, now).await?,
            Decision::Unban => self.control.set_active(id, true, true, now).await?,
            Decision::Role(role) => self.control.set_role(id, role, now).await?,
            Decision::Plan(plan) => self.control.set_plan(id, plan, now).await?,
        };
        if known { Ok(user) } else { Err(unknown()) }
    }

    async fn find(&self, who: &str) -> Result<Option<User>, StoreError> {
        if !who.is_empty() && who.bytes().all(|b| b.is_ascii_digit()) {
            return match who.parse() {
                Ok(id) => self.accounts.user(UserId(id)).await,
                // Greater than any number that is given out.
                Err(_) => Ok(None),
            };
        }
        Ok(self.accounts.credentials(who).await?.map(|(user, _)| user))
    }
}
