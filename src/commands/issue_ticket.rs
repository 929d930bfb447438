//! Gives out a connection ticket: a secret that may be shown where a session
//! token should not, since it works once and briefly.

use std::sync::Arc;
use std::time::Duration;

use super::tokens;
use crate::domain::account::{SignedIn, TICKET_PREFIX, TokenHash};
use crate::domain::problem::Problem;
use crate::domain::time::Timestamp;
use crate::ports::accounts::Accounts;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;

/// The command.
pub struct IssueTicket {
    /// Where tickets are kept.
    pub accounts: Arc<dyn Accounts>,
    /// Dates the ticket.
    pub clock: Arc<dyn Clock>,
    /// Makes the secret.
    pub entropy: Arc<dyn Entropy>,
    /// How long a ticket lasts.
    pub ttl: Duration,
}

impl IssueTicket {
    /// A ticket for the session that asks, and when it stops working.
    pub async fn run(&self, caller: &SignedIn) -> Result<(String, Timestamp), Problem> {
        let ticket = tokens::mint(TICKET_PREFIX, &*self.entropy);
        let expires_at = self.clock.now().plus(self.ttl);
        self.accounts
            .issue_ticket(&TokenHash::of(&ticket), &caller.session.token, expires_at)
            .await?;
        Ok((ticket, expires_at))
    }
}
