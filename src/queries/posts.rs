//! Posts, one and in lists, as a caller may see them.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ids::{PostId, UserId};
use crate::domain::page::{Cursor, Page};
use crate::domain::post::{Post, PostStatus};
use crate::domain::problem::Problem;
use crate::ports::content::{Content, PostFilter, place_of};
use crate::ports::marks::{Marks, OwnMarks};

/// A post as one caller sees it. Serialised it is the resource of the API.
#[derive(Debug, Serialize, ToSchema)]
pub struct PostView {
    /// The post.
    #[serde(flatten)]
    pub post: Post,
    /// Whether the caller likes it; missing for nobody in particular.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub liked: Option<bool>,
    /// Whether the caller keeps it; missing for nobody in particular.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub bookmarked: Option<bool>,
}

/// Reads posts as a caller may see them.
pub struct Posts {
    /// Where posts are kept.
    pub content: Arc<dyn Content>,
    /// What callers think of them.
    pub marks: Arc<dyn Marks>,
}

impl Posts {
    /// One post, by its id or its slug. A draft exists for its author alone.
    pub async fn one(&self, name: &str, caller: Option<UserId>) -> Result<PostView, Problem> {
        let id = match name.parse() {
            Ok(id) => Some(id),
            Err(_) => self.content.post_with_slug(name).await?,
        };
        let id: PostId = id.ok_or_else(|| Problem::not_found("post"))?;
        let post = self.content.post(id).await?.filter(|post| post.is_visible_to(caller));
        let post = post.ok_or_else(|| Problem::not_found("post"))?;
        let mut views = self.views(vec![post], caller).await?;
        views.pop().ok_or_else(|| Problem::not_found("post"))
    }

    /// Posts that match, latest first. Without a status those that are
    /// published; drafts are listed for their author alone.
    pub async fn list(
        &self,
        mut filter: PostFilter,
        caller: Option<UserId>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<PostView>, Problem> {
        let status = *filter.status.get_or_insert(PostStatus::Published);
        if status == PostStatus::Draft {
            let own = filter.author.is_none() || filter.author == caller;
            match caller.filter(|_| own) {
                Some(caller) => filter.author = Some(caller),
                None => {
                    return Ok(Page { items: Vec::new(), next: None });
                }
            }
        }
        let posts = self.content.posts(&filter, after, limit + 1).await?;
        let Page { items, next } = Page::of(posts, limit, place_of);
        Ok(Page { items: self.views(items, caller).await?, next })
    }

    async fn views(
        &self,
        posts: Vec<Post>,
        caller: Option<UserId>,
    ) -> Result<Vec<PostView>, Problem> {
        let ids: Vec<_> = posts.iter().map(|post| post.id).collect();
        let marks = match caller {
            Some(caller) if !ids.is_empty() => Some(self.marks.own_marks(caller, &ids).await?),
            _ => None,
        };
        let view = |post: Post| {
            let own = marks.as_ref().map(|marks| marks.get(&post.id).copied().unwrap_or_default());
            PostView::of(post, own.filter(|_| caller.is_some()))
        };
        Ok(posts.into_iter().map(view).collect())
    }
}

impl PostView {
    /// A post with what the caller thinks of it.
    pub fn of(post: Post, own: Option<OwnMarks>) -> Self {
        let (liked, bookmarked) = (own.map(|own| own.liked), own.map(|own| own.bookmarked));
        Self { post, liked, bookmarked }
    }
}
