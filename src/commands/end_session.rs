//! Logs a user out.

use std::sync::Arc;

use crate::domain::account::{SignedIn, TokenHash};
use crate::domain::problem::Problem;
use crate::ports::accounts::Accounts;
use crate::ports::clock::Clock;

/// Which sessions end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The one that asks.
    Current,
    /// All of the user's.
    All,
}

/// The command.
pub struct EndSession {
    /// Where sessions are kept.
    pub accounts: Arc<dyn Accounts>,
    /// Dates the end.
    pub clock: Arc<dyn Clock>,
}

impl EndSession {
    /// Ends sessions of whoever asks; returns which. The caller closes their sockets.
    pub async fn run(&self, caller: &SignedIn, extent: Extent) -> Result<Vec<TokenHash>, Problem> {
        let token = (extent == Extent::Current).then_some(&caller.session.token);
        Ok(self.accounts.revoke_sessions(caller.user.id, token, self.clock.now()).await?)
    }
}
