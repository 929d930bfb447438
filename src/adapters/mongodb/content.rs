//! Content: posts here, the other documents in [`marks`](super::marks),
//! [`comments`](super::comments) and [`inbox`](super::inbox).

mod audit;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{self, Document, doc};
use serde::Deserialize;

use crate::domain::event::Event;
use crate::domain::ids::{EventId, PostId, UserId};
use crate::domain::page::Cursor;
use crate::domain::post::{Post, PostCounts, PostStatus, Standing};
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::content::{Content, CreatePostError, Kept, PostFilter};

use super::inbox_readers::KnownWishes;
use super::posts::{Engagement, PostDocument};
use super::store::{Durability, Failure, Mongo};
use super::stored::{self, StoredEvent};

/// Where posts are kept.
pub(super) const POSTS: &str = "posts";
/// Where profiles are kept.
pub(super) const PROFILES: &str = "user_profiles";
/// The collections whose documents embed events.
pub(super) const WITH_EVENTS: [&str; 8] =
    [POSTS, "comments", "likes", "bookmarks", "shares", "views", "follows", "inboxes"];

/// Keeps posts, marks, comments and inboxes in MongoDB.
///
/// A document is replaced only where it still embeds the event that is expected, which one of
/// several who try finds. Counts are moved by a second write after that: a crash between the two leaves a
/// count that is wrong until [`MongoContent::recount`].
pub struct MongoContent {
    pub(super) db: Arc<Mongo>,
    pub(super) clock: Arc<dyn Clock>,
    durability: Durability,
    pub(super) known_wishes: KnownWishes,
}

/// What became of an attempt to insert a post.
enum Insertion {
    Created,
    Existed(Box<Kept<Post>>),
    SlugTaken,
}

#[derive(Deserialize)]
struct Id {
    #[serde(rename = "_id")]
    id: ObjectId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Standings {
    #[serde(rename = "_id")]
    id: ObjectId,
    author_id: i64,
    status: PostStatus,
}

#[derive(Deserialize)]
struct Counted {
    #[serde(rename = "_id")]
    id: ObjectId,
    engagement: Engagement,
}

#[derive(Deserialize)]
struct Embedding<E> {
    event: E,
}

#[derive(Deserialize)]
struct EmbeddedId {
    id: bson::Uuid,
}

impl MongoContent {
    /// Content in a database that was migrated. It is `covered` where the event log is on the same
    /// replica set, whose appends then make it durable; where it is not, each write waits for a
    /// majority. The clock tells how old a post may be that an inbox lists.
    pub fn new(db: Arc<Mongo>, covered: bool, clock: Arc<dyn Clock>) -> Self {
        let durability = if covered { Durability::Covered } else { Durability::Majority };
        Self { db, clock, durability, known_wishes: KnownWishes::default() }
    }

    /// A collection whose writes are durable when the port says.
    pub(super) fn collection<T: Send + Sync>(&self, name: &str) -> Collection<T> {
        self.db.collection(name, self.durability)
    }

    /// Inserts a document unless there is one with its id, or another that it must not stand beside;
    /// says whether it did.
    pub(super) async fn insert<T>(&self, name: &str, document: T) -> Result<bool, Failure>
    where
        T: serde::Serialize + Send + Sync,
    {
        let collection = self.collection::<T>(name);
        match self.db.bounded(collection.insert_one(document)).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.is_duplicate() => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Inserts documents and returns the places of those that were not inserted: one with its id is there, or another that it
    /// must not stand beside.
    pub(super) async fn insert_new<T>(
        &self,
        name: &str,
        documents: &[T],
    ) -> Result<HashSet<usize>, Failure>
    where
        T: serde::Serialize + Send + Sync,
    {
        if documents.is_empty() {
            return Ok(HashSet::new());
        }
        let collection = self.collection::<T>(name);
        match self.db.bounded(collection.insert_many(documents).ordered(false)).await {
            Ok(_) => Ok(HashSet::new()),
            Err(failure) => match failure.refused() {
                Some(refused) if refused.iter().all(|(_, duplicate)| *duplicate) => {
                    Ok(refused.into_iter().map(|(place, _)| place).collect())
                }
                _ => Err(failure),
            },
        }
    }

    /// Changes the document with this id, which is made if it is not there.
    pub(super) async fn upsert(
        &self,
        name: &str,
        id: i64,
        change: Document,
    ) -> Result<(), Failure> {
        let collection = self.collection::<Document>(name);
        let attempt = || collection.update_one(doc! { "_id": id }, change.clone()).upsert(true);
        match self.db.bounded(attempt()).await {
            // Of two that make it at once, one is refused and finds it then.
            Err(failure) if failure.is_duplicate() => self.db.bounded(attempt()).await?,
            done => done?,
        };
        Ok(())
    }

    /// Adds to counts of a user.
    pub(super) async fn count_for(&self, user: UserId, counts: Document) -> Result<(), Failure> {
        let created = doc! { "userId": user.0, "createdAt": stored::date(self.clock.now()) };
        let change = doc! { "$inc": counts, "$setOnInsert": created };
        self.upsert(PROFILES, user.0, change).await
    }

    async fn create(&self, post: &Post, event: &Event) -> Result<Insertion, Failure> {
        let document = PostDocument::new(post, event)?;
        let shown = document.is_shown();
        if self.insert(POSTS, document).await? {
            if shown {
                self.count_for(post.author.id, doc! { "changes": 1_i64 }).await?;
            }
            return Ok(Insertion::Created);
        }
        Ok(match self.kept(post.id).await? {
            Some(kept) => Insertion::Existed(Box::new(kept)),
            None => Insertion::SlugTaken,
        })
    }

    async fn find_post(&self, filter: Document) -> Result<Option<PostDocument>, Failure> {
        self.db.bounded(self.collection(POSTS).find_one(filter)).await
    }

    async fn kept(&self, id: PostId) -> Result<Option<Kept<Post>>, Failure> {
        let found = self.find_post(doc! { "_id": stored::object_id(id) }).await?;
        found.map(PostDocument::read_kept).transpose()
    }

    /// Without the event, which holds the whole post once more.
    async fn shown(&self, id: PostId) -> Result<Option<Post>, Failure> {
        let posts = self.collection::<PostDocument>(POSTS);
        let query = posts
            .find_one(doc! { "_id": stored::object_id(id), "removed": false })
            .projection(doc! { "event": 0 });
        self.db.bounded(query).await?.map(PostDocument::read).transpose()
    }

    async fn replace(&self, kept: &Kept<Post>, expected: EventId) -> Result<bool, Failure> {
        let found = doc! {
            "_id": stored::object_id(kept.document.id), "event.id": stored::event_id(expected),
        };
        // What stays as it is never changes, and so may be read before.
        let Some(before) = self.find_post(found.clone()).await? else { return Ok(false) };
        let after = before.changed(kept)?;
        let posts = self.collection::<Document>(POSTS);
        let change = doc! { "$set": after.fields()? };
        let done = self.db.bounded(posts.update_one(found, change)).await?;
        if done.matched_count == 0 {
            return Ok(false);
        }
        if before.visibility() != after.visibility() {
            self.count_for(before.author(), doc! { "changes": 1_i64 }).await?;
        }
        Ok(true)
    }

    async fn with_slug(&self, slug: &str) -> Result<Option<PostId>, Failure> {
        let posts = self.collection::<Id>(POSTS);
        let query =
            posts.find_one(doc! { "slug": slug, "removed": false }).projection(doc! { "_id": 1 });
        let found = self.db.bounded(query).await?;
        found.map(|found| stored::read_object_id(found.id)).transpose()
    }

    async fn published_of(&self, ids: &[PostId]) -> Result<Vec<Post>, Failure> {
        let ids: Vec<_> = ids.iter().map(stored::object_id).collect();
        let posts = self.collection::<PostDocument>(POSTS);
        let query = posts
            .find(doc! { "_id": { "$in": ids }, "removed": false, "status": "published" })
            .projection(doc! { "event": 0 });
        self.db.all(query).await?.into_iter().map(PostDocument::read).collect()
    }

    async fn standings_of(&self, ids: &[PostId]) -> Result<HashMap<PostId, Standing>, Failure> {
        let ids: Vec<_> = ids.iter().map(stored::object_id).collect();
        let posts = self.collection::<Standings>(POSTS);
        let query = posts
            .find(doc! { "_id": { "$in": ids }, "removed": false })
            .projection(doc! { "_id": 1, "authorId": 1, "status": 1 });
        let standing = |one: Standings| {
            let standing = Standing { author: UserId(one.author_id), status: one.status };
            Ok((stored::read_object_id(one.id)?, standing))
        };
        self.db.all(query).await?.into_iter().map(standing).collect()
    }

    async fn counts_of(&self, ids: &[PostId]) -> Result<HashMap<PostId, PostCounts>, Failure> {
        let ids: Vec<_> = ids.iter().map(stored::object_id).collect();
        let posts = self.collection::<Counted>(POSTS);
        let query = posts
            .find(doc! { "_id": { "$in": ids } })
            .projection(doc! { "_id": 1, "engagement": 1 });
        let found = self.db.all(query).await?.into_iter();
        found.map(|one| Ok((stored::read_object_id(one.id)?, one.engagement.read()))).collect()
    }

    /// Merges the indexes of all collections, which hold all that is asked for.
    async fn ids_between(
        &self,
        after: EventId,
        before: EventId,
        limit: usize,
    ) -> Result<Vec<EventId>, Failure> {
        let between = doc! {
            "event.id": { "$gt": stored::event_id(after), "$lt": stored::event_id(before) },
        };
        let parts = WITH_EVENTS.map(|name| {
            let (between, collection) =
                (between.clone(), self.collection::<Embedding<EmbeddedId>>(name));
            async move {
                let query = collection
                    .find(between)
                    .sort(doc! { "event.id": 1 })
                    .limit(stored::integer(limit))
                    .projection(doc! { "_id": 0, "event.id": 1 });
                self.db.all(query).await
            }
        });
        let found = try_join_all(parts).await?.into_iter().flatten();
        let mut ids: Vec<_> = found.map(|one| stored::read_event_id(one.event.id)).collect();
        ids.sort_unstable();
        ids.truncate(limit);
        Ok(ids)
    }

    async fn embedded(&self, ids: &[EventId]) -> Result<Vec<Event>, Failure> {
        let ids: Vec<_> = ids.iter().copied().map(stored::event_id).collect();
        let parts = WITH_EVENTS.map(|name| {
            let collection = self.collection::<Embedding<StoredEvent>>(name);
            let among = doc! { "event.id": { "$in": ids.clone() } };
            async move {
                let query = collection.find(among).projection(doc! { "_id": 0, "event": 1 });
                self.db.all(query).await
            }
        });
        let found = try_join_all(parts).await?.into_iter().flatten();
        let mut events = found.map(|one| one.event.read()).collect::<Result<Vec<_>, _>>()?;
        events.sort_unstable_by_key(|event| event.id);
        Ok(events)
    }
}

#[async_trait]
impl Content for MongoContent {
    async fn create_post(
        &self,
        post: &Post,
        event: &Event,
    ) -> Result<(Post, Event), CreatePostError> {
        match self.create(post, event).await {
            Ok(Insertion::Created) => {
                let post = Post { counts: PostCounts::default(), ..post.clone() };
                Ok((post, event.clone()))
            }
            Ok(Insertion::Existed(kept)) => Ok((kept.document, kept.event)),
            Ok(Insertion::SlugTaken) => Err(CreatePostError::SlugTaken),
            Err(e) => Err(self.db.failed(e).into()),
        }
    }

    async fn kept_post(&self, id: PostId) -> Result<Option<Kept<Post>>, StoreError> {
        self.kept(id).await.map_err(|e| self.db.failed(e))
    }

    async fn post(&self, id: PostId) -> Result<Option<Post>, StoreError> {
        self.shown(id).await.map_err(|e| self.db.failed(e))
    }

    async fn replace_post(&self, post: &Kept<Post>, expected: EventId) -> Result<bool, StoreError> {
        self.replace(post, expected).await.map_err(|e| self.db.failed(e))
    }

    async fn standings(&self, ids: &[PostId]) -> Result<HashMap<PostId, Standing>, StoreError> {
        self.standings_of(ids).await.map_err(|e| self.db.failed(e))
    }

    async fn post_with_slug(&self, slug: &str) -> Result<Option<PostId>, StoreError> {
        self.with_slug(slug).await.map_err(|e| self.db.failed(e))
    }

    async fn published(&self, ids: &[PostId]) -> Result<Vec<Post>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.published_of(ids).await.map_err(|e| self.db.failed(e))
    }

    async fn posts(
        &self,
        filter: &PostFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<Post>, StoreError> {
        // To MongoDB a limit of 0 is none.
        if limit == 0 {
            return Ok(Vec::new());
        }
        self.list(filter, after, limit).await.map_err(|e| self.db.failed(e))
    }

    async fn counts(&self, ids: &[PostId]) -> Result<HashMap<PostId, PostCounts>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        self.counts_of(ids).await.map_err(|e| self.db.failed(e))
    }

    async fn embedded_ids(
        &self,
        after: EventId,
        before: EventId,
        limit: usize,
    ) -> Result<Vec<EventId>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        self.ids_between(after, before, limit).await.map_err(|e| self.db.failed(e))
    }

    async fn embedded_events(&self, ids: &[EventId]) -> Result<Vec<Event>, StoreError> {
        self.embedded(ids).await.map_err(|e| self.db.failed(e))
    }
}
