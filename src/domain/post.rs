//! Posts, as they are stored and as callers see them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::account::User;
use super::ids::{PostId, UserId};
use super::publication::Json;
use super::time::Timestamp;

/// Where a post stands in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PostStatus {
    /// Only its author sees it.
    Draft,
    /// Everyone sees it.
    #[default]
    Published,
    /// Kept, but no longer listed.
    Archived,
}

impl PostStatus {
    /// The name in the API and in the stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::Archived => "archived",
        }
    }

    /// Reads a name; `None` for any other text.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Draft, Self::Published, Self::Archived].into_iter().find(|s| s.as_str() == name)
    }
}

/// For whom a post is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Difficulty {
    /// No prior knowledge.
    Beginner,
    /// Some practice.
    Intermediate,
    /// Daily practice.
    Advanced,
    /// The edge of the field.
    Expert,
}

/// An author as others see it next to what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Author {
    /// The number of the account.
    pub id: UserId,
    /// The unique name.
    pub username: String,
    /// The name to show.
    pub display_name: String,
}

impl From<&User> for Author {
    fn from(user: &User) -> Self {
        Self { id: user.id, username: user.username.clone(), display_name: user.display_name() }
    }
}

/// How often others did something with a post.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PostCounts {
    /// Accounts that like it now.
    pub likes: u64,
    /// Comments that were not removed.
    pub comments: u64,
    /// Views, one per user and hour.
    pub views: u64,
    /// Shares.
    pub shares: u64,
    /// Accounts that keep it now.
    pub bookmarks: u64,
}

/// A post, whole. Serialised it is the resource of the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(examples(json!({
    "id": "692030d97d3a000001a1b2c3", "slug": "hello", "title": "Hello", "content": "The first post.",
    "excerpt": "The first post.", "tags": ["rust"], "categories": [], "difficulty": "beginner",
    "status": "published", "author": {"id": 42, "username": "ada", "display_name": "Ada Lovelace"},
    "counts": {"likes": 1, "comments": 0, "views": 3, "shares": 0, "bookmarks": 0},
    "reading_minutes": 1, "metadata": null, "version": 1, "created_at": "2026-11-21T09:30:00.125Z",
    "updated_at": "2026-11-21T09:30:00.125Z", "published_at": "2026-11-21T09:30:00.125Z"
})))]
pub struct Post {
    /// An ObjectId in hex.
    pub id: PostId,
    /// The unique name in addresses.
    pub slug: String,
    /// At most 200 characters.
    pub title: String,
    /// Markdown, as written.
    pub content: String,
    /// The beginning of the content, at most 280 characters.
    pub excerpt: String,
    /// Lower case, without repeats.
    pub tags: Vec<String>,
    /// As written, without repeats.
    pub categories: Vec<String>,
    /// For whom it is written, if said.
    #[schema(required)]
    pub difficulty: Option<Difficulty>,
    /// Where it stands in its life.
    pub status: PostStatus,
    /// Who wrote it.
    pub author: Author,
    /// How often others did something with it.
    pub counts: PostCounts,
    /// Minutes that reading takes at 200 words a minute, at least 1.
    pub reading_minutes: u32,
    /// Any JSON object that the author's program attached.
    #[schema(required, value_type = Option<Object>)]
    pub metadata: Option<Json>,
    /// Counts edits, from 1.
    pub version: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last edited.
    pub updated_at: Timestamp,
    /// When it was published, if it was.
    #[schema(required)]
    pub published_at: Option<Timestamp>,
}

/// What decides who may do something with a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Who wrote it.
    pub author: UserId,
    /// Where it is in its life.
    pub status: PostStatus,
}

impl Standing {
    /// Whether `caller` may see the post (`None`: anyone). A draft exists for its author alone.
    pub fn is_visible_to(&self, caller: Option<UserId>) -> bool {
        self.status != PostStatus::Draft || Some(self.author) == caller
    }
}

impl Post {
    /// Whether `caller` may see it (`None`: anyone).
    pub fn is_visible_to(&self, caller: Option<UserId>) -> bool {
        Standing { author: self.author.id, status: self.status }.is_visible_to(caller)
    }

    /// The post without what was written in it.
    pub fn emptied(self) -> Self {
        let (content, excerpt) = (String::new(), String::new());
        Self { content, excerpt, metadata: None, ..self }
    }

    /// The post as channels that carry many posts show it: the content cut to the excerpt.
    pub fn abridged(&self) -> Self {
        Self { content: self.excerpt.clone(), ..self.clone() }
    }
}
