//! What inboxes hold, in numbers, for any number of users at once.

use std::collections::HashMap;

use futures_util::future::try_join;
use futures_util::{StreamExt, TryStreamExt, stream};
use mongodb::bson::doc;
use serde::Deserialize;

use crate::domain::ids::UserId;
use crate::domain::notification::{InboxState, NotificationKind};

use super::content::{MongoContent, PROFILES};
use super::inbox::{AT_ONCE, InboxDocument};
use super::inbox_items::{Posted, posted_items};
use super::inbox_readers::Reader;
use super::store::Failure;
use super::stored;

#[derive(Deserialize)]
struct Changes {
    #[serde(rename = "_id")]
    user: i64,
    #[serde(default)]
    changes: i64,
}

impl MongoContent {
    /// The states of inboxes. Versions are read before what is counted, so that a count may be newer
    /// than its version and is told again with the next one, but never older.
    ///
    /// The version grows with what happens to the inbox itself and with every post of an author whom the
    /// user ever followed; as nothing forgets a follow, it never falls.
    pub(super) async fn states_of(
        &self,
        users: &[UserId],
    ) -> Result<HashMap<UserId, InboxState>, Failure> {
        let ids: Vec<_> = users.iter().map(|user| user.0).collect();
        let mut readers = self.readers(&ids).await?;
        for (user, reader) in &mut readers {
            // Who has an inbox that was never counted has it counted now, once.
            if reader.inbox.user == *user && reader.inbox.unread.is_none() {
                reader.inbox = self.recount_or_leave(*user, 0).await?;
            }
        }
        self.states_for(&readers).await
    }

    /// The states of inboxes that were just read.
    pub(super) async fn states_for(
        &self,
        readers: &HashMap<i64, Reader>,
    ) -> Result<HashMap<UserId, InboxState>, Failure> {
        let changes = self.changes_of(readers).await?;
        let (notifications, posts) =
            try_join(self.unread_notifications(readers), self.unread_posts(readers)).await?;
        let state = |(user, reader): (&i64, &Reader)| {
            let followed = reader.wishes.follows.keys().filter_map(|author| changes.get(author));
            let unread = notifications.get(user).copied().unwrap_or(0);
            let posts = posts.iter().filter(|post| is_news(post, reader)).count() as u64;
            let version = stored::count(reader.inbox.version + followed.sum::<i64>());
            let unread_count = stored::count(unread)
                + if reader.wants(NotificationKind::Posted) { posts } else { 0 };
            (UserId(*user), InboxState { unread_count, version })
        };
        Ok(readers.iter().map(state).collect())
    }

    /// How often posts of the authors whom readers followed became visible, or ceased to be.
    async fn changes_of(
        &self,
        readers: &HashMap<i64, Reader>,
    ) -> Result<HashMap<i64, i64>, Failure> {
        let mut authors: Vec<_> =
            readers.values().flat_map(|reader| reader.wishes.follows.keys().copied()).collect();
        if authors.is_empty() {
            return Ok(HashMap::new());
        }
        authors.sort_unstable();
        authors.dedup();
        let profiles = self.collection::<Changes>(PROFILES);
        let query = profiles
            .find(doc! { "_id": { "$in": authors } })
            .projection(doc! { "_id": 1, "changes": 1 });
        let found = self.db.all(query).await?.into_iter();
        Ok(found.map(|one| (one.user, one.changes)).collect())
    }

    /// As they are kept, which takes no longer where they are many, less what is muted. Only where that is not known they are
    /// counted.
    async fn unread_notifications(
        &self,
        readers: &HashMap<i64, Reader>,
    ) -> Result<HashMap<i64, i64>, Failure> {
        let count = |(user, reader): (&i64, &Reader)| {
            let (user, inbox) = (*user, InboxDocument { user: *user, ..reader.inbox.clone() });
            let muted = reader.wishes.muted.clone();
            async move {
                let unread = match inbox.unread {
                    Some(unread) => unread,
                    None => self.count_unread(&inbox).await?,
                };
                let wanted = unread.into_iter().filter(|(kind, _)| !muted.contains(kind));
                Ok::<_, Failure>((user, wanted.map(|(_, count)| count).sum()))
            }
        };
        let counts: Vec<_> = readers.iter().map(count).collect();
        stream::iter(counts).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Posts that may be news to one of the readers.
    async fn unread_posts(&self, readers: &HashMap<i64, Reader>) -> Result<Vec<Posted>, Failure> {
        let wanting = readers.values().filter(|reader| reader.wants(NotificationKind::Posted));
        let wanting: Vec<_> = wanting.map(|reader| (reader, self.floor(reader, true))).collect();
        let mut authors: Vec<_> =
            wanting.iter().flat_map(|(reader, floor)| reader.authors_since(*floor)).collect();
        let Some(floor) = wanting.iter().map(|(_, floor)| *floor).min() else {
            return Ok(Vec::new());
        };
        if authors.is_empty() {
            return Ok(Vec::new());
        }
        authors.sort_unstable();
        authors.dedup();
        self.posted(posted_items(&authors, floor, None), None).await
    }
}

fn is_news(post: &Posted, reader: &Reader) -> bool {
    reader.followed(post) && !reader.has_read(post)
}
