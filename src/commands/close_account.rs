//! Closes an account at its owner's wish.

use std::sync::Arc;

use crate::domain::ids::UserId;
use crate::domain::problem::Problem;
use crate::ports::account_control::AccountControl;
use crate::ports::clock::Clock;

/// The command.
pub struct CloseAccount {
    /// Decides over accounts.
    pub control: Arc<dyn AccountControl>,
    /// Dates the end.
    pub clock: Arc<dyn Clock>,
}

impl CloseAccount {
    /// Closes the account of whoever asks and ends its sessions. What was
    /// written stays; an operator can open the account again. The caller closes
    /// the sockets.
    pub async fn run(&self, user: UserId) -> Result<(), Problem> {
        // False where there is no such account any more, which is what was asked for.
        self.control.set_active(user, false, false, self.clock.now()).await?;
        Ok(())
    }
}
