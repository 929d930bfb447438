//! Follows a user.

use std::sync::Arc;

use super::deed::Deed;
use super::marking::Marking;
use crate::domain::event::{Fact, Follow};
use crate::domain::ids::UserId;
use crate::domain::mark::Mark;
use crate::domain::problem::{Problem, ProblemKind};
use crate::ports::accounts::Accounts;

/// The command.
pub struct FollowUser {
    /// Where accounts are kept.
    pub accounts: Arc<dyn Accounts>,
    /// Changes the mark.
    pub marking: Arc<Marking>,
}

impl FollowUser {
    /// Follows a user, once, however often it is asked.
    pub async fn run(&self, deed: &Deed, user: UserId) -> Result<(), Problem> {
        if user == deed.actor() {
            let detail = "Nobody can follow themselves.";
            return Err(Problem::new(ProblemKind::Invalid, "cannot_follow_yourself", detail));
        }
        let followed = self.accounts.user(user).await?.filter(|user| user.is_active);
        followed.ok_or_else(|| Problem::not_found("user"))?;
        let fact = Fact::UserFollowed(Follow { user });
        self.marking
            .set(deed, Mark::Follow(user), fact, "follow_user.document_written")
            .await
            .map(drop)
    }
}
