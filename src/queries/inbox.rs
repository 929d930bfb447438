//! The inbox, as its owner reads it.

use std::sync::Arc;

use crate::domain::ids::UserId;
use crate::domain::notification::{InboxState, Notification};
use crate::domain::page::{Cursor, Page};
use crate::domain::problem::Problem;
use crate::ports::inbox::Inbox;

/// Reads inboxes.
pub struct InboxReader {
    /// Where inboxes are kept.
    pub inbox: Arc<dyn Inbox>,
}

impl InboxReader {
    /// A part of an inbox, latest first, and what it holds in numbers. What is listed was seen from now on.
    pub async fn list(
        &self,
        user: UserId,
        unread_only: bool,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<(Page<Notification>, InboxState), Problem> {
        let items = self.inbox.list(user, unread_only, after, limit + 1).await?;
        let place = |item: &Notification| Cursor { at: item.created_at, id: item.id.to_string() };
        let page = Page::of(items, limit, place);
        if let Some(latest) = page.items.first().filter(|item| !item.seen && after.is_none()) {
            self.inbox.mark_seen(user, latest).await?;
        }
        Ok((page, self.state(user).await?))
    }

    /// What an inbox holds in numbers.
    pub async fn state(&self, user: UserId) -> Result<InboxState, Problem> {
        Ok(self.inbox.states(&[user]).await?.get(&user).copied().unwrap_or_default())
    }
}
