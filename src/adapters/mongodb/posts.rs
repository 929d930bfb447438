//! Posts as documents.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{self, Bson, DateTime, Document, doc};
use serde::{Deserialize, Serialize};

use crate::domain::event::{Event, Fact};
use crate::domain::ids::UserId;
use crate::domain::post::{Author, Difficulty, Post, PostCounts, PostStatus};
use crate::domain::publication::Json;
use crate::ports::content::{Kept, place_of};

use super::store::Failure;
use super::stored::{self, StoredEvent};

/// What a change of a post leaves as it is: its identity, and the counts, which follow the marks.
const KEPT_FIELDS: [&str; 6] = ["_id", "slug", "authorId", "author", "createdAt", "engagement"];

/// A post as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PostDocument {
    #[serde(rename = "_id")]
    id: ObjectId,
    slug: String,
    title: String,
    content: String,
    excerpt: String,
    tags: Vec<String>,
    categories: Vec<String>,
    difficulty: Option<Difficulty>,
    status: PostStatus,
    author_id: i64,
    author: Names,
    engagement: Engagement,
    estimated_read_time: i64,
    /// What is known of the metadata, to be asked for.
    metadata: Option<Metadata>,
    /// The metadata, exactly.
    metadata_text: Option<String>,
    version: i64,
    created_at: DateTime,
    updated_at: DateTime,
    published_at: Option<DateTime>,
    /// When it was published; for what never was, when it was created.
    sort_at: DateTime,
    pub(super) removed: bool,
    /// The event that told followers of it; none for what never was published.
    published_event: Option<bson::Uuid>,
    /// The last event about it; lists leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) event: Option<StoredEvent>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Names {
    username: String,
    display_name: String,
}

/// How often others did something with a post.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Engagement {
    pub(super) views: i64,
    pub(super) likes: i64,
    pub(super) shares: i64,
    pub(super) comments: i64,
    pub(super) bookmarks: i64,
}

impl Engagement {
    /// The counts as callers see them.
    pub(super) fn read(self) -> PostCounts {
        PostCounts {
            likes: stored::count(self.likes),
            comments: stored::count(self.comments),
            views: stored::count(self.views),
            shares: stored::count(self.shares),
            bookmarks: stored::count(self.bookmarks),
        }
    }
}

impl From<Engagement> for Bson {
    fn from(counts: Engagement) -> Self {
        let Engagement { views, likes, shares, comments, bookmarks } = counts;
        doc! {
            "views": views, "likes": likes, "shares": shares, "comments": comments,
            "bookmarks": bookmarks,
        }
        .into()
    }
}

/// The fields that metadata may have; what else an author's program attached is in the text only,
/// as BSON refuses some JSON that is nested too deeply or has names that it reserves.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seo: Option<Seo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    featured_image: Option<FeaturedImage>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seo {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meta_title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meta_description: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keywords: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct FeaturedImage {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    width: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    height: Option<i32>,
}

impl PostDocument {
    /// A new post, which nobody did anything with.
    pub(super) fn new(post: &Post, event: &Event) -> Result<Self, Failure> {
        let told = matches!(event.fact, Fact::PostPublished(_));
        Ok(Self {
            id: stored::object_id(post.id),
            slug: post.slug.clone(),
            title: post.title.clone(),
            content: post.content.clone(),
            excerpt: post.excerpt.clone(),
            tags: post.tags.clone(),
            categories: post.categories.clone(),
            difficulty: post.difficulty,
            status: post.status,
            author_id: post.author.id.0,
            author: Names {
                username: post.author.username.clone(),
                display_name: post.author.display_name.clone(),
            },
            engagement: Engagement::default(),
            estimated_read_time: i64::from(post.reading_minutes),
            metadata: post.metadata.as_ref().and_then(|text| serde_json::from_str(text.get()).ok()),
            metadata_text: post.metadata.as_ref().map(|text| text.get().to_owned()),
            version: stored::integer(post.version),
            created_at: stored::date(post.created_at),
            updated_at: stored::date(post.updated_at),
            published_at: post.published_at.map(stored::date),
            sort_at: stored::date(place_of(post).at),
            removed: false,
            published_event: told.then(|| stored::event_id(event.id)),
            event: Some(StoredEvent::of(event)?),
        })
    }

    /// This post after a change. What never changes is taken from here.
    pub(super) fn changed(&self, kept: &Kept<Post>) -> Result<Self, Failure> {
        let created_at = stored::time(self.created_at);
        let mut after = Self::new(&Post { created_at, ..kept.document.clone() }, &kept.event)?;
        after.removed = kept.removed;
        after.published_event = after.published_event.or(self.published_event);
        Ok(after)
    }

    /// The fields that a change sets.
    pub(super) fn fields(&self) -> Result<Document, Failure> {
        let mut fields = bson::serialize_to_document(self).map_err(Failure::unreadable)?;
        for field in KEPT_FIELDS {
            fields.remove(field);
        }
        Ok(fields)
    }

    /// What decides whether and where followers see it.
    pub(super) fn visibility(&self) -> (bool, PostStatus, DateTime, Option<bson::Uuid>) {
        (self.removed, self.status, self.sort_at, self.published_event)
    }

    /// Whether followers are shown it.
    pub(super) fn is_shown(&self) -> bool {
        !self.removed && self.status == PostStatus::Published && self.published_event.is_some()
    }

    /// Who wrote it.
    pub(super) fn author(&self) -> UserId {
        UserId(self.author_id)
    }

    /// The post with its counts as they were when it was read.
    pub(super) fn read(self) -> Result<Post, Failure> {
        let metadata = self.metadata_text.map(Json::from_string).transpose();
        Ok(Post {
            id: stored::read_object_id(self.id)?,
            slug: self.slug,
            title: self.title,
            content: self.content,
            excerpt: self.excerpt,
            tags: self.tags,
            categories: self.categories,
            difficulty: self.difficulty,
            status: self.status,
            author: Author {
                id: UserId(self.author_id),
                username: self.author.username,
                display_name: self.author.display_name,
            },
            counts: self.engagement.read(),
            reading_minutes: u32::try_from(self.estimated_read_time)
                .map_err(Failure::unreadable)?,
            metadata: metadata.map_err(Failure::unreadable)?,
            version: stored::count(self.version),
            created_at: stored::time(self.created_at),
            updated_at: stored::time(self.updated_at),
            published_at: self.published_at.map(stored::time),
        })
    }

    /// The post and its last event.
    pub(super) fn read_kept(self) -> Result<Kept<Post>, Failure> {
        let event =
            self.event.as_ref().ok_or_else(|| Failure::unreadable("a post has no event"))?;
        let (removed, event) = (self.removed, event.read()?);
        Ok(Kept { document: self.read()?, removed, event })
    }
}
