//! Marks items of the inbox as read.

use std::sync::Arc;

use super::committer::Committer;
use super::deed::Deed;
use super::settle::Settle;
use crate::domain::event::{Fact, InboxRead};
use crate::domain::ids::EventId;
use crate::domain::notification::InboxState;
use crate::domain::problem::Problem;
use crate::ports::inbox::Inbox;

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// One item.
    One(EventId),
    /// Everything that the inbox lists.
    All,
}

/// The command.
pub struct ReadNotifications {
    /// Where inboxes are kept.
    pub inbox: Arc<dyn Inbox>,
    /// Commits what an earlier attempt left.
    pub settle: Settle,
    /// Makes the event durable.
    pub committer: Arc<Committer>,
}

impl ReadNotifications {
    /// Marks items of the caller's inbox as read; returns what the inbox holds then.
    pub async fn run(&self, deed: &Deed, reading: Reading) -> Result<InboxState, Problem> {
        let user = deed.actor();
        loop {
            let last = self.inbox.last_read(user).await?;
            if let Some(last) = &last
                && self.settle.run(last, deed.event).await?
            {
                return self.state(deed).await;
            }
            let Some(read) = self.unread(deed, reading).await? else {
                return self.state(deed).await;
            };
            let event = deed.event(Fact::NotificationRead(read.clone()));
            let expected = last.map(|last| last.id);
            if self.inbox.mark_read(user, &read, &event, expected).await? {
                self.committer.commit(event).await?;
                return self.state(deed).await;
            }
        }
    }

    /// What there is to mark; `None` if all of it was read before.
    async fn unread(&self, deed: &Deed, reading: Reading) -> Result<Option<InboxRead>, Problem> {
        let user = deed.actor();
        Ok(match reading {
            Reading::One(id) => {
                let items = self.inbox.items(&[(user, id)]).await?;
                let item = items.get(&(user, id));
                let item = item.ok_or_else(|| Problem::not_found("notification"))?;
                (!item.read).then(|| InboxRead { ids: vec![id], through: None })
            }
            Reading::All => {
                // Up to the latest item, not up to now: what comes in late was not read.
                let latest = self.inbox.list(user, false, None, 1).await?.pop();
                let unread = self.state(deed).await?.unread_count > 0;
                latest
                    .filter(|_| unread)
                    .map(|latest| InboxRead { ids: Vec::new(), through: Some(latest.created_at) })
            }
        })
    }

    async fn state(&self, deed: &Deed) -> Result<InboxState, Problem> {
        let user = deed.actor();
        Ok(self.inbox.states(&[user]).await?.get(&user).copied().unwrap_or_default())
    }
}
