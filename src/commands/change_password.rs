//! Changes a password, which ends all sessions of the account.

use std::sync::Arc;

use super::passwords::Passwords;
use super::register_user::check_password;
use super::validation::Faults;
use crate::domain::account::User;
use crate::domain::problem::{Problem, ProblemKind};
use crate::ports::accounts::Accounts;
use crate::ports::clock::Clock;

/// The command.
pub struct ChangePassword {
    /// Where accounts are kept.
    pub accounts: Arc<dyn Accounts>,
    /// Checks the old password and hashes the new one.
    pub passwords: Arc<Passwords>,
    /// Dates the change.
    pub clock: Arc<dyn Clock>,
}

impl ChangePassword {
    /// Sets the password of whoever asks to `new`, if `current` is the one it
    /// had. All sessions end, the one that asks included: whoever else knew the
    /// old password is out. The caller closes the sockets.
    pub async fn run(&self, user: &User, current: String, new: String) -> Result<(), Problem> {
        let mut faults = Faults::default();
        faults.check_length("current_password", &current, 1, 256);
        check_password(&mut faults, "new_password", &new);
        faults.into_result()?;
        let credentials = self.accounts.credentials(&user.email).await?;
        // The address may have become another's since the session was read.
        let credentials = credentials.filter(|(found, _)| found.id == user.id);
        if !self.passwords.verify(current, credentials.map(|(_, hash)| hash)).await? {
            let detail = "The current password is wrong.";
            return Err(Problem::new(ProblemKind::Forbidden, "wrong_password", detail));
        }
        let hash = self.passwords.hash(new).await?;
        Ok(self.accounts.set_password(user.id, &hash, self.clock.now()).await?)
    }
}
