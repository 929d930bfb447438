//! Publishes a post, or keeps it as a draft.

use std::sync::Arc;

use super::committer::Committer;
use super::deed::Deed;
use super::draft::Draft;
use super::validation::Faults;
use crate::domain::event::{Event, Fact};
use crate::domain::ids::PostId;
use crate::domain::post::{Author, Post, PostCounts, PostStatus};
use crate::domain::problem::{Problem, ProblemKind};
use crate::ports::content::{Content, CreatePostError};
use crate::ports::failpoint::Failpoints;

/// The command.
pub struct PublishPost {
    /// Where posts are kept.
    pub content: Arc<dyn Content>,
    /// Makes the event durable.
    pub committer: Arc<Committer>,
    /// Where tests stop.
    pub failpoints: Failpoints,
}

impl PublishPost {
    /// Writes the post and commits its event. A retry with the same ids ends
    /// with the post that the first attempt wrote.
    pub async fn run(&self, deed: &Deed, draft: Draft, id: PostId) -> Result<Post, Problem> {
        let draft = draft.validated()?;
        if draft.status == PostStatus::Archived {
            let mut faults = Faults::default();
            faults.add("status", "not_permitted", "A new post is a draft or published.");
            faults.into_result()?;
        }
        let (post, event) = self.create(compose(draft, deed, id), deed).await?;
        self.failpoints.reach("publish_post.document_written").await;
        self.committer.commit(event).await?;
        Ok(post)
    }

    async fn create(&self, mut post: Post, deed: &Deed) -> Result<(Post, Event), Problem> {
        let plain = post.slug.clone();
        // The id is unique, so the second slug is free unless it was taken on purpose.
        for suffix in ["", &post.id.to_string()[16..], &post.id.to_string()] {
            post.slug = if suffix.is_empty() { plain.clone() } else { format!("{plain}-{suffix}") };
            let event = deed.event(fact_of(&post));
            match self.content.create_post(&post, &event).await {
                Ok(stored) => return Ok(stored),
                Err(CreatePostError::SlugTaken) => {}
                Err(CreatePostError::Store(error)) => return Err(error.into()),
            }
        }
        let detail = "Another post has the address that follows from this title.";
        Err(Problem::new(ProblemKind::Conflict, "slug_taken", detail))
    }
}

fn fact_of(post: &Post) -> Fact {
    let boxed = Box::new(post.clone());
    match post.status {
        PostStatus::Published => Fact::PostPublished(boxed),
        PostStatus::Draft | PostStatus::Archived => Fact::PostDrafted(boxed),
    }
}

fn compose(draft: Draft, deed: &Deed, id: PostId) -> Post {
    Post {
        id,
        slug: draft.slug(id),
        excerpt: draft.excerpt(),
        reading_minutes: draft.reading_minutes(),
        title: draft.title,
        content: draft.content,
        tags: draft.tags,
        categories: draft.categories,
        difficulty: draft.difficulty,
        status: draft.status,
        author: Author::from(&deed.user),
        counts: PostCounts::default(),
        metadata: draft.metadata,
        version: 1,
        created_at: deed.now,
        updated_at: deed.now,
        published_at: (draft.status == PostStatus::Published).then_some(deed.now),
    }
}
