//! Lists of posts: what each asks for, so that an index has it in the list's order.

use mongodb::bson::{Document, doc};

use crate::domain::ids::PostId;
use crate::domain::page::Cursor;
use crate::domain::post::{Post, PostStatus};
use crate::ports::content::PostFilter;

use super::content::{MongoContent, POSTS};
use super::posts::PostDocument;
use super::store::Failure;
use super::stored;

/// Statuses by which the indexes are divided.
const STATUSES: [PostStatus; 3] = [PostStatus::Draft, PostStatus::Published, PostStatus::Archived];

/// The order of every list of posts.
pub(super) fn latest_first() -> Document {
    doc! { "sortAt": -1, "_id": -1 }
}

/// What a list asks for, but for whom its reader follows.
pub(super) fn listed(filter: &PostFilter, after: Option<&Cursor>) -> Document {
    let statuses = filter.status.map_or(STATUSES.to_vec(), |status| vec![status]);
    let statuses: Vec<_> = statuses.into_iter().map(PostStatus::as_str).collect();
    let mut query = match after {
        Some(after) => {
            let id = after.id.parse::<PostId>().map(stored::object_id);
            // What is no id sorts before all of them.
            let id = id.map_or(mongodb::bson::Bson::MinKey, Into::into);
            stored::beyond(after, ("sortAt", "_id"), id, "$lt")
        }
        None => Document::new(),
    };
    query.insert("removed", false);
    match &statuses[..] {
        [one] => query.insert("status", *one),
        several => query.insert("status", doc! { "$in": several.to_vec() }),
    };
    if let Some(tag) = &filter.tag {
        query.insert("tags", tag);
    }
    if let Some(author) = filter.author {
        query.insert("authorId", author.0);
    }
    query
}

impl MongoContent {
    /// A part of a list.
    pub(super) async fn list(
        &self,
        filter: &PostFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<Post>, Failure> {
        let mut query = listed(filter, after);
        if let Some(reader) = filter.followed_by {
            let mut followed = self.followees(reader).await?;
            followed.retain(|user| filter.author.is_none_or(|author| author == *user));
            let followed: Vec<_> = followed.into_iter().map(|user| user.0).collect();
            query.insert("authorId", doc! { "$in": followed });
        }
        let posts = self.collection::<PostDocument>(POSTS);
        let query = posts
            .find(query)
            .sort(latest_first())
            .limit(stored::integer(limit))
            .projection(doc! { "event": 0 });
        self.db.all(query).await?.into_iter().map(PostDocument::read).collect()
    }
}
