//! Edits a post: what it says, and where it stands in its life.

use std::sync::Arc;

use super::committer::Committer;
use super::deed::Deed;
use super::draft::Draft;
use super::settle::Settle;
use super::validation::Faults;
use crate::domain::event::{Fact, PostChange};
use crate::domain::ids::PostId;
use crate::domain::post::{Difficulty, Post, PostStatus};
use crate::domain::problem::{Problem, ProblemKind};
use crate::domain::publication::Json;
use crate::ports::content::{Content, Kept};

/// What an author changes. What is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct PostEdit {
    /// The heading; the address stays.
    pub title: Option<String>,
    /// Markdown.
    pub content: Option<String>,
    /// All of them, in any case.
    pub tags: Option<Vec<String>>,
    /// All of them.
    pub categories: Option<Vec<String>>,
    /// For whom it is written.
    pub difficulty: Option<Difficulty>,
    /// A draft may be published, a published post archived, an archived one brought back.
    pub status: Option<PostStatus>,
    /// Any JSON object.
    pub metadata: Option<Json>,
    /// The version that the author saw; any, if it is not said.
    pub version: Option<u64>,
}

/// The command.
pub struct EditPost {
    /// Where posts are kept.
    pub content: Arc<dyn Content>,
    /// Commits what an earlier attempt left.
    pub settle: Settle,
    /// Makes the event durable.
    pub committer: Arc<Committer>,
}

impl EditPost {
    /// Changes a post of the caller, if it still is the version that the caller saw.
    pub async fn run(&self, deed: &Deed, id: PostId, edit: &PostEdit) -> Result<Post, Problem> {
        loop {
            let kept = self.content.kept_post(id).await?.filter(|kept| !kept.removed);
            let Some(kept) = kept.filter(|kept| kept.document.is_visible_to(Some(deed.actor())))
            else {
                return Err(Problem::not_found("post"));
            };
            if kept.document.author.id != deed.actor() {
                let detail = "Only its author may edit a post.";
                return Err(Problem::new(ProblemKind::Forbidden, "not_the_author", detail));
            }
            if self.settle.run(&kept.event, deed.event).await? {
                return Ok(kept.document);
            }
            if edit.version.is_some_and(|version| version != kept.document.version) {
                return Err(stale(kept.document.version));
            }
            let post = edited(&kept.document, edit.clone(), deed)?;
            let event = deed.event(fact_of(&post, &kept.document));
            let expected = kept.event.id;
            let change = Kept { document: post, removed: false, event };
            if self.content.replace_post(&change, expected).await? {
                self.committer.commit(change.event).await?;
                return Ok(change.document);
            }
        }
    }
}

fn stale(version: u64) -> Problem {
    let detail = format!("The post was changed meanwhile; it is at version {version} now.");
    Problem::new(ProblemKind::Conflict, "stale_version", detail)
}

fn fact_of(post: &Post, before: &Post) -> Fact {
    match (before.status, post.status) {
        (PostStatus::Draft, PostStatus::Draft) => Fact::PostDrafted(Box::new(post.clone())),
        (PostStatus::Draft, _) => Fact::PostPublished(Box::new(post.clone())),
        _ => {
            let former = before.tags.iter().filter(|tag| !post.tags.contains(tag));
            let former_tags = former.cloned().collect();
            Fact::PostUpdated(Box::new(PostChange { post: post.clone(), former_tags }))
        }
    }
}

fn edited(post: &Post, edit: PostEdit, deed: &Deed) -> Result<Post, Problem> {
    let draft = Draft {
        title: edit.title.unwrap_or_else(|| post.title.clone()),
        content: edit.content.unwrap_or_else(|| post.content.clone()),
        tags: edit.tags.unwrap_or_else(|| post.tags.clone()),
        categories: edit.categories.unwrap_or_else(|| post.categories.clone()),
        difficulty: edit.difficulty.or(post.difficulty),
        status: edit.status.unwrap_or(post.status),
        metadata: edit.metadata.or_else(|| post.metadata.clone()),
    };
    let draft = draft.validated()?;
    let mut faults = Faults::default();
    match (post.status, draft.status) {
        (PostStatus::Draft, PostStatus::Archived) => {
            faults.add("status", "not_permitted", "A draft can be published, not archived.");
        }
        (PostStatus::Published | PostStatus::Archived, PostStatus::Draft) => {
            faults.add("status", "not_permitted", "What was published is no draft any more.");
        }
        _ => {}
    }
    faults.into_result()?;
    let published_now = post.published_at.is_none() && draft.status == PostStatus::Published;
    Ok(Post {
        excerpt: draft.excerpt(),
        reading_minutes: draft.reading_minutes(),
        title: draft.title,
        content: draft.content,
        tags: draft.tags,
        categories: draft.categories,
        difficulty: draft.difficulty,
        status: draft.status,
        metadata: draft.metadata,
        version: post.version + 1,
        updated_at: deed.now,
        published_at: if published_now { Some(deed.now) } else { post.published_at },
        ..post.clone()
    })
}
