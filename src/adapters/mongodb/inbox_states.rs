//! What inboxes hold, in numbers, for any number of users at once.

use std::collections::HashMap;

use futures_util::future::try_join;
use futures_util::{StreamExt, TryStreamExt, stream};
use mongodb::bson::{Bson, Document, doc};
use serde::Deserialize;

use crate::domain::ids::UserId;
use crate::domain::notification::{InboxState, NotificationKind};

use super::content::{MongoContent, PROFILES};
use super::inbox::AT_ONCE;
use super::inbox_items::{NOTIFICATIONS, Posted, posted_items};
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

/// The unread notifications of one inbox. The server counts them along the index, which takes as long as
/// they are many; but no counter can disagree with the list.
pub(super) fn unread(user: i64, reader: &Reader) -> Document {
    let mut query = doc! {
        "userId": user, "read": false, "createdAt": { "$gt": reader.read_through() },
    };
    if !reader.wishes.muted.is_empty() {
        let muted: Vec<_> = reader.wishes.muted.iter().map(|kind| kind.as_str()).collect();
        query.insert("kind", doc! { "$nin": muted });
    }
    query
}

/// How many there are, by the answer of `count`.
fn number(answer: &Document) -> Result<i64, Failure> {
    let number = answer.get("n").and_then(|n| match n {
        Bson::Int32(n) => Some(i64::from(*n)),
        Bson::Int64(n) => Some(*n),
        // A server may count in doubles, which are exact far beyond any inbox.
        Bson::Double(n) => Some(*n as i64),
        _ => None,
    });
    number.ok_or_else(|| Failure::unreadable("nothing was counted"))
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
        self.states_for(&self.readers(&ids).await?).await
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

    async fn unread_notifications(
        &self,
        readers: &HashMap<i64, Reader>,
    ) -> Result<HashMap<i64, i64>, Failure> {
        let queries: Vec<_> =
            readers.iter().map(|(user, reader)| (*user, unread(*user, reader))).collect();
        let count = |(user, query)| async move {
            // Not `count_documents`, which is an aggregation: this one need not be planned anew, and reads the index alone.
            let count =
                self.db.database().run_command(doc! { "count": NOTIFICATIONS, "query": query });
            let counted = self.db.bounded(count).await?;
            Ok::<_, Failure>((user, number(&counted)?))
        };
        stream::iter(queries).map(count).buffer_unordered(AT_ONCE).try_collect().await
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
