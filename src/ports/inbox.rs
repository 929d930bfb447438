//! Inboxes: what users are told, and what they have read.

use std::collections::HashMap;

use async_trait::async_trait;

use crate::domain::event::{Event, InboxRead};
use crate::domain::ids::{EventId, UserId};
use crate::domain::notification::{InboxState, Notice, Notification};
use crate::domain::page::Cursor;
use crate::domain::preferences::Preferences;

use super::StoreError;

/// How inboxes are once something was put there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The items, by recipient and id, as the inboxes list them; one that its recipient does not want is left out.
    pub items: HashMap<(UserId, EventId), Notification>,
    /// The states of the recipients' inboxes.
    pub states: HashMap<UserId, InboxState>,
}

/// Keeps inboxes. An inbox lists what was put there, and the posts that
/// authors published while the user followed them, none of them older than the
/// adapter's horizon (30 days): those cost no write per follower. Preferences
/// decide what is put there and listed. As durable as
/// [`Content`](super::content::Content).
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Puts notifications into inboxes. Nothing happens for one whose recipient
    /// has it, does not want its kind, or was told before and its kind is told once.
    /// Returns what [`Inbox::items`] says of these notifications and [`Inbox::states`] of their recipients afterwards.
    async fn put(&self, notices: &[Notice]) -> Result<Told, StoreError>;

    /// Items that inboxes list, by recipient and id; others are left out.
    async fn items(
        &self,
        wanted: &[(UserId, EventId)],
    ) -> Result<HashMap<(UserId, EventId), Notification>, StoreError>;

    /// The state of inboxes; one that was never used is all zeroes.
    async fn states(&self, users: &[UserId]) -> Result<HashMap<UserId, InboxState>, StoreError>;

    /// The items of an inbox, latest first, by time and then by id, after `after`
    /// (exclusive) if given, at most `limit`.
    async fn list(
        &self,
        user: UserId,
        unread_only: bool,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<Notification>, StoreError>;

    /// The event by which the user last read something.
    async fn last_read(&self, user: UserId) -> Result<Option<Event>, StoreError>;

    /// Marks items as read, if the event by which the user last read something
    /// still is `expected`; says whether it was. Items of `read` that are not there are passed over.
    async fn mark_read(
        &self,
        user: UserId,
        read: &InboxRead,
        event: &Event,
        expected: Option<EventId>,
    ) -> Result<bool, StoreError>;

    /// Remembers that everything up to an item was listed to the user.
    async fn mark_seen(&self, user: UserId, latest: &Notification) -> Result<(), StoreError>;

    /// What a user wants; the defaults if nothing was said.
    async fn preferences(&self, user: UserId) -> Result<Preferences, StoreError>;

    /// Keeps what a user wants. Durable by itself.
    async fn put_preferences(
        &self,
        user: UserId,
        preferences: &Preferences,
    ) -> Result<(), StoreError>;
}
