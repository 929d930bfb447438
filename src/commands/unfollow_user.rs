//! Follows a user no longer.

use std::sync::Arc;

use super::deed::Deed;
use super::marking::Marking;
use crate::domain::event::{Fact, Follow};
use crate::domain::ids::UserId;
use crate::domain::mark::Mark;
use crate::domain::problem::Problem;
use crate::ports::accounts::Accounts;

/// The command.
pub struct UnfollowUser {
    /// Where accounts are kept.
    pub accounts: Arc<dyn Accounts>,
    /// Changes the mark.
    pub marking: Arc<Marking>,
}

impl UnfollowUser {
    /// Ends following a user, if the caller does. That works for a closed account, too.
    pub async fn run(&self, deed: &Deed, user: UserId) -> Result<(), Problem> {
        self.accounts.user(user).await?.ok_or_else(|| Problem::not_found("user"))?;
        let fact = |_| Fact::UserUnfollowed(Follow { user });
        self.marking
            .unset(deed, Mark::Follow(user), fact, "unfollow_user.document_written")
            .await
            .map(drop)
    }
}
