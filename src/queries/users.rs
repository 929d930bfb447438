//! Users as others see them, with who follows whom.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::account::User;
use crate::domain::ids::UserId;
use crate::domain::page::{Cursor, Page};
use crate::domain::problem::Problem;
use crate::domain::time::Timestamp;
use crate::ports::accounts::Accounts;
use crate::ports::marks::{FollowCounts, Marks};

/// An account as others see it. Serialised it is the resource of the API.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserView {
    /// The number of the account.
    pub id: UserId,
    /// The unique name.
    pub username: String,
    /// The name to show.
    pub display_name: String,
    /// Empty if not given.
    pub first_name: String,
    /// Empty if not given.
    pub last_name: String,
    /// When it was registered.
    pub created_at: Timestamp,
    /// How many follow the user.
    pub followers: u64,
    /// How many the user follows.
    pub following: u64,
}

impl UserView {
    /// An account with its follow counts.
    pub fn of(user: &User, counts: FollowCounts) -> Self {
        Self {
            id: user.id,
            username: user.username.clone(),
            display_name: user.display_name(),
            first_name: user.first_name.clone(),
            last_name: user.last_name.clone(),
            created_at: user.created_at,
            followers: counts.followers,
            following: counts.following,
        }
    }
}

/// Which way a list of follows is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Who follow the user.
    Followers,
    /// Whom the user follows.
    Following,
}

/// Reads users.
pub struct Users {
    /// Where accounts are kept.
    pub accounts: Arc<dyn Accounts>,
    /// Who follows whom.
    pub marks: Arc<dyn Marks>,
}

impl Users {
    /// One user, whose account is open.
    pub async fn one(&self, id: UserId) -> Result<UserView, Problem> {
        let user = self.accounts.user(id).await?.filter(|user| user.is_active);
        let user = user.ok_or_else(|| Problem::not_found("user"))?;
        Ok(UserView::of(&user, self.counts(id).await?))
    }

    /// The follow counts of one user.
    pub async fn counts(&self, id: UserId) -> Result<FollowCounts, Problem> {
        Ok(self.marks.follow_counts(&[id]).await?.get(&id).copied().unwrap_or_default())
    }

    /// Who follow a user, or whom the user follows, latest first. Closed accounts are left out, so
    /// that a part may hold fewer than asked for although there is a next one.
    pub async fn follows(
        &self,
        id: UserId,
        direction: Direction,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<UserView>, Problem> {
        self.one(id).await?;
        let rows = match direction {
            Direction::Followers => self.marks.followers(id, after, limit + 1).await?,
            Direction::Following => self.marks.following(id, after, limit + 1).await?,
        };
        let place = |(user, at): &(UserId, Timestamp)| Cursor { at: *at, id: user.to_string() };
        let Page { items, next } = Page::of(rows, limit, place);
        let ids: Vec<_> = items.into_iter().map(|(user, _)| user).collect();
        let users = self.accounts.users(&ids).await?.into_iter().filter(|user| user.is_active);
        let users: HashMap<_, _> = users.map(|user| (user.id, user)).collect();
        let counts = self.marks.follow_counts(&ids).await?;
        let view = |id: &UserId| {
            Some(UserView::of(users.get(id)?, counts.get(id).copied().unwrap_or_default()))
        };
        Ok(Page { items: ids.iter().filter_map(view).collect(), next })
    }
}
